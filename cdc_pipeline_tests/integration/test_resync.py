"""A table is copied again while readers read it and the consumer streams into it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cdc_pipeline.copying import resync
from cdc_pipeline.copying.copy import CopyResult
from cdc_pipeline.errors import StatementFailed
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import TableState
from cdc_pipeline_tests.resyncing import (
    DIRECTIONS,
    EVERYTHING,
    ROWS,
    both_directions,
    create_tables,
    leftovers,
    resynced,
)
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import started
from cdc_pipeline_tests.waiting import wait_until

MakeScenario = Callable[..., Scenario]


class Running(threading.Thread):
    """Something that is done again and again until the end of a block; what it raises is the block's."""

    def __init__(self, step: Callable[[threading.Event], Any]) -> None:
        super().__init__()
        self.step, self.stop, self.error = step, threading.Event(), None
        self.done = 0

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self.step(self.stop)
                self.done += 1
        except BaseException as error:  # noqa: BLE001 - raised where the block ends
            self.error = error

    def wait_for_more(self, more: int = 3) -> None:
        goal = self.done + more
        wait_until(lambda: self.done >= goal or self.error is not None, f"done {more} more times")

    def __enter__(self) -> Running:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.join()
        if self.error is not None:
            raise self.error


def consuming(replication: Replication) -> Running:
    return Running(lambda stop: Replication(replication.config).consume(stop))


@contextmanager
def writing(made: Scenario, *tables: str) -> Iterator[None]:
    """Changes of `note`, some of them in every table at once."""
    with made.engine("source").connect() as connection:
        number = 0

        def write(stop: threading.Event) -> None:
            nonlocal number
            number += 1
            for table in tables:
                where = f"id BETWEEN {number % ROWS} AND {number % ROWS + 3}"
                connection.exec_driver_sql(f"UPDATE {table} SET note = 'note {number}' WHERE {where}")
            stop.wait(0.01)

        with Running(write):
            yield


@contextmanager
def reading(made: Scenario, *tables: str) -> Iterator[tuple[Running, set[tuple[str, int, int]]]]:
    """What a reader of the target tables sees: (table, count, sum)."""
    seen: set[tuple[str, int, int]] = set()
    with made.engine("target").connect() as connection:

        def read(_: threading.Event) -> None:
            for table in tables:
                query = f"SELECT count(*), coalesce(sum(id), 0) FROM {made.target_table(table)}"
                count, total = connection.exec_driver_sql(query).one()
                seen.add((table, int(count), int(total)))

        with Running(read) as reader:
            yield reader, seen


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch, made: Scenario) -> Iterator[threading.Thread]:
    """A re-sync of `stock` stands still with its shadow loaded; it goes on at the end of the block."""
    reached, released = threading.Event(), threading.Event()
    transfer, errors = resync.transfer, []

    def and_stand_still(*arguments: Any, **options: Any) -> Any:
        done = transfer(*arguments, **options)
        reached.set()
        released.wait(60)
        return done

    def run() -> None:
        try:
            resync_of_stock(made)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    monkeypatch.setattr(resync, "transfer", and_stand_still)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: reached.is_set() or bool(errors), "loaded")
        yield thread
    finally:
        released.set()
        thread.join()
        monkeypatch.setattr(resync, "transfer", transfer)
    if errors:
        raise errors[0]


def resync_of_stock(made: Scenario) -> None:
    replication = made.replication("stock", "loose")
    replication.check(force_resync=True)
    replication.prepare()
    assert [result.error for result in replication.copy(["stock"], force_resync=True)] == [None]


def note_of(made: Scenario, table: str, id: int) -> str:
    return made.rows("target", f"SELECT note FROM {made.target_table(table)} WHERE id = {id}")[0][0]


@pytest.mark.long
@both_directions
def test_readers_never_see_an_empty_or_half_filled_table(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    create_tables(made)
    replication = started(made, "stock", "loose")
    with consuming(replication), writing(made, "stock", "loose"), reading(made, "stock", "loose") as (reader, seen):
        for _ in range(3):
            reader.wait_for_more()
            results = resynced(made, "stock", "loose")
            assert {result.outcome for result in results.values()} == {"reloaded"}
            assert all("a new table is swapped in" in result.method for result in results.values())
        reader.wait_for_more()
    assert seen == {("stock", *EVERYTHING), ("loose", *EVERYTHING)}
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
    assert leftovers(made) == []


@pytest.mark.long
@both_directions
def test_the_consumer_goes_on_with_the_old_table_and_with_all_others(
    scenario: MakeScenario, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scenario(source, target)
    create_tables(made)
    replication = started(made, "stock", "loose")
    states = replication.parts.state.table_records
    stock = replication.table("stock").source
    with consuming(replication):
        with held(monkeypatch, made):
            assert states()[stock].state is TableState.RESYNCING
            made.run("source", "UPDATE stock SET note = 'meanwhile' WHERE id = 5")
            made.run("source", "UPDATE loose SET note = 'meanwhile' WHERE id = 7")
            wait_until(lambda: note_of(made, "stock", 5) == "meanwhile", "applied to the old table")
            wait_until(lambda: note_of(made, "loose", 7) == "meanwhile", "applied to another table")
            made.run("source", "UPDATE stock SET note = 'later' WHERE id = 6")
        wait_until(lambda: note_of(made, "stock", 5) == "meanwhile", "applied to the new table, too")
        wait_until(lambda: states()[stock].state is TableState.STREAMING, "streaming again")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)


@pytest.mark.long
@both_directions
def test_a_long_reader_makes_neither_others_nor_the_consumer_wait(
    scenario: MakeScenario, source: str, target: str
) -> None:
    made = scenario(source, target)
    create_tables(made)
    replication = started(made, "stock", "loose")
    tries, name = threading.Event(), made.target_table("stock")
    replacer = replication.parts.target.replacer
    is_busy = type(replacer).is_busy

    def and_tell(self: Any, error: Any) -> bool:
        busy = is_busy(self, error)
        if busy:
            tries.set()
        return busy

    with pytest.MonkeyPatch.context() as patch, consuming(replication):
        patch.setattr(type(replacer), "is_busy", and_tell)
        thread = threading.Thread(target=resync_of_stock, args=(made,))
        with made.engine("target").execution_options(isolation_level="READ COMMITTED").connect() as long_reader:
            long_reader.exec_driver_sql(f"SELECT count(*) FROM {name}").one()  # and keeps its lock
            thread.start()
            wait_until(tries.is_set, "kept waiting")
            with reading(made, "stock") as (reader, seen):
                made.run("source", "UPDATE stock SET note = 'meanwhile' WHERE id = 5")
                wait_until(lambda: note_of(made, "stock", 5) == "meanwhile", "applied to the old table")
                reader.wait_for_more()
            assert seen == {("stock", *EVERYTHING)}
            assert thread.is_alive()
        thread.join()
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
    assert leftovers(made) == []


@both_directions
def test_two_resyncs_of_a_table_follow_one_another(
    scenario: MakeScenario, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scenario(source, target)
    create_tables(made)
    replication = started(made, "stock", "loose")
    waiting = threading.Event()
    with held(monkeypatch, made):
        first = replication.parts.state.table_records()[replication.table("stock").source].watermark
        second = made.replication("stock", "loose")
        second.say = lambda message: waiting.set() if "waits for that to end" in message else None
        results: list[CopyResult] = []
        thread = threading.Thread(target=lambda: results.extend(second.copy(["stock"], force_resync=True)))
        thread.start()
        wait_until(waiting.is_set, "waiting")
        assert results == []
        made.run("source", "UPDATE stock SET note = 'meanwhile' WHERE id = 5")
    thread.join()
    assert [(result.outcome, result.error) for result in results] == [("reloaded", None)]
    assert results[0].watermark != first
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
    assert leftovers(made) == []


@both_directions
def test_one_that_fails_harms_nothing(
    scenario: MakeScenario, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scenario(source, target)
    create_tables(made)
    replication = started(made, "stock", "loose")
    stock = replication.table("stock").source

    def fail(*_: Any, **__: Any) -> None:
        raise StatementFailed(database="the target", reason="out of room")

    with monkeypatch.context() as patch:
        patch.setattr(resync, "complete", fail)
        (result,) = replication.copy(["stock"], force_resync=True)
    assert "out of room" in str(result.error)
    record = replication.parts.state.table_records()[stock]
    assert (record.state, "out of room" in record.error) == (TableState.STREAMING, True)
    assert leftovers(made) == []
    made.run("source", "UPDATE stock SET note = 'after' WHERE id = 5")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)


def test_state_tables_of_an_earlier_version_get_what_they_lack(scenario: MakeScenario) -> None:
    for source, target in DIRECTIONS:
        made = scenario(source, target)
        create_tables(made)
        replication = started(made, "stock", "loose")
        prefix = "cdc_pipeline." if target == "postgresql" else "_cdc_pipeline_"
        made.run("target", f"ALTER TABLE {prefix}tables DROP COLUMN swap", f"DROP TABLE {prefix}copies")
        assert {result.outcome for result in resynced(made, "stock", "loose").values()} == {"reloaded"}
        replication.consume(until_caught_up=True)
        made.assert_equal(replication)
