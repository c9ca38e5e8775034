"""MySQL's watermarks: GTID sets and binlog positions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_pipeline.databases.mysql.watermark import BinlogWatermark, GtidSet, GtidWatermark, parse

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "4f22fb58-71ca-11e1-9e33-c80aa9429562"


@pytest.mark.parametrize("gtid", [f"{A}:1", f"{A}:5", f"{A}:7", f"{A}:11", f"{B}:2", f"{A.upper()}:3"])
def test_a_set_contains_what_lies_in_an_interval(gtid: str) -> None:
    assert GtidSet(f"{A}:1-5:7:10-12,\n{B}:1-3").contains(gtid)


@pytest.mark.parametrize("gtid", [f"{A}:6", f"{A}:8", f"{A}:13", f"{B}:4", "00000000-71ca-11e1-9e33-c80aa9429562:1"])
def test_a_set_does_not_contain_what_lies_between(gtid: str) -> None:
    assert not GtidSet(f"{A}:1-5:7:10-12,\n{B}:1-3").contains(gtid)


def test_a_tag_has_numbers_of_its_own() -> None:
    tagged = GtidSet(f"{A}:1-3:blue:5-6:8:red:1")
    assert [tagged.contains(f"{A}:{rest}") for rest in ("2", "blue:5", "blue:8", "red:1")] == [True] * 4
    assert [tagged.contains(f"{A}:{rest}") for rest in ("5", "blue:2", "blue:7", "red:5")] == [False] * 4


@pytest.mark.parametrize(
    ("larger", "smaller", "included"),
    [
        (f"{A}:1-10", f"{A}:3-5", True),
        (f"{A}:1-10", "", True),
        ("", f"{A}:1", False),
        (f"{A}:1-10,{B}:1", f"{B}:1,{A}:1-10", True),
        (f"{A}:1-10", f"{A}:3-11", False),
        (f"{A}:1-4:6-10", f"{A}:3-7", False),
        (f"{A}:1-10", f"{A}:1,{B}:1", False),
        (f"{A}:1-10", f"{A}:blue:1", False),
        (f"{A}:6-10:1-5", f"{A}:4-7", True),  # Debezium and people write intervals that touch
    ],
)
def test_a_set_includes_another_if_it_has_all_of_it(larger: str, smaller: str, included: bool) -> None:
    assert GtidSet(larger).includes(GtidSet(smaller)) is included


@pytest.mark.parametrize(
    ("larger", "smaller", "lacking"),
    [
        (f"{A}:1-10", f"{A}:3-11", 1),
        (f"{A}:1-4:6-10", f"{A}:3-7", 1),
        ("", f"{A}:5-7,{B}:1", 4),
        (f"{A}:2-3:5:9-20", f"{A}:1-10", 5),
        (f"{A}:1-10", f"{A}:2-3", 0),
    ],
)
def test_a_set_counts_what_it_lacks_of_another(larger: str, smaller: str, lacking: int) -> None:
    assert GtidSet(larger).lacks(GtidSet(smaller)) == lacking


origins = st.sampled_from([A, B, f"{A}:blue"])
intervals = st.tuples(st.integers(1, 20), st.integers(0, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))
parts = st.lists(st.tuples(origins, intervals), max_size=6)


def written(parts: list[tuple[str, tuple[int, int]]]) -> str:
    intervals = [(origin, f"{first}-{last}" if last > first else str(first)) for origin, (first, last) in parts]
    return ",".join(f"{origin}:{interval}" for origin, interval in intervals)


def naive(parts: list[tuple[str, tuple[int, int]]]) -> set[tuple[str, int]]:
    return {(origin, number) for origin, (first, last) in parts for number in range(first, last + 1)}


@given(parts, parts)
def test_sets_behave_like_sets(mine: list, theirs: list) -> None:
    gtids, members = GtidSet(written(mine)), naive(mine)
    assert gtids.includes(GtidSet(written(theirs))) == (naive(theirs) <= members)
    for origin in (A, B, f"{A}:blue"):
        assert [gtids.contains(f"{origin}:{n}") for n in range(1, 27)] == [(origin, n) in members for n in range(1, 27)]


def test_a_gtid_watermark_holds_its_transactions_and_survives_the_state_tables() -> None:
    watermark = parse(GtidWatermark(GtidSet(f"{A}:1-5")).to_text())
    assert watermark.holds({"gtid": f"{A}:5"})
    assert not watermark.holds({"gtid": f"{A}:6"})


@pytest.mark.parametrize(
    ("file", "pos", "held"),
    [
        ("binlog.000009", 900, True),
        ("binlog.000010", 499, True),
        ("binlog.000010", 500, False),  # the position is where the next event begins
        ("binlog.000011", 4, False),
        ("binlog.999999", 4, False),
        ("binlog.1000000", 4, False),
    ],
)
def test_a_binlog_watermark_holds_what_is_before_it(file: str, pos: int, held: bool) -> None:
    watermark = parse(BinlogWatermark("binlog.000010", 500).to_text())
    assert watermark.holds({"file": file, "pos": pos}) is held


@given(st.integers(1, 2_000_000), st.integers(4, 2**31), st.integers(1, 2_000_000), st.integers(4, 2**31))
def test_binlog_positions_are_ordered_by_number_and_not_by_text(file: int, pos: int, other: int, at: int) -> None:
    watermark = BinlogWatermark(f"bin.log.{other:06d}", at)
    assert watermark.holds({"file": f"bin.log.{file:06d}", "pos": pos}) == ((file, pos) < (other, at))
