"""Reads Oracle's rows with their exact values, and renders them as canonical texts.

Python's float has 15 digits and its datetime no year before 1: so the driver hands numbers out as their decimal text,
and dates arrive as text that the server made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from typing import Any

import oracledb
from sqlalchemy import Connection

from cdc_pipeline.model import Column, Kind

ROWS_AT_A_TIME = 2000
_EXACT = {
    oracledb.DB_TYPE_NUMBER: str,
    # In place of locators, each of which would take a round trip of its own.
    oracledb.DB_TYPE_CLOB: oracledb.DB_TYPE_LONG,
    oracledb.DB_TYPE_NCLOB: oracledb.DB_TYPE_LONG_NVARCHAR,
    oracledb.DB_TYPE_BLOB: oracledb.DB_TYPE_LONG_RAW,
}


def batches(connection: Connection, sql: str, binds: Mapping[str, Any]) -> Iterator[Sequence[Sequence[Any]]]:
    """A query's rows, past SQLAlchemy, which would convert what it knows."""
    with closing(connection.connection.cursor()) as cursor:
        cursor.arraysize = ROWS_AT_A_TIME
        setattr(cursor, "outputtypehandler", exact_types)  # noqa: B010 - an attribute of this driver's cursors alone
        cursor.execute(sql, dict(binds))
        while rows := cursor.fetchmany(ROWS_AT_A_TIME):
            yield rows


def exact_types(cursor: Any, metadata: Any) -> Any:
    """The driver's hook: what a column's values are fetched as. None leaves it to the driver."""
    wanted = _EXACT.get(metadata.type_code)
    return None if wanted is None else cursor.var(wanted, arraysize=cursor.arraysize)


def renderer(column: Column) -> Callable[[Any], str | None]:
    """The function that makes what was fetched of this column its canonical text."""
    kind = column.canonical.kind
    if kind in (Kind.INTEGER, Kind.DECIMAL):
        return lambda value: None if value is None else plain_digits(value)
    if kind is Kind.FLOAT:
        return lambda value: None if value is None else float_text(value)
    if kind is Kind.BINARY:
        # An empty BLOB that may be NULL is NULL to Debezium; so it is to the copy.
        return lambda value: None if value is None or (not value and column.nullable) else "\\x" + value.hex()
    return lambda value: None if value is None or (not value and column.nullable) else str(value)


def plain_digits(value: str) -> str:
    """A NUMBER's text without an exponent, and with a digit before the point."""
    if value.isdigit():
        return value
    return f"{Decimal(value):f}"


def float_text(value: float) -> str:
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(repr(value), repr(value))
