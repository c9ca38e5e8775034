"""A snapshot's rows into a table that does not serve yet: in one transaction, or a large table's in ranges of its key.

In ranges, rows are committed while the copy goes on. State COPYING says that they are nobody's yet, and a note in the
state which ranges are there: should this copy be killed, the next one goes on with them, or empties the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from cdc_pipeline.copying.ranges import Cutting, Note, RangedTransfer
from cdc_pipeline.copying.transfer import OnRows, Transferred, transfer
from cdc_pipeline.databases.key_ranges import KeyRange, is_same_order, within
from cdc_pipeline.databases.source import Snapshot, Source
from cdc_pipeline.databases.target import Target
from cdc_pipeline.model import Replicated, TableShape
from cdc_pipeline.state import State, TableRecord, TableState


@dataclass
class Load:
    """Of one table, while its copy is held (`swaps.alone`) and its topic fenced. `ends` are those of the topic, from
    before the snapshot."""

    source: Source
    target: Target
    state: State
    say: Callable[[str], None]
    table: Replicated
    shape: TableShape
    ends: Mapping[int, int]
    cutting: Cutting

    def run(self, record: TableRecord, source_rows: int, target_rows: int, on_rows: OnRows) -> tuple[Transferred, str]:
        """Leaves the table LOADED. Returns what was copied, and the watermark. Rows that others may be reading are
        replaced in one transaction."""
        left = Note.of(record)
        if self.cutting.applies(source_rows, self.shape) and (left or not target_rows):
            return self._in_ranges(left, source_rows, target_rows, on_rows)
        return self._whole(on_rows)

    def _whole(self, on_rows: OnRows) -> tuple[Transferred, str]:
        began, table = time.monotonic(), self.table
        with self.source.snapshot(self.shape) as snapshot, self.target.connect() as connection:
            self.state.lock_topic(connection, table.topic)
            self._empty(connection)
            done = transfer(snapshot, self.shape, self.target, connection, table.target, on_rows)
            watermark = snapshot.watermark.to_text()
            self._loaded(connection, watermark, self.ends, done, time.monotonic() - began)
        return done, watermark

    def _in_ranges(
        self, left: Note | None, source_rows: int, target_rows: int, on_rows: OnRows
    ) -> tuple[Transferred, str]:
        began = time.monotonic()
        with self.source.snapshots(self.shape, self.cutting.readers) as readers:
            note = Note(readers[0].watermark.to_text(), self.shape.to_json(), str(self.table.target), self.ends)
            changed = self._take_up(note, left, readers, target_rows) if left else None
            self._begin(note, changed)
            ranged = self._ranged(note)
            done = ranged.run(readers, self.cutting, source_rows, on_rows)
        with self.target.connect() as connection:
            self.state.lock_topic(connection, self.table.topic)
            ranged.require_ours(connection)
            self._loaded(connection, note.watermark, note.ends, done, time.monotonic() - began)
        return done, note.watermark

    def _ranged(self, note: Note) -> RangedTransfer:
        return RangedTransfer(self.source, self.target, self.state, self.say, self.shape, self.table.target, note)

    def _take_up(
        self, note: Note, left: Note, readers: Sequence[Snapshot], target_rows: int
    ) -> Sequence[KeyRange] | None:
        """Note what can be proven to be what this snapshot holds. Returns the ranges that are to be removed, or None
        if all that is there is."""
        changed, why = [], self._why_again(left, note, target_rows)
        if not why and left.watermark != note.watermark:
            self.say(f"{self.table.source}: a copy was killed; reads again what it had, to see what is still the same")
            changed = self._ranged(left).prove(readers)
            if changed and not is_same_order(self.shape):
                why = f"{len(changed)} ranges have changed, and a text has another place in the target's order"
        if why:
            self.say(f"{self.table.source}: a copy that was killed cannot go on, and starts again: {why}")
            return None
        note.cuts = left.cuts
        note.done = {number: done for number, done in left.done.items() if number not in changed}
        again = f", {len(changed)} have changed and are copied again" if changed else ""
        there = f"{len(note.done)} ranges with {note.total.rows} rows are there{again}"
        self.say(f"{self.table.source}: goes on with a copy that was killed: {there}")
        return [note.range(number) for number in changed]

    def _why_again(self, left: Note, now: Note, target_rows: int) -> str:
        if left.shape != now.shape:
            return "the source table, or what is replicated of it, has changed"
        if left.total.rows != target_rows:
            return f"{self.table.target} has {target_rows} rows, and {left.total.rows} were copied"
        return ""

    def _begin(self, note: Note, changed: Sequence[KeyRange] | None) -> None:
        with self.target.connect() as connection:
            self.state.lock_topic(connection, self.table.topic)
            if changed is None:
                self._empty(connection)
            for keys in changed or ():
                condition = within(self.target.dialect, self.shape.key_columns, keys)
                where = f" WHERE {condition}" if condition else ""
                connection.exec_driver_sql(f"DELETE FROM {self.target.dialect.table(self.table.target)}{where}")
            self.state.move_table(
                connection, self.table.source, TableState.COPYING, watermark=None, shape=None, copying=note.to_text()
            )
            connection.commit()

    def _empty(self, connection: Connection) -> None:
        if not self.target.is_empty(connection, self.table.target):  # counted before the consumer let go
            self.target.truncate(connection, self.table.target)

    def _loaded(
        self, connection: Connection, watermark: str, ends: Mapping[int, int], done: Transferred, seconds: float
    ) -> None:
        """Commits."""
        table = self.table
        self.state.move_table(
            connection, table.source, TableState.LOADED, watermark=watermark, shape=self.shape.to_json(), copying=None,
            rows_copied=done.rows, bytes_copied=done.bytes, seconds=seconds, phases=done.phases,
            target_schema=table.target.schema, target_table=table.target.name,
        )  # fmt: skip
        self.state.rewind(connection, table.topic, ends)
        connection.commit()
