"""poll -> decode -> filter -> batch -> write -> commit.

The first four are this thread's. The others are the writer's: while it waits for the target, the next batch is made.

Delivery contract, per batch of events:

1. `consume` hands over at most `batch_events` messages, from where the stored offsets say. Large ones are more than one
   batch.
2. Each message is decoded; what its table's watermark holds, or its topic's trail has seen, is dropped.
3. What is left is collapsed per table (batch.py).
4. One target transaction moves the offsets of all partitions of the batch, which fails if somebody else has
   claimed or rewound one of them since, and then changes the rows of all tables (applier.py).
5. The next batch is written only after its commit; should it fail, what was polled since is polled again.
6. Only after its commit the group's offsets in Kafka follow; nothing but lag tools reads them.

A crash anywhere before the commit of 4 changes nothing, and one after it repeats nothing; if nobody knows whether it
committed, the next attempt reads it in the stored offsets. A table that cannot go on stops alone (assignment.py).
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
import time
import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import accumulate

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from sqlalchemy import Connection

from cdc_pipeline.apply.applier import Applier
from cdc_pipeline.apply.assignment import Assignment, Partition
from cdc_pipeline.apply.evolution import Evolution
from cdc_pipeline.apply.heart import Heart, SourceHeart
from cdc_pipeline.apply.heartbeat import source_time
from cdc_pipeline.apply.interpreter import for_a_stream
from cdc_pipeline.apply.progress import Progress
from cdc_pipeline.apply.transactional import TransactionalApplier
from cdc_pipeline.config import ReplicationConfig
from cdc_pipeline.databases.source import Source
from cdc_pipeline.databases.target import Target, Writer
from cdc_pipeline.errors import (
    CdcPipelineError,
    ColumnsChanged,
    ConsumerAlreadyRuns,
    ConsumerFenced,
    KafkaUnavailable,
    TablesStopped,
)
from cdc_pipeline.kafka import Broker
from cdc_pipeline.model import Replicated, TableId
from cdc_pipeline.state import HAS_WATERMARK, ConsumerState, Desired, State

MOST_ATTEMPTS = 5
POLL_SECONDS = 0.05
RECLAIM_SECONDS = 1.0
PROGRESS_SECONDS = 10.0
CAUGHT_UP_SECONDS = 0.2
LOOK_SECONDS = 10.0  # between two looks at the source's definitions
HEALTHY_SECONDS = 30.0  # after so long without trouble, attempts are counted from the start again
MOST_BEATS = 100
MOST_MEMORY = 160 << 20  # bytes that the rows of a batch take; two batches are there at a time
RULER = "=" * 80

CaughtUp = Callable[[Mapping[Partition, int]], bool]


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
        join: bool = False,
        evolution: Evolution | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """With `join` it shares the work of the consumers that run already, whose `group` it names."""
        self.config = config
        self.source = source
        self.target = target
        self.state = state
        self.tables = {table.topic: table.source for table in tables}
        self.selected = set(self.tables.values())  # what the owner asks for, by the last look
        self.unavailable = unavailable
        self.group = group or config.fresh_group()
        self.run_id = run_id or str(uuid.uuid4())
        self.join = join
        self.evolution = evolution
        self.on_progress = on_progress
        self.kept_out: dict[str, str] | None = None  # what `status` was told last of new tables that are not taken up
        self.beats: list[Message] = []  # heartbeats of the source that wait for what was committed before them
        self.broker = Broker(config.kafka)
        self.log = logging.LoggerAdapter(logging.getLogger("cdc_pipeline"), {"connector": config.connector_name})
        self.progress = Progress(self.group)
        self.assignment = self._nothing_assigned()

    def _nothing_assigned(self) -> Assignment:
        return Assignment(
            self.source, self.state, self.broker, self.run_id, self.tables,
            unavailable=self.unavailable, salt=self.config.salt, ignores_changes=self.config.ignores_changes,
            marks_topic=self.config.marks_topic,
        )  # fmt: skip

    # -- the run ------------------------------------------------------------------------------------------------

    def run(
        self,
        should_stop: threading.Event,
        caught_up: CaughtUp | None = None,
    ) -> Progress:
        """Consume until `should_stop` is set, the owner stops the stream, or `caught_up` says so of the offsets.

        Raises ConsumerAlreadyRuns, or after five attempts in a row the error that stands in the way; TablesStopped
        where none of the tables can go on, or one of those that are waited for.
        """
        self._take_lease()
        self._banner()
        self.state.wake_failed()
        attempt, since = 0, time.monotonic()
        with for_a_stream(), self._source_heart(), Heart(self.state, self.run_id, self.progress) as heart:
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

    def _source_heart(self) -> AbstractContextManager[object]:
        table = self.config.heartbeat_table
        if table is None:
            return nullcontext()
        return SourceHeart(self.source, table, self.config.name, self.config.heartbeat.seconds)

    def _take_lease(self) -> None:
        host, pid = socket.gethostname(), os.getpid()
        holder = self.state.take_lease(self.run_id, self.group, host, pid, join=self.join)
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

    def _stream(self, heart: Heart, should_stop: threading.Event, caught_up: CaughtUp | None) -> None:
        """One attempt: from a fresh assignment until the end or an error."""
        self.assignment = self._nothing_assigned()
        kafka = self.broker.consumer(
            self.group,
            **{
                "enable.auto.commit": False,
                "auto.offset.reset": "error",  # never a guess: an offset that is gone stops the stream
                "enable.partition.eof": False,
                # By partitions of all topics: most topics have one, and `range` would give all of them to one member.
                "partition.assignment.strategy": "roundrobin",
                "topic.metadata.refresh.interval.ms": 5000,
                "fetch.wait.max.ms": 100,
                "session.timeout.ms": 15000,
                "max.poll.interval.ms": 900_000,
                "queued.max.messages.kbytes": 65536,
            },
        )
        connection = self.target.connect()
        try:
            with ThreadPoolExecutor(1, "writer") as thread:  # however the loop ends, the batch in flight ends first
                applier = self._applier(kafka, connection, thread)
                self._subscribe(kafka)
                self._loop(kafka, applier, heart, should_stop, caught_up)
        finally:
            if self.evolution:
                self.evolution.close()
            kafka.close()
            connection.close()

    def _applier(
        self, kafka: KafkaConsumer, connection: Connection, thread: Executor
    ) -> Applier | TransactionalApplier:
        applier = Applier(
            self.assignment, self.source, self.state, Writer(self.target, connection), self.progress, thread,
            most_set_aside=self.config.quarantine_rows, say=self._say,
        )  # fmt: skip
        if self.config.marks_topic is None:
            return applier
        return TransactionalApplier(
            applier, self.assignment, self.source, self.broker, kafka, tables=self.tables,
            marks_topic=self.config.marks_topic, most=self.config.batch_events, say=self._say,
        )  # fmt: skip

    def _subscribe(self, kafka: KafkaConsumer) -> None:
        kafka.subscribe(
            sorted({*self.tables, *filter(None, [self.config.heartbeat_topic, self.config.marks_topic])}),
            on_assign=self.assignment.assigned,
            on_revoke=lambda _, partitions: self.assignment.revoked(partitions),
        )

    def _loop(
        self,
        kafka: KafkaConsumer,
        applier: Applier | TransactionalApplier,
        heart: Heart,
        should_stop: threading.Event,
        caught_up: CaughtUp | None,
    ) -> None:
        next_check = next_reclaim = next_look = 0.0
        paused, reported, applied = False, time.monotonic(), self.progress.applied
        set_aside = self.progress.set_aside
        while not should_stop.is_set() and heart.desired is not Desired.STOPPED:
            if heart.lost:
                raise ConsumerAlreadyRuns(replication=self.config.name, run_id="(another)", age=0)
            paused = self._pause_or_resume(kafka, applier, heart, paused)
            messages, is_offset_lost = self._consume(kafka)
            self._apply(kafka, applier, messages)
            if is_offset_lost:
                self._settle(kafka, applier)
                self.assignment.stop_lost(kafka)
            now = time.monotonic()
            if self.evolution and (now >= next_look or self.progress.set_aside > set_aside):
                self._settle(kafka, applier)
                self._evolve(kafka, self.evolution)
                next_look, set_aside = now + LOOK_SECONDS, self.progress.set_aside
            if now >= next_reclaim:
                self._end_evolved(kafka, applier)
                if not paused:
                    self._notice_rewinds(kafka, applier)
                if self.assignment.waiting:
                    self._settle(kafka, applier)
                    applier.forget(self.assignment.reclaim(kafka))
                    self._tell_stopped(heart)
                next_reclaim = now + RECLAIM_SECONDS
            if now - reported >= PROGRESS_SECONDS:
                self.progress.events_per_second = (self.progress.applied - applied) / (now - reported)
                self.on_progress(self.progress)
                reported, applied = now, self.progress.applied
            if caught_up and now >= next_check:
                if caught_up(self._offsets()) and not (self.evolution and self.evolution.is_busy):
                    break
                next_check = now + CAUGHT_UP_SECONDS
        self._settle(kafka, applier)
        self.on_progress(self.progress)
        if caught_up and self.assignment.stopped:
            raise self._tables_stopped()

    def _offsets(self) -> dict[Partition, int]:
        """Where each partition stands; nothing is waited for in those of a table that cannot go on."""
        stored = self.state.offsets_of(self.tables)  # a re-sync may have rewound them, which is noticed later
        stopped = self.assignment.stopped
        return {key: sys.maxsize if key[0] in stopped else record.next_offset for key, record in stored.items()}

    def _tell_stopped(self, heart: Heart) -> None:
        """Raises TablesStopped where nothing is left to do."""
        stopped = self.assignment.stopped
        self.progress.stopped = {topic: str(error) for topic, error in stopped.items()}
        if stopped.keys() == self.tables.keys():
            raise self._tables_stopped()

    def _tables_stopped(self) -> TablesStopped:
        stopped = self.assignment.stopped
        reasons = "; ".join(f"{self.tables[topic]}: {error}" for topic, error in sorted(stopped.items()))
        return TablesStopped(count=len(stopped), reasons=reasons)

    def _pause_or_resume(
        self, kafka: KafkaConsumer, applier: Applier | TransactionalApplier, heart: Heart, paused: bool
    ) -> bool:
        wanted = heart.desired is Desired.PAUSED
        if wanted and not paused:
            self._settle(kafka, applier)
            applier.rest()
        if wanted or paused:  # each time: the group may just have given us others
            partitions = [TopicPartition(*key) for key in self.assignment.claimed]
            (kafka.pause if wanted else kafka.resume)(partitions)
        if wanted != paused:
            self._say("Paused" if wanted else "Resumed")
        if self.assignment.claimed or self.assignment.waiting:
            heart.tell(ConsumerState.PAUSED if wanted else ConsumerState.RUNNING)
        return wanted

    def _consume(self, kafka: KafkaConsumer) -> tuple[list[Message], bool]:
        """Messages, and whether an offset that we want is not there any more."""
        try:
            with self.progress.spending("poll"):
                messages = kafka.consume(self.config.batch_events, POLL_SECONDS)
        except KafkaException as error:
            raise self._unavailable(error.args[0]) from error
        errors = [error for message in messages if (error := message.error()) is not None]
        for error in errors:
            if error.code() != KafkaError._AUTO_OFFSET_RESET:
                raise self._unavailable(error)
        return [message for message in messages if message.error() is None] if errors else messages, bool(errors)

    def _unavailable(self, error: KafkaError) -> KafkaUnavailable:
        return KafkaUnavailable(servers=self.config.kafka.bootstrap_servers, reason=error.str())

    # -- tables that change in the source -----------------------------------------------------------------------

    def _evolve(self, kafka: KafkaConsumer, evolution: Evolution) -> None:
        """Have those of our tables copied again that have changed, and new ones copied if nobody leads us."""
        changes = evolution.look()
        self.selected = changes.selected
        topics = {table: topic for topic, table in self.tables.items()}
        ours = {topic for topic, _ in self.assignment.claimed}
        for table in sorted(changes.changed):
            if topics.get(table) in ours:
                evolution.begin(table)
        for table, error in changes.gone.items():
            if topics.get(table) in ours:
                self._say(str(error))
                self.assignment.stop(kafka, topics[table], error)
        if not self.join:
            self._keep_out({**evolution.failed(), **changes.refused}, changes.new | changes.refused.keys())
            for table in sorted(changes.new):
                evolution.begin(table, once=True)
        self._subscribe_to_new(kafka)

    def _keep_out(self, errors: Mapping[TableId, CdcPipelineError], new: Set[TableId]) -> None:
        """Tell which new tables are not taken up, and why; `status` tells it too."""
        kept_out = {str(table): str(errors[table]) for table in sorted(new & errors.keys())}
        if kept_out != self.kept_out:
            for table, reason in kept_out.items():
                self._say(f"{table} is not taken up: {reason}")
            self.state.set_kept_out(kept_out)
            self.kept_out = kept_out

    def _subscribe_to_new(self, kafka: KafkaConsumer) -> None:
        """Tables that were copied since we began, whoever did that."""
        copied = {table for table, record in self.state.table_records().items() if record.state in HAS_WATERMARK}
        new = {self.config.topic(table): table for table in copied & self.selected} if self.evolution else {}
        if not new.keys() <= self.tables.keys():
            self.tables.update(new)
            self._subscribe(kafka)

    def _end_evolved(self, kafka: KafkaConsumer, applier: Applier | TransactionalApplier) -> None:
        ended = self.evolution.ended() if self.evolution else {}
        if ended:
            self._settle(kafka, applier)
        for table, error in ended.items():
            topic = self.config.topic(table)
            is_ours = self.tables.get(topic) == table  # not another one that would share its topic
            if is_ours:
                self.assignment.held.discard(topic)
            if error is not None:
                self._say(f"{table} could not be copied: {error}")
                if is_ours:
                    self.assignment.stop(kafka, topic, error)
        if ended:
            self._subscribe_to_new(kafka)

    # -- batches ------------------------------------------------------------------------------------------------

    def _apply(
        self, kafka: KafkaConsumer, applier: Applier | TransactionalApplier, messages: Sequence[Message]
    ) -> None:
        """Have these written. Also without any: then the batch in flight is waited for."""
        topic = self.config.heartbeat_topic
        beats = [message for message in messages if message.topic() == topic]
        try:
            for batch in _batches(messages):
                self._written(kafka, applier.apply(batch))
            if beats or self.beats:
                self._written(kafka, applier.drain())
                self._note_heartbeats(applier, beats)
        except ConsumerFenced:  # also of the batches that are left: they come again
            self._fenced(kafka, applier)

    def _settle(self, kafka: KafkaConsumer, applier: Applier | TransactionalApplier) -> None:
        """Nothing is in flight behind this, and nothing that has been polled waits to be applied."""
        try:
            stopped = applier.drain()
        except ConsumerFenced:
            self._fenced(kafka, applier)
        else:
            self._written(kafka, stopped)

    def _written(self, kafka: KafkaConsumer, stopped: Mapping[str, CdcPipelineError]) -> None:
        """Some of what was handed over is stored, and these topics' tables cannot go on."""
        for topic, error in stopped.items():
            if self.evolution and self.evolution.copies and isinstance(error, ColumnsChanged):
                self._say(f"{error.message} It is synced again; the others go on.")
                self.assignment.hold(kafka, topic)
                self.evolution.begin(self.tables[topic])
            else:
                self._say(f"{self.tables[topic]} cannot go on, the others do: {error}")
                self.assignment.stop(kafka, topic, error)
        claimed, untold = self.assignment.claimed, self.assignment.untold
        offsets = [TopicPartition(*key, claimed[key].next_offset) for key in untold if key in claimed]
        untold.clear()
        if offsets:
            kafka.commit(offsets=offsets, asynchronous=True)

    def _note_heartbeats(self, applier: Applier | TransactionalApplier, beats: Sequence[Message]) -> None:
        """After the batch that they came with: should we die in between, the next one says the same, a little later."""
        beats = [*self.beats, *beats]
        come = [message for message in beats if applier.has_come(message)]
        self.beats = [message for message in beats if message not in come][-MOST_BEATS:]
        times = [beat for beat in (source_time(message.value()) for message in come) if beat is not None]
        if times:
            connection = applier.writer.connection
            with connection.begin():
                self.state.beat_seen(connection, max(times))

    def _notice_rewinds(self, kafka: KafkaConsumer, applier: Applier | TransactionalApplier) -> None:
        """A re-sync has rewound a topic: its new table lacks what was applied to the old one since. The next batch
        would be refused, but on a topic that is at rest there may never be one."""
        if self._is_rewound():
            self._settle(kafka, applier)  # by which the batch in flight may have told us
            if self._is_rewound():
                self._fenced(kafka, applier)

    def _is_rewound(self) -> bool:
        stored = self.state.offsets_of(self.tables)
        claimed = self.assignment.claimed
        return any(key in stored and stored[key].epoch != record.epoch for key, record in claimed.items())

    def _fenced(self, kafka: KafkaConsumer, applier: Applier | TransactionalApplier) -> None:
        """A batch was rolled back: a table is copied again, events were taken out of quarantine, another consumer has
        some of our partitions, or it has taken us for dead."""
        known = self.state.consumers_known()
        if self.run_id not in [record.run_id for record in known]:
            run_id, age = (known[0].run_id, known[0].age) if known else ("(unknown)", 0)
            raise ConsumerAlreadyRuns(replication=self.config.name, run_id=run_id, age=age)
        self.assignment.lose(kafka)
        applier.forget(self.assignment.reclaim(kafka))

    def _say(self, message: str) -> None:
        self.log.info("[%s] %s", self.config.connector_name, message)


def _batches(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    """In equal parts whose rows take about MOST_MEMORY at most; of none, none at once."""
    sizes = list(accumulate([_memory(len(message)) for message in messages], initial=0))
    total, first = sizes[-1], 0
    parts = total // MOST_MEMORY + 1
    for end in sorted({*(bisect_left(sizes, total * part / parts) for part in range(1, parts)), len(messages)}):
        yield messages[first:end]
        first = end


def _memory(size: int) -> int:
    """What becomes of an event of so many bytes takes about twenty times as many if its values are short, and three
    times where they are long (measured, of a hundred values and of one of a megabyte)."""
    return 20 * min(size, 2048) + 3 * size
