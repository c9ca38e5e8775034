"""Debezium's JSON values -> canonical texts. Pure; the texts are those of `model.Kind`, the copy's too.

What a value looks like follows from the column's canonical type and the connector's settings in capture/connector.py:
decimals and instants are text, binary is hexadecimal, days, milliseconds and microseconds count from 1970.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Sequence, Set
from types import NoneType
from typing import Any

from cdc_pipeline.apply import moments, oracle_values
from cdc_pipeline.apply import postgresql_values as postgresql
from cdc_pipeline.databases.json_text import as_mysql_prints
from cdc_pipeline.databases.mysql.charsets import charset_of, reader
from cdc_pipeline.errors import ValueNotRepresentable
from cdc_pipeline.model import Column, ColumnType, Kind

Convert = Callable[[Any], str]

_SPECIAL_DECIMALS = {"NAN": "NaN", "POSITIVE_INFINITY": "Infinity", "NEGATIVE_INFINITY": "-Infinity"}
_HAS_SRID = 0x20  # the flag in the fourth byte of a geometry's type that PostGIS sets where an SRID follows
# PostgreSQL itself prints these inside of an array, where a column of their kind has another canonical text.
_IN_ARRAYS: dict[Kind, Convert] = {
    Kind.BOOLEAN: lambda value: "t" if value else "f",
    Kind.TIME: lambda value: _without_trailing_zeros(moments.duration(value)),
}


# What an unchecked converter raises for a value that it cannot make canonical.
UNREPRESENTABLE = (ValueError, TypeError, OverflowError, AttributeError, LookupError, ArithmeticError)


def converter(column: Column) -> Callable[[Any], str | None]:
    """The function that makes this column's values canonical. It raises ValueNotRepresentable."""
    convert = unchecked(column)

    def canonical(value: Any) -> str | None:
        if value is None:
            return None
        try:
            return convert(value)
        except UNREPRESENTABLE as error:
            shown = repr(value)[:100]
            raise ValueNotRepresentable(column=column.name, value=shown, type=column.declared) from error

    return canonical


def unchecked(column: Column) -> Convert:
    """The same for values that are not NULL, without telling of which column one is that it cannot be made of."""
    return _text_converter(column) or _oracle_converter(column) or _converter(column.canonical)


def all_at_once(convert: Convert) -> Callable[[Sequence[Any]], Sequence[str | None]]:
    """An unchecked converter for many values, NULLs among them. Where all are of the type that is expected, nothing is
    asked of each."""
    expected, text_of = plain(convert)
    others = _TEXTS_BUT.get(convert)

    def convert_all(values: Sequence[Any]) -> Sequence[str | None]:
        types = set(map(type, values))
        if others is not None and types <= {str, NoneType} and (not others or others.isdisjoint(values)):
            return values
        if types == {expected}:
            return list(map(text_of, values))
        if types == {expected, NoneType}:
            return [None if value is None else text_of(value) for value in values]
        return [None if value is None else convert(value) for value in values]

    return convert_all


def plain(convert: Convert) -> tuple[type | None, Convert]:
    """The type that most of an unchecked converter's values have, and what makes the same of them without a call of
    ours; no type where there is nothing of the kind."""
    return _PLAIN.get(convert, (None, convert))


def _text_converter(column: Column) -> Convert | None:
    """For a text of MySQL's in a character set that Debezium reads otherwise than the server."""
    charset = charset_of(column.declared)
    read = reader(charset) if charset and not column.canonical.native else None
    return None if read is None else lambda value: read(_text(value))


def _oracle_converter(column: Column) -> Convert | None:
    """For what Oracle's connector spells in a way of its own; only Oracle's catalogue writes types in capitals."""
    if column.declared.startswith(("NUMBER", "FLOAT")):
        return oracle_values.decimal
    if column.declared.startswith("TIMESTAMP") and column.canonical.kind is Kind.INSTANT:
        return oracle_values.instant
    return None


def _converter(type: ColumnType) -> Convert:
    native = type.native_to("postgresql")
    if native and type.kind is Kind.TEXT:
        return postgresql.text_of(native) or _text
    if type.native.startswith("composite:"):
        return postgresql.from_hex
    if type.native == "mysql:year":
        return _year
    match type.kind:
        case Kind.BOOLEAN:
            return _boolean
        case Kind.INTEGER if type.unsigned and type.size == 64:
            return _unsigned
        case Kind.INTEGER:
            return _integer
        case Kind.DECIMAL:
            return _whole_decimal if type.scale == 0 else _decimal
        case Kind.FLOAT:
            return _single if type.size == 32 else _float
        case Kind.BINARY:
            return _binary
        case Kind.BITS:
            return _bits(type.size or 1)
        case Kind.DATE:
            return moments.day
        case Kind.TIME if native:  # with a zone
            return moments.time_in_utc
        case Kind.TIME:
            return moments.duration
        case Kind.TIMESTAMP:
            # adaptive_time_microseconds: up to three digits of a second come in milliseconds
            in_milliseconds = type.size is not None and type.size <= 3
            return moments.timestamp_from_milliseconds if in_milliseconds else moments.timestamp_from_microseconds
        case Kind.INSTANT:
            return moments.instant
        case Kind.JSON if type.size == 64:
            return lambda value: as_mysql_prints(_text(value).encode()).decode()
        case Kind.INTERVAL:
            return postgresql.interval
        case Kind.GEOMETRY:
            return _geometry
        case Kind.MAP:
            return postgresql.hstore
        case Kind.ARRAY:
            return postgresql.array(_in_array(type.element or ColumnType(Kind.TEXT)))
        case Kind.TEXT | Kind.ENUM | Kind.JSON | Kind.UUID:
            return _text


def _in_array(type: ColumnType) -> Convert:
    convert = _converter(type)
    if type.kind is Kind.FLOAT:
        return lambda value: postgresql.number(value, single=type.size == 32)
    if type.kind is Kind.TIMESTAMP:
        return lambda value: _without_trailing_zeros(convert(value))
    if type.kind is Kind.INSTANT:
        return lambda value: _in_zone_utc(convert(value))
    return _IN_ARRAYS.get(type.kind, convert)


def _without_trailing_zeros(text: str) -> str:
    text, era = (text[:-3], " BC") if text.endswith(" BC") else (text, "")
    return (text.rstrip("0").rstrip(".") if "." in text else text) + era


def _in_zone_utc(text: str) -> str:
    if text.endswith("infinity"):
        return text
    text = _without_trailing_zeros(text)
    return f"{text[:-3]}+00 BC" if text.endswith(" BC") else f"{text}+00"


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
    return "0000" if value == 1900 else _integer(value)


def _unsigned(value: Any) -> str:
    """Debezium's `long` mode wraps the upper half of an unsigned BIGINT around into the negative numbers."""
    return _integer(value if value >= 0 else value + (1 << 64))


def _float(value: Any) -> str:
    return value if isinstance(value, str) else repr(float(value))


def _single(value: Any) -> str:
    """All digits of the value: the shortest text of the largest one is too large for MySQL's FLOAT."""
    return value if isinstance(value, str) else repr(struct.unpack("f", struct.pack("f", value))[0])


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


def _decimal(value: Any) -> str:
    return _SPECIAL_DECIMALS.get(value) or _text(value)


def _whole_decimal(value: Any) -> str:
    """PostgreSQL's numeric with a negative scale comes with thousands of zeros after the point."""
    whole, _, rest = (text := _decimal(value)).partition(".")
    return text if rest.strip("0") else whole


def _geometry(value: Any) -> str:
    """`{"wkb": base64, "srid": 4326 or null}` as PostGIS writes it (EWKB)."""
    data, srid = base64.b64decode(value["wkb"], validate=True), value.get("srid")
    if srid:
        data = data[:4] + bytes([data[4] | _HAS_SRID]) + srid.to_bytes(4, "little") + data[5:]
    return "\\x" + data.hex()


_PLAIN: dict[Convert, tuple[type, Convert]] = {_text: (str, str), _integer: (int, str), _float: (float, repr)}
_TEXTS_BUT: dict[Convert, Set[str]] = {  # converters that leave all texts as they are but these
    _text: frozenset(),
    _decimal: _SPECIAL_DECIMALS.keys(),
}
