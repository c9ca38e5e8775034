"""Which rows differ, and which were only on their way: on two tables that change while they are looked at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from threading import Barrier
from typing import Any, cast

import pytest

from cdc_pipeline import differences
from cdc_pipeline.databases.database import Buckets, Database
from cdc_pipeline.databases.key_ranges import KeySet
from cdc_pipeline.differences import MOST_LOOKS, Found, Side, find, look
from cdc_pipeline.model import ColumnType, Kind

COLUMNS = [("id", ColumnType(Kind.INTEGER, 32)), ("name", ColumnType(Kind.TEXT))]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Table:
    """A database with one table, by key; or, without one, with rows that are told by their content."""

    def __init__(self, **rows: str) -> None:
        self.rows = dict(rows)
        self.read = 0
        self.looks: list[str] = []

    def count_rows(self, _rows: str) -> int:
        return len(self.rows)

    def _hashed(self, key: Collection[str]) -> Iterator[tuple[tuple[str, ...], str, str]]:
        for id, name in self.rows.items():
            row_hash = sha256(name if not key else id + name)
            yield (id,) if key else (), row_hash, sha256(id) if key else row_hash

    def bucket_sums(
        self, _rows: str, _columns: Any, key: Collection[str], digits: int, within: Collection[str]
    ) -> Buckets:
        self.looks.append(f"{digits} digits")
        sums: Buckets = {}
        for _, row_hash, bucket in self._hashed(key):
            if not within or bucket[: len(next(iter(within)))] in within:
                count, total = sums.get(bucket[:digits], (0, 0))
                sums[bucket[:digits]] = count + 1, total + int(row_hash[:15], 16)
        return sums

    def row_hashes(
        self, _rows: str, _columns: Any, key: Collection[str], only: Collection[str] | KeySet
    ) -> Iterator[tuple[tuple[str, ...], str]]:
        self.looks.append("keys" if isinstance(only, KeySet) else "buckets")
        for texts, row_hash, bucket in self._hashed(key):
            if texts in only.keys if isinstance(only, KeySet) else bucket[: len(next(iter(only)))] in only:
                self.read += 1
                yield texts, row_hash


def found(
    source: Table, target: Table, passed: Callable[[], None] | None = None, key: tuple[str, ...] = ("id",)
) -> Found:
    sides = Side(cast(Database, source), "t", COLUMNS, key), Side(cast(Database, target), "t", COLUMNS, key)
    return find(*sides, look(*sides), passed)


def many(count: int) -> dict[str, str]:
    return {f"k{n}": f"name {n}" for n in range(count)}


def test_of_a_large_table_little_is_read() -> None:
    source, target = Table(**many(100_000)), Table(**many(100_000))
    for n in range(100):
        target.rows[f"k{n * 999}"] = "wrong"
    told = found(source, target)
    assert (told.missing, told.extra, len(told.different)) == (0, 0, 100)
    assert source.read < 30_000


def wait_for_both(table: Table, both: Barrier) -> None:
    """Its scan begins only once that of another table has begun."""
    scan = table.bucket_sums

    def bucket_sums(*arguments: Any) -> Buckets:
        both.wait(timeout=60)
        return scan(*arguments)

    table.bucket_sums = bucket_sums  # type: ignore[method-assign]


def test_both_tables_are_scanned_at_the_same_time() -> None:
    source, target, both = Table(a="1"), Table(a="2"), Barrier(2)
    wait_for_both(source, both)
    wait_for_both(target, both)
    assert found(source, target).different == {("a",)}


@pytest.mark.parametrize(("most", "digits"), [(16**3, "4 digits"), (16**4, "5 digits")])
def test_buckets_that_are_too_large_to_be_read_are_cut(monkeypatch: pytest.MonkeyPatch, most: int, digits: str) -> None:
    monkeypatch.setattr(differences, "MOST_READ", 10)
    monkeypatch.setattr(differences, "MOST_BUCKETS", most)
    source, target = Table(**many(5000)), Table(**many(5000))
    target.rows.update(k7="wrong", k77="wrong")
    told = found(source, target)
    assert (told.different, told.unread) == ({("k7",), ("k77",)}, 0)
    assert source.looks == target.looks == ["2 digits", digits, "buckets"]
    assert source.read <= 10


def test_of_very_many_rows_that_differ_some_are_named_and_the_others_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "MOST_READ", 1000)
    source, target = Table(**many(5000)), Table()
    told = found(source, target)
    assert 900 < told.missing <= 1000 == source.read + 1000 - told.missing
    assert told.missing + told.unread == 5000
    assert not told.is_nothing


def test_a_bucket_of_equal_rows_cannot_be_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "MOST_READ", 10)
    told = found(Table(**dict.fromkeys(many(20), "x")), Table(**dict.fromkeys(many(17), "x")), key=())
    assert (told.missing, told.unread) == (3, 0)


def test_a_stream_that_is_far_behind_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differences, "MOST_READ", 1000)
    source, target = Table(**many(5000)), Table()
    assert found(source, target, lambda: target.rows.update(source.rows)).is_nothing


def test_rows_are_missing_extra_or_different() -> None:
    told = found(Table(a="1", b="2", c="3"), Table(b="2", c="4", d="5"))
    assert (told.missing, told.extra, told.different) == (1, 1, {("c",)})
    assert told.rows.keys() == {("a",), ("c",), ("d",)}


def test_rows_without_a_key_are_counted_by_their_content() -> None:
    told = found(Table(a="x", b="x", c="x", d="y"), Table(a="x", b="z", c="z"), key=())
    assert (told.missing, told.extra, told.different) == (3, 2, set())


@pytest.mark.parametrize(("most_asked", "again"), [(1000, "keys"), (1, "buckets")])
def test_what_was_on_its_way_is_no_difference(monkeypatch: pytest.MonkeyPatch, most_asked: int, again: str) -> None:
    monkeypatch.setattr(differences, "MOST_ASKED", most_asked)
    source, target = Table(a="1", b="2"), Table(a="0")
    told = found(source, target, lambda: target.rows.update(source.rows))
    assert (told.rows, told.undecided) == ({}, set())
    assert source.looks == ["1 digits", "buckets", again]


def test_what_has_come_while_it_was_looked_at_is_not_asked_for_again() -> None:
    source, target = Table(a="1"), Table()
    read = source.row_hashes

    def row_hashes(*arguments: Any) -> Iterator[tuple[tuple[str, ...], str]]:
        source.rows.clear()
        return read(*arguments)

    source.row_hashes = row_hashes  # type: ignore[method-assign]
    assert found(source, target, lambda: None).is_nothing
    assert source.looks == ["1 digits", "buckets"]


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
