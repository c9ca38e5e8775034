"""A heartbeat travels from source to target: the log of an idle table is let go, and `status` knows how far behind it
is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cdc_pipeline.replication import Replication
from cdc_pipeline.status import get_unified_status
from cdc_pipeline.validation import validate
from cdc_pipeline_tests.scenario import Scenario

MakeScenario = Callable[..., Scenario]
PATIENCE_SECONDS = 120


def wait_for(condition: Callable[[], object], meanwhile: Callable[[], object] = lambda: None) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        meanwhile()
        time.sleep(0.1)


@contextmanager
def streaming(replication: Replication) -> Iterator[None]:
    """All four steps; the consumer runs inside the block."""
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    stop = threading.Event()
    consumer = threading.Thread(target=replication.consume, args=(stop,))
    consumer.start()
    try:
        yield
    finally:
        stop.set()
        consumer.join()


def test_a_slot_of_an_idle_table_lets_the_log_of_other_tables_go(scenario: MakeScenario) -> None:
    made, other = scenario("postgresql", "mysql"), scenario("postgresql", "mysql")
    made.run("source", "CREATE TABLE idle (id INT PRIMARY KEY)", "CREATE TABLE busy (line TEXT)")
    other.run("source", "CREATE TABLE busy (line TEXT)")
    replication = made.replication("idle", heartbeat="{seconds: 1}")
    replication.check()
    replication.prepare()
    list(replication.copy())
    replication.register()

    def write() -> None:
        for each in (made, other):
            each.run("source", "INSERT INTO busy SELECT md5(i::text) FROM generate_series(1, 1000) i")

    write()
    slot = "SELECT confirmed_flush_lsn - '{0}' >= 0 AND restart_lsn - '{0}' >= 0 FROM pg_replication_slots "
    slot += f"WHERE slot_name = '{replication.config.slot_name}'"
    ((written,),) = made.rows("source", "SELECT pg_current_wal_lsn()::text")
    wait_for(lambda: made.rows("source", slot.format(written)) == [(True,)], meanwhile=write)


@pytest.mark.parametrize(
    ("source", "target", "heartbeat"),
    [
        ("postgresql", "mysql", "{seconds: 1}"),
        ("mysql", "postgresql", "{seconds: 1, table: beats}"),
        ("mariadb", "postgresql", "{seconds: 1, table: beats}"),  # written by the consumer itself
    ],
)
def test_status_tells_the_age_of_the_last_heartbeat_that_has_come(
    scenario: MakeScenario, source: str, target: str, heartbeat: str
) -> None:
    made = scenario(source, target)
    made.run("source", "CREATE TABLE idle (id INT PRIMARY KEY)")
    replication = made.replication("*", heartbeat=heartbeat)
    assert [table.source.name for table in replication.tables] == ["idle"]
    with streaming(replication):
        wait_for(lambda: replication.parts.state.last_beat() is not None)
        first = replication.parts.state.last_beat() or 0
        wait_for(lambda: (replication.parts.state.last_beat() or 0) > first)
        assert abs(replication.parts.source.clock() - first) < PATIENCE_SECONDS
    last = replication.parts.state.last_beat() or 0
    wait_for(lambda: replication.parts.source.clock() > last + 3)  # nobody consumes: it grows older
    status = get_unified_status(replication.parts)
    assert status["heartbeat_age_seconds"] > 2.5
    (table,) = status["tables"]
    assert table["lag_events"] == 0
    assert table["lag_seconds"] > 1.5
    made.assert_equal(replication)


def test_the_table_of_the_heartbeat_is_checked_and_made(scenario: MakeScenario) -> None:
    made = scenario("mysql", "postgresql")
    made.run("source", "CREATE TABLE idle (id INT PRIMARY KEY)")
    login, schema = f"beats_{made.number}", made.databases["source"]
    made.run(
        "source",
        f"CREATE USER {login}@'%' IDENTIFIED BY 'secret'",
        f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {login}@'%'",
        f"GRANT SELECT, LOCK TABLES ON {schema}.* TO {login}@'%'",
    )
    heartbeat = {"heartbeat": "{table: beats}"}
    try:
        url = made.engine("source").url.set(username=login, password="secret").render_as_string(hide_password=False)
        parts = made.replication("idle", source=f'{{url: "{url}"}}', **heartbeat).parts
        name = f"source heartbeat table {schema}.beats"

        def problem() -> str:
            return {check.name: check.problem for check in validate(parts).checks}[name]

        for statement in problem().partition("run: ")[2].replace("'…'", "'%'").split("; ")[:1]:
            made.run("source", statement)
        made.run("source", problem().partition("Run: ")[2].replace("'…'", "'%'"))
        assert problem() == ""
    finally:
        made.write("idle")  # whoever cleans up logs in as ever
        made.run("source", f"DROP USER {login}@'%'")
    made.run("source", "DROP TABLE beats")
    replication = made.replication("idle", **heartbeat)
    replication.check()
    assert made.rows("source", "SHOW TABLES LIKE 'beats'") == []
    replication.prepare()
    replication.prepare()
    assert made.rows("source", "SELECT count(*) FROM beats") == [(0,)]
