"""Who has a table and its topic: the copy that takes them or the consumer that claims them, and never both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection

from cdc_pipeline.model import TableId
from cdc_pipeline.state.records import HAS_WATERMARK, OffsetRecord, TableRecord, TableState
from cdc_pipeline.state.tables import Lifecycle


class Claims(Lifecycle):
    def take_for_copy(self, connection: Connection, source: TableId, topic: str) -> None:
        """A table is in copy from here on: whoever consumes its topic now cannot commit any more until it claims it
        anew. Waits for a copy, or a consumer's claim, that is under way."""
        self.lock_topic(connection, topic)
        self.move_table(connection, source, TableState.COPYING)
        self.fence(connection, topic)

    def claim(
        self,
        owner: str,
        partitions: Iterable[tuple[str, int]],
        tables: Mapping[str, TableId],
        *,
        leave: Collection[str] = (),
    ) -> tuple[dict[tuple[str, int], OffsetRecord], dict[str, TableRecord]]:
        """Become the one consumer of these partitions, but of none that one of the owners in `leave` has: raises each
        one's epoch, commits.

        `tables` maps topics to source tables. A partition whose table is in copy, is just being replaced, or was never
        copied, is not claimed: its row is locked first, as a copy does before it fences, so neither can slip past the
        other; one that a copy holds is passed over. Returns the claimed offsets, and the records of their tables by
        topic.
        """
        with self.target.connect() as connection:
            there = self._offsets(connection, tables)
            known = self._offsets(connection, tables, lock=True, skip_locked=True)
            records = self._records(connection, lock=True)
            ready = {
                topic: records[table]
                for topic, table in tables.items()
                if table in records and records[table].state in HAS_WATERMARK and not records[table].swap
            }
            held = there.keys() - known.keys()
            left = {key for key, record in known.items() if record.owner in leave}
            wanted = sorted(key for key in partitions if key[0] in ready and key not in held | left)
            for topic, partition in wanted:
                record = known.get((topic, partition))
                epoch, offset = (record.epoch + 1, record.next_offset) if record else (1, 0)
                self._write_offset(connection, topic, partition, offset, epoch, owner, record)
            for topic in {topic for topic, _ in wanted}:
                if ready[topic].state is TableState.COPIED:
                    self.move_table(connection, tables[topic], TableState.STREAMING)
            claimed = self._offsets(connection, ready)
            connection.commit()
        return {key: claimed[key] for key in wanted}, ready
