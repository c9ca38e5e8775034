"""Canonical texts -> what an INSERT binds. Pure, but for the names of the driver's types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import oracledb

from cdc_pipeline.databases.oracle.dialect import MOST_DIGITS, OracleDialect
from cdc_pipeline.model import ColumnType, Kind, TableId

_DIALECT = OracleDialect()
_DAY = "SYYYY-MM-DD"
_MOMENT = f"{_DAY} HH24:MI:SS.FF6"


@dataclass(frozen=True)
class Bind:
    """One column of an INSERT. `expression` has `{}` where the bind stands; `size` is what setinputsizes() wants."""

    name: str
    convert: Callable[[str], Any]
    size: Any
    expression: str = "{}"

    @property
    def is_long(self) -> bool:
        return self.size in (oracledb.DB_TYPE_LONG, oracledb.DB_TYPE_LONG_RAW)


def bind(name: str, type: ColumnType) -> Bind:
    native = type.native_to("oracle")
    match type.kind:
        case Kind.FLOAT:
            return Bind(name, float, oracledb.DB_TYPE_BINARY_DOUBLE)  # a NUMBER has neither NaN nor infinities
        case Kind.BINARY | Kind.GEOMETRY:
            is_blob = _DIALECT.column_type(type, in_key=False) == "BLOB"
            return Bind(name, _bytes, oracledb.DB_TYPE_LONG_RAW if is_blob else oracledb.DB_TYPE_RAW)
        case Kind.DATE:
            return Bind(name, _signed, oracledb.DB_TYPE_VARCHAR, f"TO_DATE({{}}, '{_DAY}')")
        case Kind.TIMESTAMP:
            return Bind(name, _moment, oracledb.DB_TYPE_VARCHAR, f"TO_TIMESTAMP({{}}, '{_MOMENT}')")
        case Kind.INSTANT:
            expression = f"TO_TIMESTAMP_TZ({{}}, '{_MOMENT} TZH:TZM')"
            return Bind(name, lambda text: f"{_moment(text)} +00:00", oracledb.DB_TYPE_VARCHAR, expression)
        case Kind.INTERVAL if native:
            function = "TO_YMINTERVAL" if native.endswith("month") else "TO_DSINTERVAL"
            zero = "P0Y" if native.endswith("month") else "P0D"
            convert = _interval(zero)
            return Bind(name, convert, oracledb.DB_TYPE_VARCHAR, f"{function}({{}})")
        case Kind.DECIMAL:
            return Bind(name, _number, oracledb.DB_TYPE_VARCHAR)
        case _:
            is_clob = _DIALECT.column_type(type, in_key=False) == "CLOB"
            return Bind(name, str, oracledb.DB_TYPE_LONG if is_clob else oracledb.DB_TYPE_VARCHAR)


def insert(table: TableId, binds: Sequence[Bind]) -> str:
    names = _DIALECT.columns([each.name for each in binds])
    values = ", ".join(each.expression.format(f":{number}") for number, each in enumerate(binds, 1))
    return f"INSERT INTO {_DIALECT.table(table)} ({names}) VALUES ({values})"


def _number(text: str) -> str:
    """Refuses what the server would round without a word."""
    value = Decimal(text)
    if not value.is_finite():
        raise ValueError("a NUMBER has neither NaN nor infinities")
    if len("".join(map(str, value.as_tuple().digits)).strip("0")) > MOST_DIGITS:
        raise ValueError(f"a NUMBER keeps {MOST_DIGITS} digits")
    return text


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _signed(text: str) -> str:
    """`0044-03-15 BC` as `-0044-03-15`."""
    return f"-{text[:-3]}" if text.endswith(" BC") else text


def _moment(text: str) -> str:
    signed = _signed(text)
    return signed if "." in signed else f"{signed}.000000"


def _interval(zero: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        """`P-1DT-2H` as Oracle reads it: one sign, in front."""
        if text == "PT0S":
            return zero
        return f"-{text.replace('-', '')}" if "-" in text else text

    return convert
