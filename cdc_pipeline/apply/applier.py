"""Messages -> one target transaction of rows and offsets; and what becomes of an event that cannot be applied.

A table that makes the transaction fail is taken out of it, and its events are applied alone: by halves, until the one
is found that cannot be. That one is set aside, in the transaction that moves its offset; later events of its row follow
it there. What is no fault of one event stops its table.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message

from cdc_pipeline.apply.assignment import Assignment, Partition, TableStream
from cdc_pipeline.apply.decode import decode
from cdc_pipeline.apply.progress import Progress
from cdc_pipeline.databases.base import Source
from cdc_pipeline.databases.target import Writer
from cdc_pipeline.errors import CdcPipelineError, TooManySetAside
from cdc_pipeline.model import ChangeEvent, Operation, Trail
from cdc_pipeline.quarantine import WAITS, Quarantine, SetAside
from cdc_pipeline.state import OffsetRecord, State

Runs = Mapping[Partition, Sequence[Message]]  # of each partition, messages in their order


class TableTrouble(Exception):
    """One table's part of a batch failed; nothing of the batch is committed."""

    def __init__(self, topic: str, error: CdcPipelineError) -> None:
        super().__init__(topic, error)
        self.topic = topic
        self.error = error


@contextmanager
def _trouble_of(topic: str):
    """Errors that may pass by themselves, and fencing, are no table's own."""
    try:
        yield
    except CdcPipelineError as error:
        if error.retryable:
            raise
        raise TableTrouble(topic, error) from error


@dataclass
class _Collected:
    """What is to be committed of one batch."""

    last: dict[Partition, Message] = field(default_factory=dict)
    trails: dict[Partition, Trail] = field(default_factory=dict)
    streams: dict[str, TableStream] = field(default_factory=dict)
    set_aside: list[SetAside] = field(default_factory=list)
    waiting: dict[str, dict[str, str]] = field(default_factory=dict)  # of each topic, as TableStream.waiting will be
    emptied: set[str] = field(default_factory=set)  # topics whose set-aside events a TRUNCATE has made void
    dropped: int = 0


class Applier:
    """Applies batches for one consumer, through one connection."""

    def __init__(
        self,
        assignment: Assignment,
        source: Source,
        state: State,
        writer: Writer,
        progress: Progress,
        *,
        most_set_aside: int,
        say: Callable[[str], None],
    ) -> None:
        self.assignment = assignment
        self.source = source
        self.state = state
        self.writer = writer
        self.progress = progress
        self.most_set_aside = most_set_aside
        self.say = say
        self.quarantine = Quarantine(state)

    def apply(self, messages: Iterable[Message]) -> dict[str, CdcPipelineError]:
        """Returns the topics whose tables cannot go on, with the reason; all others are applied and committed."""
        runs: dict[Partition, list[Message]] = {}
        for message in messages:
            key = (message.topic() or "", message.partition() or 0)
            claimed = self.assignment.claimed.get(key)
            # Not of a partition that is no longer ours, nor fetched before a seek.
            if claimed is not None and (message.offset() or 0) >= claimed.next_offset:
                runs.setdefault(key, []).append(message)
        return self.apply_runs(runs) if runs else {}

    def rest(self) -> None:
        """Hold nothing in the target while the stream is paused: nothing is held between two batches."""

    def has_come(self, message: Message) -> bool:
        """Whether all that the source committed before this message is in the target, after its batch was applied."""
        return True

    def forget(self, topics: Iterable[str]) -> None:
        """The tables of these topics may have another shape now."""
        for topic in topics:
            self.writer.forget(self.assignment.streams[topic].record.target)

    def apply_runs(self, runs: Runs) -> dict[str, CdcPipelineError]:
        try:
            self.write(runs)
        except TableTrouble as trouble:
            others = {key: run for key, run in runs.items() if key[0] != trouble.topic}
            stopped = self.apply_runs(others) if others else {}
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

    def write(self, runs: Runs) -> None:
        """All of it in one transaction. Raises TableTrouble; then nothing of it is there."""
        with self._collecting(runs) as collected:
            self._commit(collected)

    def write_part(self, runs: Runs) -> None:
        """A part of what the caller commits, in the transaction that it has begun. Its rollback must be followed by a
        new claim of all. Raises TableTrouble."""
        with self._collecting(runs) as collected:
            self._done(collected, self._put(collected))

    @contextmanager
    def _collecting(self, runs: Runs) -> Iterator[_Collected]:
        """The builders hold what was collected until the block ends, however it ends."""
        collected = _Collected()
        try:
            with self.progress.spending("parse"):
                for key, run in runs.items():
                    with _trouble_of(key[0]):
                        self._collect(key, run, collected)
            yield collected
        finally:
            for stream in collected.streams.values():
                stream.builder.reset()

    def _collect(self, key: Partition, run: Sequence[Message], collected: _Collected) -> None:
        topic, _ = key
        if topic == self.assignment.marks_topic:
            collected.last[key] = run[-1]
            return
        stream = collected.streams[topic] = self.assignment.streams[topic]
        trail = collected.trails[key] = self.source.trail(self.assignment.claimed[key].trail)
        waiting = collected.waiting.setdefault(topic, dict(stream.waiting))
        for message in run:
            event = _decode(message)
            if event is None:
                continue
            if stream.watermark.holds(event.source) or trail.repeats(event.operation, event.source, event.order):
                collected.dropped += 1
            elif waiting and event.operation is Operation.TRUNCATE:
                waiting.clear()
                collected.emptied.add(topic)
                collected.set_aside = [item for item in collected.set_aside if item.topic != topic]
                stream.builder.add(event)
            elif waiting and (behind := _waits_behind(event, waiting)):
                collected.set_aside.append(_item(stream, message, event, behind, WAITS))
                _wait(event, waiting, behind)
            else:
                stream.builder.add(event)
        collected.last[key] = run[-1]

    def _commit(self, collected: _Collected) -> None:
        for topic, stream in collected.streams.items():
            with _trouble_of(topic):
                self.writer.prepare(stream.record.target, stream.builder.shape)
        with self.writer.connection.begin() as transaction:
            moved = self._put(collected)
            with self.progress.spending("commit"):
                transaction.commit()
        self._done(collected, moved)

    def _put(self, collected: _Collected) -> dict[Partition, OffsetRecord]:
        """Offsets and rows, in a transaction that has begun."""
        moved: dict[Partition, OffsetRecord] = {}
        counts = {topic: stream.builder.counts for topic, stream in collected.streams.items()}
        for key in sorted(collected.last):
            moved[key] = self._advance(key, collected, counts.pop(key[0], (0, 0, 0)))
        for topic in collected.emptied:
            self.quarantine.clear(self.writer.connection, topic)
        self.quarantine.add(self.writer.connection, collected.set_aside)
        for topic, stream in collected.streams.items():
            with _trouble_of(topic), self.progress.spending("merge"):
                missing = self.writer.apply(stream.record.target, stream.builder.build())
            if missing:
                self.say(f"{missing} row(s) to delete were not in {stream.record.target}: {topic}; run verify")
        return moved

    def _done(self, collected: _Collected, moved: Mapping[Partition, OffsetRecord]) -> None:
        self.assignment.move(moved)
        for topic, waiting in collected.waiting.items():
            self.assignment.streams[topic].waiting = waiting
        self._count(collected)

    def _advance(self, key: Partition, collected: _Collected, counts: tuple[int, int, int]) -> OffsetRecord:
        message, claimed = collected.last[key], self.assignment.record(key)
        seconds, offset = message.timestamp()[1] / 1000, (message.offset() or 0) + 1
        trail = collected.trails[key].to_text() if key in collected.trails else None
        return self.state.advance(self.writer.connection, claimed, offset, seconds, counts, trail)

    def _set_aside(self, key: Partition, message: Message, error: CdcPipelineError) -> None:
        """This one event cannot be applied: on with the next. Raises TableTrouble where that is no way out."""
        topic, partition = key
        stream = self.assignment.streams[topic]
        event = _decode(message)
        if event is None or event.key is None:  # nothing tells which later events have to wait for it
            raise TableTrouble(topic, error) from error
        if len(set(stream.waiting.values())) >= self.most_set_aside:
            raise TableTrouble(topic, TooManySetAside(table=stream.record.source, rows=self.most_set_aside, last=error))
        trail = self.source.trail(self.assignment.claimed[key].trail)
        trail.repeats(event.operation, event.source, event.order)
        row = row_key(event.key)
        collected = _Collected({key: message}, {key: trail}, set_aside=[_item(stream, message, event, row, str(error))])
        collected.waiting[topic] = dict(stream.waiting)
        _wait(event, collected.waiting[topic], row)
        self._commit(collected)
        self.say(f"Set aside: {topic} [{partition}] offset {message.offset()}: {error}")

    def _count(self, collected: _Collected) -> None:
        progress = self.progress
        progress.batches += 1
        progress.dropped += collected.dropped
        progress.set_aside += len(collected.set_aside)
        oldest = min(message.timestamp()[1] for message in collected.last.values()) / 1000
        progress.lag_seconds = max(0.0, time.time() - oldest)
        for topic, stream in collected.streams.items():
            inserted, updated, deleted = stream.builder.counts
            progress.inserted += inserted
            progress.updated += updated
            progress.deleted += deleted
            progress.by_table[topic] = progress.by_table.get(topic, 0) + inserted + updated + deleted


def row_key(key: Mapping[str, Any]) -> str:
    """A row of a table with a key, as people see it too."""
    return json.dumps(key, sort_keys=True, ensure_ascii=False)


def _waits_behind(event: ChangeEvent, waiting: Mapping[str, str]) -> str | None:
    """The row key under which this event has to wait, if any: of its own row, or of the one that it was."""
    own = waiting.get(row_key(event.key)) if event.key is not None else None
    return own or (waiting.get(row_key(event.moved_from)) if event.moved_from is not None else None)


def _wait(event: ChangeEvent, waiting: dict[str, str], behind: str) -> None:
    """Later events of this row wait as well, and those of a new one under the key that it had."""
    for key in (event.key, event.moved_from):
        if key is not None:
            waiting[row_key(key)] = behind


def _decode(message: Message) -> ChangeEvent | None:
    place = (message.topic() or "", message.partition() or 0, message.offset() or 0)
    return decode(*place, message.key(), message.value(), message.headers() or ())


def _item(stream: TableStream, message: Message, event: ChangeEvent, behind: str, error: str) -> SetAside:
    value = message.value()
    key, moved_from = (None if k is None else row_key(k) for k in (event.key, event.moved_from))
    text = value.decode() if value else None
    source = stream.record.source
    return SetAside(event.topic, event.partition, event.offset, source, behind, key, moved_from, text, error)
