"""Rows from a snapshot into a table, through a pipe: one thread reads, the caller's loads."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from io import BytesIO
from itertools import islice
from typing import BinaryIO

from sqlalchemy import Connection

from cdc_pipeline.databases import copy_text
from cdc_pipeline.databases.key_ranges import WHOLE_TABLE, KeyRange
from cdc_pipeline.databases.refusal import value_refused
from cdc_pipeline.databases.source import Snapshot
from cdc_pipeline.databases.target import Target
from cdc_pipeline.errors import CdcPipelineError, CopyIncomplete, LoadRefused
from cdc_pipeline.model import Row, TableId, TableShape

KEPT_BYTES = 4 << 20  # of rows on their way: more than the pipe and the connection hold

OnRows = Callable[[int, int], None]  # rows and bytes so far; called from the reading thread


@dataclass(frozen=True)
class Transferred:
    """What has been copied. The seconds tell which side the other one waited for; of ranges that are copied at the same
    time, they are those of all together."""

    rows: int = 0
    bytes: int = 0
    read_seconds: float = 0.0  # the source's, and making COPY text of what it sends
    write_seconds: float = 0.0  # the target's
    digest: str = ""  # of the COPY text; a sum has none

    @property
    def phases(self) -> dict[str, float]:
        return {"read": round(self.read_seconds, 3), "write": round(self.write_seconds, 3)}

    def __add__(self, other: Transferred) -> Transferred:
        return Transferred(
            self.rows + other.rows, self.bytes + other.bytes,
            self.read_seconds + other.read_seconds, self.write_seconds + other.write_seconds,
        )  # fmt: skip


class Digest:
    """A file that keeps nothing but a hash of what is written to it."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)

    def write(self, chunk: bytes) -> int:
        self._hash.update(chunk)
        return len(chunk)

    def to_text(self) -> str:
        return self._hash.hexdigest()


@dataclass
class Counted:
    """A file that counts what is written to it. COPY text has one newline a row."""

    file: BinaryIO
    on_rows: OnRows
    is_range: bool = False  # its hash is kept; what nobody takes any more is dropped: the session shall read others
    rows: int = 0
    bytes: int = 0
    waited: float = 0.0  # seconds, for the other side to take what was written
    recent: deque[tuple[int, bytes]] = field(default_factory=deque)  # number of the first row, and whole rows
    recent_bytes: int = 0
    is_broken: bool = False
    digest: Digest = field(default_factory=Digest)

    def write(self, chunk: bytes) -> int:
        if self.is_broken:
            return len(chunk)
        self.recent.append((self.rows + 1, chunk))
        self.recent_bytes += len(chunk)
        while self.recent_bytes > KEPT_BYTES and len(self.recent) > 1:
            self.recent_bytes -= len(self.recent.popleft()[1])
        self._pass_on(chunk)
        self.rows += chunk.count(b"\n")
        self.bytes += len(chunk)
        if self.is_range:
            self.digest.write(chunk)
        self.on_rows(self.rows, self.bytes)
        return len(chunk)

    def _pass_on(self, chunk: bytes) -> None:
        began = time.monotonic()
        try:
            self.file.write(chunk)
        except BrokenPipeError:
            if not self.is_range:
                raise
            self.is_broken = True
        self.waited += time.monotonic() - began

    def row(self, number: int) -> Row | None:
        """A row that was written lately, counted from 1; None if it is no longer kept."""
        for first, chunk in self.recent:
            if first <= number < first + chunk.count(b"\n"):
                return _row_of(chunk, number - first)
        return None


class _Found(Exception):
    def __init__(self, row: Row) -> None:
        self.row = row


@dataclass
class _Search:
    """Reads until it has the row with this number."""

    number: int
    rows: int = 0

    def write(self, chunk: bytes) -> int:
        first, self.rows = self.rows + 1, self.rows + chunk.count(b"\n")
        if self.number <= self.rows:
            raise _Found(_row_of(chunk, self.number - first))
        return len(chunk)


def _row_of(chunk: bytes, index: int) -> Row:
    return tuple(next(islice(copy_text.parse(BytesIO(chunk)), index, None)))


class _Reading(threading.Thread):
    """Reads into a pipe."""

    def __init__(self, snapshot: Snapshot, shape: TableShape, keys: KeyRange, pipe: int, on_rows: OnRows) -> None:
        super().__init__(name=f"read {shape.table}")
        self.snapshot = snapshot
        self.shape = shape
        self.keys = keys
        self.file = os.fdopen(pipe, "wb", buffering=1 << 16)
        self.counted = Counted(self.file, on_rows, is_range=not keys.is_whole)
        self.seconds = 0.0
        self.failure: BaseException | None = None

    def run(self) -> None:
        began = time.monotonic()
        try:
            with self.file:
                self.snapshot.copy_to(self.shape, self.counted, self.keys)  # type: ignore[arg-type]  # write() is all that is asked of it
                self.seconds = time.monotonic() - began - self.counted.waited
        except BrokenPipeError:
            return  # the loading side has failed, and says why
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            self.failure = error


def transfer(
    snapshot: Snapshot,
    shape: TableShape,
    target: Target,
    connection: Connection,
    table: TableId,
    on_rows: OnRows,
    shown_as: TableId | None = None,
    keys: KeyRange = WHOLE_TABLE,
) -> Transferred:
    """Copy the snapshot's rows of this range into the target table, in the caller's transaction. People know a shadow
    by the name of the table whose place it will take.

    Raises what went wrong on either side, and CopyIncomplete if the two do not agree on the number of rows; the
    caller must then roll back.
    """
    shape, began = snapshot.arranged(shape), time.monotonic()
    reading, writing = os.pipe()
    reader = _Reading(snapshot, shape, keys, writing, on_rows)
    counted, refused, loaded = reader.counted, None, 0
    reader.start()
    try:
        with os.fdopen(reading, "rb") as file:
            columns = [(column.name, column.canonical) for column in shape.columns]
            try:
                loaded = target.load(connection, table, columns, file)
            except LoadRefused as error:
                refused = error
    finally:
        reader.join()
        if reader.failure is not None:
            raise reader.failure
    if refused is not None:
        raise _named(refused, snapshot, shape, shown_as or table, counted, keys) from refused
    if loaded != counted.rows:
        raise CopyIncomplete(table=shape.table, read=counted.rows, loaded=loaded)
    write_seconds = time.monotonic() - began - reader.seconds
    return Transferred(loaded, counted.bytes, reader.seconds, write_seconds, counted.digest.to_text())


def _named(
    refused: LoadRefused, snapshot: Snapshot, shape: TableShape, table: TableId, counted: Counted, keys: KeyRange
) -> Exception:
    """The refused row by its key and value. One that is no longer kept is read again: MySQL tells of a row only at the
    end, and the same snapshot gives the same rows in the same order."""
    number = int(str(refused.fields["row"]))
    row = counted.row(number)
    if row is None:
        try:
            snapshot.copy_to(shape, _Search(number), keys)  # type: ignore[arg-type]
        except _Found as found:
            row = found.row
        except CdcPipelineError:
            return refused  # the source has gone: what the target said is all there is
    return refused if row is None else value_refused(refused, table, shape, shape.names, row)
