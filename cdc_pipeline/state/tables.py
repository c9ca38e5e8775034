"""The life of each table: which state may follow which, its watermark, and the one copy that it may have at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Select, Update, func, insert, select, update

from cdc_pipeline.errors import IllegalTransition
from cdc_pipeline.model import TableId, TableShape
from cdc_pipeline.state.offsets import Offsets
from cdc_pipeline.state.records import HAS_WATERMARK, TableRecord, TableState

LEGAL = {
    TableState.PENDING: {TableState.COPYING, TableState.COPIED},
    TableState.COPYING: {TableState.COPYING, TableState.RESYNCING, TableState.LOADED, TableState.COPIED,
                         TableState.FAILED},
    TableState.LOADED: {TableState.LOADED, TableState.COPYING, TableState.COPIED, TableState.FAILED},
    TableState.COPIED: {TableState.COPIED, TableState.COPYING, TableState.LOADED, TableState.STREAMING,
                        TableState.RESYNCING, TableState.FAILED},
    TableState.STREAMING: {TableState.STREAMING, TableState.COPYING, TableState.RESYNCING, TableState.LOADED,
                           TableState.COPIED, TableState.FAILED},
    TableState.RESYNCING: {TableState.RESYNCING, TableState.COPYING, TableState.LOADED, TableState.COPIED,
                           TableState.STREAMING, TableState.FAILED},
    TableState.FAILED: {TableState.FAILED, TableState.COPYING, TableState.RESYNCING, TableState.LOADED,
                        TableState.COPIED, TableState.STREAMING},
}  # fmt: skip

_KEY = ("source_schema", "source_table")


class Lifecycle(Offsets):
    def table_records(self) -> dict[TableId, TableRecord]:
        with self.target.connect() as connection:
            return self._records(connection)

    def table_record(self, source: TableId) -> TableRecord:
        """Of one table that is known."""
        with self.target.connect() as connection:
            return _record(connection.execute(self._one_table, _of(source)).one())

    def _records(self, connection: Connection, *, lock: bool = False) -> dict[TableId, TableRecord]:
        query = select(self.tables).where(self.tables.c.replication == self.replication)
        if lock:
            query = query.order_by(self.tables.c.source_schema, self.tables.c.source_table).with_for_update()
        records = [_record(row) for row in connection.execute(query)]
        return {record.source: record for record in records}

    def add_table(self, source: TableId, target: TableId, topic: str) -> None:
        """Remember a table as PENDING, and its topic's first partition, unless they are known."""
        values = {
            "replication": self.replication,
            "source_schema": source.schema,
            "source_table": source.name,
            "target_schema": target.schema,
            "target_table": target.name,
            "state": TableState.PENDING,
            "rows_copied": 0,
            "bytes_copied": 0,
            "seconds": 0.0,
            "changed_at": func.now(),
        }
        with self.target.connect() as connection:
            if connection.execute(self._one_table, _of(source)).one_or_none() is None:
                connection.execute(insert(self.tables).values(values))
            if connection.execute(self._one_copy, _of(source)).one_or_none() is None:
                key = ("replication", "source_schema", "source_table")
                connection.execute(insert(self.copies).values({name: values[name] for name in key}))
            if not self._offsets(connection, [topic]):
                self._write_offset(connection, topic, 0, 0, 0, None, None)
            connection.commit()

    def move_table(
        self, connection: Connection, source: TableId, state: TableState, *,
        phases: Mapping[str, float] | None = None, **fields: Any,
    ) -> None:  # fmt: skip
        """One legal transition, in the caller's transaction. Raises IllegalTransition."""
        before = self._state_of(connection, source)
        if state not in LEGAL[before]:
            raise IllegalTransition(table=source, before=before, after=state)
        values = {"state": state, "error": None, **fields}
        if phases is not None:
            values["phases"] = json.dumps(dict(phases))
        connection.execute(self._move_table, _of(source) | values)

    def fail_table(self, source: TableId, error: str) -> None:
        """The stream cannot go on with this table, and waits until `wake_failed` or a copy (or for the one that runs).
        What it holds, its watermark and its offset stay as they are."""
        with self.target.connect() as connection:
            if self._state_of(connection, source) in HAS_WATERMARK:
                self.move_table(connection, source, TableState.FAILED, error=error)
            connection.commit()

    def wake_failed(self) -> None:
        """Tables that have stopped are tried again from where they stand, if it is known what they hold."""
        with self.target.connect() as connection:
            for record in self._records(connection, lock=True).values():
                if record.state is TableState.FAILED and record.watermark and record.shape:
                    self.move_table(connection, record.source, TableState.STREAMING)
            connection.commit()

    def _state_of(self, connection: Connection, source: TableId) -> TableState:
        return TableState(connection.execute(self._locked_state, _of(source)).scalar_one())

    def hold(self, connection: Connection, source: TableId) -> bool:
        """Become the one copy of this table until the caller's transaction ends, however it ends. False if another one
        is at it. Nothing else waits for this lock."""
        return connection.execute(self._free_copy, _of(source)).one_or_none() is not None

    def is_loaded(self, connection: Connection, source: TableId, watermark: str) -> bool:
        """Whether a copy with this watermark waits for its indexes. Does not lock the table's row: they take long, and
        every consumer's claim locks all of the rows."""
        row = connection.execute(self._one_table, _of(source)).one()
        return (row.state, row.watermark) == (TableState.LOADED, watermark)

    def copying_of(self, connection: Connection, source: TableId) -> str:
        """What a copy in ranges has noted, locked until the caller's transaction ends."""
        return connection.execute(self._one_table.with_for_update(), _of(source)).one().copying or ""

    def note_copying(self, connection: Connection, source: TableId, copying: str) -> None:
        connection.execute(self._change_table, _of(source) | {"copying": copying})

    def swap_of(self, connection: Connection, source: TableId) -> str:
        return connection.execute(self._one_table, _of(source)).one().swap or ""

    def note_swap(self, connection: Connection, source: TableId, swap: str | None) -> None:
        connection.execute(self._change_table, _of(source) | {"swap": swap})

    def note_error(self, connection: Connection, source: TableId, error: str) -> None:
        """Of a copy that has failed and harmed nothing: the table is consumed as before."""
        state = self._state_of(connection, source)
        # Not COPIED: the consumer's next claim would forget the error.
        kept = TableState.STREAMING if state is TableState.RESYNCING else state
        self.move_table(connection, source, kept, error=error)

    # -- statements -----------------------------------------------------------------------------------------------

    @cached_property
    def _one_table(self) -> Select:
        return select(self.tables).where(*self._where(self.tables, *_KEY))

    @cached_property
    def _locked_state(self) -> Select:
        return select(self.tables.c.state).where(*self._where(self.tables, *_KEY)).with_for_update()

    @cached_property
    def _change_table(self) -> Update:
        """What is changed comes with the key."""
        return update(self.tables).where(*self._where(self.tables, *_KEY))

    @cached_property
    def _move_table(self) -> Update:
        return self._change_table.values(changed_at=func.now())

    @cached_property
    def _one_copy(self) -> Select:
        return select(self.copies).where(*self._where(self.copies, *_KEY))

    @cached_property
    def _free_copy(self) -> Select:
        return self._one_copy.with_for_update(skip_locked=True)


def _of(source: TableId) -> dict[str, Any]:
    return {"of_source_schema": source.schema, "of_source_table": source.name}


def _record(row: Any) -> TableRecord:
    return TableRecord(
        source=TableId(row.source_schema, row.source_table),
        target=TableId(row.target_schema, row.target_table),
        state=TableState(row.state),
        watermark=row.watermark,
        shape=TableShape.from_json(row.shape) if row.shape else None,
        rows=row.rows_copied,
        bytes=row.bytes_copied,
        seconds=row.seconds,
        error=row.error or "",
        copying=row.copying or "",
        phases=json.loads(row.phases) if row.phases else {},
        swap=row.swap or "",
    )
