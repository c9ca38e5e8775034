"""Debezium's JSON values of PostgreSQL's own types -> the server's own text of them. Pure.

Measured with Debezium 3.7.0 and PostgreSQL 18: arrays come as JSON arrays, hstore as a JSON object in any order, a
point, a line and a circle as their numbers, the other geometric types as well-known binary (WKB), what Debezium has no
type for as the hexadecimal digits of a text. Events of 3.6.1, which may still be in a topic, have geometric types as
such a text, in which numbers are spelled as Java does.
"""

from __future__ import annotations

import base64
import re
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

Convert = Callable[[Any], str]

# Types that Debezium knows and passes on as the server's text. Every other native one comes as hexadecimal digits.
KNOWN_TEXTS = frozenset(
    {"inet", "cidr", "macaddr", "macaddr8", "xml", "tsvector", "name", '"char"'}
    | {"int4range", "int8range", "numrange", "tsrange", "daterange"}
)
_INTERVAL = re.compile(r"P(-?\d+)Y(-?\d+)M(-?\d+)DT(-?\d+)H(-?\d+)M(-?[\d.]+(?:E-?\d+)?)S")
_WKB_POLYGON = 3  # the number of this type in well-known binary
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:E-?\d+)?")
_ZONED = re.compile(r"(\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?)([+-]\d\d(?::\d\d){0,2})( BC)?")
_NEEDS_QUOTES = re.compile(r'[ \t\n\r\v\f"\\{},]')  # what isspace() is to the server, not to Python
_JAVA_ARRAY = re.compile(r"\[+L?[\w.]+;?@[0-9a-f]+")


def text_of(native: str) -> Convert | None:
    """The function for a native type that PostgreSQL's family calls so; None if its kind alone decides."""
    if native in KNOWN_TEXTS:
        return None
    return {
        "point": _point,
        "line": _geometric(_line),
        "lseg": _geometric(lambda value: f"[{_listed(_points(value))}]"),
        "box": _geometric(_box),
        "path": _geometric(_path),
        "polygon": _geometric(_polygon),
        "circle": _geometric(_circle),
        "tstzrange": _zoned,
        "tstzmultirange": lambda value: _zoned(from_hex(value)),
    }.get(native, from_hex)


def from_hex(value: Any) -> str:
    return bytes.fromhex(value).decode()


def interval(value: Any) -> str:
    """`P0Y0M0DT0H0M1.234999999S` as the server writes it: without zeros, and in its microseconds."""
    match = _INTERVAL.fullmatch(value)
    if match is None:
        raise ValueError("an ISO 8601 interval expected")
    seconds = round(Decimal(match[6]), 6)
    date = "".join(f"{part}{unit}" for part, unit in zip(match.groups()[:3], "YMD", strict=True) if int(part))
    time = "".join(f"{part}{unit}" for part, unit in zip(match.groups()[3:5], "HM", strict=True) if int(part))
    if seconds:
        time += f"{seconds:f}".rstrip("0").rstrip(".") + "S" if seconds % 1 else f"{int(seconds)}S"
    return f"P{date}{'T' if time else ''}{time}" if date or time else "PT0S"


def number(value: float | str, *, single: bool = False) -> str:
    """A float as PostgreSQL prints it: the fewest digits, with an exponent below 1e-4 and from 1e15 (real: 1e6) on."""
    if isinstance(value, str):  # NaN, Infinity, -Infinity
        return value
    text = _shortest_single(value) if single else repr(float(value))
    decimal = Decimal(text)
    if decimal == 0:
        return "-0" if text.startswith("-") else "0"
    digits = "".join(map(str, decimal.as_tuple().digits)).rstrip("0")
    exponent = decimal.adjusted()
    if -4 <= exponent < (6 if single else 15):
        plain = f"{decimal:f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    mantissa = digits[0] + (f".{digits[1:]}" if digits[1:] else "")
    return f"{'-' if decimal < 0 else ''}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _shortest_single(value: float) -> str:
    single = struct.unpack("f", struct.pack("f", value))[0]
    candidates = (f"{single:.{digits}g}" for digits in range(1, 10))
    return next(text for text in candidates if struct.unpack("f", struct.pack("f", float(text)))[0] == single)


def array(element: Convert) -> Convert:
    def convert(value: Any) -> str:
        if not isinstance(value, list):
            raise TypeError("an array expected")
        if value and all(item is None for item in value):
            # So does Debezium send one of several dimensions, and the two cannot be told apart.
            raise ValueError("an array of NULLs alone, or of several dimensions")
        return "{" + ",".join("NULL" if item is None else _element(element(item)) for item in value) + "}"

    return convert


def _element(text: str) -> str:
    if _JAVA_ARRAY.fullmatch(text):
        raise ValueError("an array of several dimensions, of which Debezium passes on nothing")
    if text and text.upper() != "NULL" and not _NEEDS_QUOTES.search(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def hstore(value: Any) -> str:
    """In the server's order of keys: the shorter first, then by their bytes."""
    pairs: Sequence[tuple[str, str | None]] = sorted(
        msgspec.json.decode(value).items(), key=lambda pair: (len(pair[0].encode()), pair[0].encode())
    )
    return ", ".join(f"{_quoted(key)}=>{'NULL' if text is None else _quoted(text)}" for key, text in pairs)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _point(value: Any) -> str:
    return _listed([(value["x"], value["y"])])


def _geometric(convert: Convert) -> Convert:
    """3.6.1 sent hexadecimal digits, 3.7.0 sends an object."""

    def either(value: Any) -> str:
        if isinstance(value, str):
            return _NUMBER.sub(lambda match: number(float(match[0])), from_hex(value))
        return convert(value)

    return either


def _line(value: Any) -> str:
    return "{" + ",".join(number(value[part]) for part in "abc") + "}"


def _circle(value: Any) -> str:
    return f"<{_point(value['center'])},{number(value['radius'])}>"


def _path(value: Any) -> str:
    listed = _listed(_points(value))
    return f"({listed})" if value["extensions"]["closed"] == "true" else f"[{listed}]"


def _box(value: Any) -> str:
    """A ring of five points: the upper right corner first, the lower left one third."""
    ring = _points(value)
    return _listed([ring[0], ring[2]])


def _polygon(_: Any) -> str:
    """Raises ValueError always: the ring is closed, and whether its last point is the polygon's own is not told."""
    raise ValueError("a polygon, of which Debezium does not tell its last point")


def _points(value: Any) -> list[tuple[float, float]]:
    """The points of a line string, or of a polygon with one ring; little-endian, as Debezium writes them."""
    wkb = base64.b64decode(value["wkb"])
    rings = struct.unpack_from("<xII", wkb)[0] == _WKB_POLYGON
    start = 13 if rings else 9
    (count,) = struct.unpack_from("<I", wkb, start - 4)
    numbers = struct.unpack_from(f"<{2 * count}d", wkb, start)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _listed(points: Sequence[tuple[Any, Any]]) -> str:
    return ",".join(f"({number(x)},{number(y)})" for x, y in points)


def _zoned(value: Any) -> str:
    """The bounds of a range of instants are written in the zone of Debezium's session: here they are in UTC."""
    return _ZONED.sub(lambda match: match[0] if match[2] == "+00" else _to_utc(match), value)


def _to_utc(match: re.Match[str]) -> str:
    """Raises ValueError for years that Python's datetime does not have."""
    if match[3]:
        raise ValueError("a moment before Christ in a zone other than UTC")
    moment = datetime.fromisoformat(match[1] + match[2]).astimezone(UTC)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction}+00"
