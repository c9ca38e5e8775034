"""COPY text: rows as PostgreSQL's COPY and MySQL's LOAD DATA both read them.

Fields are separated by tabs, rows end with a newline, NULL is `\\N`, and a backslash escapes backslash, tab,
newline and carriage return. It is the one form in which rows travel from every source to every target.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BufferedReader, RawIOBase
from typing import Any, BinaryIO, cast

Rewrite = Callable[[bytes], bytes]

CHUNK_BYTES = 1 << 18
SAMPLED_ROWS = 32

NULL = b"\\N"
NULL_TEXT = NULL.decode()
_SPECIAL = re.compile(rb"[\\\t\n\r]")
_ESCAPES = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r"}
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_UNESCAPES = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


def escape(value: bytes) -> bytes:
    if _SPECIAL.search(value) is None:
        return value
    return _SPECIAL.sub(lambda match: _ESCAPES[match[0]], value)


def as_file(rows: Sequence[Sequence[str | None]]) -> BinaryIO:
    """A file of these rows as COPY text, which is made while it is read. It has no descriptor."""
    return cast(BinaryIO, BufferedReader(_Rendered(rows), CHUNK_BYTES))


class _Rendered(RawIOBase):
    """A chunk at a time: of values of a megabyte each, the copies that are made on the way to one text of all of them
    took longer than the target (measured: 64 of them 150 ms, in chunks 10)."""

    def __init__(self, rows: Sequence[Sequence[str | None]]) -> None:
        self._chunks = _chunks(rows)
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(next(self._chunks, b""))
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def _chunks(rows: Sequence[Sequence[str | None]]) -> Iterator[bytes]:
    some = rows[:: len(rows) // SAMPLED_ROWS + 1]
    bytes_of_some = sum(len(text) for row in some for text in row if text)
    at_a_time = CHUNK_BYTES * len(some) // (bytes_of_some + 1) or 1
    for start in range(0, len(rows), at_a_time):
        yield render(rows[start : start + at_a_time])


def render(rows: Iterable[Sequence[str | None]]) -> bytes:
    """Rows of canonical texts, all of the same length, as COPY text."""
    columns = [_fields(column) for column in zip(*rows, strict=True)]
    return "\n".join([*map("\t".join, zip(*columns, strict=True)), ""]).encode()


def _fields(column: Sequence[str | None]) -> Sequence[str]:
    """Most columns have nothing that is to be escaped, which is found out for all of their values at once."""
    values = [value for value in column if value is not None]
    if _is_special("".join(values)):
        return [NULL_TEXT if value is None else _escaped(value) if _is_special(value) else value for value in column]
    if len(values) == len(column):
        return values
    return [NULL_TEXT if value is None else value for value in column]


def _is_special(text: str) -> bool:
    """Faster than a pattern."""
    return "\\" in text or "\t" in text or "\n" in text or "\r" in text


def _escaped(text: str) -> str:
    return escape(text.encode()).decode()


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
