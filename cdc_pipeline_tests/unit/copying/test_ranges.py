"""How ranges are handed out, and what is noted of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdc_pipeline.copying.ranges import Cutting, Note, Ranges
from cdc_pipeline.copying.transfer import Transferred
from cdc_pipeline.databases.key_ranges import Key, KeyRange
from cdc_pipeline.model import TableId
from cdc_pipeline.state import TableRecord, TableState

TABLE = TableId("public", "stock")


def note(*cuts: str, done: tuple[int, ...] = ()) -> Note:
    return Note("w", "s", str(TABLE), {0: 17}, [(cut,) for cut in cuts], {n: Transferred(10, 100) for n in done})


def cutting_at(*cuts: str) -> Callable[[Key | None], Key | None]:
    keys: list[Key | None] = [None, *((cut,) for cut in cuts), None]
    return lambda after: keys[1 + (keys.index(after) if after else 0)]


def taken(note: Note, cut: Callable[[Key | None], Key | None]) -> list[tuple[int, KeyRange]]:
    ranges = Ranges(note)
    return list(iter(lambda: ranges.take(cut), None))


def test_ranges_are_cut_one_after_the_other_and_the_last_has_no_end() -> None:
    assert taken(note(), cutting_at("3", "6")) == [
        (0, KeyRange(None, ("3",))),
        (1, KeyRange(("3",), ("6",))),
        (2, KeyRange(("6",), None)),
    ]


def test_a_table_that_cannot_be_cut_is_one_range() -> None:
    assert taken(note(), lambda _: None) == [(0, KeyRange())]


def test_what_is_done_is_not_handed_out_again() -> None:
    kept = note("3", "6", "9", done=(1, 2))
    assert [number for number, _ in taken(kept, cutting_at("3", "6", "9", "12"))] == [0, 3, 4]


def test_where_the_last_one_is_done_nothing_new_is_cut() -> None:
    def cut(after: Key | None) -> Key | None:
        raise AssertionError(f"cut after {after}")

    assert [number for number, _ in taken(note("3", "6", done=(1, 2)), cut)] == [0]


def test_a_server_that_gives_the_same_key_again_ends_the_cutting() -> None:
    """Else there would be ranges without end."""
    assert taken(note(), lambda _: ("3",)) == [(0, KeyRange(None, ("3",))), (1, KeyRange(("3",), None))]


def test_a_note_is_read_as_it_was_written() -> None:
    written = note("3", "6", done=(0, 2))
    written.done[0] = Transferred(1, 2, 0.25, 0.5, "abc")
    assert Note.from_text(written.to_text()) == written


def test_a_note_is_of_the_table_that_it_fills() -> None:
    def record(into: str) -> TableRecord:
        text = Note("w", "s", into, {}).to_text()
        return TableRecord(TABLE, TABLE, TableState.COPYING, None, None, 0, 0, 0.0, "", copying=text)

    assert Note.of(record(str(TABLE))) is not None
    assert Note.of(record("public._cdc_shadow_1")) is None


@pytest.mark.parametrize(
    ("source_rows", "rows", "scattered_rows"),
    [(100_001, 25_000, 25_001), (1_000_000, 62_500, 250_000), (100_000_000, 500_000, 25_000_000)],
)
def test_ranges_are_large_enough_for_a_transaction_and_small_enough_to_lose(
    source_rows: int, rows: int, scattered_rows: int
) -> None:
    cutting = Cutting()
    assert cutting.rows(source_rows, scattered=False) == rows
    assert cutting.rows(source_rows, scattered=True) == scattered_rows
