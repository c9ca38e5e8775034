"""Which rows of two tables differ, found without reading the tables.

Both servers add up the hashes of the rows of each bucket, in one scan; only of the buckets that differ are keys and
hashes read. Where those would be many rows, the buckets are cut into smaller ones first. The scans begin at the same
time: each sees the rows as they were at its beginning, so however long it takes, little is on its way in between.

While changes flow, a row that differs may just be on its way. So it is looked at again when the stream has passed what
the source held: if the source's row is the same before and after that, and the target's is another one, it does differ;
and that twice in the same way, as a row may change and change back in between. Of rows without a key some are equal,
and come and go: of those that takes four times. What the source changes each time stays undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cdc_pipeline.databases.database import Buckets, Database
from cdc_pipeline.databases.key_ranges import Key, KeySet
from cdc_pipeline.model import ColumnType
from cdc_pipeline.threads import at_once

Rows = Mapping[Key, tuple[str, ...]]  # the hashes of the rows with a key; of a table without one, rows by their hash
Pair = tuple[tuple[str, ...], tuple[str, ...]]  # of one key: what the source has, and the target
Passed = Callable[[], None]  # returns when what the source holds now has come to the target

BUCKET_ROWS = 256
MOST_BUCKETS = 16**4  # that are counted at a time
MOST_DIGITS = 12  # of a bucket's name; beyond, what is in one bucket are rows that are equal
MOST_READ = 500_000  # rows of each side
MOST_ASKED = 1000  # rows that are asked for by their keys; more of them by their buckets
MOST_LOOKS = 8
TWICE, OFTEN = 2, 4  # so many looks in a row have to find the same; of rows without a key, the other


@dataclass(frozen=True)
class Side:
    """One of the two tables: `rows` is what stands behind FROM."""

    database: Database
    rows: str
    columns: Sequence[tuple[str, ColumnType]]
    key: Sequence[str]

    def count(self) -> int:
        return self.database.count_rows(self.rows)

    def bucket_sums(self, digits: int, within: Collection[str] = ()) -> Buckets:
        return self.database.bucket_sums(self.rows, self.columns, self.key, digits, within)

    def read(self, only: Collection[str] | KeySet) -> Rows:
        found: dict[Key, list[str]] = {}
        for key, row_hash in self.database.row_hashes(self.rows, self.columns, self.key, only):
            found.setdefault(key if self.key else (row_hash,), []).append(row_hash)
        return {key: tuple(sorted(hashes)) for key, hashes in found.items()}


@dataclass(frozen=True)
class Sums:
    """The buckets of both tables, whose names have so many digits."""

    digits: int
    source: Buckets
    target: Buckets

    @property
    def differing(self) -> dict[str, int]:
        """The buckets that differ, with how many rows the one has that has more of them, smaller ones first."""
        differing = {
            bucket: max(self.source.get(bucket, (0, 0))[0], self.target.get(bucket, (0, 0))[0])
            for bucket in self.source.keys() | self.target.keys()
            if self.source.get(bucket) != self.target.get(bucket)
        }
        return dict(sorted(differing.items(), key=lambda item: (item[1], item[0])))


@dataclass
class Found:
    """Rows that differ: by key, what the source and the target have."""

    rows: dict[Key, Pair] = field(default_factory=dict)
    undecided: set[Key] = field(default_factory=set)
    unread: int = 0  # rows of buckets that differ and were left out, as those are too many to be read

    @property
    def is_nothing(self) -> bool:
        return not self.rows and not self.undecided and not self.unread

    @property
    def missing(self) -> int:
        return sum(len(source) - len(target) for source, target in self._of_one_side if len(source) > len(target))

    @property
    def extra(self) -> int:
        return sum(len(target) - len(source) for source, target in self._of_one_side if len(target) > len(source))

    @property
    def _of_one_side(self) -> list[Pair]:
        different = self.different
        return [pair for key, pair in self.rows.items() if key not in different]

    @property
    def different(self) -> set[Key]:
        """Keys that both have, with other values. (Rows that are told by their hash cannot be.)"""
        return {key for key, (source, target) in self.rows.items() if source and target and set(source) != set(target)}


def look(source: Side, target: Side) -> Sums:
    """At all rows of both."""
    rows, digits = max(at_once(Side.count, source, target, "count")), 1
    while 16 ** (digits + 1) <= MOST_BUCKETS and 16**digits * BUCKET_ROWS < rows:
        digits += 1
    return _sums(source, target, digits)


def _sums(source: Side, target: Side, digits: int, within: Collection[str] = ()) -> Sums:
    return Sums(digits, *at_once(lambda side: side.bucket_sums(digits, within), source, target, "sum"))


def find(source: Side, target: Side, sums: Sums, passed: Passed | None) -> Found:
    """`sums` is what a `look` has found. Without `passed` nothing flows: what differs does."""
    buckets, unread = _few(_cut(source, target, sums).differing)
    if unread and passed:  # the stream may just be far behind
        passed()
        buckets, unread = _few(_cut(source, target, _sums(source, target, sums.digits)).differing)
    if not buckets:
        return Found()
    ours, theirs = at_once(lambda side: side.read(buckets), source, target, "read")
    suspects = {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    if passed is None:
        return Found({key: (ours.get(key, ()), theirs.get(key, ())) for key in suspects}, unread=unread)
    found = _settle(source, target, buckets, suspects, ours, passed)
    found.unread = unread
    return found


def _cut(source: Side, target: Side, sums: Sums) -> Sums:
    """Buckets that differ in few enough rows to be read, if they can be cut that small."""
    while (buckets := sums.differing) and sum(buckets.values()) > MOST_READ:
        more = 0
        while len(buckets) * 16 ** (more + 1) <= MOST_BUCKETS and sums.digits + more < MOST_DIGITS:
            more += 1
        if not more:
            break
        sums = _sums(source, target, sums.digits + more, buckets)
    return sums


def _few(buckets: Mapping[str, int]) -> tuple[list[str], int]:
    """As many of these as may be read, and how many rows the others have."""
    few: list[str] = []
    rows = 0
    for bucket, count in buckets.items():
        if few and rows + count > MOST_READ:
            break
        few.append(bucket)
        rows += count
    return few, sum(buckets.values()) - rows


def _settle(
    source: Side, target: Side, buckets: Collection[str], suspects: set[Key], before: Rows, passed: Passed
) -> Found:
    """`before` is what the source had when the suspects were found."""
    found, needed = Found(undecided=set(suspects)), TWICE if source.key else OFTEN
    seen: dict[Key, tuple[Pair, int]] = {}  # what the last looks have found, and how many
    looks = 0
    while found.undecided and looks < MOST_LOOKS:
        looks += 1
        passed()
        few = bool(source.key) and len(found.undecided) <= MOST_ASKED
        only = KeySet(tuple(found.undecided)) if few else buckets
        theirs, after = target.read(only), source.read(only)  # in this order: the source's row is the same until behind
        for key in sorted(found.undecided, key=str):
            pair = after.get(key, ()), theirs.get(key, ())
            if before.get(key) != after.get(key):
                seen.pop(key, None)
            elif pair[0] == pair[1]:
                found.undecided.discard(key)
            else:
                last, times = seen.get(key, (pair, 0))
                seen[key] = pair, times + 1 if last == pair else 1
                if seen[key][1] == needed:
                    found.rows[key] = pair
                    found.undecided.discard(key)
        before = after
    return found
