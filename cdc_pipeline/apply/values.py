"""Debezium's JSON values -> canonical texts. Pure; the texts are those of `model.Kind`, the copy's too.

What a value looks like follows from the column's canonical type and the connector's settings in capture/connector.py:
decimals and instants are text, binary is hexadecimal, days, milliseconds and microseconds count from 1970.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from cdc_pipeline.errors import ValueNotRepresentable
from cdc_pipeline.model import Column, ColumnType, Kind

Convert = Callable[[Any], str]

_EPOCH = date(1970, 1, 1)
_DAY = 86_400_000_000  # microseconds


def converter(column: Column) -> Callable[[Any], str | None]:
    """The function that makes this column's values canonical. It raises ValueNotRepresentable."""
    convert = _year if column.declared.startswith("year") else _converter(column.canonical)

    def canonical(value: Any) -> str | None:
        if value is None:
            return None
        try:
            return convert(value)
        except (ValueError, TypeError, OverflowError, AttributeError, IndexError) as error:
            shown = repr(value)[:100]
            raise ValueNotRepresentable(column=column.name, value=shown, type=column.declared) from error

    return canonical


def _converter(type: ColumnType) -> Convert:
    match type.kind:
        case Kind.BOOLEAN:
            return _boolean
        case Kind.INTEGER if type.unsigned and type.size == 64:
            return _unsigned
        case Kind.INTEGER:
            return _integer
        case Kind.FLOAT:
            return _float
        case Kind.BINARY:
            return _binary
        case Kind.BITS:
            return _bits(type.size or 1)
        case Kind.DATE:
            return _date
        case Kind.TIME:
            return _time
        case Kind.TIMESTAMP:
            # adaptive_time_microseconds: up to three digits of a second come in milliseconds
            return _timestamp(1000 if type.size is not None and type.size <= 3 else 1)
        case Kind.INSTANT:
            return _instant
        case Kind.DECIMAL | Kind.TEXT | Kind.ENUM | Kind.JSON | Kind.UUID:
            return _text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, not {type(value).__name__}")
    return value


def _boolean(value: Any) -> str:
    return str(int(value))


def _integer(value: Any) -> str:
    if not isinstance(value, int):
        raise TypeError(f"a whole number expected, not {type(value).__name__}")
    return str(int(value))


def _year(value: Any) -> str:
    """The year 0000 of MySQL's YEAR, which the binary log counts from 1900; its other years begin with 1901."""
    return "0" if value == 1900 else _integer(value)


def _unsigned(value: Any) -> str:
    """Debezium's `long` mode wraps the upper half of an unsigned BIGINT around into the negative numbers."""
    return _integer(value if value >= 0 else value + (1 << 64))


def _float(value: Any) -> str:
    return value if isinstance(value, str) else repr(float(value))


def _binary(value: Any) -> str:
    bytes.fromhex(value)
    return "\\x" + value.lower()


def _bits(size: int) -> Convert:
    def convert(value: Any) -> str:
        """One bit is a boolean; more are base64 of little-endian bytes."""
        if isinstance(value, bool):
            return str(int(value))
        number = int.from_bytes(base64.b64decode(value, validate=True), "little")
        return format(number, f"0{size}b")

    return convert


@lru_cache(maxsize=4096)
def _day(days: int) -> str:
    return (_EPOCH + timedelta(days=days)).isoformat()


def _date(value: Any) -> str:
    return _day(value)


def _clock(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    text = f"{hour:02d}:{minute:02d}:{second:02d}"
    return f"{text}.{fraction:06d}" if fraction else text


def _time(value: Any) -> str:
    return _clock(value) if value >= 0 else "-" + _clock(-value)


def _timestamp(microseconds_each: int) -> Convert:
    def convert(value: Any) -> str:
        days, rest = divmod(value * microseconds_each, _DAY)
        return f"{_day(days)} {_clock(rest)}"

    return convert


def _instant(value: Any) -> str:
    """`2024-01-31T23:59:59.5Z`, which Debezium has converted to UTC."""
    if value[10] != "T" or value[-1] != "Z":
        raise ValueError("an instant in UTC expected")
    return f"{value[:10]} {value[11:-1]}"
