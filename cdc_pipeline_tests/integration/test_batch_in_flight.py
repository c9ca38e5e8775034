"""The next batch is made while one is being written, and whatever becomes of that one, each change counts once.

A test keeps a batch in flight by holding what it has to lock first: the stored offset of its topic. Every event is a
batch of its own, so the first one is in flight and the second one made, whenever they come."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection

from cdc_pipeline.apply import consumer
from cdc_pipeline.apply.decode import Decoder
from cdc_pipeline.apply.progress import Progress
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import Desired
from cdc_pipeline_tests.integration.test_quarantine import people, start
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import applied, cdc_pipeline, start_streaming
from cdc_pipeline_tests.waiting import wait_until

MakeScenario = Callable[..., Scenario]
DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql")]
Offsets = set[tuple[str, int]]
ROWS = 20


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Offsets:
    """The events that a consumer in this process has made rows of."""
    offsets: Offsets = set()
    decode = Decoder.decode

    def watched(self: Decoder, topic: str, partition: int, offset: int, *parts: Any) -> object:
        offsets.add((topic, offset))
        return decode(self, topic, partition, offset, *parts)

    monkeypatch.setattr(Decoder, "decode", watched)
    return offsets


@contextmanager
def held(replication: Replication, table: str) -> Iterator[Connection]:
    """No batch with events of this table goes further than to its offset, inside the block; then its caller's
    transaction is committed."""
    with replication.parts.target.connect() as connection:
        replication.parts.state.lock_topic(connection, replication.table(table).topic)
        yield connection
        connection.commit()


@contextmanager
def consuming(replication: Replication, stop: threading.Event | None = None) -> Iterator[Progress]:
    """A consumer that has claimed the tables. At the end of the block it ends, caught up unless it was told to before.
    Then the progress is what it was at its end."""
    state, stop = replication.parts.state, stop or threading.Event()
    ended: list[Progress] = []
    thread = threading.Thread(target=lambda: ended.append(replication.consume(stop)))
    thread.start()
    progress = Progress("of the consumer")
    try:
        wait_until(lambda: all(record.owner for record in state.offsets_of().values()), "claimed")
        yield progress
        caught_up = replication.caught_up()
        wait_until(lambda: stop.is_set() or caught_up(next_offsets(replication)), "caught up")
    finally:
        stop.set()
        thread.join()
    assert [t.name for t in threading.enumerate() if t.name.startswith("writer")] == []
    vars(progress).update(vars(ended[0]))


def next_offsets(replication: Replication) -> dict[tuple[str, int], int]:
    return {key: record.next_offset for key, record in replication.parts.state.offsets_of().items()}


def write_journal(shop: Scenario, rows: int) -> None:
    shop.run("source", *(f"INSERT INTO journal VALUES (1, {n}.00, 'one of many')" for n in range(rows)))


def wait_for_two_batches(replication: Replication, made: Offsets, table: str) -> None:
    """Until the second is made, while nothing of the first one is there."""
    topic = replication.table(table).topic
    stored = replication.parts.state.offsets_of([topic])[topic, 0].next_offset
    wait_until(lambda: {(topic, stored), (topic, stored + 1)} <= made, "made")
    assert replication.parts.state.offsets_of([topic])[topic, 0].next_offset == stored


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_the_next_batch_is_made_while_one_is_written(
    scenario: MakeScenario, made: Offsets, source: str, target: str
) -> None:
    shop = scenario(source, target)
    replication = start_streaming(shop, batch_events="1")
    with consuming(replication) as progress:
        with held(replication, "journal"):
            write_journal(shop, ROWS)
            wait_for_two_batches(replication, made, "journal")
            assert applied(replication) == 0
        shop.run("source", "UPDATE accounts SET note = 'behind them'")
    assert progress.inserted == ROWS
    assert progress.dropped == 0  # nothing came twice
    shop.assert_equal(replication)


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_of_a_batch_that_is_fenced_nothing_is_applied_nor_of_the_next(
    scenario: MakeScenario, made: Offsets, source: str, target: str
) -> None:
    """Both are polled again. `journal` has no key, so an event too many or too few shows."""
    shop = scenario(source, target)
    replication = start_streaming(shop, batch_events="1")
    topic = replication.table("journal").topic
    with consuming(replication) as progress:
        with held(replication, "journal") as connection:
            write_journal(shop, ROWS)
            wait_for_two_batches(replication, made, "journal")
            replication.parts.state.fence(connection, topic)
        wait_until(lambda: applied(replication) > 0, "claimed anew")
    assert progress.inserted == applied(replication) == ROWS
    shop.assert_equal(replication)


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_of_what_was_fetched_nothing_is_applied_behind_a_batch_that_is_fenced(
    scenario: MakeScenario, made: Offsets, monkeypatch: pytest.MonkeyPatch, source: str, target: str
) -> None:
    """One fetch is many batches here."""
    monkeypatch.setattr(consumer, "MOST_MEMORY", 1)
    shop = scenario(source, target)
    replication = start_streaming(shop)
    topic = replication.table("journal").topic
    stored = next_offsets(replication)[topic, 0]
    replication.set_desired(Desired.PAUSED)
    with consuming(replication) as progress:
        write_journal(shop, ROWS)
        wait_until(lambda: replication.parts.broker.ends([topic])[topic, 0] == stored + ROWS, "captured")
        with held(replication, "journal") as connection:
            replication.set_desired(Desired.RUNNING)
            wait_for_two_batches(replication, made, "journal")
            replication.parts.state.fence(connection, topic)
        wait_until(lambda: applied(replication) > 0, "claimed anew")
    assert progress.inserted == applied(replication) == ROWS
    shop.assert_equal(replication)


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_an_event_that_is_set_aside_is_waited_for_by_those_of_the_next_batch(
    scenario: MakeScenario, made: Offsets, source: str, target: str
) -> None:
    """Which was made when nobody knew that the row would have to wait."""
    shop = scenario(source, target)
    replication = start(shop, batch_events="1")
    with consuming(replication) as progress, held(replication, "people"):
        shop.run("source", "INSERT INTO people VALUES (2, 'maximilian', 1)")
        shop.run("source", "UPDATE people SET name = 'max', n = 2 WHERE id = 2")
        wait_for_two_batches(replication, made, "people")  # before another topic has anything, which might come first
        shop.run("source", "INSERT INTO people VALUES (3, 'x', 0)", "INSERT INTO other VALUES (1)")
    assert progress.set_aside == 2
    assert [item.offset for item in replication.set_aside("people")] == [0, 1]
    assert people(shop, "target") == [row for row in people(shop, "source") if row[0] != 2]
    assert replication.retry_set_aside().left == 2
    shop.assert_equal(shop.replication("other"))


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_a_consumer_that_is_killed_with_a_batch_in_flight_leaves_nothing_of_it(
    scenario: MakeScenario, source: str, target: str
) -> None:
    shop = scenario(source, target)
    replication = start_streaming(shop, batch_events="1")
    with cdc_pipeline(shop, "consume") as process:
        write_journal(shop, 1)
        wait_until(lambda: applied(replication) == 1, "applying")
        with held(replication, "journal"):
            write_journal(shop, ROWS)
            wait_until(lambda: bool(waiting_sessions(shop)), "in flight")
            process.send_signal(signal.SIGKILL)
            process.wait()
        wait_until(lambda: not waiting_sessions(shop), "rolled back")
    replication.consume(until_caught_up=True)
    assert applied(replication) == 1 + ROWS
    shop.assert_equal(replication)


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_who_shall_stop_ends_what_it_has_polled(
    scenario: MakeScenario, made: Offsets, source: str, target: str
) -> None:
    shop = scenario(source, target)
    replication = start_streaming(shop, batch_events="1")
    stop = threading.Event()
    with consuming(replication, stop) as progress, held(replication, "journal"):
        write_journal(shop, ROWS)
        wait_for_two_batches(replication, made, "journal")
        stop.set()
    assert progress.inserted == applied(replication) == 2
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


def waiting_sessions(shop: Scenario) -> list[tuple[object, ...]]:
    """Of the target: those that wait for a lock on a row of the offsets."""
    if shop.kinds["target"] == "postgresql":
        database = f"datname = '{shop.databases['target']}'"
        return shop.rows("target", f"SELECT pid FROM pg_stat_activity WHERE {database} AND wait_event_type = 'Lock'")
    update = f"info LIKE 'UPDATE%' AND db = '{shop.databases['target']}'"
    return shop.rows("target", f"SELECT id FROM information_schema.processlist WHERE {update}")
