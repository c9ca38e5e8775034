"""Batches of messages -> target transactions of rows and offsets; and what becomes of an event that cannot be applied.

A batch is collected while the one before it is still being written, by a thread of its own: at most one is in flight.
Whatever needs the connection, or needs to know what is stored, waits for that one first (`drain`).

A table that makes the transaction fail is taken out of it, and its events are applied alone: by halves, until the one
is found that cannot be. That one is set aside, in the transaction that moves its offset; later events of its row follow
it there. What is no fault of one event stops its table. All of that goes on without the thread, one after the other:
what was collected meanwhile is collected anew, as it did not know how things are now.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass

from confluent_kafka import Message

from cdc_pipeline.apply.assignment import Assignment, Partition
from cdc_pipeline.apply.collector import Collected, Collector, Runs, TableTrouble, trouble_of
from cdc_pipeline.apply.progress import Progress
from cdc_pipeline.databases.source import Source
from cdc_pipeline.databases.target import Writer
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.quarantine import Quarantine
from cdc_pipeline.state import State


@dataclass
class _Flight:
    """A batch that the thread is writing, or has written, and nobody has asked yet what came of it."""

    collected: Collected
    outcome: Future[None]


class Applier:
    """Applies batches for one consumer, through one connection, which `thread` has while a batch is in flight."""

    def __init__(
        self,
        assignment: Assignment,
        source: Source,
        state: State,
        writer: Writer,
        progress: Progress,
        thread: Executor,
        *,
        most_set_aside: int,
        say: Callable[[str], None],
    ) -> None:
        self.assignment = assignment
        self.state = state
        self.writer = writer
        self.progress = progress
        self.thread = thread
        self.say = say
        self.quarantine = Quarantine(state)
        self.collector = Collector(assignment, source, progress, most_set_aside=most_set_aside)
        self._flight: _Flight | None = None
        assignment.before_rebalance = self._await_flight

    # -- what a consumer asks -----------------------------------------------------------------------------------

    def apply(self, messages: Sequence[Message]) -> dict[str, CdcPipelineError]:
        """Begin to write these, as soon as what was begun before is there. Returns the topics whose tables cannot go
        on, with the reason; all others are applied and committed, or in flight. An error, as of `drain`, means that
        nothing of these messages will be applied: they have to come again."""
        collected = self._collect(messages)
        failed = self._land()
        if collected is not None and failed is None:
            self._begin(collected)
            return {}
        stopped = self._apply_again(failed) if failed else {}
        return {**stopped, **self.apply_runs(self._runs(messages, leave=stopped))}

    def drain(self) -> dict[str, CdcPipelineError]:
        """Wait for the batch in flight, and see to what came of it: the same answers as of `apply`. Raises what it
        failed with, unless that is a table's own trouble."""
        failed = self._land()
        return self._apply_again(failed) if failed else {}

    def rest(self) -> None:
        """Hold nothing in the target while the stream is paused: nothing is held between two batches."""

    def has_come(self, message: Message) -> bool:
        """Whether all that the source committed before this message is in the target, after its batch was applied."""
        return True

    def forget(self, topics: Iterable[str]) -> None:
        """The tables of these topics may have another shape now."""
        for topic in topics:
            self.writer.forget(self.assignment.streams[topic].record.target)

    # -- one batch in flight, the next one collected ------------------------------------------------------------

    def _collect(self, messages: Sequence[Message]) -> Collected | None:
        """As things will be when the batch in flight is there. None where some table has trouble: it will again."""
        ahead = self._flight.collected if self._flight else None
        try:
            return self.collector.collect(self._runs(messages, after=ahead), ahead)
        except TableTrouble:
            return None

    def _runs(
        self, messages: Iterable[Message], after: Collected | None = None, leave: Iterable[str] = ()
    ) -> dict[Partition, list[Message]]:
        runs: dict[Partition, list[Message]] = {}
        positions = {key: record.next_offset for key, record in self.assignment.claimed.items()}
        if after:
            positions |= {key: record.next_offset for key, record in after.moved.items() if key in positions}
        for message in messages:
            key = (message.topic() or "", message.partition() or 0)
            # Not of a partition that is no longer ours, nor fetched before a seek.
            if key in positions and (message.offset() or 0) >= positions[key] and key[0] not in leave:
                runs.setdefault(key, []).append(message)
        return runs

    def _begin(self, collected: Collected) -> None:
        if collected.runs:
            self._flight = _Flight(collected, self.thread.submit(self._commit, collected))

    def _land(self) -> Collected | None:
        """Wait for the batch in flight. Returns it if a table's trouble has kept it out; raises any other error."""
        flight = self._flight
        if flight is None:
            return None
        wait([flight.outcome])  # an interruption leaves it in flight
        self._flight = None
        try:
            flight.outcome.result()
        except TableTrouble:
            return flight.collected
        self._done(flight.collected)
        return None

    def _await_flight(self) -> None:
        """Before the group changes what is claimed. What has gone wrong is seen to after the poll, with `_land`."""
        if self._flight is not None:
            wait([self._flight.outcome])
            if self._flight.outcome.exception() is None:
                self._land()

    def _apply_again(self, failed: Collected) -> dict[str, CdcPipelineError]:
        """One after the other. What was claimed anew since it was in flight, or is no longer ours, is left out: whoever
        has it now fetches it from where it is stored."""
        claims = self.assignment.claimed
        return self.apply_runs({key: run for key, run in failed.runs.items() if claims.get(key) == failed.claimed[key]})

    # -- one after the other ------------------------------------------------------------------------------------

    def apply_runs(self, runs: Runs) -> dict[str, CdcPipelineError]:
        if not runs:
            return {}
        try:
            self.write(runs)
        except TableTrouble as trouble:
            others = {key: run for key, run in runs.items() if key[0] != trouble.topic}
            stopped = self.apply_runs(others)
            try:
                for key in runs.keys() - others.keys():
                    self._apply_alone(key, runs[key])
            except TableTrouble as last:
                stopped[last.topic] = last.error
            return stopped
        return {}

    def _apply_alone(self, key: Partition, run: Sequence[Message]) -> None:
        """One partition's messages; in halves, if they fail together, so that all are applied which come before the one
        that is to blame. Raises TableTrouble if that one cannot be set aside."""
        try:
            self.write({key: run})
        except TableTrouble as trouble:
            if len(run) == 1:
                if not trouble.error.is_about_one_event:
                    raise
                self._set_aside(key, run[0], trouble.error)
                return
            middle = len(run) // 2
            self._apply_alone(key, run[:middle])
            self._apply_alone(key, run[middle:])

    def _set_aside(self, key: Partition, message: Message, error: CdcPipelineError) -> None:
        collected = self.collector.set_aside(key, message, error)
        self._commit(collected)
        self._done(collected)
        self.say(f"Set aside: {key[0]} [{key[1]}] offset {message.offset()}: {error}")

    def write(self, runs: Runs) -> None:
        """All of it in one transaction. Raises TableTrouble; then nothing of it is there."""
        collected = self.collector.collect(runs)
        self._commit(collected)
        self._done(collected)

    def write_part(self, runs: Runs) -> None:
        """A part of what the caller commits, in the transaction that it has begun. Its rollback must be followed by a
        new claim of all. Raises TableTrouble."""
        collected = self.collector.collect(runs)
        self._put(collected)
        self._done(collected)

    # -- what is done with a batch ------------------------------------------------------------------------------

    def _commit(self, collected: Collected) -> None:
        """Raises TableTrouble. Of all here, this and what it calls is what the thread does."""
        for topic, rows in collected.rows.items():
            with trouble_of(topic):
                self.writer.prepare(collected.streams[topic].record.target, rows.shape)
        with self.writer.connection.begin() as transaction:
            self._put(collected)
            with self.progress.spending("commit"):
                transaction.commit()

    def _put(self, collected: Collected) -> None:
        """Offsets and rows, in a transaction that has begun."""
        connection = self.writer.connection
        for key, moved in collected.moved.items():
            self.state.advance(connection, collected.claimed[key], moved)
        for topic in collected.emptied:
            self.quarantine.clear(connection, topic)
        self.quarantine.add(connection, collected.set_aside)
        for topic, rows in collected.rows.items():
            with trouble_of(topic), self.progress.spending("merge"):
                collected.missing[topic] = self.writer.apply(collected.streams[topic].record.target, rows)

    def _done(self, collected: Collected) -> None:
        self.assignment.move(collected.moved)
        for topic, waiting in collected.waiting.items():
            collected.streams[topic].waiting = waiting
        for topic, rows in collected.missing.items():
            if rows:
                target = collected.streams[topic].record.target
                self.say(f"{rows} row(s) to delete were not in {target}: {topic}; run verify")
        self._count(collected)

    def _count(self, collected: Collected) -> None:
        progress = self.progress
        progress.batches += 1
        progress.dropped += collected.dropped
        progress.set_aside += len(collected.set_aside)
        oldest = min(run[-1].timestamp()[1] for run in collected.runs.values()) / 1000
        progress.lag_seconds = max(0.0, time.time() - oldest)
        for topic, (inserted, updated, deleted) in collected.counts.items():
            progress.inserted += inserted
            progress.updated += updated
            progress.deleted += deleted
            progress.by_table[topic] = progress.by_table.get(topic, 0) + inserted + updated + deleted
