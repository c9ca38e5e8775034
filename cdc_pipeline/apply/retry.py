"""Events that were set aside, applied again in their order: row by row, as many of each as go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection

from cdc_pipeline.apply.batch import BatchBuilder
from cdc_pipeline.apply.decode import MOVED_FROM, decode
from cdc_pipeline.apply.drift import missing_in
from cdc_pipeline.databases.target import Target, Writer
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.model import TableId
from cdc_pipeline.quarantine import WAITS, Quarantine, SetAside
from cdc_pipeline.state import State, TableRecord


@dataclass
class Retried:
    """How many events were applied, and how many stay."""

    applied: int = 0
    left: int = 0


class Retrier:
    """Works beside a running consumer: it holds the table's topic, so no batch commits meanwhile, and the consumer
    learns behind it (State.fence) which rows do not wait any more."""

    def __init__(
        self, target: Target, state: State, *, unavailable: str, salt: str, ignores_changes: bool = False
    ) -> None:
        self.target = target
        self.state = state
        self.unavailable = unavailable
        self.salt = salt
        self.ignores_changes = ignores_changes
        self.quarantine = Quarantine(state)

    def retry(self, items: Sequence[SetAside]) -> Retried:
        """Apply what of these rows is set aside by now. What fails again stays, with its newest error."""
        done = Retried()
        records = self.state.table_records()
        for table, chosen in _by_table(items):
            self._retry_table(records[table], {item.row_key for item in chosen}, chosen[0].topic, done)
        return done

    def _retry_table(self, record: TableRecord, rows: set[str], topic: str, done: Retried) -> None:
        shape = record.shape
        if shape is None:
            done.left += len(rows)  # it is being copied for the first time, which makes them void
            return
        missing = missing_in(self.target, record.target) if self.ignores_changes else None
        with self.target.connect() as connection:
            writer = Writer(self.target, connection)
            writer.prepare(record.target, shape)
            with connection.begin():
                self.state.lock_topic(connection, topic)
                waiting = [item for item in self.quarantine.of_table(connection, record.source) if item.row_key in rows]
                for _, of_row in groupby(sorted(waiting, key=_order), key=lambda item: item.row_key):
                    builder = BatchBuilder(shape, self.unavailable, self.salt, missing)
                    self._retry_row(connection, writer, record.target, builder, list(of_row), done)
                self.state.fence(connection, topic)

    def _retry_row(
        self, connection: Connection, writer: Writer, table: TableId, builder: BatchBuilder, items: Sequence[SetAside],
        done: Retried,
    ) -> None:  # fmt: skip
        """One event after the other, each in a savepoint, until one fails."""
        for number, item in enumerate(items):
            savepoint = connection.begin_nested()
            try:
                moved = [(MOVED_FROM, item.moved_from)] if item.moved_from else []
                event = decode(item.topic, item.partition, item.offset, _bytes(item.key), _bytes(item.value), moved)
                if event is not None:
                    builder.add(event)
                    writer.apply(table, builder.build())
            except CdcPipelineError as error:
                if error.retryable:
                    raise
                savepoint.rollback()
                self.quarantine.explain(connection, item, str(error))
                done.left += len(items) - number
                return
            savepoint.commit()
            builder.reset()
            self.quarantine.remove(connection, [item])
            done.applied += 1

    def discard(self, items: Sequence[SetAside]) -> int:
        """Forget these events: their rows stay as they are. Later events of a row are applied again only when none of
        the row is left."""
        for _, chosen in _by_table(items):
            with self.target.connect() as connection:
                self.state.lock_topic(connection, chosen[0].topic)
                self.quarantine.remove(connection, chosen)
                self.state.fence(connection, chosen[0].topic)
                connection.commit()
        return len(items)


def _by_table(items: Iterable[SetAside]) -> list[tuple[TableId, list[SetAside]]]:
    ordered = sorted(items, key=lambda item: (item.table, item.partition, item.offset))
    return [(table, list(chosen)) for table, chosen in groupby(ordered, key=lambda item: item.table)]


def _order(item: SetAside) -> tuple[str, int, int]:
    return item.row_key, item.partition, item.offset


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def causes(items: Iterable[SetAside]) -> list[SetAside]:
    """Without those that only wait for another."""
    return [item for item in items if item.error != WAITS]
