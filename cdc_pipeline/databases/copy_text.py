"""COPY text: rows as PostgreSQL's COPY and MySQL's LOAD DATA both read them.

Fields are separated by tabs, rows end with a newline, NULL is `\\N`, and a backslash escapes backslash, tab,
newline and carriage return. It is the one form in which rows travel from every source to every target.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

Rewrite = Callable[[bytes], bytes]

NULL = b"\\N"
_SPECIAL = re.compile(rb"[\\\t\n\r]")
_ESCAPES = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r"}
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_UNESCAPES = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


def escape(value: bytes) -> bytes:
    if _SPECIAL.search(value) is None:
        return value
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], value)


def render(rows: Iterable[Sequence[str | None]]) -> bytes:
    """Rows of canonical texts as COPY text."""
    lines = [_line(row) for row in rows]
    return "\n".join([*lines, ""]).encode()


def _line(row: Sequence[str | None]) -> str:
    values = [value for value in row if value is not None]
    characters = "".join(values)
    if "\\" in characters or "\t" in characters or "\n" in characters or "\r" in characters:  # faster than a pattern
        return "\t".join(["\\N" if value is None else escape(value.encode()).decode() for value in row])
    if len(values) == len(row):
        return "\t".join(values)
    return "\t".join(["\\N" if value is None else value for value in row])


def parse(file: BinaryIO) -> Iterator[list[str | None]]:
    """The rows of COPY text, as canonical texts."""
    for line in file:
        fields = line.rstrip(b"\n").split(b"\t")
        yield [None if field == NULL else _unescape(field).decode() for field in fields]


def _unescape(field: bytes) -> bytes:
    if b"\\" not in field:
        return field
    return _ESCAPED.sub(lambda match: _UNESCAPES.get(match[1], match[1]), field)


def without_control_escapes(chunk: bytes) -> bytes:
    """PostgreSQL writes backspace, form feed and vertical tab as `\\b`, `\\f`, `\\v`; LOAD DATA would read the last
    two as letters. This puts the characters themselves in their place."""
    if b"\\f" not in chunk and b"\\v" not in chunk:
        return chunk
    return _ESCAPED.sub(lambda m: _UNESCAPES[m[1]] if m[1] in b"bfv" else m[0], chunk)
