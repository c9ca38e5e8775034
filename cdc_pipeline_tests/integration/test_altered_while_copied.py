"""A copy and an ALTER TABLE, or a long transaction, at the same moment: neither waits for ever, and no row is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection

from cdc_pipeline.copying.ranges import RangedTransfer
from cdc_pipeline.databases.mysql.reader import RawReader
from cdc_pipeline.databases.mysql.source import MySqlSource
from cdc_pipeline.databases.postgresql.source import PostgreSqlSource
from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.waiting import wait_until

MakeScenario = Callable[..., Scenario]
ROWS = 2000
ALTER = "ALTER TABLE stock ADD COLUMN more INT"
every_source = pytest.mark.parametrize(
    ("source", "target"), [("mysql", "postgresql"), ("postgresql", "mysql"), ("mariadb", "postgresql")]
)


def prepared(made: Scenario, **settings: str) -> Replication:
    rows = ", ".join(f"({n}, 'note {n}')" for n in range(ROWS))
    made.run("source", "CREATE TABLE stock (id INT PRIMARY KEY, note VARCHAR(20))", f"INSERT INTO stock VALUES {rows}")
    replication = made.replication("stock", **settings)
    replication.check()
    replication.prepare()
    return replication


def copied(made: Scenario, replication: Replication) -> list[tuple[Any, ...]]:
    assert [str(result.error) for result in replication.copy() if result.error] == []
    return made.rows("target", f"SELECT count(*), count(DISTINCT id) FROM {made.target_table('stock')}")


def is_waited_for(made: Scenario) -> bool:
    """Whether somebody waits for the table, or for those who wait for it."""
    queries = {
        "postgresql": "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        "mysql": "SELECT 1 FROM information_schema.processlist WHERE state = 'Waiting for table metadata lock' "
        f"AND db = '{made.databases['source']}'",
    }
    return bool(made.rows("source", queries["postgresql" if made.kinds["source"] == "postgresql" else "mysql"]))


@contextmanager
def altering(made: Scenario) -> Iterator[Callable[[], None]]:
    """What begins an ALTER TABLE, once, and returns when it waits. On leaving, it has ended."""
    threads = []

    def begin() -> None:
        if not threads:
            threads.append(threading.Thread(target=made.run, args=("source", ALTER)))
            threads[0].start()
            wait_until(lambda: is_waited_for(made) or not threads[0].is_alive(), "waited for")

    yield begin
    assert threads, "it never began"
    threads[0].join()


@every_source
def test_an_alter_table_that_comes_while_ranges_are_read_waits_for_the_copy(
    scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch, source: str, target: str
) -> None:
    """Whoever asks the table something new waits behind it."""
    made = scenario(source, target)
    replication = prepared(made, range_rows="200", parallel_ranges="3")
    copy_once = RangedTransfer._copy_once
    with altering(made) as begin:

        def altered(self: RangedTransfer, *arguments: Any) -> None:
            begin()
            copy_once(self, *arguments)

        monkeypatch.setattr(RangedTransfer, "_copy_once", altered)
        assert copied(made, replication) == [(ROWS, ROWS)]


@pytest.mark.parametrize("source", ["mysql", "mariadb"])
def test_an_alter_table_that_comes_while_the_table_is_locked_goes_first(
    scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    made = scenario(source, "postgresql")
    replication = prepared(made, range_rows="200", parallel_ranges="3")
    start = RawReader.start_snapshot
    with altering(made) as begin:

        def altered(self: RawReader) -> None:
            begin()
            start(self)

        monkeypatch.setattr(RawReader, "start_snapshot", altered)
        assert copied(made, replication) == [(ROWS, ROWS)]


def test_an_alter_table_between_two_readers_of_a_snapshot_goes_first(
    scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scenario("postgresql", "mysql")
    replication = prepared(made, range_rows="200", parallel_ranges="3")
    locked = PostgreSqlSource._locked
    with altering(made) as begin:

        def altered(self: PostgreSqlSource, *arguments: Any) -> bool:
            done = locked(self, *arguments)
            begin()
            return done

        monkeypatch.setattr(PostgreSqlSource, "_locked", altered)
        assert copied(made, replication) == [(ROWS, ROWS)]


def test_a_table_that_is_being_rewritten_is_read_as_it_is_then(
    scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To a snapshot from before, PostgreSQL would show a table without a row."""
    made = scenario("postgresql", "mysql")
    replication = prepared(made)
    reader, owner = PostgreSqlSource._reader, made.engine("source").execution_options(isolation_level="READ COMMITTED")
    ending: list[threading.Thread] = []

    def end(rewriting: Connection) -> None:
        wait_until(lambda: is_waited_for(made), "waited for")
        rewriting.commit()
        rewriting.close()

    def rewritten(self: PostgreSqlSource) -> Connection:
        if not ending:
            rewriting = owner.connect()
            rewriting.exec_driver_sql("ALTER TABLE stock ALTER note TYPE VARCHAR(20) USING note || ''")
            ending.append(threading.Thread(target=end, args=(rewriting,)))
            ending[0].start()
        return reader(self)

    monkeypatch.setattr(PostgreSqlSource, "_reader", rewritten)
    assert copied(made, replication) == [(ROWS, ROWS)]
    ending[0].join()


@pytest.mark.parametrize("apply", ["batches", "transactional"])
def test_where_transactions_are_applied_whole_a_copy_waits_for_a_long_one(
    scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch, apply: str
) -> None:
    """Elsewhere it begins before it, and its events are applied to rows that may have seen them."""
    made = scenario("mysql", "postgresql")
    replication = prepared(made, apply=apply)
    locked = MySqlSource._locked
    owner = made.engine("source").execution_options(isolation_level="READ COMMITTED")
    with owner.connect() as writing:
        writing.exec_driver_sql("UPDATE stock SET note = 'long'")

        def watched(self: MySqlSource, *arguments: Any) -> bool:
            done = locked(self, *arguments)
            if not done and apply == "transactional":
                writing.commit()
            return done

        monkeypatch.setattr(MySqlSource, "_locked", watched)
        assert copied(made, replication) == [(ROWS, ROWS)]
        writing.commit()
    seen = made.rows("target", f"SELECT count(*) FROM {made.target_table('stock')} WHERE note = 'long'")
    assert seen == [(ROWS if apply == "transactional" else 0,)]
    replication.register()
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
