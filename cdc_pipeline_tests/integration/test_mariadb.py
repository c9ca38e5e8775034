"""MariaDB as a source: the watermark of a snapshot without a lock, offsets that lose nothing, and what step 1 finds."""

from __future__ import annotations

import io
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from cdc_pipeline.apply.decode import decode
from cdc_pipeline.databases.mariadb import source as mariadb_source
from cdc_pipeline.model import ChangeEvent, Watermark
from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import started
from cdc_pipeline_tests.validating import found, login, user_of
from cdc_pipeline_tests.waiting import wait_until
from cdc_pipeline_tests.workload import TABLES, create_tables, wait_for_transactions, writing

pytestmark = pytest.mark.servers

MakeScenario = Callable[..., Scenario]
Rows = Counter[tuple[str, ...]]
NEEDED = "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO {user}"
SNAPSHOTS = 15
SERVER_HEARTBEAT_SECONDS = 48  # what Debezium asks the server for
KEEP_ALIVE_MILLISECONDS = 1000  # it asks for 0.8 of it


@pytest.fixture
def shop(scenario: MakeScenario) -> Scenario:
    made = scenario("mariadb", "postgresql")
    made.run("source", "CREATE TABLE users (id INT PRIMARY KEY)", "CREATE TABLE other (id INT PRIMARY KEY)")
    return made


@pytest.mark.alone
def test_what_is_being_committed_when_the_stream_begins_is_not_lost(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_flight(shop, monkeypatch, "INSERT INTO users VALUES (1)"):
        assert shop.rows("source", "SELECT count(*) FROM users") == [(0,)]
        replication = started(shop, "users")
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
    assert shop.rows("target", f"SELECT id FROM {shop.target_table('users')}") == [(1,)]


def test_what_is_being_committed_when_a_table_is_added_is_not_lost(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connector has read it, when the table was none of ours, before the copy begins."""
    often = "{seconds: 1}"
    first = started(shop, "users", heartbeat=often)
    source, connect = first.parts.source, first.parts.connect
    with in_flight(shop, monkeypatch, "INSERT INTO other VALUES (1)"):
        mark = source.mark()
        wait_until(lambda: source.reached(connect.offsets(first.config.connector_name) or {}, mark), "read")
        replication = started(shop, "users", "other", heartbeat=often)
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
    assert shop.rows("target", f"SELECT id FROM {shop.target_table('other')}") == [(1,)]


@contextmanager
def in_flight(shop: Scenario, monkeypatch: pytest.MonkeyPatch, statement: str) -> Iterator[None]:
    """This transaction stands in the log, and waits for a replica to say that it has it: so no snapshot sees it. There
    is no replica; it ends once a copy waits for it, or at the end of the block."""
    variables = ("enabled", "wait_point", "timeout")
    before = shop.rows("source", f"SELECT {', '.join(f'@@GLOBAL.rpl_semi_sync_master_{name}' for name in variables)}")

    def switch(enabled: Any, wait_point: str, timeout: int) -> None:
        for name, value in zip(variables, (enabled, f"'{wait_point}'", timeout), strict=True):
            shop.run("source", f"SET GLOBAL rpl_semi_sync_master_{name} = {value}")

    def end(_: float) -> None:
        switch(*before[0])
        writer.join()

    writer = threading.Thread(target=shop.run, args=("source", statement))
    monkeypatch.setattr(mariadb_source, "time", SimpleNamespace(sleep=end))
    switch(1, "AFTER_SYNC", 60_000)
    try:
        place = "SHOW MASTER STATUS"
        there = shop.rows("source", place)
        writer.start()
        wait_until(lambda: shop.rows("source", place) != there, "in the log")
        yield
    finally:
        end(0)


# -- the watermark ------------------------------------------------------------------------------------------------


@pytest.mark.alone
@pytest.mark.parametrize("strict", ["ON", "OFF"])
def test_a_snapshot_and_the_events_that_its_watermark_does_not_hold_make_the_table(
    scenario: MakeScenario, strict_mode: Callable[[Scenario, str], None], strict: str
) -> None:
    shop = scenario("mariadb", "postgresql")
    strict_mode(shop, strict)
    create_tables(shop)
    replication = started(shop, "journal")
    snapshots: list[tuple[Rows, Watermark]] = []
    with writing(shop, 4) as writers:
        for _ in range(SNAPSHOTS):
            wait_for_transactions(writers, random.randint(1, 15))
            snapshots.append(snapshot(replication))
        wait_for_transactions(writers, 20)  # which no snapshot holds
    replication.consume(until_caught_up=True)
    events = list(events_of(shop, replication.table("journal").topic))
    final = Counter(tuple(map(str, row)) for row in shop.rows("source", "SELECT * FROM journal"))
    assert len({watermark.to_text() for _, watermark in snapshots}) > SNAPSHOTS / 2
    for rows, watermark in snapshots:
        later = [event for event in events if not watermark.holds(event.source)]
        assert 0 < len(later) < len(events)
        rows.update(values(event.after) for event in later if event.after)
        rows.subtract(values(event.before) for event in later if event.before)
        assert rows == final, watermark.to_text()


@pytest.fixture
def strict_mode() -> Iterator[Callable[[Scenario, str], None]]:
    """Switches the server's gtid_strict_mode, until the end of the test."""
    switched: list[Scenario] = []

    def switch(shop: Scenario, mode: str) -> None:
        switched.append(shop)
        shop.run("source", f"SET GLOBAL gtid_strict_mode = {mode}")

    yield switch
    for shop in switched:
        shop.run("source", "SET GLOBAL gtid_strict_mode = ON")


def snapshot(replication: Replication) -> tuple[Rows, Watermark]:
    source, file = replication.parts.source, io.BytesIO()
    shape = source.shape(replication.table("journal").source)
    assert shape is not None
    with source.snapshot(shape) as taken:
        taken.copy_to(shape, file)
    rows = Counter(tuple(line.split("\t")) for line in file.getvalue().decode().splitlines())
    return rows, source.watermark(taken.watermark.to_text())


def events_of(shop: Scenario, topic: str) -> Iterator[ChangeEvent]:
    """Every event that the topic has by now."""
    consumer = Consumer({"bootstrap.servers": str(shop.stack.kafka), "group.id": topic, "enable.auto.commit": False})
    try:
        first, end = consumer.get_watermark_offsets(TopicPartition(topic, 0))
        consumer.assign([TopicPartition(topic, 0, first)])
        while first < end:
            for message in consumer.consume(500, 10):
                assert message.error() is None
                first = (message.offset() or 0) + 1
                event = decode(topic, 0, first, message.key(), message.value())
                if event is not None:
                    yield event
    finally:
        consumer.close()


def values(row: Any) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("account", "amount", "label"))


# -- the connector's offset ---------------------------------------------------------------------------------------


@pytest.mark.alone
@pytest.mark.parametrize("last", ["TRUNCATE TABLE users", "TRUNCATE TABLE other", "FLUSH QUERY CACHE"])
def test_rows_written_while_the_connector_rests_arrive_after_an_idle_time(shop: Scenario, last: str) -> None:
    """Debezium counts an idle server's heartbeats as events of the last statement, and skips as many at its restart."""
    keep_alive = f'{{connect.keep.alive.interval.ms: "{KEEP_ALIVE_MILLISECONDS}"}}'
    replication = started(shop, "users", connector=keep_alive)
    name, connect = replication.config.connector_name, replication.parts.connect
    shop.run("source", "INSERT INTO users VALUES (1)", last)
    replication.consume(until_caught_up=True)
    time.sleep(8 * KEEP_ALIVE_MILLISECONDS / 1000)  # as long as ten heartbeats take: nothing tells that they came
    connect.stop(name)
    connect.wait_stopped(name)
    shop.run("source", *(f"INSERT INTO users VALUES ({number})" for number in range(2, 12)))
    connect.resume(name)
    connect.wait_running(name)
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


@pytest.mark.alone
@pytest.mark.alone
@pytest.mark.parametrize(
    "last",
    [
        "INSERT INTO users VALUES (1)",
        "INSERT INTO other VALUES (1)",
        "TRUNCATE TABLE users",
        "CREATE TABLE another (id INT)",
        "INSERT INTO old_fashioned VALUES (1)",
    ],
)
def test_a_login_with_the_privileges_asked_for_has_caught_up_before_the_server_sends_a_heartbeat(
    shop: Scenario, last: str
) -> None:
    shop.run("source", "CREATE TABLE old_fashioned (id INT) ENGINE = MyISAM")
    with user_of(shop, "source", NEEDED, f"GRANT SELECT ON `{shop.schema}`.* TO {{user}}") as user:
        endpoint = login(shop, "source", user)
        assert found(shop, source=endpoint) == {}
        replication = started(shop, "users", source=endpoint)
        before = time.monotonic()
        shop.run("source", last)
        replication.consume(until_caught_up=True)
        shop.assert_equal(replication)
        assert time.monotonic() - before < SERVER_HEARTBEAT_SECONDS / 2
        replication.teardown()
        shop.write("users")  # whoever cleans up logs in as ever


@pytest.mark.alone
def test_several_domains_and_servers_in_the_log_are_captured_and_waited_for(shop: Scenario) -> None:
    replication = started(shop, "users")
    name, connect = replication.config.connector_name, replication.parts.connect
    shop.run("source", "INSERT INTO users VALUES (99)")
    replication.consume(until_caught_up=True)  # it streams: a start must find the last server that it knows
    for number, (domain, server) in enumerate([(0, 7), (0, 1), (3, 1), (3, 8), (0, 1)]):
        shop.run(
            "source",
            f"SET SESSION gtid_domain_id = {domain}, SESSION server_id = {server}",
            f"INSERT INTO users VALUES ({number})",
        )
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
    connect.stop(name)
    connect.wait_stopped(name)
    shop.run("source", "INSERT INTO users VALUES (77)")
    connect.resume(name)
    connect.wait_running(name)
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


def test_a_position_is_not_reached_before_its_last_transaction_is_told(shop: Scenario) -> None:
    """Whatever the offset is half-way: in a transaction that has begun, or of whose rows one is told."""
    source = shop.replication("users").parts.source
    before = source.mark()
    shop.run("source", "INSERT INTO users VALUES (1), (2), (3)")
    mark = source.mark()
    current = {**before.offset, "transaction_id": mark.offset["gtids"].rpartition(",")[2]}
    assert [source.reached({**current, "event": told}, mark) for told in range(4)] == [False, False, False, True]
    assert not source.reached({**current, "event": 3, "file": "binlog.999998"}, mark.__class__(
        {**mark.offset, "file": "binlog.999999"}))  # fmt: skip
    assert not source.reached(before.offset, mark)
    assert source.reached(mark.offset, mark)
    assert source.reached(mark.offset, before)


# -- step 1 -------------------------------------------------------------------------------------------------------


def test_each_missing_privilege_is_named_with_a_statement_that_mariadb_takes(shop: Scenario) -> None:
    with user_of(shop, "source", f"GRANT INSERT ON `{shop.schema}`.* TO {{user}}") as user:
        problems = found(shop, source=login(shop, "source", user))
        assert "may not read it" in str(problems)
        for privilege in ("REPLICATION SLAVE", "BINLOG MONITOR"):
            problem = problems[f"source privilege {privilege}"]
            statement = problem.partition("run: ")[2].replace("'…'", "'%'")
            shop.run("source", statement)
        shop.run("source", f"GRANT SELECT ON `{shop.schema}`.* TO '{user}'@'%'")
        assert found(shop, source=login(shop, "source", user)) == {}, "no lock, so no LOCK TABLES"


def test_privileges_through_an_active_role_count(shop: Scenario) -> None:
    role = f"role_{shop.number}"
    shop.run("source", f"CREATE ROLE {role}", NEEDED.replace("{user}", role))
    shop.run("source", f"GRANT SELECT ON `{shop.schema}`.* TO {role}")
    try:
        with user_of(shop, "source", f"GRANT {role} TO {{user}}", f"SET DEFAULT ROLE {role} FOR {{user}}") as user:
            assert found(shop, source=login(shop, "source", user)) == {}
    finally:
        shop.run("source", f"DROP ROLE {role}")


def test_the_targets_missing_privileges_are_named(scenario: MakeScenario) -> None:
    shop = scenario("postgresql", "mariadb")
    shop.run("source", "CREATE TABLE users (id INT PRIMARY KEY)")
    database = shop.databases["target"]
    with user_of(shop, "target", f"GRANT SELECT ON `{database}`.* TO {{user}}") as user:
        problem = found(shop, target=login(shop, "target", user))[f"target privileges on {database}"]
        shop.run("target", problem.partition("run: ")[2].replace("'…'", "'%'"))
        assert found(shop, target=login(shop, "target", user)) == {}


@pytest.mark.alone
@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("log_bin_compress", "ON", "OFF"),
        ("binlog_format", "MIXED", "ROW"),
        ("binlog_row_image", "MINIMAL", "FULL"),
        ("binlog_legacy_event_pos", "OFF", "ON"),
    ],
)
def test_a_log_setting_that_would_lose_changes_is_named(shop: Scenario, name: str, bad: str, good: str) -> None:
    shop.run("source", f"SET GLOBAL {name} = '{bad}'")
    try:
        problem = found(shop)[f"source {name}"]
        assert f"is {bad}, must be {good}" in problem
        shop.run("source", problem.partition("run: ")[2].partition(", and")[0])
        assert found(shop) == {}
    finally:
        shop.run("source", f"SET GLOBAL {name} = '{good}'")


@pytest.mark.parametrize("declared", ["UUID", "INET4", "INET6", "TEXT COMPRESSED"])
def test_a_type_that_debezium_garbles_is_refused(shop: Scenario, declared: str) -> None:
    shop.run("source", f"CREATE TABLE hosts (id INT PRIMARY KEY, odd_one {declared})")
    problems = " ".join(found(shop, "hosts").values())
    assert "odd_one" in problems
    assert "MODIFY the column" in problems


def test_a_table_that_debezium_cannot_read_is_named_though_it_is_not_replicated(shop: Scenario) -> None:
    shop.run("source", "CREATE TABLE hosts (id INT PRIMARY KEY, address INET6)")
    assert f"{shop.schema}.hosts" in found(shop, "users")["source definitions readable"]


def test_a_table_with_a_history_is_refused(shop: Scenario) -> None:
    shop.run("source", "CREATE TABLE kept (id INT PRIMARY KEY) WITH SYSTEM VERSIONING")
    assert "system-versioned" in str(found(shop, "kept"))


def test_both_tables_of_the_workload_pass(scenario: MakeScenario) -> None:
    shop = scenario("mariadb", "mariadb")
    create_tables(shop)
    assert found(shop, *TABLES) == {}
