"""How far each topic has been applied, and who may move it on: an epoch that has been raised fences all others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

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
        table = self.offsets
        query = select(table).where(table.c.replication == self.replication)
        if topics is not None:
            query = query.where(table.c.topic.in_(sorted(topics)))
        if lock:
            query = query.order_by(table.c.topic, table.c.topic_partition).with_for_update(skip_locked=skip_locked)
        records = [OffsetRecord(*row[1:]) for row in connection.execute(query)]
        return {(record.topic, record.partition): record for record in records}

    def rewind(self, connection: Connection, topic: str, offsets: Mapping[int, int]) -> None:
        """Set where the stream of a table begins, and fence whoever consumes it now. Makes missing rows. Whatever came
        before, the events from there on are new to the table; and those set aside are in its copy."""
        known = self._offsets(connection, [topic], lock=True)
        for partition, offset in offsets.items():
            record = known.get((topic, partition))
            self._write_offset(connection, topic, partition, offset, (record.epoch if record else 0) + 1, None, record)
        connection.execute(update(self.offsets).where(*self._is_topic(self.offsets, topic)).values(trail=None))
        connection.execute(delete(self.quarantine).where(*self._is_topic(self.quarantine, topic)))

    def fence(self, connection: Connection, topic: str) -> None:
        """Whoever consumes this topic now cannot commit any more until it claims it anew, and sees what has changed."""
        table = self.offsets
        values = {"epoch": table.c.epoch + 1, "owner": None}
        connection.execute(update(table).where(*self._is_topic(table, topic)).values(**values))

    def lock_topic(self, connection: Connection, topic: str) -> None:
        """Hold a table's topic until the caller's transaction ends: one copy of a table at a time. Whoever locks both
        locks this first and the table's row second."""
        self._offsets(connection, [topic], lock=True)

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
        table = self.offsets
        values = {"next_offset": offset, "epoch": epoch, "owner": owner}
        if known is None:
            key = {"replication": self.replication, "topic": topic, "topic_partition": partition}
            counts = {"inserted": 0, "updated": 0, "deleted": 0}
            connection.execute(insert(table).values(**key, **values, **counts))
        else:
            connection.execute(update(table).where(*self._is_partition(topic, partition)).values(**values))

    def advance(self, connection: Connection, claimed: OffsetRecord, moved: OffsetRecord) -> None:
        """Move one partition on, in the transaction of its rows. Raises ConsumerFenced if somebody else claimed it
        or moved it since: then nothing of this transaction may be committed."""
        table = self.offsets
        changed = connection.execute(
            update(table)
            .where(
                *self._is_partition(claimed.topic, claimed.partition),
                table.c.epoch == claimed.epoch,
                table.c.next_offset == claimed.next_offset,
            )
            .values(
                next_offset=moved.next_offset,
                source_time=moved.source_time,
                inserted=moved.inserted,
                updated=moved.updated,
                deleted=moved.deleted,
                trail=moved.trail,
            )
        ).rowcount
        if changed != 1:
            raise ConsumerFenced(topic=claimed.topic, partition=claimed.partition)

    def _is_topic(self, table: Table, topic: str) -> Iterable[Any]:
        return table.c.replication == self.replication, table.c.topic == topic

    def _is_partition(self, topic: str, partition: int) -> Iterable[Any]:
        columns = self.offsets.c
        return (
            columns.replication == self.replication,
            columns.topic == topic,
            columns.topic_partition == partition,
        )
