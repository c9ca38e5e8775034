"""The tables that all of this is kept in: their columns, making them, and what those of an earlier version lack."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Double,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    delete,
)
from sqlalchemy.dialects.mysql import LONGTEXT, VARCHAR
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable, ExecutableDDLElement
from sqlalchemy.sql.compiler import DDLCompiler

from cdc_pipeline.databases.target import Target
from cdc_pipeline.errors import StatementFailed
from cdc_pipeline.model import TableId

VERSION = 1


class _AddColumn(ExecutableDDLElement):
    """ALTER TABLE … ADD, in whichever database."""

    def __init__(self, column: Column) -> None:
        self.column = column


@compiles(_AddColumn)
def _add_column(element: _AddColumn, compiler: DDLCompiler, **_: Any) -> str:
    table = compiler.preparer.format_table(element.column.table)
    return f"ALTER TABLE {table} ADD {compiler.get_column_specification(element.column)}"


def _name(length: int) -> String:
    """Names that differ in case alone are two, also where the database's collation would take them for one."""
    exact = VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(exact, "mysql", "mariadb")


_LONG = Text().with_variant(LONGTEXT(), "mysql", "mariadb")


class StateTables:
    """The state tables, as one replication sees them. What is done with each of them is said by those that inherit."""

    def __init__(self, target: Target, replication: str) -> None:
        self.target = target
        self.replication = replication
        metadata = MetaData(schema=target.state_schema)

        def table(name: str, *columns: Column) -> Table:
            key = Column("replication", _name(100), primary_key=True)
            return Table(target.state_prefix + name, metadata, key, *columns)

        def name(label: str, length: int = 200, *, key: bool = True) -> Column:
            return Column(label, _name(length), primary_key=key)

        self.metadata = metadata
        self.replications = table(
            "replications",
            Column("version", Integer, nullable=False),
            Column("desired", String(20), nullable=False),
            Column("start_position", _LONG),
            Column("captured_tables", _LONG),
            Column("kept_out", _LONG),
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
            Column("copying", _LONG),
            Column("phases", _LONG),
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
            Column("work", _LONG),
        )

        self.heartbeats = table(
            "heartbeats",
            Column("source_time", Double),
            Column("applied_at", DateTime),
        )

    def _where(self, table: Table, *columns: str) -> list[ColumnElement[bool]]:
        """For a statement that is made but once, and so compiled once: to make it takes longer than to execute it. What
        these columns are to be comes with each execution, by their names behind `of_`."""
        keys = (table.c[name] == bindparam(f"of_{name}") for name in columns)
        return [table.c.replication == self.replication, *keys]

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
