"""Whole transactions of the source, or none of them: what `apply: transactional` puts between Kafka and the applier.

One target transaction has one or more whole transactions of the source, across all tables. One with more events than a
batch has is written part by part, in a target transaction that stays open until its end has come; its rows are not kept
in memory. What takes a table out of a batch (a re-sync, an event that is set aside, a table that stops) takes it out of
the transactions that it is part of, and is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

import msgspec
from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import Message, TopicPartition
from sqlalchemy.engine import RootTransaction

from cdc_pipeline.apply.applier import Applier
from cdc_pipeline.apply.assignment import Assignment, Partition
from cdc_pipeline.apply.collector import Runs, TableTrouble
from cdc_pipeline.apply.transactions import Assembler, Mark, Piece, Told, Unit, merged
from cdc_pipeline.databases.source import Source
from cdc_pipeline.databases.target import Writer
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.kafka import Broker
from cdc_pipeline.model import TableId
from cdc_pipeline.state import OffsetRecord

LOOK_SECONDS = 3.0  # what a connector's producer has begun to send reaches all partitions in this time
MARKS_SECONDS = 10.0  # between two commits of marks alone: of transactions that changed none of the tables


class _Transaction(msgspec.Struct):
    id: str
    data_collection_order: int


class _Place(msgspec.Struct):
    """What of an event tells where it belongs."""

    op: str
    transaction: _Transaction | None


_place = msgspec.json.Decoder(_Place)


class TransactionalApplier:
    """Takes the place of an Applier, with the same answers. `tables` are the sources of all topics, and may grow."""

    def __init__(
        self,
        applier: Applier,
        assignment: Assignment,
        source: Source,
        broker: Broker,
        kafka: KafkaConsumer,
        *,
        marks_topic: str,
        tables: Mapping[str, TableId],
        most: int,
        say: Callable[[str], None],
    ) -> None:
        self.applier = applier
        self.assignment = assignment
        self.source = source
        self.broker = broker
        self.kafka = kafka
        self.marks_topic = marks_topic
        self.tables = tables
        self.topics: dict[str, str] = {}  # by Debezium's names of the tables, as far as they were asked for
        self.most = most
        self.say = say
        self.assembler = Assembler(most)
        self.epochs: dict[str, int] = {}  # of what is claimed, by topic
        self.throttled: set[str] = set()
        self.torn: str | None = None  # a transaction that cannot be applied as one
        self._open: RootTransaction | None = None
        self._before: tuple[dict[Partition, OffsetRecord], OffsetRecord | None] = ({}, None)
        self._moved_on = self._stored = time.monotonic()
        assignment.before_rebalance = self._roll_back  # what it locks would keep us from claiming anew

    @property
    def writer(self) -> Writer:
        return self.applier.writer

    # -- what a consumer asks -----------------------------------------------------------------------------------

    def apply(self, messages: Iterable[Message]) -> dict[str, CdcPipelineError]:
        """Returns the topics whose tables cannot go on, with the reason. To be called without messages too."""
        try:
            fetched_again = self._follow_claims()
            for message in messages:
                if message.topic() not in fetched_again:
                    self._take_in(message)
            stopped: dict[str, CdcPipelineError] = {}
            while not stopped and (piece := self.assembler.take()) is not None:
                self._moved_on = time.monotonic()
                stopped = self._write(piece)
            self._look()
            self._throttle()
            return stopped
        except BaseException:
            self._roll_back()
            raise

    def drain(self) -> dict[str, CdcPipelineError]:
        """Nothing is in flight: one after the other is what keeps the source's transactions in their order."""
        return {}

    def forget(self, topics: Iterable[str]) -> None:
        self.applier.forget(topics)

    def rest(self) -> None:
        """Hold nothing in the target while the stream is paused."""
        self.throttled.clear()  # all are paused now, and then none
        if self._open is not None:
            self._start_over()

    def has_come(self, message: Message) -> bool:
        """Whether all that the source committed before this message is in the target."""
        told = self._told(message)
        return self._open is None and (told.transaction is None or told.transaction in self.assembler.passed)

    # -- what is claimed ----------------------------------------------------------------------------------------

    def _claims(self) -> dict[str, OffsetRecord]:
        marks = {self.marks_topic: self.assignment.marks} if self.assignment.marks else {}
        return {**{topic: record for (topic, _), record in self.assignment.claimed.items()}, **marks}

    def _follow_claims(self) -> Set[str]:
        """Returns the topics that are fetched again from before what was fetched last: that, taken in now, would pass
        for all there is up to it."""
        claims = self._claims()
        new = {topic for topic, record in claims.items() if self.epochs.get(topic) != record.epoch}
        gone = self.epochs.keys() - claims.keys()
        if not new and not gone:
            return set()
        # Whatever is new is fetched from where it stands; the rest of a transaction that is under way no more.
        if self.marks_topic in new | gone or self._open is not None or self.assembler.gathered:
            return self._start_over(fetched_anew=new)
        for topic in gone:
            self.assembler.leave(topic)
        for topic in new:
            self.assembler.begin(topic, claims[topic].next_offset)
        self.epochs = {topic: record.epoch for topic, record in claims.items()}
        return set()

    def _start_over(self, fetched_anew: Set[str] = frozenset()) -> Set[str]:
        """From what is stored. Whatever is fetched already is fetched again; returns of which topics, besides those
        that are `fetched_anew` anyway."""
        self._roll_back()
        claims = self._claims()
        self.assembler = Assembler(self.most)
        self.throttled.clear()
        for topic, record in claims.items():
            if topic not in fetched_anew:
                self.kafka.seek(TopicPartition(topic, 0, record.next_offset))
            if topic == self.marks_topic:
                self.assembler.begin_marks(record.next_offset)
            else:
                self.assembler.begin(topic, record.next_offset)
        self.kafka.resume([TopicPartition(*key) for key in self.assignment.claimed])
        self.epochs = {topic: record.epoch for topic, record in claims.items()}
        return claims.keys() - fetched_anew

    def _look(self) -> None:
        """Where nothing has moved on for a while, and nothing that comes tells why."""
        if not self.assembler.is_waiting or time.monotonic() - self._moved_on < LOOK_SECONDS:
            return
        ends = {topic: end for (topic, _), end in self.broker.ends([self.marks_topic, *self.assembler.queues]).items()}
        self.assembler.look(ends, ends.pop(self.marks_topic))
        self._moved_on = time.monotonic()

    # -- what comes in ------------------------------------------------------------------------------------------

    def _take_in(self, message: Message) -> None:
        topic, offset = message.topic() or "", message.offset() or 0
        if topic == self.marks_topic:
            body = msgspec.json.decode(message.value() or b"{}")
            name = self.source.transaction_name(body["id"])
            ends = body["status"] == "END"
            told = {each["data_collection"]: each["event_count"] for each in body["data_collections"] or ()}
            counts = {topic: count for table, count in told.items() if (topic := self._topic(table)) is not None}
            self.assembler.mark(Mark(offset, name, counts if ends else None, message))
        elif topic in self.assembler.queues:
            self.assembler.add(self._told(message))

    def _topic(self, table: str) -> str | None:
        """Of Debezium's name of a table; Oracle's begins with the database."""
        if table not in self.topics:
            for topic, known in self.tables.items():
                if table == str(known) or table.endswith(f".{known}"):
                    self.topics[table] = topic
                    break
        return self.topics.get(table)

    def _told(self, message: Message) -> Told:
        """What cannot be read stands alone: the applier says what is wrong with it."""
        topic, offset = message.topic() or "", message.offset() or 0
        try:
            place = _place.decode(message.value() or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Told(topic, offset, None, 0, message)
        transaction = place.transaction
        if transaction is None or (place.op == "t" and self.source.truncates_alone):
            return Told(topic, offset, None, 0, message)
        name = self.source.transaction_name(transaction.id)
        return Told(topic, offset, name, transaction.data_collection_order, message)

    def _throttle(self) -> None:
        """Fetch no more of what waits for others anyway."""
        full = {topic for topic, queue in self.assembler.queues.items() if len(queue) > 2 * self.most}
        eased = {topic for topic in self.throttled if len(self.assembler.queues.get(topic, ())) < self.most}
        if full - self.throttled:
            self.kafka.pause([TopicPartition(topic, 0) for topic in full - self.throttled])
        if eased:
            self.kafka.resume([TopicPartition(topic, 0) for topic in eased if topic in self.assembler.queues])
        self.throttled = (self.throttled | full) - eased

    # -- what goes out ------------------------------------------------------------------------------------------

    def _write(self, piece: Piece) -> dict[str, CdcPipelineError]:
        if piece.is_part and piece.transaction == self.torn:
            return self.applier.apply_runs(self._runs(piece.units))
        if piece.is_part or self._open is not None:
            self._write_openly(piece)
            return {}
        if not piece.runs and time.monotonic() - self._stored < MARKS_SECONDS:
            return {}
        return self._write_units(piece.units)

    def _write_units(self, units: Sequence[Unit]) -> dict[str, CdcPipelineError]:
        """As one; if that fails, in halves, until the one transaction is found that cannot be applied whole."""
        runs = self._runs(units)
        if not runs:
            return {}
        try:
            self.applier.write(runs)
        except TableTrouble:
            if len(units) == 1:
                return self.applier.apply_runs(runs)
            middle = len(units) // 2
            stopped = self._write_units(units[:middle])
            rest = [self._without(unit, stopped) for unit in units[middle:]]
            return {**stopped, **self._write_units(rest)}
        self._stored = time.monotonic()
        return {}

    def _without(self, unit: Unit, topics: Iterable[str]) -> Unit:
        return Unit({topic: run for topic, run in unit.runs.items() if topic not in set(topics)}, unit.end)

    def _write_openly(self, piece: Piece) -> None:
        """A part of a large transaction, or its rest, with which it is committed."""
        if self._open is None:
            self._prepare()
            self._before = dict(self.assignment.claimed), self.assignment.marks
            self._open = self.applier.writer.connection.begin()
        try:
            self.applier.write_part(self._runs(piece.units))
        except TableTrouble as trouble:
            self.say(f"{trouble.topic} does not take its part of a large transaction, which is applied in parts now")
            self._start_over()
            self.torn = piece.transaction
            return
        if not piece.is_part:
            with self.applier.progress.spending("commit"):
                self._open.commit()
            self._open = None
            self._stored = time.monotonic()

    def _prepare(self) -> None:
        for topic, _ in self.assignment.claimed:
            stream = self.assignment.streams[topic]
            self.applier.writer.prepare(stream.record.target, stream.builder.shape)

    def _runs(self, units: Sequence[Unit]) -> Runs:
        runs: dict[Partition, Sequence[Message]] = {(topic, 0): run for topic, run in merged(units).items()}
        end = next((unit.end for unit in reversed(units) if unit.end is not None), None)
        if end is not None:
            runs[self.marks_topic, 0] = [end]
        return runs

    def _roll_back(self) -> None:
        if self._open is None:
            return
        self._open.rollback()
        self._open = None
        claimed, marks = self._before
        # What was claimed anew since then stands where its new claim says.
        for key, record in claimed.items():
            current = self.assignment.claimed.get(key)
            if current is not None and current.epoch == record.epoch:
                self.assignment.claimed[key] = record
        if self.assignment.marks and marks and self.assignment.marks.epoch == marks.epoch:
            self.assignment.marks = marks
