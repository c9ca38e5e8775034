"""Rows that differ, mended: each gets what the source has now, through the same writer as the stream's.

The table's topic is locked first, and the source is read behind that. So what is read is never older than what the
stream has applied; what it has yet to apply of these rows comes in its order and ends with what was read, or with
something newer. Rows without a key have no such end: what was read of them, the stream would add once more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO
from itertools import islice

from sqlalchemy import Connection

from cdc_pipeline.choices import DELETED_AT
from cdc_pipeline.databases import copy_text
from cdc_pipeline.databases.key_ranges import Key, KeySet, among
from cdc_pipeline.databases.source import Source
from cdc_pipeline.databases.target import Target, Writer
from cdc_pipeline.model import Replicated, Row, RowBatch, TableShape
from cdc_pipeline.state import State

AT_A_TIME = 500  # keys; while they are mended, the stream of their table waits


class Repairer:
    """Works beside a running consumer, and without one."""

    def __init__(self, source: Source, target: Target, state: State) -> None:
        self.source = source
        self.target = target
        self.state = state

    @staticmethod
    def obstacle(shape: TableShape) -> str:
        """Why rows of this table cannot be mended one by one; empty if they can."""
        return "" if shape.key else "it has no primary key"

    def mend(self, table: Replicated, shape: TableShape, in_source: Mapping[Key, bool]) -> int:
        """Make the rows with these keys as the source has them; whether it has them, the caller has just seen. Returns
        how many. Those that the target has too much go first: they may hold what is unique."""
        extra = sorted(key for key, is_there in in_source.items() if not is_there)
        for keys in [*_parts(extra), *_parts(sorted(key for key, is_there in in_source.items() if is_there))]:
            with self.target.connect() as connection:
                writer = Writer(self.target, connection)
                writer.prepare(table.target, shape)
                with connection.begin():
                    self.state.lock_topic(connection, table.topic)
                    self._mend(connection, writer, table, shape, keys)
        return len(in_source)

    def _mend(
        self, connection: Connection, writer: Writer, table: Replicated, shape: TableShape, keys: Sequence[Key]
    ) -> None:
        """All of them are in the source, or none: where one has come or gone since, it is looked for by halves."""
        rows = self._read(shape, keys)
        if not rows:
            connection.exec_driver_sql(self._removal(table, shape, keys))
        elif len(rows) == len(keys):
            writer.apply(table.target, RowBatch(shape, rows=rows))
        else:
            middle = len(keys) // 2
            self._mend(connection, writer, table, shape, keys[:middle])
            self._mend(connection, writer, table, shape, keys[middle:])

    def _read(self, shape: TableShape, keys: Sequence[Key]) -> list[Row]:
        file = BytesIO()
        with self.source.snapshot(shape) as reader:
            reader.copy_to(shape, file, KeySet(tuple(keys)))
        file.seek(0)
        return [tuple(row) for row in copy_text.parse(file)]

    def _removal(self, table: Replicated, shape: TableShape, keys: Collection[Key]) -> str:
        dialect = self.target.dialect
        name = dialect.table(table.target)
        condition = among(dialect, [(column.name, column.canonical) for column in shape.key_columns], keys)
        if not shape.choices.soft_delete:
            return f"DELETE FROM {name} WHERE {condition}"
        deleted_at = dialect.quote(DELETED_AT)
        type = next(column.canonical for column in shape.columns if column.name == DELETED_AT)
        now = dialect.literal(datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"), type)
        return f"UPDATE {name} SET {deleted_at} = {now} WHERE {deleted_at} IS NULL AND {condition}"


def _parts(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    left = iter(keys)
    while part := list(islice(left, AT_A_TIME)):
        yield part
