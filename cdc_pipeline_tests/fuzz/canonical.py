"""What a value is, by the judge's own rules: the text that a server shows of it -> a text that equal values share.

A column's *kind* follows from its type in the source. Both sides' values are read by this kind, each from the text of
its own server. Nothing here is the product's: where the two disagree, one of them is wrong.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

Value = str | bytes | None
_WHOLE_DOUBLE = 10_000_000  # documented: from here on a whole double in MySQL's JSON becomes an integer
_BOOLEANS = {"t": "1", "true": "1", "f": "0", "false": "0"}
_EWKB_SRID = 0x20000000


@dataclass(frozen=True)
class Kind:
    """`name` is one of the rules below; `digits` what a fixed length needs."""

    name: str
    family: str  # of the source


_MYSQL = [
    ("tinyint|smallint|mediumint|int|bigint|decimal|year", "number"),
    ("float", "float32"),
    ("double", "float64"),
    ("bit", "bits"),
    ("char|varchar|tinytext|text|mediumtext|longtext|enum|set", "text"),
    ("binary|varbinary|tinyblob|blob|mediumblob|longblob", "bytes"),
    ("date", "date"),
    ("time", "time"),
    ("datetime|timestamp", "timestamp"),
    ("json", "json"),
    ("geometry|point|linestring|polygon|multi[a-z]*|geomcollection|geometrycollection", "geometry"),
]
_POSTGRESQL = [
    ("boolean", "boolean"),
    ("smallint|integer|bigint|oid|numeric", "number"),
    ("money", "money"),
    ("real", "float32"),
    ("double precision", "float64"),
    ("bit", "bits"),
    ("character", "padded"),
    ("bytea", "bytes"),
    ("date", "date"),
    ("time without time zone", "time"),
    ("time with time zone", "timetz"),
    ("timestamp without time zone|timestamp with time zone", "timestamp"),
    ("interval", "interval"),
    ("uuid", "uuid"),
]


def kind_of(family: str, declared: str) -> Kind:
    """Of a column by its type as the catalogue writes it, a domain's base type included."""
    if declared.endswith("[]"):
        return Kind("array", family)
    bare = re.sub(r"\(.*\)", "", declared.lower(), flags=re.DOTALL)
    bare = " ".join(word for word in bare.split() if word not in ("unsigned", "zerofill"))
    table = _POSTGRESQL if family == "postgresql" else _MYSQL
    return Kind(next((name for pattern, name in table if re.fullmatch(pattern, bare)), "text"), family)


def canonical(kind: Kind, value: Value, *, source: bool) -> str | None:
    """What the value is; `source` says which side shows it. A text that cannot be read is itself, marked: it is then
    different from anything that can."""
    if value is None:
        return None
    try:
        return _RULES[kind.name](value, source)
    except (ValueError, InvalidOperation, struct.error, TypeError, KeyError, IndexError, AttributeError) as error:
        return f"unreadable as {kind.name} ({error}): {value!r}"


def _text(value: Value) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    return str(value)


def _number(value: Value, _: bool) -> str:
    """MySQL's TINYINT(1) is a boolean elsewhere."""
    if value in _BOOLEANS:
        return _BOOLEANS[str(value)]
    found = Decimal(_text(value))
    if not found.is_finite():
        return str(found)
    plain = format(found, "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain in ("-0", "") else plain


def _money(value: Value, source: bool) -> str:
    return _number(_text(value).replace("$", "").replace(",", ""), source)


def _float(form: str) -> Callable[[Value, bool], str]:
    def read(value: Value, _: bool) -> str:
        number = float(_text(value))
        if form == "f" and number not in (float("inf"), float("-inf")):
            number = struct.unpack("f", struct.pack("f", number))[0]
        return repr(number)

    return read


def _boolean(value: Value, _: bool) -> str:
    return _BOOLEANS.get(_text(value), _text(value))


def _bits(value: Value, _: bool) -> str:
    return str(int.from_bytes(value, "big") if isinstance(value, bytes) else int(value or "", 2))


def _bytes(value: Value, _: bool) -> str:
    if isinstance(value, bytes):
        return value.hex()
    text = _text(value)
    if not text.startswith("\\x"):
        raise ValueError("not bytes")
    return text[2:].lower()


def _padded(value: Value, _: bool) -> str:
    """PostgreSQL's character(n): blanks at its end are no part of it."""
    return _text(value).rstrip(" ")


def _date(value: Value, source: bool) -> str | None:
    """Documented: a date of MySQL with a zero in it arrives as NULL."""
    text = _text(value)
    if re.match(r"0000-|\d{4}-00|\d{4}-\d{2}-00", text) and source:
        return None
    return text


def _fraction(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _timestamp(value: Value, source: bool) -> str | None:
    text = _text(value)
    era = " BC" if text.endswith(" BC") else ""
    text = text.removesuffix(" BC")
    text = re.sub(r"\+00(:00)?$", "", text)
    found = _date(text, source)
    return None if found is None else _fraction(found) + era


def _time(value: Value, _: bool) -> str:
    return _fraction(re.sub(r"\+00(:00)?$", "", _text(value)))


def _timetz(value: Value, source: bool) -> str:
    """Documented: kept in UTC, where 24:00 is 00:00, unless it was that of UTC."""
    text = _text(value)
    if re.fullmatch(r"24:00:00([+-]00)?", text):
        return "24:00:00"
    found = re.fullmatch(r"(\d+):(\d+):(\d+)(\.\d+)?(?:([+-])(\d+)(?::(\d+))?(?::(\d+))?)?", text)
    if found is None:
        raise ValueError("not a time")
    hours, minutes, seconds, rest, sign, *zone = found.groups()
    offset = sum(int(part or 0) * unit for part, unit in zip(zone, (3600, 60, 1), strict=True))
    total = int(hours) * 3600 + int(minutes) * 60 + int(seconds) - (offset if sign == "+" else -offset)
    total %= 86400
    return _fraction(f"{total // 3600:02}:{total // 60 % 60:02}:{total % 60:02}{rest or ''}")


def _interval(value: Value, _: bool) -> str:
    """ISO 8601, as (months, days, microseconds): each part has a sign of its own."""
    found = re.fullmatch(
        r"P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)W)?(?:(-?\d+)D)?"
        r"(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?\d*\.?\d+)S)?)?",
        _text(value),
    )
    if found is None:
        raise ValueError("not an interval")
    years, months, weeks, days, hours, minutes = (int(part or 0) for part in found.groups()[:6])
    micros = (hours * 3600 + minutes * 60) * 1_000_000 + int(Decimal(found.group(7) or 0) * 1_000_000)
    return f"{years * 12 + months} months {weeks * 7 + days} days {micros} us"


def _geometry(value: Value, _: bool) -> str:
    """MySQL's own form is an SRID in four bytes and well-known binary; the target of another family has EWKB."""
    if isinstance(value, bytes):
        return f"{int.from_bytes(value[:4], 'little')}:{value[4:].hex()}"
    raw = bytes.fromhex(_text(value)[2:])
    order = "little" if raw[0] == 1 else "big"
    shape = int.from_bytes(raw[1:5], order)
    if not shape & _EWKB_SRID:
        return f"0:{raw.hex()}"
    plain = raw[:1] + (shape & ~_EWKB_SRID).to_bytes(4, order) + raw[9:]
    return f"{int.from_bytes(raw[5:9], order)}:{plain.hex()}"


def _array(value: Value, source: bool) -> str:
    """Documented: counted from 1. Zones in its elements are UTC, by the judge's session."""
    return re.sub(r"^(\[-?\d+:-?\d+\])+=", "", _text(value)) if source else _text(value)


def _json(value: Value, _: bool) -> str:
    """MySQL's JSON as a value: numbers by their worth, but an integer is no double below ten million."""
    return json.dumps(_normal(json.loads(_text(value), parse_float=Decimal)), sort_keys=True, ensure_ascii=False)


def _normal(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _normal(each) for key, each in found.items()}
    if isinstance(found, list):
        return [_normal(each) for each in found]
    if isinstance(found, Decimal):
        worth = _number(str(found), False)
        whole = "." not in worth
        return {"double": worth} if not whole or abs(found) < _WHOLE_DOUBLE else {"number": worth}
    if isinstance(found, int) and not isinstance(found, bool) and abs(found) >= _WHOLE_DOUBLE:
        return {"number": str(found)}
    if isinstance(found, str):
        return _moment(found)
    return found


def _moment(text: str) -> str:
    """Documented: times that CAST has made arrive without their `.000000`."""
    return text.removesuffix(".000000") if re.fullmatch(r"[-\d: ]+\.000000", text) else text


_RULES: dict[str, Callable[[Value, bool], str | None]] = {
    "number": _number,
    "money": _money,
    "float32": _float("f"),
    "float64": _float("d"),
    "boolean": _boolean,
    "bits": _bits,
    "bytes": _bytes,
    "text": lambda value, _: _text(value),
    "padded": _padded,
    "uuid": lambda value, _: _text(value).lower(),
    "date": _date,
    "time": _time,
    "timetz": _timetz,
    "timestamp": _timestamp,
    "interval": _interval,
    "geometry": _geometry,
    "array": _array,
    "json": _json,
}
