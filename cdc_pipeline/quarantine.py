"""Events that cannot be applied, set aside in the target: everything else goes on.

Later events of the same row wait here too, in their order, and those of the row that it becomes when its key changes:
all have the `row_key` of the first. They are put here, applied again or discarded in the transaction that says so of
their offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from cdc_pipeline.model import TableId
from cdc_pipeline.state import State

WAITS = "waits for an earlier event of this row"


@dataclass(frozen=True)
class SetAside:
    """One event. `key` and `value` are the message's, `moved_from` is the key that its row had before; `row_key` is the
    key of the first event for which this one waits, or its own."""

    topic: str
    partition: int
    offset: int
    table: TableId
    row_key: str
    key: str | None
    moved_from: str | None
    value: str | None
    error: str
    since: datetime | None = None


class Quarantine:
    """The events of one replication that are set aside."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.target = state.target
        self.table = state.quarantine

    def items(self, table: TableId | None = None, row_key: str | None = None) -> list[SetAside]:
        """Of all tables or one, of all rows or one; in the order of their topics."""
        with self.target.connect() as connection:
            return self._items(connection, table, row_key)

    def count(self) -> int:
        query = select(func.count()).where(self.table.c.replication == self.state.replication)
        with self.target.connect() as connection:
            return connection.execute(query).scalar_one()

    def _items(self, connection: Connection, table: TableId | None, row_key: str | None = None) -> list[SetAside]:
        columns = self.table.c
        query = select(self.table).where(columns.replication == self.state.replication)
        if table is not None:
            query = query.where(columns.source_schema == table.schema, columns.source_table == table.name)
        order = (columns.topic, columns.topic_partition, columns.event_offset)
        found = [
            SetAside(
                row.topic, row.topic_partition, row.event_offset, TableId(row.source_schema, row.source_table),
                row.row_key, row.event_key, row.moved_from, row.event, row.error or "", row.quarantined_at,
            )
            for row in connection.execute(query.order_by(*order))
        ]  # fmt: skip
        return [item for item in found if row_key in (None, item.row_key)]

    def of_table(self, connection: Connection, table: TableId) -> list[SetAside]:
        """In the caller's transaction, which holds the table's topic."""
        return self._items(connection, table)

    def waiting(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        """By topic: the keys of the rows whose events wait, each with the row key under which they do."""
        keys: dict[str, dict[str, str]] = {topic: {} for topic in topics}
        columns = self.table.c
        fields = (columns.topic, columns.row_key, columns.event_key, columns.moved_from)
        with self.target.connect() as connection:
            rows = connection.execute(select(*fields).where(columns.replication == self.state.replication)).all()
        for topic, row_key, *others in rows:
            for key in filter(None, (row_key, *others)):
                keys.setdefault(topic, {})[key] = row_key
        return keys

    def add(self, connection: Connection, items: Sequence[SetAside]) -> None:
        for item in items:
            values = {
                "replication": self.state.replication, "topic": item.topic, "topic_partition": item.partition,
                "event_offset": item.offset, "source_schema": item.table.schema, "source_table": item.table.name,
                "row_key": item.row_key, "event_key": item.key, "moved_from": item.moved_from, "event": item.value,
                "error": item.error, "quarantined_at": func.now(),
            }  # fmt: skip
            connection.execute(insert(self.table).values(**values))

    def remove(self, connection: Connection, items: Iterable[SetAside]) -> None:
        for item in items:
            connection.execute(delete(self.table).where(*self._is(item)))

    def explain(self, connection: Connection, item: SetAside, error: str) -> None:
        connection.execute(update(self.table).where(*self._is(item)).values(error=error))

    def clear(self, connection: Connection, topic: str) -> None:
        """The table was emptied: nothing that was to happen before matters."""
        is_topic = (self.table.c.replication == self.state.replication, self.table.c.topic == topic)
        connection.execute(delete(self.table).where(*is_topic))

    def _is(self, item: SetAside) -> Iterable[Any]:
        columns = self.table.c
        return (
            columns.replication == self.state.replication,
            columns.topic == item.topic,
            columns.topic_partition == item.partition,
            columns.event_offset == item.offset,
        )
