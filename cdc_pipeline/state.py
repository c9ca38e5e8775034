"""What is remembered, in the target database: lifecycle, watermarks, offsets, the consumer's lease.

Everything that says how a replication stands is read from here (and from Connect and Kafka), never from a
process's memory. Rows, offsets and fencing epochs move in one transaction: the functions that take a Connection run
in the caller's.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Double,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable, ExecutableDDLElement
from sqlalchemy.sql.compiler import DDLCompiler

from cdc_pipeline.databases.target import Target
from cdc_pipeline.errors import ConsumerFenced, IllegalTransition, StatementFailed
from cdc_pipeline.model import TableId, TableShape

VERSION = 1
LEASE_SECONDS = 30  # a consumer whose heartbeat is older than this is taken for dead


class TableState(StrEnum):
    """The life of one table. Stored at each change; stored progress never moves back but by a new copy."""

    PENDING = "PENDING"  # step 1 has seen it; nothing is copied
    COPYING = "COPYING"  # a copy runs, or was killed: what the target holds is nobody's
    LOADED = "LOADED"  # rows and watermark are in place, indexes are not yet; the next copy goes on with them
    COPIED = "COPIED"  # rows, watermark and indexes are in place
    STREAMING = "STREAMING"  # the consumer has taken it over
    RESYNCING = "RESYNCING"  # copied again beside itself, or was when that was killed; the consumer goes on with it
    FAILED = "FAILED"  # see its last error


_LEGAL = {
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
HAS_WATERMARK = {TableState.COPIED, TableState.STREAMING, TableState.RESYNCING}
IN_COPY = {TableState.COPYING, TableState.LOADED}


class ConsumerState(StrEnum):
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


ACTIVE = {ConsumerState.STARTING, ConsumerState.RUNNING, ConsumerState.RETRYING, ConsumerState.PAUSED}


class Desired(StrEnum):
    """What the owner wants of the stream."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


@dataclass(frozen=True)
class TableRecord:
    source: TableId
    target: TableId
    state: TableState
    watermark: str | None
    shape: TableShape | None
    rows: int
    bytes: int
    seconds: float
    error: str
    swap: str = ""  # what is about to take the table's place (swaps.py); nobody may consume it until that is settled


@dataclass(frozen=True)
class OffsetRecord:
    topic: str
    partition: int
    next_offset: int
    epoch: int
    owner: str | None
    source_time: float | None  # seconds since 1970, of the last event applied
    inserted: int
    updated: int
    deleted: int
    trail: str | None = None  # how far the topic has come in the source's own order (model.Trail)


@dataclass(frozen=True)
class ConsumerRecord:
    run_id: str
    group: str
    state: ConsumerState
    host: str
    pid: int
    started_at: datetime
    age: float  # seconds since the last heartbeat, by the database's clock
    attempt: int
    error: str
    joined: bool = False  # it shares the work of another one, and ends without anybody launching it again

    @property
    def is_alive(self) -> bool:
        return self.state in ACTIVE and self.age < LEASE_SECONDS

    def is_alive_seen_from(self, host: str) -> bool:
        """On its own host a consumer whose process is gone is dead at once."""
        return self.is_alive and (self.host != host or _process_exists(self.pid))


class _AddColumn(ExecutableDDLElement):
    """ALTER TABLE … ADD, in whichever database."""

    def __init__(self, column: Column) -> None:
        self.column = column


@compiles(_AddColumn)
def _add_column(element: _AddColumn, compiler: DDLCompiler, **_: Any) -> str:
    table = compiler.preparer.format_table(element.column.table)
    return f"ALTER TABLE {table} ADD {compiler.get_column_specification(element.column)}"


_LONG = Text().with_variant(LONGTEXT(), "mysql", "mariadb")


class State:
    """The state tables of one replication."""

    def __init__(self, target: Target, replication: str) -> None:
        self.target = target
        self.replication = replication
        metadata = MetaData(schema=target.state_schema)

        def table(name: str, *columns: Column) -> Table:
            key = Column("replication", String(100), primary_key=True)
            return Table(target.state_prefix + name, metadata, key, *columns)

        def name(label: str, length: int = 200, *, key: bool = True) -> Column:
            return Column(label, String(length), primary_key=key)

        self.metadata = metadata
        self.replications = table(
            "replications",
            Column("version", Integer, nullable=False),
            Column("desired", String(20), nullable=False),
            Column("start_position", _LONG),
            Column("captured_tables", _LONG),
        )
        self.tables = table(
            "tables",
            name("source_schema", 130),
            name("source_table", 130),
            Column("target_schema", String(130), nullable=False),
            Column("target_table", String(130), nullable=False),
            Column("state", String(20), nullable=False),
            Column("watermark", _LONG),
            Column("shape", _LONG),
            Column("rows_copied", BigInteger, nullable=False),
            Column("bytes_copied", BigInteger, nullable=False),
            Column("seconds", Float, nullable=False),
            Column("error", _LONG),
            Column("changed_at", DateTime, nullable=False),
            Column("swap", _LONG),
        )
        # One row for each table, for nothing but to be locked: by its copy, from beginning to end.
        self.copies = table("copies", name("source_schema", 130), name("source_table", 130))
        self.offsets = table(
            "offsets",
            name("topic", 250),
            Column("topic_partition", Integer, primary_key=True, autoincrement=False),
            Column("next_offset", BigInteger, nullable=False),
            Column("epoch", BigInteger, nullable=False),
            Column("owner", String(100)),
            Column("source_time", Double),
            Column("inserted", BigInteger, nullable=False),
            Column("updated", BigInteger, nullable=False),
            Column("deleted", BigInteger, nullable=False),
            Column("trail", _LONG),
        )
        self.quarantine = table(
            "quarantine",
            name("topic", 250),
            Column("topic_partition", Integer, primary_key=True, autoincrement=False),
            Column("event_offset", BigInteger, primary_key=True, autoincrement=False),
            name("source_schema", 130, key=False),
            name("source_table", 130, key=False),
            Column("row_key", _LONG, nullable=False),
            Column("event_key", _LONG),
            Column("moved_from", _LONG),
            Column("event", _LONG),
            Column("error", _LONG),
            Column("quarantined_at", DateTime, nullable=False),
        )
        self.consumers = table(
            "consumer_runs",
            name("run_id", 100),
            Column("joined", Integer, nullable=False),
            Column("consumer_group", String(250), nullable=False),
            Column("state", String(20), nullable=False),
            Column("host", String(250), nullable=False),
            Column("pid", Integer, nullable=False),
            Column("started_at", DateTime, nullable=False),
            Column("heartbeat", DateTime, nullable=False),
            Column("attempt", Integer, nullable=False),
            Column("error", _LONG),
        )

        self.heartbeats = table(
            "heartbeats",
            Column("source_time", Double),
            Column("applied_at", DateTime),
        )

    # -- making and removing ------------------------------------------------------------------------------------

    def create(self) -> None:
        """Make the tables and this replication's row. Harmless if they are there."""
        self.target.prepare_state()
        self._make_tables()
        with self.target.connect() as connection:
            if self._replication(connection) is None:
                row = {"replication": self.replication, "version": VERSION, "desired": Desired.RUNNING}
                connection.execute(insert(self.replications).values(row))
            if connection.execute(select(self.heartbeats).where(self._is_ours)).one_or_none() is None:
                connection.execute(insert(self.heartbeats).values(replication=self.replication))
            connection.commit()

    def _make_tables(self) -> None:
        """Those that are missing, and the columns that those of an earlier version lack. Rows are there already, so
        such a column may be NULL."""
        with self.target.connect() as connection:
            for table in self.metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
            connection.commit()
            for column in self._missing_columns():
                try:
                    connection.execute(_AddColumn(column))
                except StatementFailed:
                    connection.rollback()
                    if column in self._missing_columns():  # else another process has just added it
                        raise
                connection.commit()

    def _missing_columns(self) -> list[Column]:
        there = self._there()
        return [
            column
            for table in self.metadata.sorted_tables
            for column in table.columns
            if column.name not in there.get(table.name, ())
        ]

    def _there(self) -> dict[str, set[str]]:
        """The columns of those state tables that exist, in lower case: Oracle has them in capitals."""
        schema = self.target.state_schema or self.target.default_schema
        shapes = self.target.shapes([TableId(schema, table.name) for table in self.metadata.sorted_tables])
        return {table.name: {name.lower() for name in shape.names} for table, shape in shapes.items()}

    def exists(self) -> bool:
        """Whether there are state tables. Whoever asks may read them: those of an earlier version are completed."""
        there = self._there()
        if self.replications.name not in there:
            return False
        if any(set(table.columns.keys()) - there.get(table.name, set()) for table in self.metadata.sorted_tables):
            self._make_tables()
        return True

    def forget(self) -> None:
        """Delete everything that is remembered of this replication."""
        with self.target.connect() as connection:
            for table in self.metadata.sorted_tables:
                connection.execute(delete(table).where(table.c.replication == self.replication))
            connection.commit()

    # -- the replication ----------------------------------------------------------------------------------------

    def _replication(self, connection: Connection) -> Any:
        table = self.replications
        return connection.execute(select(table).where(table.c.replication == self.replication)).one_or_none()

    @property
    def start_position(self) -> str | None:
        return self._read("start_position")

    @property
    def captured_tables(self) -> list[str]:
        return [table for table in (self._read("captured_tables") or "").split("\n") if table]

    @property
    def desired(self) -> Desired:
        return Desired(self._read("desired") or Desired.RUNNING)

    def _read(self, field: str) -> Any:
        with self.target.connect() as connection:
            row = self._replication(connection)
            return None if row is None else getattr(row, field)

    def set(self, **fields: str | None) -> None:
        table = self.replications
        with self.target.connect() as connection:
            connection.execute(update(table).where(table.c.replication == self.replication).values(**fields))
            connection.commit()

    # -- tables -------------------------------------------------------------------------------------------------

    def table_records(self) -> dict[TableId, TableRecord]:
        with self.target.connect() as connection:
            return self._records(connection)

    def _records(self, connection: Connection, *, lock: bool = False) -> dict[TableId, TableRecord]:
        query = select(self.tables).where(self.tables.c.replication == self.replication)
        if lock:
            query = query.order_by(self.tables.c.source_schema, self.tables.c.source_table).with_for_update()
        rows = connection.execute(query).all()
        records = [
            TableRecord(
                source=TableId(row.source_schema, row.source_table),
                target=TableId(row.target_schema, row.target_table),
                state=TableState(row.state),
                watermark=row.watermark,
                shape=TableShape.from_json(row.shape) if row.shape else None,
                rows=row.rows_copied,
                bytes=row.bytes_copied,
                seconds=row.seconds,
                error=row.error or "",
                swap=row.swap or "",
            )
            for row in rows
        ]
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
            if connection.execute(select(self.tables.c.state).where(*self._is(source))).one_or_none() is None:
                connection.execute(insert(self.tables).values(values))
            if connection.execute(select(self.copies).where(*self._is(source, self.copies))).one_or_none() is None:
                key = ("replication", "source_schema", "source_table")
                connection.execute(insert(self.copies).values({name: values[name] for name in key}))
            if not self._offsets(connection, [topic]):
                self._write_offset(connection, topic, 0, 0, 0, None, None)
            connection.commit()

    def move_table(self, connection: Connection, source: TableId, state: TableState, **fields: Any) -> None:
        """One legal transition, in the caller's transaction. Raises IllegalTransition."""
        before = self._state_of(connection, source)
        if state not in _LEGAL[before]:
            raise IllegalTransition(table=source, before=before, after=state)
        values = {"state": state, "error": None, "changed_at": func.now(), **fields}
        connection.execute(update(self.tables).where(*self._is(source)).values(**values))

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
        query = select(self.tables.c.state).where(*self._is(source)).with_for_update()
        return TableState(connection.execute(query).scalar_one())

    def hold(self, connection: Connection, source: TableId) -> bool:
        """Become the one copy of this table until the caller's transaction ends, however it ends. False if another one
        is at it. Nothing else waits for this lock."""
        row = select(self.copies).where(*self._is(source, self.copies)).with_for_update(skip_locked=True)
        return connection.execute(row).one_or_none() is not None

    def swap_of(self, connection: Connection, source: TableId) -> str:
        return connection.execute(select(self.tables.c.swap).where(*self._is(source))).scalar_one() or ""

    def note_swap(self, connection: Connection, source: TableId, swap: str | None) -> None:
        connection.execute(update(self.tables).where(*self._is(source)).values(swap=swap))

    def note_error(self, connection: Connection, source: TableId, error: str) -> None:
        """Of a copy that has failed and harmed nothing: the table is consumed as before."""
        state = self._state_of(connection, source)
        # Not COPIED: the consumer's next claim would forget the error.
        kept = TableState.STREAMING if state is TableState.RESYNCING else state
        self.move_table(connection, source, kept, error=error)

    def _is(self, source: TableId, table: Table | None = None) -> Iterable[Any]:
        columns = (self.tables if table is None else table).c
        return (
            columns.replication == self.replication,
            columns.source_schema == source.schema,
            columns.source_table == source.name,
        )

    # -- offsets ------------------------------------------------------------------------------------------------

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

    def _is_topic(self, table: Table, topic: str) -> Iterable[Any]:
        return table.c.replication == self.replication, table.c.topic == topic

    def lock_topic(self, connection: Connection, topic: str) -> None:
        """Hold a table's topic until the caller's transaction ends: one copy of a table at a time. Whoever locks both
        locks this first and the table's row second."""
        self._offsets(connection, [topic], lock=True)

    def is_loaded(self, connection: Connection, source: TableId, watermark: str) -> bool:
        """Whether a copy with this watermark waits for its indexes. Does not lock the table's row: they take long, and
        every consumer's claim locks all of the rows."""
        query = select(self.tables.c.state, self.tables.c.watermark).where(*self._is(source))
        return tuple(connection.execute(query).one()) == (TableState.LOADED, watermark)

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

    def advance(
        self, connection: Connection, claimed: OffsetRecord, next_offset: int, source_time: float | None,
        counts: tuple[int, int, int], trail: str | None,
    ) -> OffsetRecord:  # fmt: skip
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
                next_offset=next_offset,
                source_time=source_time,
                inserted=table.c.inserted + counts[0],
                updated=table.c.updated + counts[1],
                deleted=table.c.deleted + counts[2],
                trail=trail,
            )
        ).rowcount
        if changed != 1:
            raise ConsumerFenced(topic=claimed.topic, partition=claimed.partition)
        return OffsetRecord(
            claimed.topic, claimed.partition, next_offset, claimed.epoch, claimed.owner, source_time,
            claimed.inserted + counts[0], claimed.updated + counts[1], claimed.deleted + counts[2], trail,
        )  # fmt: skip

    def _is_partition(self, topic: str, partition: int) -> Iterable[Any]:
        columns = self.offsets.c
        return (
            columns.replication == self.replication,
            columns.topic == topic,
            columns.topic_partition == partition,
        )

    # -- heartbeats of the source -------------------------------------------------------------------------------

    @property
    def _is_ours(self) -> Any:
        return self.heartbeats.c.replication == self.replication

    def beat_seen(self, connection: Connection, source_time: float) -> None:
        """A heartbeat that left the source then has come, and so has all that it follows in the caller's transaction.
        Times never move back: a topic may tell a heartbeat again."""
        table = self.heartbeats
        is_later = or_(table.c.source_time.is_(None), table.c.source_time < source_time)
        values = {"source_time": source_time, "applied_at": func.now()}
        connection.execute(update(table).where(self._is_ours, is_later).values(**values))

    def last_beat(self) -> float | None:
        """The source's time of the last heartbeat that has come."""
        with self.target.connect() as connection:
            return connection.execute(select(self.heartbeats.c.source_time).where(self._is_ours)).scalar()

    # -- the consumers' leases ----------------------------------------------------------------------------------

    def consumer(self) -> ConsumerRecord | None:
        """The one that leads: of several, a living one that did not join another; of dead ones, the last."""
        return next(iter(self.consumers_known()), None)

    def consumers_known(self) -> list[ConsumerRecord]:
        """All that live, and those that did when the last one began; the one that leads comes first."""
        with self.target.connect() as connection:
            return self._consumers(connection)

    def _consumers(self, connection: Connection) -> list[ConsumerRecord]:
        table = self.consumers
        query = select(table, func.now().label("clock")).where(table.c.replication == self.replication)
        records = [
            ConsumerRecord(
                row.run_id, row.consumer_group, ConsumerState(row.state), row.host, row.pid, row.started_at,
                (row.clock.replace(tzinfo=None) - row.heartbeat).total_seconds(), row.attempt, row.error or "",
                bool(row.joined),
            )
            for row in connection.execute(query)
        ]  # fmt: skip
        return sorted(records, key=lambda record: (not record.is_alive, record.joined, record.age))

    def take_lease(self, run_id: str, group: str, host: str, pid: int, *, join: bool = False) -> ConsumerRecord | None:
        """Become the consumer, or with `join` one more of them. Returns the one that leads if it is alive and shall not
        be joined, else None.

        A holder on this very host whose process is gone is dead at once; any other one when its heartbeat is old.
        Should that ever be wrong (two containers of one host name), the loser is fenced, not the data harmed.
        """
        with self.target.connect() as connection:
            # The replication's row always exists, so it serializes even the first two consumers.
            row = select(self.replications.c.version).where(self.replications.c.replication == self.replication)
            connection.execute(row.with_for_update()).one()
            others = [record for record in self._consumers(connection) if record.run_id != run_id]
            alive = [record for record in others if record.is_alive_seen_from(host)]
            if alive and not join:
                return alive[0]
            gone = [record.run_id for record in others if record not in alive]
            self._forget_consumers(connection, [run_id, *gone])  # one of these that lives all the same hears it
            values = {
                "run_id": run_id, "joined": int(bool(alive)), "consumer_group": group, "host": host, "pid": pid,
                "state": ConsumerState.STARTING, "started_at": func.now(), "heartbeat": func.now(), "attempt": 0,
            }  # fmt: skip
            connection.execute(insert(self.consumers).values(replication=self.replication, **values))
            connection.commit()
        return None

    def _forget_consumers(self, connection: Connection, run_ids: Iterable[str]) -> None:
        table = self.consumers
        is_one = (table.c.replication == self.replication, table.c.run_id.in_(list(run_ids)))
        connection.execute(delete(table).where(*is_one))

    def beat(self, run_id: str, state: ConsumerState, attempt: int = 0, error: str = "") -> bool:
        """Say that the consumer lives, and how it is. False if another one has taken it for dead."""
        table = self.consumers
        is_mine = (table.c.replication == self.replication, table.c.run_id == run_id)
        with self.target.connect() as connection:
            values = {"heartbeat": func.now(), "state": state, "attempt": attempt, "error": error}
            mine = connection.execute(update(table).where(*is_mine).values(**values)).rowcount == 1
            connection.commit()
        return mine


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
