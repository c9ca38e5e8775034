"""Rows of MySQL's text protocol -> COPY text, without a Python object for each value. Pure, but for `read`.

A row is a packet: three bytes of length, one of its number, then the fields, each with its length in front
(dev.mysql.com: "Text Resultset Row"). A driver makes a list of values of it; here the bytes are passed on, in a third
of the processor time (measured beside PyMySQL's own cursor, ten mixed columns), and in a tenth where the server has
made one field of them (`dialect.select_joined`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from struct import Struct

from cdc_pipeline.databases.copy_text import NULL, Rewrite

CHUNK_BYTES = 1 << 18
HEADER_BYTES = 4
LARGEST_PACKET = 0xFFFFFF  # a row of more goes on in the next packet
_NULL, _TWO, _THREE, _EIGHT = 0xFB, 0xFC, 0xFD, 0xFE  # in place of a length: NULL, or so many bytes of length follow
_DIGITS = {_TWO: 2, _THREE: 3, _EIGHT: 8}
_ERROR, _END, _LONGEST_END = 0xFF, 0xFE, 8
_length_of = Struct("<I").unpack_from


class ServerError(Exception):
    """The packet with which the server ended the rows."""

    def __init__(self, packet: bytes) -> None:
        self.packet = packet


def copy_lines(read: Callable[[int], bytes], rewrites: Sequence[Rewrite | None]) -> Iterator[bytes]:
    """Lines of COPY text, some at a time, until the server has sent the last row. `rewrites` has what is done to each
    field that is not NULL. `read` returns some bytes of the answer, none if the connection is lost: EOFError."""
    answer = b""
    while True:
        lines, at, lacks = _lines(answer, rewrites)
        if lines:
            lines.append(b"")
            yield b"\n".join(lines)
        if not lacks:
            return
        parts = [answer[at:]]
        while lacks > 0:
            chunk = read(CHUNK_BYTES)
            if not chunk:
                raise EOFError
            parts.append(chunk)
            lacks -= len(chunk)
        answer = b"".join(parts)


def _lines(answer: bytes, rewrites: Sequence[Rewrite | None]) -> tuple[list[bytes], int, int]:
    """The lines of the rows that are there whole, where the first that is not begins, and how many bytes it lacks at
    least; 0 after the last row."""
    lines: list[bytes] = []
    start, end = 0, len(answer)
    is_line = list(rewrites) == [None]  # the server has made it
    while start + HEADER_BYTES <= end:
        size = _length_of(answer, start)[0] & LARGEST_PACKET
        at = start + HEADER_BYTES
        stop = at + size
        if stop > end:
            return lines, start, stop - end
        if size == LARGEST_PACKET:
            row, stop = _joined(answer, start)
            if stop > end:
                return lines, start, stop - end
            lines.append(_line(row, 0, len(row), rewrites))
        elif answer[at] == _ERROR:
            raise ServerError(answer[at:stop])
        elif answer[at] == _END and size <= _LONGEST_END:
            return lines, stop, 0
        elif is_line and at + 1 + answer[at] == stop and size <= _NULL:  # short, and by far the most
            lines.append(answer[at + 1 : stop])
        elif is_line and answer[at] == _TWO and at + 3 + (_length_of(answer, at)[0] >> 8 & 0xFFFF) == stop:
            lines.append(answer[at + 3 : stop])
        else:
            lines.append(_line(answer, at, stop, rewrites))
        start = stop
    return lines, start, start + HEADER_BYTES - end


def _joined(answer: bytes, start: int) -> tuple[bytes, int]:
    """A row of several packets, and where the last of them ends, as far as it can be told: that may be behind what is
    there."""
    parts = []
    while start + HEADER_BYTES <= len(answer):
        size = _length_of(answer, start)[0] & LARGEST_PACKET
        stop = start + HEADER_BYTES + size
        parts.append(answer[start + HEADER_BYTES : stop])
        if stop > len(answer) or size < LARGEST_PACKET:
            return b"".join(parts), stop
        start = stop
    return b"", start + HEADER_BYTES


def _line(answer: bytes, at: int, stop: int, rewrites: Sequence[Rewrite | None]) -> bytes:
    """One row's fields. Most have fewer than 251 bytes, and so one byte of length."""
    fields = []
    for rewrite in rewrites:
        size = answer[at]
        at += 1
        if size >= _NULL:
            if size == _NULL:
                fields.append(NULL)
                continue
            digits = _DIGITS[size]
            size = int.from_bytes(answer[at : at + digits], "little")
            at += digits
        value = answer[at : at + size]
        at += size
        fields.append(value if rewrite is None else rewrite(value))
    if at != stop:
        raise ValueError(f"a row of {len(rewrites)} fields ends {stop - at} bytes too early")
    return b"\t".join(fields)
