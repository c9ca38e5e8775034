"""Which rows of two tables differ, found without reading the tables.

Both servers add up the hashes of the rows of each bucket, in one scan; only of the buckets that differ are keys and
hashes read. While changes flow, a row that differs may just be on its way. So it is looked at again when the stream has
passed what the source held: if the source's row is the same before and after that, and the target's is another one, it
does differ; and that twice in the same way, as a row may change and change back in between. Of rows without a key some
are equal, and come and go: of those that takes four times. What the source changes each time stays undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cdc_pipeline.databases.database import Database
from cdc_pipeline.model import ColumnType

Key = tuple[str | None, ...]
Rows = Mapping[Key, tuple[str, ...]]  # the hashes of the rows with a key; of a table without one, rows by their hash
Pair = tuple[tuple[str, ...], tuple[str, ...]]  # of one key: what the source has, and the target
Passed = Callable[[], None]  # returns when what the source holds now has come to the target

BUCKET_ROWS = 256
MOST_DIGITS = 4  # of a bucket's name: 65,536 of them
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

    def bucket_sums(self, digits: int) -> dict[str, tuple[int, str]]:
        return self.database.bucket_sums(self.rows, self.columns, self.key, digits)

    def read(self, buckets: Collection[str]) -> Rows:
        found: dict[Key, list[str]] = {}
        for key, row_hash in self.database.row_hashes(self.rows, self.columns, self.key, buckets):
            found.setdefault(key if self.key else (row_hash,), []).append(row_hash)
        return {key: tuple(sorted(hashes)) for key, hashes in found.items()}


@dataclass
class Found:
    """Rows that differ: by key, what the source and the target have."""

    rows: dict[Key, Pair] = field(default_factory=dict)
    undecided: set[Key] = field(default_factory=set)

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


def find(source: Side, target: Side, rows: int, passed: Passed | None) -> Found:
    """`rows` is how many the larger one has, about. Without `passed` nothing flows: what differs does."""
    buckets = _buckets_that_differ(source, target, rows)
    if not buckets:
        return Found()
    ours, theirs = source.read(buckets), target.read(buckets)
    suspects = {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    if passed is None:
        return Found({key: (ours.get(key, ()), theirs.get(key, ())) for key in suspects})
    return _settle(source, target, buckets, suspects, ours, passed)


def _buckets_that_differ(source: Side, target: Side, rows: int) -> set[str]:
    digits = 1
    while digits < MOST_DIGITS and 16**digits * BUCKET_ROWS < rows:
        digits += 1
    ours, theirs = source.bucket_sums(digits), target.bucket_sums(digits)
    return {bucket for bucket in ours.keys() | theirs.keys() if ours.get(bucket) != theirs.get(bucket)}


def _settle(
    source: Side, target: Side, buckets: Collection[str], suspects: set[Key], before: Rows, passed: Passed
) -> Found:
    """`before` is what the source had when the suspects were found."""
    found, needed = Found(undecided=set(suspects)), TWICE if source.key else OFTEN
    seen: dict[Key, tuple[Pair, int]] = {}  # what the last looks have found, and how many
    for _ in range(MOST_LOOKS):
        passed()
        theirs, after = target.read(buckets), source.read(buckets)
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
        if not found.undecided:
            break
        before = after
    return found
