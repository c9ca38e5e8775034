"""Which rows differ, and which were only on their way: on two tables that change while they are looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, cast

import pytest

from cdc_pipeline.databases.database import Database
from cdc_pipeline.differences import MOST_LOOKS, Found, Side, find
from cdc_pipeline.model import ColumnType, Kind

COLUMNS = [("id", ColumnType(Kind.INTEGER, 32)), ("name", ColumnType(Kind.TEXT))]


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class Table:
    """A database with one table, by key; or, without one, with rows that are told by their content."""

    def __init__(self, **rows: str) -> None:
        self.rows = dict(rows)
        self.read = 0

    def _hashed(self, key: Collection[str]) -> Iterator[tuple[tuple[str, ...], str, str]]:
        for id, name in self.rows.items():
            row_hash = md5(name if not key else id + name)
            yield (id,) if key else (), row_hash, md5(id) if key else row_hash

    def bucket_sums(self, _rows: str, _columns: Any, key: Collection[str], digits: int) -> dict[str, tuple[int, str]]:
        sums: dict[str, tuple[int, int]] = {}
        for _, row_hash, bucket in self._hashed(key):
            count, total = sums.get(bucket[:digits], (0, 0))
            sums[bucket[:digits]] = count + 1, total + int(row_hash[:15], 16)
        return {bucket: (count, f"{total:x}") for bucket, (count, total) in sums.items()}

    def row_hashes(
        self, _rows: str, _columns: Any, key: Collection[str], buckets: Collection[str]
    ) -> Iterator[tuple[tuple[str, ...], str]]:
        digits = len(next(iter(buckets)))
        for texts, row_hash, bucket in self._hashed(key):
            if bucket[:digits] in buckets:
                self.read += 1
                yield texts, row_hash


def found(
    source: Table, target: Table, passed: Callable[[], None] | None = None, key: tuple[str, ...] = ("id",)
) -> Found:
    sides = [Side(cast(Database, table), "t", COLUMNS, key) for table in (source, target)]
    return find(sides[0], sides[1], max(len(source.rows), len(target.rows)), passed)


def many(count: int) -> dict[str, str]:
    return {f"k{n}": f"name {n}" for n in range(count)}


def test_of_a_large_table_little_is_read() -> None:
    source, target = Table(**many(100_000)), Table(**many(100_000))
    for n in range(100):
        target.rows[f"k{n * 999}"] = "wrong"
    told = found(source, target)
    assert (told.missing, told.extra, len(told.different)) == (0, 0, 100)
    assert source.read < 30_000


def test_rows_are_missing_extra_or_different() -> None:
    told = found(Table(a="1", b="2", c="3"), Table(b="2", c="4", d="5"))
    assert (told.missing, told.extra, told.different) == (1, 1, {("c",)})
    assert told.rows.keys() == {("a",), ("c",), ("d",)}


def test_rows_without_a_key_are_counted_by_their_content() -> None:
    told = found(Table(a="x", b="x", c="x", d="y"), Table(a="x", b="z", c="z"), key=())
    assert (told.missing, told.extra, told.different) == (3, 2, set())


def test_what_was_on_its_way_is_no_difference() -> None:
    source, target = Table(a="1", b="2"), Table(a="0")
    told = found(source, target, lambda: target.rows.update(source.rows))
    assert (told.rows, told.undecided) == ({}, set())


@pytest.mark.parametrize("key", [("id",), ()])
def test_what_stays_wrong_is_one_and_what_is_on_its_way_beside_it_is_not(key: tuple[str, ...]) -> None:
    source, target = Table(a="1", b="2", c="3"), Table(a="wrong")
    told = found(source, target, lambda: target.rows.update(b="2", c="3"), key)
    assert (told.missing + len(told.different), told.undecided) == (1, set())


def test_a_row_that_changes_all_the_time_is_undecided() -> None:
    """The stream is always one change behind, and nothing is wrong."""
    source, target, changes = Table(hot="0", cold="x"), Table(hot="", cold="wrong"), iter(range(1, 100))

    def passed() -> None:
        target.rows["hot"] = source.rows["hot"]
        source.rows["hot"] = str(next(changes))

    told = found(source, target, passed)
    assert told.undecided == {("hot",)}
    assert told.rows.keys() == {("cold",)}
    assert next(changes) == MOST_LOOKS + 1


def test_a_row_that_changed_and_changed_back_is_no_difference() -> None:
    """The target is looked at just when it has what came in between."""
    source, target, looks = Table(a="1"), Table(a="0"), iter(["between", "1"])
    told = found(source, target, lambda: target.rows.update(a=next(looks)))
    assert (told.rows, told.undecided) == ({}, set())


@pytest.mark.parametrize("settled_after", [3, None])
def test_equal_rows_without_a_key_come_and_go_before_they_count(settled_after: int | None) -> None:
    """Between two looks at the source one more may have come to the target, and gone again."""
    source, target, looks = Table(a="x", b="x"), Table(a="x", b="x", c="x"), 0

    def passed() -> None:
        nonlocal looks
        looks += 1
        if looks == (settled_after or MOST_LOOKS) + 1:
            del target.rows["c"]

    told = found(source, target, passed, key=())
    assert (told.extra, told.undecided) == (0 if settled_after else 1, set())
    assert looks == 4
