"""What a database must offer to be a target: the bulk load and the merge."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from sqlalchemy import Connection

from cdc_pipeline.choices import DELETED_AT
from cdc_pipeline.databases import copy_text
from cdc_pipeline.databases.database import Database
from cdc_pipeline.databases.refusal import value_refused
from cdc_pipeline.databases.replacer import Replacer
from cdc_pipeline.errors import LoadRefused, StatementFailed, TargetChanged
from cdc_pipeline.model import Check, Column, ColumnType, Kind, Row, RowBatch, TableId, TableShape

STAGE_GROUP = "_cdc_group"  # which part of a batch a staged row belongs to
STAGE_ORIGIN = "_cdc_origin_"  # with the number of a key's column: the key that a moved row had before
DELETED, WHOLE, FIRST_PARTIAL = 0, 1, 2
TRUNCATED = -1  # where deletes are soft: only tables with a key have that, and others the negative groups
GROUP_TYPE = ColumnType(Kind.INTEGER, 32)


class Target(Database):
    """A database that is kept equal.

    Everything that changes rows takes a Connection in the caller's transaction: the caller moves offsets and
    watermarks in the same one, and nothing here commits. `load` is called for a copy (once per table, or per key
    range) and for every batch of events; `Writer.apply` once per table and batch.
    """

    state_schema: str | None  # where the state tables live: a schema of their own,
    state_prefix: str  # or a prefix beside the data
    stage_prefix = "_cdc_stage_"  # of the names of a session's staging tables

    @abstractmethod
    def target_checks(self, tables: Sequence[TableId]) -> list[Check]:
        """Whether this login may do what a target asks for."""

    def prepare_state(self) -> None:
        """Make room for the state tables. Harmless if it is there."""

    @abstractmethod
    def load(
        self, connection: Connection, table: TableId, columns: Sequence[tuple[str, ColumnType]], file: BinaryIO
    ) -> int:
        """Bulk load COPY text; returns how many rows. `columns` are the target's names, with the canonical types of
        what is in the file, which is read once, from where it stands."""

    @abstractmethod
    def load_method(self) -> str:
        """How `load` does it, and why, for people."""

    @property
    @abstractmethod
    def replacer(self) -> Replacer:
        """How a table of it is replaced while others read it."""

    @abstractmethod
    def truncate(self, connection: Connection, table: TableId) -> None:
        """Empty a table, in the caller's transaction."""

    def is_duplicate(self, error: StatementFailed) -> bool:
        """Whether a statement failed because a unique index has the value already."""
        return False

    @abstractmethod
    def create_stage(self, connection: Connection, stage: str, table: TableId, columns: Mapping[str, Column]) -> None:
        """A session's temporary table with columns like these of the table (nullable, no keys), by the names that they
        have there, and STAGE_GROUP."""

    @abstractmethod
    def delete_join(self, table: TableId, stage: str, condition: str) -> str:
        """DELETE FROM table `t` the rows for which a row of the stage `s` meets the condition."""

    @abstractmethod
    def update_join(self, table: TableId, stage: str, names: Sequence[str], condition: str) -> str:
        """UPDATE table `t` SET these columns from the stage `s`."""

    @abstractmethod
    def insert_whole(self, connection: Connection, table: TableId, stage: str, shape: TableShape) -> None:
        """Put the stage's WHOLE rows in place of whatever has their key."""


class Writer:
    """Applies batches to the tables of one target through one connection."""

    def __init__(self, target: Target, connection: Connection) -> None:
        self.target = target
        self.connection = connection
        self.stages: dict[TableId, str] = {}
        self.sequences: dict[TableId, dict[str, str]] = {}
        self.numbers: dict[TableId, int] = {}

    def prepare(self, table: TableId, shape: TableShape) -> None:
        """Make the session's staging table. Call outside a transaction; commits."""
        if table in self.stages:
            return
        current = self.target.shape(table)
        declared = {column.name: column for column in current.columns} if current else {}
        missing = ", ".join(name for name in shape.names if name not in declared)
        if missing:
            raise TargetChanged(target=table, problem=f"it lacks {missing}" if current else "it is gone")
        stage = f"{self.target.stage_prefix}{self.numbers.setdefault(table, len(self.numbers))}"
        columns = {name: declared[name] for name in shape.names}
        columns |= {origin: declared[name] for origin, name in _origins(shape).items()}
        self.target.create_stage(self.connection, stage, table, columns)
        numbers = [column.name for column in shape.columns if column.canonical.kind is Kind.INTEGER]
        self.sequences[table] = self.target.definer.sequences(self.connection, table, numbers)
        self.connection.commit()
        self.stages[table] = stage

    def forget(self, table: TableId) -> None:
        """The table may have another shape now: its stage is made anew when it is needed."""
        self.stages.pop(table, None)

    def apply(self, table: TableId, batch: RowBatch) -> int:
        """Make the batch's net effect so. Returns how many rows that should have been removed were not there
        (tables without a key only)."""
        shape, stage = batch.shape, self.stages[table]
        if batch.truncate:
            self.target.truncate(self.connection, table)
        staged = self._stage(table, stage, batch)
        if not staged:
            return 0
        missing = self._apply_keyed(table, stage, batch) if shape.key else self._apply_keyless(table, stage, batch)
        self._advance_sequences(table, batch)
        self._run(f"DELETE FROM {self.target.dialect.quote(stage)}")
        return missing

    def _stage(self, table: TableId, stage: str, batch: RowBatch) -> bool:
        """Load the whole batch into the staging table, each row with the group it belongs to."""
        names = batch.shape.names
        rows: list[Row] = [(str(WHOLE), *row) for row in batch.rows]
        rows += [(str(DELETED), *_spread(batch.shape.key, key, names)) for key in batch.deletes]
        for group, (partial_names, partial_rows) in enumerate(batch.partials.items(), FIRST_PARTIAL):
            rows += [(str(group), *_spread(partial_names, row, names)) for row in partial_rows]
        rows += [(str(-number), *row) for number, row in enumerate(batch.removed, 1)]
        if batch.truncated_at:
            rows.append((str(TRUNCATED), *_spread((DELETED_AT,), (batch.truncated_at,), names)))
        if rows:
            columns = [(STAGE_GROUP, GROUP_TYPE), *((c.name, c.canonical) for c in batch.shape.columns)]
            if batch.moved:
                types = dict(columns)
                columns += [(origin, types[name]) for origin, name in _origins(batch.shape).items()]
                rows = list(_with_origins(batch, rows))
            try:
                self.target.load(self.connection, TableId("", stage), columns, copy_text.as_file(rows))
            except LoadRefused as error:
                row = rows[int(str(error.fields["row"])) - 1]
                raise value_refused(error, table, batch.shape, [name for name, _ in columns], row) from error
        return bool(rows)

    def _apply_keyed(self, table: TableId, stage: str, batch: RowBatch) -> int:
        """Rows that change in part go last. Where one of them gives up a value of a unique index that another row of
        the batch takes, that is too late: then all are completed from the table and put in place together."""
        target = self.target
        if batch.moved:
            self._complete_moved(table, stage, batch)
        if batch.truncated_at:
            quote = target.dialect.quote
            condition = f"t.{quote(DELETED_AT)} IS NULL AND s.{quote(STAGE_GROUP)} = {TRUNCATED}"
            self._run(target.update_join(table, stage, [DELETED_AT], condition))
        if batch.deletes:
            condition = f"{self._same_key(batch)} AND s.{target.dialect.quote(STAGE_GROUP)} = {DELETED}"
            self._run(target.delete_join(table, stage, condition))
        if not batch.partials:
            self._insert_whole(table, stage, batch.shape, some=bool(batch.rows))
            return 0
        savepoint = self.connection.begin_nested()
        try:
            self._insert_whole(table, stage, batch.shape, some=bool(batch.rows or batch.moved))
            self._update_partials(table, stage, batch)
        except StatementFailed as error:
            if not target.is_duplicate(error):
                raise
            savepoint.rollback()
            for statement in self._completed_partials(table, stage, batch):
                self._run(statement)
            target.insert_whole(self.connection, table, stage, batch.shape)
        else:
            savepoint.commit()
        return 0

    def _same_key(self, batch: RowBatch) -> str:
        quote = self.target.dialect.quote
        return " AND ".join(f"t.{quote(name)} = s.{quote(name)}" for name in batch.shape.key)

    def _insert_whole(self, table: TableId, stage: str, shape: TableShape, *, some: bool) -> None:
        if some:
            self.target.insert_whole(self.connection, table, stage, shape)

    def _complete_moved(self, table: TableId, stage: str, batch: RowBatch) -> None:
        """Make whole rows of partial ones that had another key before, while the table still has that key. One that
        is not there has moved already (its event came again), and changes in part what has its key now. One that is
        marked is none: before this batch marks anything, so that the old row counts which the batch itself marks."""
        quote, there = self.target.dialect.quote, self.target.dialect.table(table)
        staged = quote(stage)
        origin = " AND ".join(f"t.{quote(name)} = {staged}.{quote(o)}" for o, name in _origins(batch.shape).items())
        if batch.shape.choices.soft_delete:
            origin += f" AND t.{quote(DELETED_AT)} IS NULL"
        for number, names in enumerate(batch.partials, FIRST_PARTIAL):
            missing = [quote(name) for name in batch.shape.names if name not in names]
            values = [f"{name} = (SELECT t.{name} FROM {there} t WHERE {origin})" for name in missing]
            self._run(
                f"UPDATE {staged} SET {', '.join([*values, f'{quote(STAGE_GROUP)} = {WHOLE}'])} "
                f"WHERE {staged}.{quote(STAGE_GROUP)} = {number} AND EXISTS (SELECT 1 FROM {there} t WHERE {origin})"
            )

    def _update_partials(self, table: TableId, stage: str, batch: RowBatch) -> None:
        group = f"s.{self.target.dialect.quote(STAGE_GROUP)}"
        for number, names in enumerate(batch.partials, FIRST_PARTIAL):
            changed = [name for name in names if name not in batch.shape.key]
            if changed:
                condition = f"{self._same_key(batch)} AND {group} = {number}{self._unmarked(batch)}"
                self._run(self.target.update_join(table, stage, changed, condition))

    def _unmarked(self, batch: RowBatch, stage: str = "s") -> str:
        """Where deletes are soft: but for the rows that were marked before. Those that this batch's TRUNCATE has just
        marked are still to get what the batch changed in them before it: of two marks the earlier one holds."""
        if not batch.shape.choices.soft_delete:
            return ""
        deleted_at = self.target.dialect.quote(DELETED_AT)
        return f" AND (t.{deleted_at} IS NULL OR t.{deleted_at} >= {stage}.{deleted_at})"

    def _completed_partials(self, table: TableId, stage: str, batch: RowBatch) -> Iterator[str]:
        """Statements that make whole rows of the stage's partial ones; a row that the table lacks stays away."""
        quote, there = self.target.dialect.quote, self.target.dialect.table(table)
        staged, group = quote(stage), quote(STAGE_GROUP)
        same_key = " AND ".join(f"t.{quote(name)} = {staged}.{quote(name)}" for name in batch.shape.key)
        for number, names in enumerate(batch.partials, FIRST_PARTIAL):
            is_partial = f"{staged}.{group} = {number}"
            same = same_key + self._unmarked(batch, staged)
            yield f"DELETE FROM {staged} WHERE {is_partial} AND NOT EXISTS (SELECT 1 FROM {there} t WHERE {same})"
            missing = [quote(name) for name in batch.shape.names if name not in names]
            values = [f"{name} = (SELECT t.{name} FROM {there} t WHERE {same_key})" for name in missing]
            yield f"UPDATE {staged} SET {', '.join([*values, f'{group} = {WHOLE}'])} WHERE {is_partial}"

    def _advance_sequences(self, table: TableId, batch: RowBatch) -> None:
        """Rows come with their numbers, which moves no sequence: after a fail-over it would begin where they are."""
        for column, sequence in self.sequences[table].items():
            place = batch.shape.names.index(column)
            numbers = [int(row[place] or 0) for row in batch.rows]
            for names, rows in batch.partials.items():
                numbers += [int(row[names.index(column)] or 0) for row in rows if column in names]
            if numbers:
                self.target.definer.advance(self.connection, sequence, max(numbers))

    def _apply_keyless(self, table: TableId, stage: str, batch: RowBatch) -> int:
        """Rows are matched by content. All equal rows are taken away at once, and those of them that shall stay
        are put back: no database but PostgreSQL could delete just n of several equal rows by a join."""
        missing = self._remove_by_content(table, stage, batch) if batch.removed else 0
        if batch.rows:
            self._run(self._insert_group(table, stage, batch.shape, WHOLE))
        return missing

    def _remove_by_content(self, table: TableId, stage: str, batch: RowBatch) -> int:
        dialect, shape = self.target.dialect, batch.shape
        columns = [(column.name, column.canonical) for column in shape.columns]
        group = f"s.{dialect.quote(STAGE_GROUP)}"
        same = f"{dialect.row_hash(columns, 't.')} = {dialect.row_hash(columns, 's.')} AND {group} < 0"
        found = {
            -int(number): int(count)
            for number, count in self.connection.exec_driver_sql(
                f"SELECT {group}, count(*) FROM {dialect.table(table)} t, {dialect.quote(stage)} s "
                f"WHERE {same} GROUP BY {group}"
            )
        }
        self._run(self.target.delete_join(table, stage, same))
        missing = 0
        for number, count in enumerate(batch.removed.values(), 1):
            stay = found.get(number, 0) - count
            for _ in range(stay):
                self._run(self._insert_group(table, stage, shape, -number))
            missing += max(0, -stay)
        return missing

    def _insert_group(self, table: TableId, stage: str, shape: TableShape, group: int) -> str:
        dialect = self.target.dialect
        names = dialect.columns(shape.names)
        return (
            f"INSERT INTO {dialect.table(table)} ({names}) SELECT {names} FROM {dialect.quote(stage)} "
            f"WHERE {dialect.quote(STAGE_GROUP)} = {group}"
        )

    def _run(self, sql: str) -> None:
        self.connection.exec_driver_sql(sql)


def _origins(shape: TableShape) -> dict[str, str]:
    """The stage's columns for the key that a row had before, with the key's own."""
    return {f"{STAGE_ORIGIN}{number}": name for number, name in enumerate(shape.key)}


def _with_origins(batch: RowBatch, rows: Sequence[Row]) -> Iterator[Row]:
    """Staged rows, each with the key that it had before, if it is one that moved."""
    places = [1 + batch.shape.names.index(name) for name in batch.shape.key]
    nowhere = (None,) * len(places)
    for row in rows:
        is_partial = int(row[0] or 0) >= FIRST_PARTIAL
        yield (*row, *(batch.moved.get(tuple(row[place] for place in places), nowhere) if is_partial else nowhere))


def _spread(names: Sequence[str], row: Row, all_names: Sequence[str]) -> Row:
    """A row of some columns as a row of all, NULL elsewhere."""
    values = dict(zip(names, row, strict=True))
    return tuple(values.get(name) for name in all_names)
