"""MySQL's packets become the lines that any other way of reading would give, wherever the network cuts them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_pipeline.databases.copy_text import escape, render
from cdc_pipeline.databases.mysql import rows as mysql_rows
from cdc_pipeline.databases.mysql.rows import ServerError, copy_lines

END = b"\xfe\x00\x00\x22\x00"
LENGTHS = st.sampled_from([0, 1, 249, 250, 251, 252, 255, 256, 300])
values = st.none() | st.text() | st.text(alphabet="\\\t\n\r\bNt") | LENGTHS.map(lambda length: "x" * length)
table = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(values, min_size=width, max_size=width), min_size=1, max_size=6)
)


def field(value: bytes | None) -> bytes:
    """With its length in front, as the protocol has it."""
    if value is None:
        return b"\xfb"
    if len(value) < 0xFB:
        return bytes([len(value)]) + value
    for mark, digits in ((b"\xfc", 2), (b"\xfd", 3), (b"\xfe", 8)):
        if len(value) < 1 << 8 * digits:
            return mark + len(value).to_bytes(digits, "little") + value
    raise AssertionError


def packets(payload: bytes) -> bytes:
    """One packet; where it would be too large, several."""
    most, parts = mysql_rows.LARGEST_PACKET, []
    for start in range(0, len(payload) + 1, most):
        part = payload[start : start + most]
        parts.append(len(part).to_bytes(3, "little") + b"\x07" + part)
    return b"".join(parts)


def answer(table: Sequence[Sequence[str | None]]) -> bytes:
    encoded = ([None if value is None else value.encode() for value in row] for row in table)
    return b"".join(packets(b"".join(map(field, row))) for row in encoded) + packets(END)


def reading(whole: bytes, sizes: Iterator[int]) -> Callable[[int], bytes]:
    """A read() that gives so many bytes at a time."""
    at = 0

    def read(most: int) -> bytes:
        nonlocal at
        start, at = at, at + min(most, next(sizes))
        return whole[start:at]

    return read


@given(table, st.lists(st.integers(1, 400), min_size=1))
def test_the_lines_are_those_of_the_rows(table: list[list[str | None]], sizes: list[int]) -> None:
    lines = b"".join(copy_lines(reading(answer(table), cycle(sizes)), [escape] * len(table[0])))
    assert lines == render(table)


@given(st.lists(LENGTHS.map(lambda length: "x" * length), min_size=1), st.lists(st.integers(1, 400), min_size=1))
def test_what_the_server_has_made_a_line_of_is_one(lines: list[str], sizes: list[int]) -> None:
    read = reading(answer([[line] for line in lines]), cycle(sizes))
    assert b"".join(copy_lines(read, [None])).decode() == "".join(f"{line}\n" for line in lines)


def test_each_field_is_rewritten_in_its_own_way() -> None:
    read = reading(answer([["1\t2", "a\tb", None, "c"]]), iter([1000]))
    lines = b"".join(copy_lines(read, [None, escape, escape, lambda value: value * 2]))
    assert lines == b"1\t2\ta\\tb\t\\N\tcc\n"


def test_a_table_without_rows_has_no_lines() -> None:
    assert list(copy_lines(reading(packets(END), iter([3, 100])), [None])) == []


@pytest.mark.parametrize("size", [0, 1, 250, 4095, 4096, 8192, 20_000, 70_000])
def test_a_row_may_take_several_packets(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """16 MiB each in truth; here 4 KiB, with a field whose own length has any number of bytes, and a row behind it."""
    monkeypatch.setattr(mysql_rows, "LARGEST_PACKET", 0xFFF)
    table = [["1", "x" * size, None], ["2", "y", "z"]]
    for cut in (1, 100, 4096, 100_000):
        lines = b"".join(copy_lines(reading(answer(table), iter([cut] * 80_000)), [None] * 3))
        assert lines == render(table)


def test_a_row_of_16_mib_whose_first_length_looks_like_the_end() -> None:
    table = [["x" * 0x1000000, "y"], [None, "z"]]
    lines = b"".join(copy_lines(reading(answer(table), iter([1 << 18] * 80)), [None] * 2))
    assert lines == render(table)


def test_the_servers_error_and_a_lost_connection_end_it() -> None:
    row = packets(field(b"1"))
    with pytest.raises(ServerError) as told:
        list(copy_lines(reading(row + packets(b"\xff\x25\x05#70100killed"), iter([1000])), [None]))
    assert told.value.packet == b"\xff\x25\x05#70100killed"
    for cut in range(len(row)):
        with pytest.raises(EOFError):
            list(copy_lines(reading(row[:cut], iter([1000, 0, 0])), [None]))


def test_a_row_of_another_number_of_fields_is_no_row() -> None:
    with pytest.raises(ValueError, match="ends 2 bytes too early"):
        list(copy_lines(reading(answer([["1", "2"]]), iter([1000])), [None]))
    with pytest.raises(ValueError, match="ends 2 bytes too early"):
        list(copy_lines(reading(answer([["1" * 300, "2"]]), iter([1000])), [None]))
