"""COPY text: what is written is what is read, whatever characters are in it."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_pipeline.databases.copy_text import CHUNK_BYTES, as_file, escape, parse, render, without_control_escapes

values = st.none() | st.text() | st.text(alphabet="\\\t\n\r\b\f\vNtnrbfv")
rows = st.lists(st.lists(values, min_size=3, max_size=3), max_size=5)


def read(text: bytes) -> list[list[str | None]]:
    return list(parse(BytesIO(text)))


@given(rows)
def test_rows_come_back_as_they_were(rows: list[list[str | None]]) -> None:
    assert read(render(rows)) == rows


@given(rows)
def test_a_row_is_one_line(rows: list[list[str | None]]) -> None:
    assert render(rows).count(b"\n") == len(rows)


@given(rows)
def test_a_file_of_rows_is_their_text(rows: list[list[str | None]]) -> None:
    assert as_file(rows).read() == render(rows)


@pytest.mark.parametrize("length", [100, 3 * CHUNK_BYTES])
def test_a_file_of_many_bytes_is_their_text_however_it_is_read(length: int) -> None:
    rows = [[str(number), None, "é\t" * length] for number in range(4 * CHUNK_BYTES // length + 2)]
    whole = render(rows)
    assert as_file(rows).read() == whole
    assert b"".join(as_file(rows)) == whole
    file = as_file(rows)
    assert b"".join(iter(lambda: file.read(CHUNK_BYTES - 7), b"")) == whole


def test_of_large_values_a_file_makes_the_text_of_those_that_are_read() -> None:
    reached = []

    class Watched(list[list[str]]):
        def __getitem__(self, place: slice) -> list[list[str]]:  # type: ignore[override]
            if place.step is None:
                reached.append(place.start)
            return super().__getitem__(place)

    file = as_file(Watched([["x" * CHUNK_BYTES] for _ in range(10)]))
    assert file.read(1) == b"x"
    assert max(reached) < 3


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, b"\\N\n"), ("", b"\n"), ("NULL", b"NULL\n"), ("\\N", b"\\\\N\n"), ("a\tb", b"a\\tb\n")],
)
def test_null_is_none_of_the_texts_that_look_like_it(value: str | None, text: bytes) -> None:
    assert render([[value]]) == text
    assert read(text) == [[value]]


def postgresql_escapes(value: bytes) -> bytes:
    """What COPY TO writes: besides ours, `\\b`, `\\f` and `\\v`."""
    controls = ((b"\b", b"\\b"), (b"\f", b"\\f"), (b"\v", b"\\v"))
    text = escape(value)
    for character, escaped in controls:
        text = text.replace(character, escaped)
    return text


@given(st.text(alphabet="\\\t\n\r\b\f\vbfvx").map(str.encode))
def test_control_escapes_of_postgresql_become_the_characters_themselves(value: bytes) -> None:
    line = without_control_escapes(postgresql_escapes(value) + b"\n")
    assert read(line) == [[value.decode()]]
    assert b"\\f" not in line.replace(b"\\\\", b"")
    assert b"\\v" not in line.replace(b"\\\\", b"")


def test_a_backslash_before_the_letter_f_is_no_control_escape() -> None:
    assert without_control_escapes(b"C:\\\\files\\f\n") == b"C:\\\\files\f\n"
