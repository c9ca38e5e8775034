"""What a replication is made of, on each version of each server: docs/compatibility.md is made of these tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy.exc import DBAPIError

from cdc_pipeline.local import stack
from cdc_pipeline_tests.compatibility.trials import ABOUT_VERSIONS, TRIALS, Steps, Trial
from cdc_pipeline_tests.resyncing import resynced
from cdc_pipeline_tests.scenario import MakeScenario, Scenario
from cdc_pipeline_tests.servers import Servers
from cdc_pipeline_tests.streaming import applied, cdc_pipeline, started
from cdc_pipeline_tests.validating import found
from cdc_pipeline_tests.values import CASES, FAMILY, SET_UP, Case
from cdc_pipeline_tests.waiting import wait_until
from cdc_pipeline_tests.workload import TABLES, create_tables, wait_for_transactions, writing

pytestmark = [pytest.mark.versions, pytest.mark.parametrize("trial", TRIALS, ids=str)]
STREAMED = 1000  # row n comes by the copy, row 1000 + n of the same literal by the stream


@pytest.fixture
def steps(record_property: Callable[[str, object], None]) -> Steps:
    return Steps(record_property)


def refused(made: Scenario, servers: Servers, steps: Steps, table: str) -> bool:
    """Whether step 1 says that this version is too old; only the plugins of another Debezium may be."""
    problems = found(made, table)
    told = [problem for name, problem in problems.items() if name in ABOUT_VERSIONS]
    assert not told or any("debezium=" in name for name in stack.asked_for(servers.home)), told
    for problem in told:
        steps.note("refused", problem)
    return bool(told)


def test_every_type(trial: Trial, scenario: MakeScenario, servers: Servers, steps: Steps) -> None:
    made = scenario(*trial.ends)
    kind, target = made.kinds["source"], FAMILY[made.kinds["target"]]
    cases = known_types(made)
    columns = ", ".join(f"c{number} {case.declared}" for number, case in enumerate(cases))
    made.run("source", f"CREATE TABLE everything (id INT PRIMARY KEY, {columns})")
    if kind == "postgresql":
        made.run("source", "ALTER TABLE everything REPLICA IDENTITY FULL")
    if refused(made, servers, steps, "everything"):
        return
    with steps.step("every type"):
        copied = insert(made, cases, target, 0)
        replication = started(made, "everything")
        assert insert(made, cases, target, STREAMED) == copied
        assert replication.consume(until_caught_up=True).inserted == copied
        made.assert_equal(replication)
    absent = [case.declared for case in CASES[kind] if case not in cases]
    if absent:
        steps.note("types that the server does not have", ", ".join(absent))


def known_types(made: Scenario) -> list[Case]:
    """Those that this server has; an older one lacks some, or an extension."""
    kind = made.kinds["source"]
    for statement in SET_UP[kind]:
        takes(made, statement)
    cases = [case for case in CASES[kind] if takes(made, f"CREATE TABLE probe (c {case.declared})", "DROP TABLE probe")]
    assert len(cases) > len(CASES[kind]) * 3 // 4
    return cases


def takes(made: Scenario, *statements: str) -> bool:
    try:
        made.run("source", *statements)
    except DBAPIError:
        return False
    return True


def insert(made: Scenario, cases: list[Case], target: str, first_id: int) -> int:
    """A row for each value that the server takes. Returns how many."""
    rows = 0
    with made.engine("source").connect() as connection:
        if made.kinds["source"] != "postgresql":  # zero dates, which older applications have
            connection.exec_driver_sql("SET SESSION sql_mode = 'STRICT_ALL_TABLES', time_zone = '+00:00'")
        for column, case in enumerate(cases):
            for value in case.values_for(target):
                statement = f"INSERT INTO everything (id, c{column}) VALUES ({first_id + rows}, {value})"
                try:
                    connection.exec_driver_sql(statement.replace("%", "%%"))
                except DBAPIError:
                    continue  # PostgreSQL 13 has no infinite numeric
                rows += 1
    assert rows > len(cases)
    return rows


def test_core(trial: Trial, scenario: MakeScenario, servers: Servers, steps: Steps) -> None:
    made = scenario(*trial.ends)
    create_tables(made, rows=2000)
    if refused(made, servers, steps, *TABLES[:1]):
        return
    parts = made.replication(*TABLES).parts
    steps.note("version", (parts.source if trial.role == "source" else parts.target).version())
    with writing(made) as writers:
        with steps.step("hand-off under load, also of a table without a key"):
            wait_for_transactions(writers, 20)
            replication = started(made, *TABLES)
            wait_for_transactions(writers, 20)
        with steps.step("kill of the consumer"):
            with cdc_pipeline(made, "consume") as consumer:
                wait_until(lambda: applied(replication) > 50, "applying")
                consumer.kill()
            wait_for_transactions(writers, 20)
    with steps.step("hand-off, kill: equal"):
        replication.consume(until_caught_up=True)
        made.assert_equal(replication)
    with steps.step("schema change"):
        made.run("source", "ALTER TABLE accounts ADD COLUMN extra INT", "UPDATE accounts SET extra = id WHERE id < 100")
        made.replication(*TABLES).consume(until_caught_up=True)
        made.assert_equal(made.replication(*TABLES))
        target = made.target_table("accounts")
        assert made.rows("target", f"SELECT count(*) FROM {target} WHERE extra = id")[0][0] > 50
    with steps.step("verify with repair"):
        made.run("target", f"DELETE FROM {target} WHERE id = 7", f"UPDATE {target} SET owner = 'x' WHERE id = 8")
        told = {c.table.name: c.mended for c in made.replication(*TABLES).verify(repair=True)}
        assert told == {"accounts": 2, "journal": 0}
        made.assert_equal(made.replication(*TABLES))
    with steps.step("re-sync"):
        made.run("target", f"DELETE FROM {target} WHERE id < 100")
        resynced(made, "accounts")
        made.run("source", "UPDATE accounts SET note = 'last' WHERE id < 10")
        made.replication(*TABLES).consume(until_caught_up=True)
        made.assert_equal(made.replication(*TABLES))
