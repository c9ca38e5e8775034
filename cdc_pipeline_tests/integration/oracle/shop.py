"""A table with a key, and what the tests do with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cdc_pipeline.databases.target import Writer
from cdc_pipeline.model import Column, ColumnType, Kind, Row, RowBatch, TableId, TableShape
from cdc_pipeline_tests.integration.oracle.h2 import H2Target

SOURCE = TableId("shop", "items")
KEYED = TableShape(
    SOURCE,
    (
        Column("id", "int", ColumnType(Kind.INTEGER, 32), nullable=False),
        Column("Na%me", "varchar(20)", ColumnType(Kind.TEXT, 20), nullable=False),
        Column("no:te", "text", ColumnType(Kind.TEXT)),
        Column("price", "decimal(10, 2)", ColumnType(Kind.DECIMAL, 10, 2)),
    ),
    ("id",),
)


@contextmanager
def writing(server: H2Target, table: TableId, shape: TableShape) -> Iterator[Writer]:
    with server.connect() as connection:
        writer = Writer(server, connection)
        writer.prepare(table, shape)
        yield writer


def apply(writer: Writer, table: TableId, batch: RowBatch) -> int:
    with writer.connection.begin():
        return writer.apply(table, batch)


def rows(server: H2Target, table: TableId, shape: TableShape) -> list[Row]:
    names = server.dialect.columns(shape.names)
    with server.connect() as connection:
        found = connection.exec_driver_sql(f"SELECT {names} FROM {server.dialect.table(table)}").all()
    return sorted((tuple(None if value is None else str(value) for value in row) for row in found), key=str)
