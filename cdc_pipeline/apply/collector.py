"""Messages -> what is to be committed of them: rows, offsets, and events that wait behind others.

Nothing is changed by that but the builders, and they are empty again at its end. So the next batch can be collected
while the one before it is still being written: from where that one will leave things, which it says of itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import Message

from cdc_pipeline.apply.assignment import Assignment, Partition, TableStream
from cdc_pipeline.apply.progress import Progress
from cdc_pipeline.databases.source import Source
from cdc_pipeline.errors import CdcPipelineError, EventOfAnotherTable, TooManySetAside
from cdc_pipeline.model import ChangeEvent, Operation, RowBatch
from cdc_pipeline.quarantine import WAITS, SetAside
from cdc_pipeline.state import OffsetRecord
from cdc_pipeline.topics import is_of, owner_of

Runs = Mapping[Partition, Sequence[Message]]  # of each partition, messages in their order
NO_COUNTS = (0, 0, 0)


class TableTrouble(Exception):
    """One table's part of a batch failed; nothing of the batch is committed."""

    def __init__(self, topic: str, error: CdcPipelineError) -> None:
        super().__init__(topic, error)
        self.topic = topic
        self.error = error


@contextmanager
def trouble_of(topic: str) -> Iterator[None]:
    """Errors that may pass by themselves, and fencing, are no table's own."""
    try:
        yield
    except CdcPipelineError as error:
        if error.retryable:
            raise
        raise TableTrouble(topic, error) from error


@dataclass
class Collected:
    """What is to be committed of one batch, and how things are once it is."""

    runs: Runs
    claimed: dict[Partition, OffsetRecord] = field(default_factory=dict)
    moved: dict[Partition, OffsetRecord] = field(default_factory=dict)  # what of `claimed` will be
    streams: dict[str, TableStream] = field(default_factory=dict)
    rows: dict[str, RowBatch] = field(default_factory=dict)
    counts: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # events: inserts, updates, deletes
    set_aside: list[SetAside] = field(default_factory=list)
    waiting: dict[str, dict[str, str]] = field(default_factory=dict)  # of each topic, as TableStream.waiting will be
    emptied: set[str] = field(default_factory=set)  # topics whose set-aside events a TRUNCATE has made void
    dropped: int = 0
    missing: dict[str, int] = field(default_factory=dict)  # rows that were to be removed and were not there


class Collector:
    """Collects batches for one consumer."""

    def __init__(self, assignment: Assignment, source: Source, progress: Progress, *, most_set_aside: int) -> None:
        self.assignment = assignment
        self.source = source
        self.progress = progress
        self.most_set_aside = most_set_aside

    def collect(self, runs: Runs, after: Collected | None = None) -> Collected:
        """Raises TableTrouble. With `after`, as things will be once that one is committed."""
        collected = Collected(runs)
        try:
            with self.progress.spending("parse"):
                trails: dict[Partition, str | None] = {}
                for key in runs:
                    with trouble_of(key[0]):
                        collected.claimed[key] = self._claimed(key, after)
                        trails[key] = self._add_run(key, collected, after)
                self._finish(collected, trails)
        finally:
            for stream in collected.streams.values():
                stream.builder.reset()
        return collected

    def _claimed(self, key: Partition, after: Collected | None) -> OffsetRecord:
        return after.moved[key] if after and key in after.moved else self.assignment.record(key)

    def _add_run(self, key: Partition, collected: Collected, after: Collected | None) -> str | None:
        """Returns the partition's trail behind these messages."""
        topic, _ = key
        if topic == self.assignment.marks_topic:
            return None
        stream = collected.streams[topic] = self.assignment.streams[topic]
        trail = self.source.trail(collected.claimed[key].trail)
        before = after.waiting.get(topic, stream.waiting) if after else stream.waiting
        waiting = collected.waiting.setdefault(topic, dict(before))
        for message in collected.runs[key]:
            event = _decode(stream, key, message)
            if event is None:
                continue
            if not is_of(event.source, stream.record.source):
                raise _of_another(event, stream)
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
        return trail.to_text()

    def _finish(self, collected: Collected, trails: Mapping[Partition, str | None]) -> None:
        """Raises TableTrouble."""
        for topic, stream in collected.streams.items():
            with trouble_of(topic):
                collected.rows[topic] = stream.builder.build()
            collected.counts[topic] = stream.builder.counts
        uncounted = dict(collected.counts)
        for key in sorted(collected.runs):  # in the order in which everybody locks them
            self._move(key, collected.runs[key][-1], collected, uncounted.pop(key[0], NO_COUNTS), trails[key])

    def _move(
        self, key: Partition, last: Message, collected: Collected, counts: tuple[int, int, int], trail: str | None
    ) -> None:
        seconds, next_offset = last.timestamp()[1] / 1000, (last.offset() or 0) + 1
        collected.moved[key] = collected.claimed[key].moved(next_offset, seconds, counts, trail)

    def set_aside(self, key: Partition, message: Message, error: CdcPipelineError) -> Collected:
        """This one event cannot be applied: on with the next. Raises TableTrouble where that is no way out."""
        topic, _ = key
        stream = self.assignment.streams[topic]
        event = _decode(stream, key, message)
        if event is None or event.key is None:  # nothing tells which later events have to wait for it
            raise TableTrouble(topic, error) from error
        if len(set(stream.waiting.values())) >= self.most_set_aside:
            raise TableTrouble(topic, TooManySetAside(table=stream.record.source, rows=self.most_set_aside, last=error))
        collected = Collected({key: [message]}, {key: self.assignment.record(key)}, streams={topic: stream})
        trail = self.source.trail(collected.claimed[key].trail)
        trail.repeats(event.operation, event.source, event.order)
        row = row_key(event.key)
        collected.set_aside.append(_item(stream, message, event, row, str(error)))
        collected.waiting[topic] = dict(stream.waiting)
        _wait(event, collected.waiting[topic], row)
        self._move(key, message, collected, NO_COUNTS, trail.to_text())
        return collected


def row_key(key: Mapping[str, Any]) -> str:
    """A row of a table with a key, as people see it too."""
    return json.dumps(key, sort_keys=True, ensure_ascii=False)


def _of_another(event: ChangeEvent, stream: TableStream) -> EventOfAnotherTable:
    return EventOfAnotherTable(
        topic=event.topic, partition=event.partition, offset=event.offset,
        other=owner_of(event.source), table=stream.record.source,
    )  # fmt: skip


def _waits_behind(event: ChangeEvent, waiting: Mapping[str, str]) -> str | None:
    """The row key under which this event has to wait, if any: of its own row, or of the one that it was."""
    own = waiting.get(row_key(event.key)) if event.key is not None else None
    return own or (waiting.get(row_key(event.moved_from)) if event.moved_from is not None else None)


def _wait(event: ChangeEvent, waiting: dict[str, str], behind: str) -> None:
    """Later events of this row wait as well, and those of a new one under the key that it had."""
    for key in (event.key, event.moved_from):
        if key is not None:
            waiting[row_key(key)] = behind


def _decode(stream: TableStream, of: Partition, message: Message) -> ChangeEvent | None:
    offset, headers = message.offset() or 0, message.headers() or ()
    return stream.decoder.decode(*of, offset, message.key(), message.value(), headers)


def _item(stream: TableStream, message: Message, event: ChangeEvent, behind: str, error: str) -> SetAside:
    value = message.value()
    key, moved_from = (None if k is None else row_key(k) for k in (event.key, event.moved_from))
    text = value.decode() if value else None
    source = stream.record.source
    return SetAside(event.topic, event.partition, event.offset, source, behind, key, moved_from, text, error)
