"""The exact hand-off and every type, with an Oracle database on one side or both. `make test-oracle` runs them."""

from __future__ import annotations

import pytest

from cdc_pipeline.replication import Replication
from cdc_pipeline_tests import workload
from cdc_pipeline_tests.oracle.cases import TYPES, create_table, inserts
from cdc_pipeline_tests.oracle.conftest import MakeScenario, OracleScenario, writing
from cdc_pipeline_tests.workload import wait_for_transactions

TARGETS = ["postgresql", "mysql", "oracle"]
SOURCE_TABLES = ("CDC_ACCOUNTS", "CDC_JOURNAL")


def create_tables(shop: OracleScenario) -> None:
    """The first has a key and a LOB; the second has neither, and many equal rows."""
    shop.run(
        "source",
        "CREATE TABLE CDC_ACCOUNTS (id NUMBER(10) PRIMARY KEY, owner VARCHAR2(40 CHAR) NOT NULL, "
        "balance NUMBER(12, 2), note CLOB)",
        "CREATE TABLE CDC_JOURNAL (account NUMBER(10), amount NUMBER(12, 2), label VARCHAR2(20 CHAR))",
        *(f"ALTER TABLE {table} ADD SUPPLEMENTAL LOG DATA (ALL) COLUMNS" for table in SOURCE_TABLES),
        "INSERT INTO CDC_ACCOUNTS SELECT LEVEL, 'owner ' || LEVEL, LEVEL + 0.5, 'seed' FROM dual "
        "CONNECT BY LEVEL <= 1000",
        "INSERT INTO CDC_JOURNAL SELECT MOD(LEVEL, 7), 1, 'seed' FROM dual CONNECT BY LEVEL <= 100",
    )


def copy(replication: Replication, *, force_resync: bool = False) -> None:
    replication.prepare(force_resync=force_resync)
    assert [result.error for result in replication.copy(force_resync=force_resync) if result.error] == []


@pytest.mark.parametrize("target", TARGETS)
def test_every_write_arrives_once_whenever_it_was_written(oracle_scenario: MakeScenario, target: str) -> None:
    shop = oracle_scenario("oracle", target)
    create_tables(shop)
    replication = shop.replication(*SOURCE_TABLES)
    with writing(shop) as writers:
        wait_for_transactions(writers, 20)  # before
        replication.check()
        copy(replication)  # during
        wait_for_transactions(writers, 50)  # between copy and registration
        replication.register()
        wait_for_transactions(writers, 50)  # after
        copy(replication, force_resync=True)  # and a re-sync
        wait_for_transactions(writers, 50)
    assert replication.consume(until_caught_up=True).applied > 0
    shop.assert_equal(replication)


def test_a_transaction_that_was_open_at_the_start_arrives_whole(oracle_scenario: MakeScenario) -> None:
    shop = oracle_scenario("oracle", "postgresql")
    create_tables(shop)
    replication = shop.replication(*SOURCE_TABLES)
    with shop.engine("source").execution_options(isolation_level="READ COMMITTED").connect() as connection:
        connection.exec_driver_sql("INSERT INTO CDC_JOURNAL VALUES (1, 1, 'before the start')")
        copy(replication)
        replication.register()
        connection.exec_driver_sql("INSERT INTO CDC_JOURNAL VALUES (1, 1, 'after it')")
        connection.commit()
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


def test_truncate_arrives(oracle_scenario: MakeScenario) -> None:
    shop = oracle_scenario("oracle", "postgresql")
    create_tables(shop)
    replication = shop.replication(*SOURCE_TABLES)
    copy(replication)
    replication.register()
    shop.run("source", "TRUNCATE TABLE CDC_JOURNAL", "INSERT INTO CDC_JOURNAL VALUES (1, 2, 'after')")
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


@pytest.mark.parametrize("target", TARGETS)
def test_copy_and_stream_write_the_same_values(oracle_scenario: MakeScenario, target: str) -> None:
    made = oracle_scenario("oracle", target)
    copied, streamed = (inserts("CDC_EVERYTHING", first_id, target) for first_id in (0, 1000))
    made.run("source", create_table("CDC_EVERYTHING"))
    made.run("source", "ALTER TABLE CDC_EVERYTHING ADD SUPPLEMENTAL LOG DATA (ALL) COLUMNS", *copied)
    replication = made.replication("CDC_EVERYTHING")
    replication.check()
    copy(replication)
    made.assert_equal(replication)
    replication.register()
    made.run("source", *streamed)
    assert replication.consume(until_caught_up=True).inserted == len(streamed)
    made.assert_equal(replication)
    quote = replication.parts.target.dialect.quote
    names = ", ".join(quote(f"C{number}") for number in range(len(TYPES)))
    table = replication.parts.target.dialect.table(replication.tables[0].target)
    result = made.rows("target", f"SELECT {names} FROM {table} ORDER BY {quote('ID')}")
    assert [str(row) for row in result[: len(copied)]] == [str(row) for row in result[len(copied) :]]


@pytest.mark.parametrize("source", ["postgresql", "mysql"])
def test_every_write_arrives_once_in_an_oracle_target(oracle_scenario: MakeScenario, source: str) -> None:
    shop = oracle_scenario(source, "oracle")
    workload.create_tables(shop)
    replication = shop.replication(*workload.TABLES)
    with workload.writing(shop) as writers:
        wait_for_transactions(writers, 20)
        replication.check()
        copy(replication)
        wait_for_transactions(writers, 50)
        replication.register()
        wait_for_transactions(writers, 50)
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
