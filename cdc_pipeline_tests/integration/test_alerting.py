"""Trouble with real parts is found, mended where a restart mends it, and told to a receiver."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import dagster as dg
import pytest
from sqlalchemy.engine import make_url

from cdc_pipeline.defs.alerting import tell_of_failures, tell_of_resyncs
from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline.defs.replications import replication_definitions
from cdc_pipeline.replication import Replication
from cdc_pipeline.status import get_unified_status
from cdc_pipeline.watch import CHANGING_SECONDS, Watch, watch
from cdc_pipeline_tests.receivers import Receiver, receiving
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import cdc_pipeline
from cdc_pipeline_tests.waiting import wait_until

MakeScenario = Callable[..., Scenario]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def alerts(receiver: Receiver) -> str:
    return f'{{webhooks: ["{receiver.url("/hook")}"], dagster_url: "http://dagster:3000"}}'


def with_users(made: Scenario) -> Scenario:
    made.run("source", "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20))")
    made.run("source", "INSERT INTO users VALUES (1, 'anna')")
    return made


def streaming(made: Scenario, **more: str) -> Replication:
    replication = made.replication("users", **more)
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    replication.parts.connect.wait_running(replication.config.connector_name)
    return replication


def test_a_failed_connector_is_restarted(scenario: MakeScenario, receiver: Receiver) -> None:
    """Its login is locked for a moment: nothing but a restart brings it back."""
    made, user = with_users(scenario()), "watched"
    admin = made.engine("source")
    with admin.connect() as connection:

        def run(*statements: str) -> None:
            for statement in statements:
                connection.exec_driver_sql(statement)

        run(f"DROP USER IF EXISTS {user}", f"CREATE USER {user} IDENTIFIED BY 'w'", f"GRANT ALL ON *.* TO {user}")
        login = make_url(made.urls["source"]).set(username=user, password="w")
        made.urls["source"] = login.render_as_string(hide_password=False)
        replication = streaming(made, alerts=alerts(receiver))
        parts, name = replication.parts, replication.config.connector_name
        parts.connect.stop(name)
        parts.connect.wait_stopped(name)
        run(f"ALTER USER {user} ACCOUNT LOCK")
        parts.connect.resume(name)
        wait_until(lambda: "FAILED" in str(parts.connect.status(name)), "failing")
        run(f"ALTER USER {user} ACCOUNT UNLOCK")
        assert watch(parts, Watch()).restart
        wait_until(lambda: "FAILED" not in str(parts.connect.status(name)), "restarting")
        parts.connect.wait_running(name)
    assert receiver.got == []


@pytest.mark.alone
def test_who_stops_the_connector_is_heard_of(
    scenario: MakeScenario, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = with_users(scenario())
    replication = streaming(made, alerts=alerts(receiver))
    parts, name = replication.parts, replication.config.connector_name
    with cdc_pipeline(made, "consume"):
        wait_until(lambda: watch(parts, Watch()).troubles == [], "well")
        seen, now = Watch(), time.time()
        parts.connect.stop(name)
        parts.connect.wait_stopped(name)
        for later in (0, CHANGING_SECONDS + 1):
            monkeypatch.setattr("cdc_pipeline.watch.time.time", lambda later=later: now + later)
            watch(parts, seen)
        ((_, message),) = receiver.got
        assert (message["kind"], message["what"]) == ("connector", "The connector is stopped")
        parts.connect.resume(name)
        parts.connect.wait_running(name)
        wait_until(lambda: not watch(parts, seen).troubles, "well again")
    assert [message["resolved"] for _, message in receiver.got] == [False, True]


def test_a_stream_that_has_stalled_is_heard_of(scenario: MakeScenario, receiver: Receiver) -> None:
    """The process that sends PostgreSQL's log is halted: nobody sees that it is, and everything says RUNNING."""
    made = with_users(scenario("postgresql", "mysql"))
    replication = streaming(made, alerts=alerts(receiver))
    parts, seen = replication.parts, Watch()
    with cdc_pipeline(made, "consume"):
        wait_until(lambda: get_unified_status(parts)["heartbeat_age_seconds"] is not None, "beating")
        wait_until(lambda: watch(parts, seen).troubles == [], "well")
        slot = replication.config.slot_name
        ((sender,),) = made.rows("source", f"SELECT active_pid FROM pg_replication_slots WHERE slot_name = '{slot}'")
        os.kill(sender, signal.SIGSTOP)
        try:
            wait_until(lambda: bool(watch(parts, seen).troubles), "stalled")
        finally:
            os.kill(sender, signal.SIGCONT)
        wait_until(lambda: not watch(parts, seen).troubles, "well again")
    (_, told), (_, over) = receiver.got
    assert (told["kind"], told["resolved"], over["kind"], over["resolved"]) == ("stall", False, "stall", True)
    assert "though everything runs" in told["what"]


def test_a_failed_verification_and_a_resync_are_heard_of(scenario: MakeScenario, receiver: Receiver) -> None:
    made = with_users(scenario())
    replication = streaming(made, alerts=alerts(receiver))
    made.run("target", f"UPDATE {made.target_table('users')} SET name = 'wrong'")
    lineage = Lineage.of(replication.config)
    definitions = replication_definitions(lineage)
    with dg.instance_for_test() as instance:
        verify = definitions.resolve_job_def(f"{lineage.name}_verify")
        failed = verify.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            "told", failed.get_run_failure_event(), instance, failed.dagster_run
        ).for_run_failure()
        tell_of_failures(lineage)(context)
        copy = definitions.resolve_job_def(f"{lineage.name}_initial_copy")
        forced = {"ops": {f"{lineage.name}__initial_copy": {"config": {"force_resync": True}}}}
        done = copy.execute_in_process(instance=instance, partition_key="users", run_config=forced)
        succeeded = dg.build_run_status_sensor_context("told", done.get_run_success_event(), instance, done.dagster_run)
        tell_of_resyncs(lineage)(succeeded)
        tell_of_failures(lineage)(context)
    (_, verification), (_, resync), _ = receiver.got
    users = replication.tables[0].source
    assert verification["what"] == f"Verification has failed: Target and source differ: {users}"
    assert verification["kind"] == "verification"
    assert verification["link"] == f"http://dagster:3000/runs/{failed.run_id}"
    assert resync["what"] == "Re-sync complete: users"
    (comparison,) = replication.verify()
    assert comparison.equal


def test_what_happens_to_the_sources_log_is_told(scenario: MakeScenario) -> None:
    replication = streaming(with_users(scenario("postgresql", "mysql")))
    source, slot = replication.parts.source, replication.config.slot_name
    assert source.log_problem(slot, {}, 0.0, 10_000) == ""
    assert source.log_problem(f"{slot}_none", {}, 0.0, 1) == f"The replication slot {slot}_none is gone"
    mysql = streaming(with_users(scenario()))
    source, offset = mysql.parts.source, mysql.parts.connect.offsets(mysql.config.connector_name) or {}
    assert source.log_problem("", offset, 0.0, 1) == ""
    assert "has purged binlog.000000" in source.log_problem("", {"file": "binlog.000000"}, 0.0, 1)
    assert source.log_problem("", offset, 500_000.0, 1) == (
        "The source keeps its log for 604800 s, and the stream is 500000 s behind"
    )


def test_more_of_the_log_than_a_slot_may_hold_is_told(scenario: MakeScenario) -> None:
    made = with_users(scenario("postgresql", "mysql"))
    replication = made.replication("users")
    replication.check()
    replication.prepare()  # the slot holds the log from here on, and nothing reads it
    made.run("source", "CREATE TABLE noise AS SELECT repeat('x', 1000) AS text FROM generate_series(1, 5000)")
    problem = replication.parts.source.log_problem(replication.config.slot_name, {}, 0.0, 1)
    assert f"Slot {replication.config.slot_name} holds " in problem
    assert problem.endswith("more than 1 MiB")
