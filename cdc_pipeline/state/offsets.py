"""How far each topic has been applied, and who may move it on: an epoch that has been raised fences all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

from sqlalchemy import Connection, Delete, Select, Update, bindparam, delete, insert, select, update

from cdc_pipeline.errors import ConsumerFenced
from cdc_pipeline.state.records import OffsetRecord
from cdc_pipeline.state.schema import StateTables


class Offsets(StateTables):
    def offsets_of(self, topics: Iterable[str] | None = None) -> dict[tuple[str, int], OffsetRecord]:
        with self.target.connect() as connection:
            return self._offsets(connection, topics)

    def _offsets(
        self,
        connection: Connection,
        topics: Iterable[str] | None,
        *,
        lock: bool = False,
        skip_locked: bool = False,
    ) -> dict[tuple[str, int], OffsetRecord]:
        query, values = self._all_offsets, {}
        if topics is not None:
            query, values = self._offsets_of_topics, {"of_topics": sorted(topics)}
        if lock:
            columns = self.offsets.c
            query = query.order_by(columns.topic, columns.topic_partition).with_for_update(skip_locked=skip_locked)
        records = [OffsetRecord(*row[1:]) for row in connection.execute(query, values)]
        return {(record.topic, record.partition): record for record in records}

    def rewind(self, connection: Connection, topic: str, offsets: Mapping[int, int]) -> None:
        """Set where the stream of a table begins, and fence whoever consumes it now. Makes missing rows. Whatever came
        before, the events from there on are new to the table; and those set aside are in its copy."""
        known = self._offsets(connection, [topic], lock=True)
        for partition, offset in offsets.items():
            record = known.get((topic, partition))
            self._write_offset(connection, topic, partition, offset, (record.epoch if record else 0) + 1, None, record)
        connection.execute(self._change_topic, {"of_topic": topic, "trail": None})
        connection.execute(self._let_go, {"of_topic": topic})

    def fence(self, connection: Connection, topic: str) -> None:
        """Whoever consumes this topic now cannot commit any more until it claims it anew, and sees what has changed."""
        connection.execute(self._fence_topic, {"of_topic": topic})

    def lock_topic(self, connection: Connection, topic: str) -> None:
        """Hold a table's topic until the caller's transaction ends: one copy of a table at a time. Whoever locks both
        locks this first and the table's row second."""
        connection.execute(self._locked_topic, {"of_topic": topic}).all()

    def claim_marks(self, owner: str, topic: str, beginning: int, end: int) -> OffsetRecord:
        """Become the one consumer of a topic that is no table's and has one partition, which goes on where it stands,
        between what Kafka still has of it and its end."""
        key = (topic, 0)
        with self.target.connect() as connection:
            known = self._offsets(connection, [topic], lock=True).get(key)
            offset = known.next_offset if known and beginning <= known.next_offset <= end else beginning
            self._write_offset(connection, topic, 0, offset, (known.epoch if known else 0) + 1, owner, known)
            claimed = self._offsets(connection, [topic])[key]
            connection.commit()
        return claimed

    def _write_offset(
        self, connection: Connection, topic: str, partition: int, offset: int, epoch: int, owner: str | None,
        known: OffsetRecord | None,
    ) -> None:  # fmt: skip
        values = {"next_offset": offset, "epoch": epoch, "owner": owner}
        if known is None:
            key = {"replication": self.replication, "topic": topic, "topic_partition": partition}
            counts = {"inserted": 0, "updated": 0, "deleted": 0}
            connection.execute(insert(self.offsets).values(**key, **values, **counts))
        else:
            key = {"of_topic": topic, "of_topic_partition": partition}
            connection.execute(self._change_partition, key | values)

    def advance(self, connection: Connection, claimed: OffsetRecord, moved: OffsetRecord) -> None:
        """Move one partition on, in the transaction of its rows. Raises ConsumerFenced if somebody else claimed it
        or moved it since: then nothing of this transaction may be committed."""
        place = {
            "of_topic": claimed.topic, "of_topic_partition": claimed.partition,
            "of_epoch": claimed.epoch, "of_next_offset": claimed.next_offset,
        }  # fmt: skip
        values = {
            "next_offset": moved.next_offset, "source_time": moved.source_time, "trail": moved.trail,
            "inserted": moved.inserted, "updated": moved.updated, "deleted": moved.deleted,
        }  # fmt: skip
        if connection.execute(self._advance, place | values).rowcount != 1:
            raise ConsumerFenced(topic=claimed.topic, partition=claimed.partition)

    # -- statements -----------------------------------------------------------------------------------------------

    @cached_property
    def _all_offsets(self) -> Select:
        return select(self.offsets).where(*self._where(self.offsets))

    @cached_property
    def _offsets_of_topics(self) -> Select:
        return self._all_offsets.where(self.offsets.c.topic.in_(bindparam("of_topics", expanding=True)))

    @cached_property
    def _locked_topic(self) -> Select:
        columns = self.offsets.c
        query = select(columns.topic_partition).where(*self._where(self.offsets, "topic"))
        return query.order_by(columns.topic_partition).with_for_update()

    @cached_property
    def _change_topic(self) -> Update:
        """Of these statements, what is changed comes with the key."""
        return update(self.offsets).where(*self._where(self.offsets, "topic"))

    @cached_property
    def _fence_topic(self) -> Update:
        return self._change_topic.values(epoch=self.offsets.c.epoch + 1, owner=None)

    @cached_property
    def _change_partition(self) -> Update:
        return update(self.offsets).where(*self._where(self.offsets, "topic", "topic_partition"))

    @cached_property
    def _advance(self) -> Update:
        return update(self.offsets).where(
            *self._where(self.offsets, "topic", "topic_partition", "epoch", "next_offset")
        )

    @cached_property
    def _let_go(self) -> Delete:
        return delete(self.quarantine).where(*self._where(self.quarantine, "topic"))
