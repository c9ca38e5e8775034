"""Which partitions a consumer has: assigned by the group, claimed in the target.

An assigned partition is claimed if its table can be streamed. Else it waits, paused: its table is being copied, or has
stopped, or another consumer has just claimed it (a rebalance decides that soon). Waiting ones are tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import OFFSET_END, TopicPartition
from confluent_kafka import Consumer as KafkaConsumer

from cdc_pipeline.apply.batch import BatchBuilder
from cdc_pipeline.apply.decode import Decoder
from cdc_pipeline.apply.drift import drifted, missing_in
from cdc_pipeline.databases.source import Source
from cdc_pipeline.errors import CdcPipelineError, ConsumerFenced, OffsetLost
from cdc_pipeline.kafka import Broker
from cdc_pipeline.model import TableId, Watermark
from cdc_pipeline.quarantine import Quarantine
from cdc_pipeline.state import OffsetRecord, State, TableRecord
from cdc_pipeline.swaps import settle_abandoned

Partition = tuple[str, int]


@dataclass
class TableStream:
    """One topic's table while it is consumed."""

    record: TableRecord
    watermark: Watermark
    builder: BatchBuilder
    waiting: dict[str, str]  # rows whose events are set aside, and under which key (Quarantine.waiting)

    def __post_init__(self) -> None:
        self.decoder = Decoder(self.builder.images.in_order)


class Assignment:
    """The partitions of one consumer, and the tables that they stream into."""

    def __init__(
        self,
        source: Source,
        state: State,
        broker: Broker,
        run_id: str,
        tables: Mapping[str, TableId],
        *,
        unavailable: str,
        salt: str,
        ignores_changes: bool = False,
        marks_topic: str | None = None,
    ) -> None:
        """With `ignores_changes` a table's events may have other columns than were copied (drift.py). `marks_topic` is
        where the source's transactions begin and end, if they are applied whole; claimed like a table's topic."""
        self.source = source
        self.state = state
        self.broker = broker
        self.run_id = run_id
        self.tables = tables
        self.unavailable = unavailable
        self.salt = salt
        self.marks_topic = marks_topic
        self.marks: OffsetRecord | None = None
        self.before_rebalance: Callable[[], None] = lambda: None
        self.ignores_changes = ignores_changes
        self.quarantine = Quarantine(state)
        self.claimed: dict[Partition, OffsetRecord] = {}
        self.untold: set[Partition] = set()  # those that have moved since the group was told in Kafka
        self.waiting: set[Partition] = set()
        self.fenced: set[Partition] = set()  # those of them that somebody else claimed, or a copy took
        self.streams: dict[str, TableStream] = {}
        self.held: set[str] = set()  # topics that wait for a copy of ours, which their stream cannot do without
        self.stopped: dict[str, CdcPipelineError] = {}  # tables of ours that cannot go on, by topic

    # -- what the group decides, called while it is polled ------------------------------------------------------

    def assigned(self, kafka: KafkaConsumer, partitions: list[TopicPartition]) -> None:
        """Begin each where the target says; of heartbeats only those to come count. Whoever had them before is past
        them, whether it knows or not."""
        self.before_rebalance()
        keys = [(p.topic, p.partition) for p in partitions if p.topic in self.tables]
        self.fenced -= set(keys)
        self._claim(keys)
        for partition in partitions:
            record = self.claimed.get((partition.topic, partition.partition))
            partition.offset = record.next_offset if record else 0
            if partition.topic == self.marks_topic:
                partition.offset = self._claim_marks(partition.topic).next_offset
            elif partition.topic not in self.tables:
                partition.offset = OFFSET_END
        kafka.assign(partitions)
        if self.waiting:
            kafka.pause([TopicPartition(*key) for key in self.waiting])

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        """Also if they are lost: whoever has them now has claimed them, so no batch of ours can commit any more."""
        self.before_rebalance()
        for partition in partitions:
            key = (partition.topic, partition.partition)
            if key[0] == self.marks_topic:
                self.marks = None
            self.claimed.pop(key, None)
            self.waiting.discard(key)
            self.fenced.discard(key)

    def _claim_marks(self, topic: str) -> OffsetRecord:
        """Marks that Kafka has deleted already keep no change from being applied, only from coming with others."""
        key = (topic, 0)
        beginning, end = self.broker.beginnings([topic]).get(key, 0), self.broker.ends([topic]).get(key, 0)
        self.marks = self.state.claim_marks(self.run_id, topic, beginning, end)
        return self.marks

    def record(self, key: Partition) -> OffsetRecord:
        """What is claimed of a partition. Raises ConsumerFenced if it is not ours any more."""
        record = self.marks if key[0] == self.marks_topic else self.claimed.get(key)
        if record is None:
            raise ConsumerFenced(topic=key[0], partition=key[1])
        return record

    def move(self, moved: Mapping[Partition, OffsetRecord]) -> None:
        """Offsets that are stored."""
        self.untold.update(moved)
        for key, record in moved.items():
            if key[0] == self.marks_topic:
                self.marks = record
            else:
                self.claimed[key] = record

    # -- what the target decides --------------------------------------------------------------------------------

    def reclaim(self, kafka: KafkaConsumer) -> list[str]:
        """Take up what waits and can be had; but nothing that another consumer took which lives: if the group has given
        it that, we hear of it soon. Returns the topics; their tables may have another shape now."""
        wanted = {key for key in self.waiting if key[0] not in self.held}
        taken = self._claim(sorted(wanted - self.fenced))
        if self.fenced:
            others = {record.run_id for record in self.state.consumers_known() if record.is_alive} - {self.run_id}
            taken += self._claim(sorted(wanted & self.fenced), leave=others)
        for topic, partition in taken:
            kafka.resume([TopicPartition(topic, partition)])
            kafka.seek(TopicPartition(topic, partition, self.claimed[topic, partition].next_offset))
        return sorted({topic for topic, _ in taken})

    def lose(self, kafka: KafkaConsumer) -> None:
        """A batch was fenced, and nothing tells by whom: all have to be claimed anew."""
        self.fenced.update(self.claimed)
        self._let_go(kafka, self.tables)
        if self.marks_topic is not None and self.marks is not None:
            kafka.seek(TopicPartition(self.marks_topic, 0, self._claim_marks(self.marks_topic).next_offset))

    def _let_go(self, kafka: KafkaConsumer, topics: Iterable[str]) -> None:
        partitions = [key for key in self.claimed if key[0] in set(topics)]
        kafka.pause([TopicPartition(*key) for key in partitions])
        for key in partitions:
            del self.claimed[key]
        self.waiting.update(partitions)

    def stop(self, kafka: KafkaConsumer, topic: str, error: CdcPipelineError) -> None:
        """The table of this topic cannot go on; the others do."""
        self._remember_stop(topic, error)
        self._let_go(kafka, [topic])

    def hold(self, kafka: KafkaConsumer, topic: str) -> None:
        """Nothing of this topic until `held` has it no more."""
        self.held.add(topic)
        self._let_go(kafka, [topic])

    def _remember_stop(self, topic: str, error: CdcPipelineError) -> None:
        self.stopped[topic] = error
        self.state.fail_table(self.tables[topic], str(error))

    def _claim(self, partitions: Sequence[Partition], leave: Iterable[str] = ()) -> list[Partition]:
        settle_abandoned(self.state, self.tables.values())
        claimed, records = self.state.claim(self.run_id, partitions, self.tables, leave=set(leave))
        for topic, error in {**self._drifted(claimed, records), **self._lost(claimed)}.items():
            self._remember_stop(topic, error)
            claimed = {key: record for key, record in claimed.items() if key[0] != topic}
        topics = {topic for topic, _ in claimed}
        rows = self.quarantine.waiting(topics) if topics else {}
        for topic in topics:
            self.streams[topic] = self._stream(topic, records[topic], rows[topic])
            self.stopped.pop(topic, None)
        self.claimed.update(claimed)
        self.waiting = (self.waiting | set(partitions)) - claimed.keys()
        self.fenced -= claimed.keys()
        return sorted(claimed)

    def _stream(self, topic: str, record: TableRecord, rows: dict[str, str]) -> TableStream:
        if record.shape is None or record.watermark is None:
            raise ConsumerFenced(topic=topic, partition=0)
        watermark = self.source.watermark(record.watermark)
        missing = missing_in(self.state.target, record.target) if self.ignores_changes else None
        return TableStream(record, watermark, BatchBuilder(record.shape, self.unavailable, self.salt, missing), rows)

    def _drifted(self, claimed: Iterable[Partition], records: Mapping[str, TableRecord]) -> dict[str, CdcPipelineError]:
        """Topics whose events cannot be read as those of the table that was copied."""
        tables = {topic: self.tables[topic] for topic, _ in claimed} if self.ignores_changes else {}
        now = self.source.shapes(sorted(tables.values())) if tables else {}
        found: dict[str, CdcPipelineError] = {}
        for topic, table in tables.items():
            copied = records[topic].shape
            error = drifted(copied, now[table]) if copied and table in now else None
            if error:
                found[topic] = error
        return found

    def _lost(self, claimed: Mapping[Partition, OffsetRecord]) -> dict[str, OffsetLost]:
        """Topics whose offset Kafka does not have."""
        topics = {topic for topic, _ in claimed}
        if not topics:
            return {}
        beginnings, ends = self.broker.beginnings(topics), self.broker.ends(topics)
        lost: dict[str, OffsetLost] = {}
        for key, record in claimed.items():
            (topic, partition), beginning, end = key, beginnings.get(key, 0), ends.get(key, 0)
            if not beginning <= record.next_offset <= end:
                lost[topic] = OffsetLost(
                    topic=topic, partition=partition, offset=record.next_offset, beginning=beginning, end=end
                )
        return lost

    def stop_lost(self, kafka: KafkaConsumer) -> None:
        """Kafka says that an offset is not there any more: find whose."""
        for topic, error in self._lost(self.claimed).items():
            self.stop(kafka, topic, error)
