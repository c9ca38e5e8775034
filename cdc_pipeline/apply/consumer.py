"""poll -> decode -> filter by watermark -> batch -> write -> commit.

Delivery contract, per batch of events:

1. `consume` hands over at most `batch_events` messages, from where the stored offsets say.
2. Each message is decoded; what its table's watermark holds is dropped.
3. What is left is collapsed per table (batch.py).
4. One target transaction moves the offsets of all partitions of the batch, which fails if somebody else has
   claimed or rewound one of them since, and then changes the rows of all tables.
5. Only after its commit the group's offsets in Kafka follow; nothing but lag tools reads them.

A crash anywhere before the commit of 4 changes nothing, and one after it repeats nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from cdc_pipeline.apply.batch import BatchBuilder
from cdc_pipeline.apply.decode import decode
from cdc_pipeline.apply.heart import Heart
from cdc_pipeline.config import ReplicationConfig
from cdc_pipeline.databases.base import Source
from cdc_pipeline.databases.target import Target, Writer
from cdc_pipeline.errors import (
    CdcPipelineError,
    ConsumerAlreadyRuns,
    ConsumerFenced,
    KafkaUnavailable,
    OffsetLost,
)
from cdc_pipeline.kafka import Broker
from cdc_pipeline.model import Replicated, Watermark
from cdc_pipeline.state import ConsumerState, Desired, OffsetRecord, State, TableRecord

MOST_ATTEMPTS = 5
POLL_SECONDS = 0.05
RECLAIM_SECONDS = 1.0
PROGRESS_SECONDS = 10.0
CAUGHT_UP_SECONDS = 0.2
HEALTHY_SECONDS = 30.0  # after so long without trouble, attempts are counted from the start again
RULER = "=" * 80

Partition = tuple[str, int]


@dataclass
class Progress:
    """What one consumer has done since it started. Rates are over the time since the last report."""

    group: str
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    dropped: int = 0  # events that a watermark held already
    batches: int = 0
    events_per_second: float = 0.0
    lag_seconds: float = 0.0
    by_table: dict[str, int] = field(default_factory=dict)

    @property
    def applied(self) -> int:
        return self.inserted + self.updated + self.deleted


@dataclass
class _Stream:
    """One topic's table while it is consumed."""

    record: TableRecord
    watermark: Watermark
    builder: BatchBuilder


class Consumer:
    """One run of a replication's stream. `run` blocks."""

    def __init__(
        self,
        config: ReplicationConfig,
        source: Source,
        target: Target,
        state: State,
        tables: Sequence[Replicated],
        *,
        unavailable: str,
        group: str | None = None,
        run_id: str | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.config = config
        self.source = source
        self.target = target
        self.state = state
        self.tables = {table.topic: table.source for table in tables}
        self.unavailable = unavailable
        self.group = group or config.fresh_group()
        self.run_id = run_id or str(uuid.uuid4())
        self.on_progress = on_progress
        self.broker = Broker(config.kafka)
        self.log = logging.LoggerAdapter(logging.getLogger("cdc_pipeline"), {"connector": config.connector_name})
        self.progress = Progress(self.group)
        self.claimed: dict[Partition, OffsetRecord] = {}
        self.waiting: set[Partition] = set()  # their tables are being copied
        self.streams: dict[str, _Stream] = {}

    # -- the run ------------------------------------------------------------------------------------------------

    def run(
        self,
        should_stop: threading.Event,
        caught_up: Callable[[Mapping[Partition, int]], bool] | None = None,
    ) -> Progress:
        """Consume until `should_stop` is set, the owner stops the stream, or `caught_up` says so of the offsets.

        Raises ConsumerAlreadyRuns, or after five attempts in a row the error that stands in the way.
        """
        self._take_lease()
        self._banner()
        attempt, since = 0, time.monotonic()
        with Heart(self.state, self.run_id) as heart:
            while True:
                try:
                    self._stream(heart, should_stop, caught_up)
                    heart.tell(ConsumerState.STOPPED)
                    return self.progress
                except CdcPipelineError as error:
                    attempt = 1 if time.monotonic() - since > HEALTHY_SECONDS else attempt + 1
                    if not error.retryable or attempt > MOST_ATTEMPTS:
                        heart.tell(ConsumerState.FAILED, attempt, str(error))
                        raise
                    self._say(f"Attempt {attempt}/{MOST_ATTEMPTS} failed: {error}")
                    heart.tell(ConsumerState.RETRYING, attempt, str(error))
                    should_stop.wait(2.0 ** (attempt - 1))
                    since = time.monotonic()
                except BaseException as error:  # a signal's exception, or a defect: say what ended the run
                    ended = ConsumerState.FAILED if isinstance(error, Exception) else ConsumerState.STOPPED
                    heart.tell(ended, attempt, repr(error) if ended is ConsumerState.FAILED else "")
                    raise

    def _take_lease(self) -> None:
        holder = self.state.take_lease(self.run_id, self.group, socket.gethostname(), os.getpid())
        if holder is not None:
            raise ConsumerAlreadyRuns(replication=self.config.name, run_id=holder.run_id, age=holder.age)

    def _banner(self) -> None:
        self._say(f"Starting consumer with group: {self.group}")
        idle = self.broker.delete_idle_groups(self.config.group_prefix, keep=self.group)
        lines = [
            RULER,
            f"Config id : {self.config.config} ({self.config.name})",
            f"Run id    : {self.run_id}",
            f"Topics    : {', '.join(sorted(self.tables))}",
            f"Target    : {self.target.display}",
            f"Group     : {self.group}",
            f"Old groups: {', '.join(idle) or 'none'} deleted",
            RULER,
        ]
        for line in lines:
            self._say(line)

    def _stream(
        self, heart: Heart, should_stop: threading.Event, caught_up: Callable[[Mapping[Partition, int]], bool] | None
    ) -> None:
        """One attempt: from a fresh assignment until the end or an error."""
        self.claimed, self.waiting, self.streams = {}, set(), {}
        kafka = self.broker.consumer(
            self.group,
            **{
                "enable.auto.commit": False,
                "auto.offset.reset": "error",  # never a guess: an offset that is gone stops the stream
                "enable.partition.eof": False,
                "topic.metadata.refresh.interval.ms": 5000,
                "fetch.wait.max.ms": 100,
                "session.timeout.ms": 15000,
                "max.poll.interval.ms": 900_000,
                "queued.max.messages.kbytes": 65536,
            },
        )
        connection = self.target.connect()
        try:
            writer = Writer(self.target, connection)
            kafka.subscribe(
                sorted(self.tables),
                on_assign=self._assigned,
                on_revoke=lambda _, p: self._revoked(p),
            )
            self._loop(kafka, writer, heart, should_stop, caught_up)
        finally:
            kafka.close()
            connection.close()

    def _loop(
        self,
        kafka: KafkaConsumer,
        writer: Writer,
        heart: Heart,
        should_stop: threading.Event,
        caught_up: Callable[[Mapping[Partition, int]], bool] | None,
    ) -> None:
        next_check = 0.0
        paused, next_reclaim, reported, applied = False, 0.0, time.monotonic(), self.progress.applied
        while not should_stop.is_set() and heart.desired is not Desired.STOPPED:
            if heart.lost:
                raise ConsumerAlreadyRuns(replication=self.config.name, run_id="(another)", age=0)
            paused = self._pause_or_resume(kafka, heart, paused)
            messages = self._consume(kafka)
            if messages:
                try:
                    self._apply(kafka, writer, messages)
                except ConsumerFenced:
                    self._fenced(kafka, writer)
            now = time.monotonic()
            if self.waiting and now >= next_reclaim:
                self._reclaim(kafka, writer)
                next_reclaim = now + RECLAIM_SECONDS
            if now - reported >= PROGRESS_SECONDS:
                self.progress.events_per_second = (self.progress.applied - applied) / (now - reported)
                self.on_progress(self.progress)
                reported, applied = now, self.progress.applied
            if caught_up and now >= next_check:
                if caught_up({key: record.next_offset for key, record in self.claimed.items()}):
                    break
                next_check = now + CAUGHT_UP_SECONDS
        self.on_progress(self.progress)

    def _pause_or_resume(self, kafka: KafkaConsumer, heart: Heart, paused: bool) -> bool:
        wanted = heart.desired is Desired.PAUSED
        if wanted != paused:
            partitions = [TopicPartition(*key) for key in self.claimed]
            (kafka.pause if wanted else kafka.resume)(partitions)
            self._say("Paused" if wanted else "Resumed")
        if self.claimed or self.waiting:
            heart.tell(ConsumerState.PAUSED if wanted else ConsumerState.RUNNING)
        return wanted

    def _consume(self, kafka: KafkaConsumer) -> list[Message]:
        try:
            messages = kafka.consume(self.config.batch_events, POLL_SECONDS)
        except KafkaException as error:
            raise self._unavailable(error.args[0]) from error
        for message in messages:
            error = message.error()
            if error is None:
                continue
            if error.code() == KafkaError._AUTO_OFFSET_RESET:
                self._check_still_there(sorted(self.claimed))
            raise self._unavailable(error)
        return messages

    def _unavailable(self, error: KafkaError) -> KafkaUnavailable:
        return KafkaUnavailable(servers=self.config.kafka.bootstrap_servers, reason=error.str())

    # -- partitions ---------------------------------------------------------------------------------------------

    def _assigned(self, kafka: KafkaConsumer, partitions: list[TopicPartition]) -> None:
        """The group has given us these: claim each in the target, and begin where the target says."""
        ready = self._claim([(p.topic, p.partition) for p in partitions])
        for partition in partitions:
            key = (partition.topic, partition.partition)
            partition.offset = self.claimed[key].next_offset if key in ready else 0
        kafka.assign(partitions)
        if self.waiting:
            kafka.pause([TopicPartition(*key) for key in self.waiting])

    def _revoked(self, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self.claimed.pop((partition.topic, partition.partition), None)
            self.waiting.discard((partition.topic, partition.partition))

    def _claim(self, partitions: Sequence[Partition]) -> set[Partition]:
        """Claim what can be claimed; the rest waits for its table's copy."""
        claimed, records = self.state.claim(self.run_id, partitions, self.tables)
        self.claimed.update(claimed)
        self._check_still_there(sorted(claimed))
        for topic in {topic for topic, _ in claimed}:
            record = records[topic]
            if record.shape is None or record.watermark is None:
                raise ConsumerFenced(topic=topic, partition=0)
            watermark = self.source.watermark(record.watermark)
            self.streams[topic] = _Stream(record, watermark, BatchBuilder(record.shape, self.unavailable))
        self.waiting = (self.waiting | set(partitions)) - claimed.keys()
        for key in self.waiting:
            self.claimed.pop(key, None)
        return set(claimed)

    def _check_still_there(self, partitions: Sequence[Partition]) -> None:
        topics = {topic for topic, _ in partitions}
        beginnings, ends = self.broker.beginnings(topics), self.broker.ends(topics)
        for key in partitions:
            offset, beginning, end = self.claimed[key].next_offset, beginnings.get(key, 0), ends.get(key, 0)
            if not beginning <= offset <= end:
                topic, partition = key
                raise OffsetLost(topic=topic, partition=partition, offset=offset, beginning=beginning, end=end)

    def _reclaim(self, kafka: KafkaConsumer, writer: Writer) -> None:
        """Take up the tables whose copy has ended."""
        for topic, partition in self._claim(sorted(self.waiting)):
            writer.forget(self.streams[topic].record.target)
            kafka.resume([TopicPartition(topic, partition)])
            kafka.seek(TopicPartition(topic, partition, self.claimed[topic, partition].next_offset))

    def _fenced(self, kafka: KafkaConsumer, writer: Writer) -> None:
        """A batch was rolled back. Either a table is being copied again, or another run has taken over."""
        holder = self.state.consumer()
        if holder is None or holder.run_id != self.run_id:
            run_id, age = (holder.run_id, holder.age) if holder else ("(unknown)", 0)
            raise ConsumerAlreadyRuns(replication=self.config.name, run_id=run_id, age=age)
        everything = sorted(self.claimed)
        kafka.pause([TopicPartition(*key) for key in everything])
        self.waiting.update(everything)
        self._reclaim(kafka, writer)

    # -- one batch ----------------------------------------------------------------------------------------------

    def _apply(self, kafka: KafkaConsumer, writer: Writer, messages: Sequence[Message]) -> None:
        last: dict[Partition, Message] = {}
        touched: dict[str, _Stream] = {}
        dropped = 0
        for message in messages:
            key = (message.topic() or "", message.partition() or 0)
            offset = message.offset() or 0
            claimed = self.claimed.get(key)
            if claimed is None or offset < claimed.next_offset:
                continue  # of a partition that is no longer ours, or fetched before a seek
            last[key] = message
            event = decode(key[0], key[1], offset, message.key(), message.value())
            if event is None:
                continue
            stream = self.streams[key[0]]
            if stream.watermark.holds(event.source):
                dropped += 1
                continue
            stream.builder.add(event)
            touched[key[0]] = stream
        if last:
            try:
                self._write(writer, last, touched)
            finally:
                for stream in touched.values():
                    stream.builder.reset()
            self.progress.dropped += dropped
            offsets = [TopicPartition(*key, (message.offset() or 0) + 1) for key, message in last.items()]
            kafka.commit(offsets=offsets, asynchronous=True)

    def _write(self, writer: Writer, last: Mapping[Partition, Message], touched: Mapping[str, _Stream]) -> None:
        for stream in touched.values():
            writer.prepare(stream.record.target, stream.builder.shape)
        moved: dict[Partition, OffsetRecord] = {}
        counts = {t: (s.builder.inserted, s.builder.updated, s.builder.deleted) for t, s in touched.items()}
        with writer.connection.begin():
            for key, message in sorted(last.items(), key=lambda item: item[0]):
                seconds = message.timestamp()[1] / 1000
                count = counts.pop(key[0], (0, 0, 0))
                claimed, offset = self.claimed[key], (message.offset() or 0) + 1
                moved[key] = self.state.advance(writer.connection, claimed, offset, seconds, count)
            for topic, stream in touched.items():
                missing = writer.apply(stream.record.target, stream.builder.build())
                if missing:
                    self._say(f"{missing} row(s) to delete were not in {stream.record.target}: {topic}; run verify")
        self.claimed.update(moved)
        self._count(touched, last)

    def _count(self, touched: Mapping[str, _Stream], last: Mapping[Partition, Message]) -> None:
        progress = self.progress
        progress.batches += 1
        progress.lag_seconds = max(0.0, time.time() - min(m.timestamp()[1] for m in last.values()) / 1000)
        for topic, stream in touched.items():
            builder = stream.builder
            progress.inserted += builder.inserted
            progress.updated += builder.updated
            progress.deleted += builder.deleted
            events = builder.inserted + builder.updated + builder.deleted
            progress.by_table[topic] = progress.by_table.get(topic, 0) + events

    def _say(self, message: str) -> None:
        self.log.info("[%s] %s", self.config.connector_name, message)
