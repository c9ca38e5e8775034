"""Each change once, whatever comes again: a part of the log that Debezium tells anew, a topic that is played back, a
commit whose answer is lost, consumers that share the work or come back from the dead. `journal` has no key, so one
event too many shows."""

from __future__ import annotations

import io
import signal
import subprocess
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg2
import pymysql
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from sqlalchemy import select

from cdc_pipeline.capture.connector import offset_partition
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import State
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import applied, cdc_pipeline, start_streaming
from cdc_pipeline_tests.waiting import wait_until
from cdc_pipeline_tests.workload import wait_for_transactions, writing

MakeScenario = Callable[..., Scenario]
DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql")]
FROM_MARIADB = [*DIRECTIONS, ("mariadb", "postgresql")]
SESSION_ENDS = 60  # seconds to wait for what follows a session's time-out of 15


def messages_of(shop: Scenario, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    """Everything in the one partition of a topic."""
    reader = Consumer({"bootstrap.servers": str(shop.stack.kafka), "group.id": "reader", "enable.auto.commit": False})
    try:
        _, end = reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
        reader.assign([TopicPartition(topic, 0, 0)])
        found: list[Any] = []
        while not found or found[-1].offset() < end - 1:
            message = reader.poll(10)
            assert message is not None
            assert message.error() is None
            found.append(message)
        return [(message.key(), message.value()) for message in found]
    finally:
        reader.close()


def copy_into_journal(shop: Scenario, rows: int) -> None:
    """Equal rows, which PostgreSQL logs page by page."""
    with closing(shop.engine("source").raw_connection()) as connection, closing(connection.cursor()) as cursor:
        cursor.copy_expert("COPY journal FROM STDIN", io.StringIO("1\t1.00\tmany\n" * rows))  # type: ignore[attr-defined]
        connection.commit()


def keep_log(source: str) -> str:
    """Connector settings with which an older place is still there to be read again."""
    return '{"flush.lsn.source": "false"}' if source == "postgresql" else "{}"


def in_one_transaction(shop: Scenario, statements: list[str]) -> None:
    """One transaction of these."""
    with closing(shop.engine("source").raw_connection()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute("BEGIN")
        for statement in statements:
            cursor.execute(statement)
        cursor.execute("COMMIT")


@pytest.mark.parametrize(("source", "target"), FROM_MARIADB)
def test_a_topic_that_is_played_back_changes_nothing(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    replication = start_streaming(shop)
    with writing(shop) as writers:
        wait_for_transactions(writers, 20)
    if source == "postgresql":
        copy_into_journal(shop, 50)
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
    before = applied(replication)
    producer = Producer({"bootstrap.servers": str(shop.stack.kafka)})
    for table in replication.tables:
        events = messages_of(shop, table.topic)
        for key, value in [*events, *events[len(events) // 2 :], events[-1]]:
            producer.produce(table.topic, value, key)
    producer.flush(30)
    shop.run("source", "INSERT INTO journal VALUES (1, 2.00, 'after')")
    progress = replication.consume(until_caught_up=True)
    assert applied(replication) == before + 1
    assert progress.dropped > before
    shop.assert_equal(replication)


@pytest.mark.parametrize(("source", "target"), FROM_MARIADB)
def test_what_a_connector_tells_again_changes_nothing(scenario: MakeScenario, source: str, target: str) -> None:
    """Its offset is stored now and then: after a crash it begins at the last one stored. Here, at an older one."""
    shop = scenario(source, target)
    replication = start_streaming(shop, connector=keep_log(source))
    connect, config = replication.parts.connect, replication.config
    with writing(shop) as writers:
        wait_for_transactions(writers, 10)
        older = connect.offsets(config.connector_name)
        assert older
        wait_for_transactions(writers, 20)
        replication.consume(until_caught_up=True)
        seen = len(messages_of(shop, replication.table("journal").topic))
        connect.stop(config.connector_name)
        connect.wait_stopped(config.connector_name)
        connect.patch_offsets(config.connector_name, offset_partition(config), older)
        connect.resume(config.connector_name)
        connect.wait_running(config.connector_name)
        wait_for_transactions(writers, 10)
    progress = replication.consume(until_caught_up=True)
    assert progress.dropped > 0
    assert len(messages_of(shop, replication.table("journal").topic)) > seen
    shop.assert_equal(replication)


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), FROM_MARIADB)
def test_a_connector_that_ends_within_a_transaction_tells_the_rest_of_it_once(
    scenario: MakeScenario, source: str, target: str
) -> None:
    """It goes on in mid-transaction, and after a crash it tells a part of that one again. All rows are equal."""
    shop = scenario(source, target)
    replication = start_streaming(shop, connector=keep_log(source))
    connect, config, topic = replication.parts.connect, replication.config, replication.table("journal").topic
    many = ", ".join(["(1, 1.00, 'many')"] * 2000)
    in_one_transaction(shop, [f"INSERT INTO journal VALUES {many}"] * 60)
    wait_until(lambda: replication.parts.broker.ends([topic])[topic, 0] > 1000, "some of it told")
    connect.stop(config.connector_name)
    connect.wait_stopped(config.connector_name)
    within = connect.offsets(config.connector_name)
    told = replication.parts.broker.ends([topic])[topic, 0]
    assert within
    assert told < 120_000
    connect.resume(config.connector_name)
    wait_until(lambda: replication.parts.broker.ends([topic])[topic, 0] >= 120_000, "all of it told")
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
    connect.stop(config.connector_name)
    connect.wait_stopped(config.connector_name)
    connect.patch_offsets(config.connector_name, offset_partition(config), within)
    connect.resume(config.connector_name)
    wait_until(lambda: replication.parts.broker.ends([topic])[topic, 0] >= 240_000 - told, "the rest told again")
    shop.run("source", "INSERT INTO journal VALUES (1, 2.00, 'after')")
    progress = replication.consume(until_caught_up=True)
    assert progress.dropped == 120_000 - told
    shop.assert_equal(replication)


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_a_commit_whose_answer_is_lost_is_not_repeated(
    scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch, source: str, target: str
) -> None:
    shop = scenario(source, target)
    replication = start_streaming(shop, batch_events="20")
    dialect, advance = type(replication.parts.target.engine.dialect), State.advance
    commit = dialect.do_commit
    moving: set[int] = set()
    lost: list[str] = []

    def watched(self: State, connection: Any, *arguments: Any) -> Any:
        moving.add(id(connection.connection.dbapi_connection))
        return advance(self, connection, *arguments)

    def without_answer(self: Any, connection: Any) -> None:
        driver_connection = getattr(connection, "dbapi_connection", connection)
        commit(self, connection)
        if id(driver_connection) in moving and len(lost) < 3:
            lost.append("answer")
            moving.clear()
            if target == "postgresql":
                raise psycopg2.OperationalError("server closed the connection unexpectedly")
            raise pymysql.OperationalError(2013, "Lost connection to MySQL server during query")

    monkeypatch.setattr(State, "advance", watched)
    monkeypatch.setattr(dialect, "do_commit", without_answer)
    with writing(shop) as writers:
        wait_for_transactions(writers, 20)
    replication.consume(until_caught_up=True)
    assert lost == ["answer"] * 3
    shop.assert_equal(replication)


def owners(replication: Replication) -> set[str | None]:
    return {record.owner for record in replication.parts.state.offsets_of().values()}


def test_several_consumers_share_the_tables(scenario: MakeScenario) -> None:
    shop = scenario()
    replication = start_streaming(shop)
    state = replication.parts.state
    with writing(shop) as writers:
        with cdc_pipeline(shop, "consume") as first:
            wait_until(lambda: applied(replication) > 20, "applying")
            (leader,) = owners(replication)
            with cdc_pipeline(shop, "consume", "--join") as second:
                wait_until(lambda: len(owners(replication)) == 2, "shared")
                assert [record.joined for record in state.consumers_known()] == [False, True]
                assert len({record.group for record in state.consumers_known()}) == 1
                before = applied(replication)
                wait_until(lambda: applied(replication) > before + 50, "applying together")
                first.send_signal(signal.SIGKILL)
                first.wait()
                wait_until(lambda: leader not in owners(replication), "taken over", SESSION_ENDS)
                wait_for_transactions(writers, 5)
                with cdc_pipeline(shop, "consume", "--join") as third:
                    wait_until(lambda: len(owners(replication)) == 2, "shared again")
                    third.terminate()
                    assert third.wait(30) == 0
                second.terminate()
                assert second.wait(30) == 0
        wait_for_transactions(writers, 5)
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


def froze_between_batches(process: subprocess.Popen[str], replication: Replication, owner: str | None) -> bool:
    """Stop it, unless it is just in the midst of a transaction: then nobody could take its rows over until it goes on,
    as they are locked."""
    process.send_signal(signal.SIGSTOP)
    table = replication.parts.state.offsets
    with replication.parts.target.connect() as connection:
        try:
            connection.execute(select(table).where(table.c.owner == owner).with_for_update(nowait=True)).all()
        except CdcPipelineError:
            process.send_signal(signal.SIGCONT)
            return False
    return True


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_a_consumer_that_slept_past_its_session_writes_nothing_of_what_others_have(
    scenario: MakeScenario, source: str, target: str
) -> None:
    shop = scenario(source, target)
    replication = start_streaming(shop)
    with writing(shop) as writers, cdc_pipeline(shop, "consume") as sleeper:
        wait_until(lambda: applied(replication) > 20, "applying")
        (asleep,) = owners(replication)
        with cdc_pipeline(shop, "consume", "--join") as second:
            wait_until(lambda: len(owners(replication)) == 2, "shared")
            wait_until(lambda: froze_between_batches(sleeper, replication, asleep), "frozen")
            wait_until(lambda: asleep not in owners(replication), "taken over", SESSION_ENDS)
            wait_for_transactions(writers, 5)
            sleeper.send_signal(signal.SIGCONT)
            wait_until(lambda: len(owners(replication)) == 2, "shared again", SESSION_ENDS)
            wait_for_transactions(writers, 5)
            for consumer in (sleeper, second):
                consumer.terminate()
                assert consumer.wait(30) == 0
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
