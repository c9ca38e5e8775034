"""Whatever is killed when, the target ends equal: whole processes, real signals."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

import pytest

from cdc_pipeline.errors import ConsumerFenced, TablesStopped
from cdc_pipeline.state import ConsumerState
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import applied, cdc_pipeline, start_streaming
from cdc_pipeline_tests.waiting import wait_until
from cdc_pipeline_tests.workload import TABLES, create_tables, wait_for_transactions, writing

MakeScenario = Callable[..., Scenario]
DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql")]


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_a_consumer_killed_again_and_again_under_load_ends_equal(
    scenario: MakeScenario, source: str, target: str
) -> None:
    shop = scenario(source, target)
    replication = start_streaming(shop)
    with writing(shop) as writers:
        for _ in range(3):
            before = applied(replication)
            with cdc_pipeline(shop, "consume") as consumer:
                wait_until(lambda before=before: applied(replication) > before + 50, "applying")
                consumer.send_signal(signal.SIGKILL)
                consumer.wait()
            holder = replication.parts.state.consumer()
            assert holder is not None
            assert holder.is_alive  # by its heartbeat; that its process is gone lets the next one in at once
        wait_for_transactions(writers, 5)
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


def test_sigterm_ends_a_consumer_between_two_batches(scenario: MakeScenario) -> None:
    shop = scenario()
    replication = start_streaming(shop)
    with writing(shop), cdc_pipeline(shop, "consume") as consumer:
        wait_until(lambda: applied(replication) > 50, "applying")
        consumer.terminate()
        assert consumer.wait(30) == 0
    holder = replication.parts.state.consumer()
    assert holder is not None
    assert holder.state is ConsumerState.STOPPED
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_a_start_killed_anywhere_is_gone_on_with_by_the_same_command(
    scenario: MakeScenario, source: str, target: str
) -> None:
    shop = scenario(source, target)
    create_tables(shop, rows=20_000)
    replication = shop.replication(*TABLES)
    with writing(shop) as writers:
        for step in ("STEP 2/4", "Source table has", "STEP 3/4", "is RUNNING"):
            with cdc_pipeline(shop, "start") as process:
                assert process.stdout is not None
                for line in process.stdout:
                    if step in line:
                        break
                else:
                    raise AssertionError(f"ended before {step}")
                process.kill()
        wait_for_transactions(writers, 5)
    with cdc_pipeline(shop, "start", "--until-caught-up") as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    shop.assert_equal(replication)


def test_a_zombie_writes_nothing(scenario: MakeScenario) -> None:
    """A consumer that was taken over while it slept finds its epoch gone: its transaction cannot commit."""
    shop = scenario()
    replication = start_streaming(shop)
    state = replication.parts.state
    table = replication.tables[0]
    topics = {table.topic: table.source}
    zombie, _ = state.claim("zombie", [(table.topic, 0)], topics)
    state.claim("successor", [(table.topic, 0)], topics)
    claimed = zombie[table.topic, 0]
    with replication.parts.target.connect() as connection, pytest.raises(ConsumerFenced):
        state.advance(connection, claimed, claimed.moved(10, 1.5, (1, 0, 0), None))
    assert state.offsets_of()[table.topic, 0].next_offset == 0


def test_an_offset_that_kafka_no_longer_has_stops_its_table_alone(scenario: MakeScenario) -> None:
    shop = scenario()
    replication = start_streaming(shop)
    topic = replication.table("accounts").topic
    with replication.parts.target.connect() as connection:
        replication.parts.state.rewind(connection, topic, {0: 1_000_000})
        connection.commit()
    shop.run("source", "INSERT INTO journal VALUES (1, 5.00, 'after')")
    with pytest.raises(TablesStopped, match="accounts: Kafka no longer has offset 1000000"):
        replication.consume(until_caught_up=True)
    assert applied(replication) == 1
    holder = replication.parts.state.consumer()
    assert holder is not None
    assert holder.state is ConsumerState.FAILED
    with cdc_pipeline(shop, "status", "--json") as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Kafka no longer has offset" in json.loads(output)["last_error"]


def test_pause_and_resume_are_heard_by_a_running_consumer(scenario: MakeScenario) -> None:
    shop = scenario()
    replication = start_streaming(shop)

    def state() -> str:
        holder = replication.parts.state.consumer()
        return holder.state if holder else ""

    with cdc_pipeline(shop, "consume"):
        wait_until(lambda: state() == ConsumerState.RUNNING, "running")
        with cdc_pipeline(shop, "pause") as pause:
            assert pause.wait(30) == 0
        wait_until(lambda: state() == ConsumerState.PAUSED, "paused")
        before = applied(replication)
        shop.run("source", "INSERT INTO journal VALUES (1, 5.00, 'paused')")
        wait_until(lambda: bool(replication.parts.broker.ends([replication.table("journal").topic])), "captured")
        assert applied(replication) == before
        with cdc_pipeline(shop, "resume") as resume:
            assert resume.wait(30) == 0
        wait_until(lambda: applied(replication) == before + 1, "applied after resume")
        with cdc_pipeline(shop, "stop") as stop:
            assert stop.wait(30) == 0
        wait_until(lambda: state() == ConsumerState.STOPPED, "stopped")
