"""A large table is copied in ranges of its key: several at a time, and all from one snapshot.

Each range is loaded and committed by itself, with a note of it in the state. A worker that has done one takes the next,
so no spread of keys leaves the work to one of them. What fails on the target's side is tried again while the snapshot
is held; and a copy that was killed goes on with what it lacks, if what is there can be proven to be what the next
snapshot holds: that has the same transactions, or each range is read from it again and comes out the same.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection

from cdc_pipeline.copying.transfer import Digest, OnRows, Transferred, transfer
from cdc_pipeline.databases.key_ranges import Key, KeyRange, can_be_cut
from cdc_pipeline.databases.source import Snapshot, Source
from cdc_pipeline.databases.target import Target
from cdc_pipeline.errors import CdcPipelineError, CopyOvertaken
from cdc_pipeline.model import TableId, TableShape
from cdc_pipeline.state import State, TableRecord
from cdc_pipeline.threads import in_threads

MOST_ROWS = 500_000  # of a range: what a kill costs at most
RANGES_A_READER = 4
MOST_ATTEMPTS = 5
REPORT_SECONDS = 0.5


@dataclass(frozen=True)
class Cutting:
    """What the replication's owner wants: a table of more than so many rows in ranges, so many at a time."""

    over_rows: int = 100_000
    readers: int = 4

    def applies(self, source_rows: int, shape: TableShape) -> bool:
        return source_rows > self.over_rows and can_be_cut(shape)

    def rows(self, source_rows: int, *, scattered: bool) -> int:
        """Of one range; too few are not worth a transaction. Where each range costs a walk through the whole table,
        there are no more than readers."""
        if scattered:
            return -(-source_rows // self.readers)
        return min(max(source_rows // (self.readers * RANGES_A_READER), self.over_rows // 4, 1), MOST_ROWS)


@dataclass
class Note:
    """What the state knows of a copy in ranges: where they were cut, and which are in the target. `id` is this
    attempt's own. Range n is what lies between cuts n-1 and n; the last one has no end."""

    watermark: str
    shape: str
    into: str  # the target's table, or a shadow
    ends: Mapping[int, int]  # of the topic's partitions, from before the snapshot
    cuts: list[Key] = field(default_factory=list)
    done: dict[int, Transferred] = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def to_text(self) -> str:
        done = [[number, asdict(transferred)] for number, transferred in self.done.items()]
        return json.dumps({**vars(self), "ends": list(self.ends.items()), "done": done})

    @classmethod
    def from_text(cls, text: str) -> Note:
        fields: dict[str, Any] = json.loads(text)
        return cls(**{
            **fields,
            "ends": dict(fields["ends"]),
            "cuts": [tuple(key) for key in fields["cuts"]],
            "done": {number: Transferred(**transferred) for number, transferred in fields["done"]},
        })  # fmt: skip

    @classmethod
    def of(cls, record: TableRecord) -> Note | None:
        """What a copy into the table itself has left."""
        note = cls.from_text(record.copying) if record.copying else None
        return note if note is not None and note.into == str(record.target) else None

    def range(self, number: int) -> KeyRange:
        after = self.cuts[number - 1] if number else None
        return KeyRange(after, self.cuts[number] if number < len(self.cuts) else None)

    @property
    def total(self) -> Transferred:
        return sum(list(self.done.values()), Transferred())  # a list: others may be adding


class Ranges:
    """Hands out ranges to several threads: first those that were cut and are not done, then new ones."""

    def __init__(self, note: Note) -> None:
        self.note = note
        self._lock = threading.Lock()
        self._left = [number for number in range(len(note.cuts)) if number not in note.done]
        self._is_cut = len(note.cuts) in note.done

    def take(self, cut: Callable[[Key | None], Key | None]) -> tuple[int, KeyRange] | None:
        """`cut` tells where a range ends that begins after this key (Snapshot.cut)."""
        with self._lock:
            if self._left:
                return self._numbered(self._left.pop(0))
            if self._is_cut:
                return None
            cuts = self.note.cuts
            after = cuts[-1] if cuts else None
            key = cut(after)
            if key is None or key == after:
                self._is_cut = True
                return self._numbered(len(cuts))
            cuts.append(key)
            return self._numbered(len(cuts) - 1)

    def _numbered(self, number: int) -> tuple[int, KeyRange]:
        return number, self.note.range(number)


@dataclass
class RangedTransfer:
    """Copies a table's ranges. `note` is in the state already."""

    source: Source
    target: Target
    state: State
    say: Callable[[str], None]
    shape: TableShape
    table: TableId
    note: Note
    shown_as: TableId | None = None
    stop: threading.Event = field(default_factory=threading.Event, init=False)
    _noting: threading.Lock = field(default_factory=threading.Lock, init=False)
    # Rows and bytes of ranges that are not done.
    _under_way: dict[int, tuple[int, int]] = field(default_factory=dict, init=False)
    _reported: float = field(default=0.0, init=False)

    def run(self, readers: Sequence[Snapshot], cutting: Cutting, source_rows: int, on_rows: OnRows) -> Transferred:
        """Until every range is in the target. Raises what the first reader that fails cannot mend; the others end with
        the range that they are at."""
        rows = cutting.rows(source_rows, scattered=self.source.is_scattered(self.shape))
        ranges = Ranges(self.note)

        def work(reader: Snapshot) -> None:
            def cut(after: Key | None) -> Key | None:
                return reader.cut(self.shape, after, rows)

            while not self.stop.is_set() and (taken := ranges.take(cut)) is not None:
                self._copy(reader, *taken, on_rows)

        futures = in_threads(work, readers, len(readers), f"copy {self.shape.table}")
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            self.stop.set()
            wait(futures)
        return self.note.total

    def _copy(self, reader: Snapshot, number: int, keys: KeyRange, on_rows: OnRows) -> None:
        attempt = 0
        while True:
            attempt += 1
            try:
                if attempt == 1 or number not in self._committed():
                    self._copy_once(reader, number, keys, on_rows)
                return
            except CdcPipelineError as error:
                if not error.retryable:
                    self._committed()  # rows that are refused because another copy has put them there
                    raise
                if attempt >= MOST_ATTEMPTS or self.stop.is_set() or not reader.is_held():
                    raise
                self.say(f"{self.shape.table}: a range is copied again, from the same snapshot, because of: {error}")
            self.stop.wait(2.0 ** (attempt - 1))

    def _committed(self) -> Mapping[int, Transferred]:
        """Where a connection was lost in a commit, only the target knows whether that came to pass."""
        with self.target.connect() as connection:
            note = self._noted(connection)
        with self._noting:
            self.note.done.update(note.done)
        return note.done

    def _copy_once(self, reader: Snapshot, number: int, keys: KeyRange, on_rows: OnRows) -> None:
        def report(rows: int, size: int) -> None:
            self._under_way[number] = rows, size
            if time.monotonic() - self._reported < REPORT_SECONDS:
                return
            self._reported = time.monotonic()
            done, under_way = self.note.total, list(self._under_way.values())
            on_rows(done.rows + sum(r for r, _ in under_way), done.bytes + sum(b for _, b in under_way))

        try:
            with self.target.connect() as connection, connection.begin() as transaction:
                done = transfer(reader, self.shape, self.target, connection, self.table, report, self.shown_as, keys)
                with self._adding(number, done):
                    self._noted(connection)
                    self.state.note_copying(connection, self.shape.table, self.note.to_text())
                    transaction.commit()
        finally:
            self._under_way.pop(number, None)

    def prove(self, readers: Sequence[Snapshot]) -> list[int]:
        """Read again what has been loaded from another snapshot. Returns the ranges of which it came out otherwise."""
        left, lock, changed = sorted(self.note.done), threading.Lock(), []

        def take() -> int | None:
            with lock:
                return left.pop(0) if left else None

        def work(reader: Snapshot) -> None:
            shape = reader.arranged(self.shape)
            while (number := take()) is not None:
                digest = Digest()
                reader.copy_to(shape, digest, self.note.range(number))  # type: ignore[arg-type]
                if digest.to_text() != self.note.done[number].digest:
                    changed.append(number)

        futures = in_threads(work, readers, len(readers), f"prove {self.shape.table}")
        wait(futures)
        for future in futures:
            future.result()
        return sorted(changed)

    def require_ours(self, connection: Connection) -> None:
        """Raises CopyOvertaken."""
        self._noted(connection)

    def _noted(self, connection: Connection) -> Note:
        """Raises CopyOvertaken if what the state knows is not ours: the lock that kept others away was lost with its
        connection, and somebody else copies this table now."""
        text = self.state.copying_of(connection, self.shape.table)
        note = Note.from_text(text) if text else None
        if note is None or note.id != self.note.id:
            raise CopyOvertaken(table=self.shape.table)
        return note

    @contextmanager
    def _adding(self, number: int, done: Transferred) -> Iterator[None]:
        """One at a time, until it is committed: a note must not tell of a range that may still be rolled back."""
        with self._noting:
            self.note.done[number] = done
            try:
                yield
            except BaseException:
                del self.note.done[number]
                raise
