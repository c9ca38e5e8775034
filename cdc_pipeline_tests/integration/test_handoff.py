"""The exact hand-off: what is written before, during and after the copy, and between copy and registration, arrives
once. `journal` has no key, so one event too many or too few shows."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, NullPool, create_engine

from cdc_pipeline.databases.mysql.source import MySqlSource
from cdc_pipeline.local.stack import Endpoints
from cdc_pipeline.model import TableId
from cdc_pipeline.replication import Replication, start_replication
from cdc_pipeline.state import TableState
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.waiting import wait_until
from cdc_pipeline_tests.workload import TABLES, create_tables, wait_for_transactions, writing

DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql")]
FROM_MARIADB = [*DIRECTIONS, ("mariadb", "postgresql")]
WITH_MARIADB = [*FROM_MARIADB, ("mysql", "mariadb")]
MakeScenario = Callable[..., Scenario]


def _copy(replication: Replication, *, force_resync: bool = False, adopt: bool = False) -> dict[str, str]:
    replication.prepare(force_resync=force_resync)
    results = list(replication.copy(force_resync=force_resync, adopt=adopt))
    assert [result.error for result in results if result.error] == []
    return {result.table.source.name: result.outcome for result in results}


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), WITH_MARIADB)
def test_every_write_arrives_once_whenever_it_was_written(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    create_tables(shop)
    replication = shop.replication(*TABLES)
    with writing(shop) as writers:
        wait_for_transactions(writers, 20)  # before
        replication.check()
        _copy(replication)  # during
        wait_for_transactions(writers, 50)  # between copy and registration
        replication.register()
        wait_for_transactions(writers, 50)  # after
    progress = replication.consume(until_caught_up=True)
    assert progress.applied > 0
    shop.assert_equal(replication)


@pytest.mark.parametrize(("source", "target"), WITH_MARIADB)
def test_the_four_steps_in_one_call_under_load(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    create_tables(shop)
    config = shop.config(*TABLES)
    with writing(shop) as writers:
        wait_for_transactions(writers, 20)
        success, message = start_replication(config, until_caught_up=True)
        assert success, message
        wait_for_transactions(writers, 20)
    success, message = start_replication(config, until_caught_up=True)
    assert success, message
    shop.assert_equal(Replication(config))


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), FROM_MARIADB)
def test_a_table_is_synced_again_while_it_streams(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    create_tables(shop)
    config = shop.config(*TABLES)
    first = Replication(config)
    first.check()
    _copy(first)
    first.register()
    stop = threading.Event()
    failures: list[BaseException] = []

    def consume() -> None:
        try:
            Replication(config).consume(stop)
        except BaseException as error:  # noqa: BLE001 - asserted below
            failures.append(error)

    consumer = threading.Thread(target=consume)
    consumer.start()
    with writing(shop) as writers:
        for _ in range(3):
            wait_for_transactions(writers, 20)
            assert set(_copy(Replication(config), force_resync=True).values()) == {"reloaded"}
        wait_for_transactions(writers, 20)
    last = Replication(config)
    last.consume(until_caught_up=True)  # waits for the one that runs
    stop.set()
    consumer.join()
    assert failures == []
    shop.assert_equal(last)


@pytest.fixture
def gtids_optional(stack: Endpoints) -> Iterator[None]:
    """The MySQL server as one that was never, or not yet wholly, moved to GTIDs."""

    def switch(*modes: str) -> None:
        with create_engine(stack.mysql or "", isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
            for mode in modes:
                connection.exec_driver_sql(f"SET GLOBAL gtid_mode = {mode}")

    switch("ON_PERMISSIVE", "OFF_PERMISSIVE")
    yield
    switch("ON_PERMISSIVE", "ON")


@pytest.mark.alone
@pytest.mark.usefixtures("gtids_optional")
def test_without_gtids_positions_of_the_binary_log_tell_the_same(scenario: MakeScenario) -> None:
    shop = scenario("mysql", "postgresql")
    create_tables(shop)
    replication = shop.replication(*TABLES)
    with writing(shop) as writers:
        wait_for_transactions(writers, 20)
        _copy(replication)
        wait_for_transactions(writers, 20)
        replication.register()
        wait_for_transactions(writers, 20)
    replication.consume(until_caught_up=True)
    shop.run("source", "TRUNCATE TABLE journal")
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
    assert {(record.watermark or "")[:8] for record in replication.parts.state.table_records().values()} == {'{"file":'}


@pytest.fixture
def slow_commits(stack: Endpoints) -> Iterator[None]:
    """A transaction stands in MySQL's log for a second before the engine has committed it."""
    with create_engine(stack.mysql or "", isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql("SET GLOBAL binlog_group_commit_sync_delay = 1000000")
        yield
        connection.exec_driver_sql("SET GLOBAL binlog_group_commit_sync_delay = 0")


@pytest.mark.alone
@pytest.mark.usefixtures("slow_commits")
@pytest.mark.parametrize("gtids", [True, False], ids=["GTIDs", "positions"])
@pytest.mark.parametrize("early", [True, False], ids=["as the stream begins", "as the copy begins"])
def test_what_is_being_committed_is_not_lost_where_the_table_cannot_be_locked(
    scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, gtids: bool, early: bool
) -> None:
    if not gtids:
        request.getfixturevalue("gtids_optional")
    shop = scenario("mysql", "postgresql")
    create_tables(shop)
    replication = shop.replication("accounts")
    lock, insert = MySqlSource._locked, "INSERT INTO accounts VALUES (1000, 'in flight', 1.00, NULL)"
    writer = threading.Thread(target=shop.run, args=("source", insert))
    withheld = itertools.count()

    def begin() -> None:
        place = "SHOW BINARY LOGS"
        before = shop.rows("source", place)
        writer.start()
        wait_until(lambda: shop.rows("source", place) != before, "in the log")

    def locked(self: MySqlSource, connection: Connection, table: TableId) -> bool:
        if next(withheld):
            return lock(self, connection, table)
        if not early:
            begin()
        return False

    monkeypatch.setattr(MySqlSource, "_locked", locked)
    if early:
        begin()
    _copy(replication)
    writer.join()
    # A connector that captures the table only from here on would not tell it.
    assert shop.rows("target", f"SELECT owner FROM {shop.target_table('accounts')} WHERE id = 1000") == [("in flight",)]
    replication.register()
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


def test_a_consumer_that_claims_a_table_just_before_its_copy_gives_it_up(
    scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = scenario("mysql", "postgresql")
    create_tables(shop)
    replication = shop.replication("journal")
    _copy(replication)
    table = replication.table("journal")
    state, other = replication.parts.state, shop.replication("journal").parts.state
    lock_topic, locks = state.lock_topic, itertools.count()

    def claim_and_lock(connection: Connection, topic: str) -> None:
        if next(locks) == 1:  # the one that takes the table from the consumer
            claimed, _ = other.claim("a consumer", [(topic, 0)], {topic: table.source})
            assert claimed
        lock_topic(connection, topic)

    monkeypatch.setattr(state, "lock_topic", claim_and_lock)
    assert _copy(replication, force_resync=True) == {"journal": "reloaded"}
    assert state.table_records()[table.source].state is TableState.COPIED


def test_without_force_a_table_with_data_is_skipped_and_with_force_it_is_reloaded(scenario: MakeScenario) -> None:
    shop = scenario()
    create_tables(shop)
    config = shop.config(*TABLES)
    assert set(_copy(Replication(config)).values()) == {"copied"}
    watermarks = {t: r.watermark for t, r in Replication(config).parts.state.table_records().items()}
    assert set(_copy(Replication(config)).values()) == {"skipped"}
    assert watermarks == {t: r.watermark for t, r in Replication(config).parts.state.table_records().items()}
    shop.run("target", f"DELETE FROM {shop.target_table('journal')}")
    shop.run("target", f"UPDATE {shop.target_table('accounts')} SET balance = 0 WHERE id = 3")
    assert _copy(Replication(config)) == {"accounts": "skipped", "journal": "copied"}  # an empty one is not skipped
    assert set(_copy(Replication(config), force_resync=True).values()) == {"reloaded"}
    shop.assert_equal(Replication(config))


def test_a_target_that_is_equal_already_can_be_adopted(scenario: MakeScenario) -> None:
    shop = scenario()
    create_tables(shop, rows=50)
    name = shop.target_table("accounts")
    shop.run("target", f"CREATE TABLE {name} (id INT PRIMARY KEY, owner VARCHAR(40) NOT NULL, "
             "balance DECIMAL(12, 2), note TEXT)")  # fmt: skip
    rows = shop.rows("source", "SELECT id, owner, balance, note FROM accounts")
    values = ", ".join(f"({i}, '{owner}', {balance}, '{note}')" for i, owner, balance, note in rows)
    shop.run("target", f"INSERT INTO {name} VALUES {values}")
    config = shop.config("accounts")
    success, message = start_replication(config, until_caught_up=True)
    assert not success
    assert "--force-resync" in message
    assert "--adopt" in message
    with writing(shop) as writers:
        wait_for_transactions(writers, 1)
    # What the owner vouches for must be true: bring the target up to date by hand, as the owner would.
    shop.run("target", f"DELETE FROM {name}")
    rows = shop.rows("source", "SELECT id, owner, balance, coalesce(note, 'NULL') FROM accounts")
    values = ", ".join(
        f"({i}, '{owner}', {balance}, {note if note == 'NULL' else repr(note)})" for i, owner, balance, note in rows
    )
    shop.run("target", f"INSERT INTO {name} VALUES {values}")
    replication = Replication(config)
    replication.check(adopt=True)
    assert _copy(replication, adopt=True) == {"accounts": "adopted"}
    shop.run("source", "UPDATE accounts SET balance = 99 WHERE id = 5")
    replication.register()
    replication.consume(until_caught_up=True)
    assert shop.rows("target", f"SELECT balance FROM {name} WHERE id = 5") == [(99,)]
    shop.assert_equal(replication)


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), FROM_MARIADB)
def test_a_table_added_later_is_captured_before_it_is_copied(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    create_tables(shop)
    success, message = start_replication(shop.config("accounts"), until_caught_up=True)
    assert success, message
    with writing(shop) as writers:
        wait_for_transactions(writers, 20)
        success, message = start_replication(shop.config(*TABLES), until_caught_up=True)
        assert success, message
        wait_for_transactions(writers, 20)
    replication = shop.replication(*TABLES)
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


def test_a_table_altered_between_copy_and_registration_is_refused(scenario: MakeScenario) -> None:
    shop = scenario()
    create_tables(shop)
    replication = shop.replication(*TABLES)
    _copy(replication)
    shop.run("source", "ALTER TABLE accounts ADD COLUMN extra INT")
    with pytest.raises(Exception, match="was altered between its copy and the registration"):
        replication.register()
    assert not replication.parts.connect.exists(replication.config.connector_name)


@pytest.mark.parametrize(("source", "target"), WITH_MARIADB)
def test_truncate_arrives(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    create_tables(shop)
    replication = shop.replication(*TABLES)
    _copy(replication)
    replication.register()
    shop.run("source", "TRUNCATE TABLE journal", "INSERT INTO journal VALUES (1, 2.00, 'after')")
    shop.run("source", "TRUNCATE TABLE accounts")
    replication.consume(until_caught_up=True)
    assert shop.rows("target", f"SELECT count(*) FROM {shop.target_table('accounts')}") == [(0,)]
    shop.assert_equal(replication)


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_two_copies_of_one_table_at_once_follow_one_another(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    create_tables(shop)
    config = shop.config("journal")
    Replication(config).prepare()
    failures: list[BaseException] = []

    def copy() -> None:
        try:
            for result in Replication(config).copy(force_resync=True):
                assert result.error is None, result.error
        except BaseException as error:  # noqa: BLE001 - asserted below
            failures.append(error)

    threads = [threading.Thread(target=copy) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    shop.assert_equal(Replication(config))
