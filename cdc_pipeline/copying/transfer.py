"""Rows from a snapshot into a table, through a pipe: one thread reads, the caller's loads."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from typing import BinaryIO

from sqlalchemy import Connection

from cdc_pipeline.databases import copy_text
from cdc_pipeline.databases.base import Snapshot
from cdc_pipeline.databases.refusal import value_refused
from cdc_pipeline.databases.target import Target
from cdc_pipeline.errors import CdcPipelineError, CopyIncomplete, LoadRefused
from cdc_pipeline.model import Row, TableId, TableShape

KEPT_BYTES = 4 << 20  # of rows on their way: more than the pipe and the connection hold

OnRows = Callable[[int, int], None]  # rows and bytes so far; called from the reading thread


@dataclass
class Counted:
    """A file that counts what is written to it. COPY text has one newline a row."""

    file: BinaryIO
    on_rows: OnRows
    rows: int = 0
    bytes: int = 0
    recent: deque[tuple[int, bytes]] = field(default_factory=deque)  # number of the first row, and whole rows
    recent_bytes: int = 0

    def write(self, chunk: bytes) -> int:
        self.recent.append((self.rows + 1, chunk))
        self.recent_bytes += len(chunk)
        while self.recent_bytes > KEPT_BYTES and len(self.recent) > 1:
            self.recent_bytes -= len(self.recent.popleft()[1])
        self.file.write(chunk)
        self.rows += chunk.count(b"\n")
        self.bytes += len(chunk)
        self.on_rows(self.rows, self.bytes)
        return len(chunk)

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


def transfer(
    snapshot: Snapshot,
    shape: TableShape,
    target: Target,
    connection: Connection,
    table: TableId,
    on_rows: OnRows,
    shown_as: TableId | None = None,
) -> tuple[int, int]:
    """Copy the snapshot's rows into the target table, in the caller's transaction. Returns rows and bytes. People know
    a shadow by the name of the table whose place it will take.

    Raises what went wrong on either side, and CopyIncomplete if the two do not agree on the number of rows; the
    caller must then roll back.
    """
    shape = snapshot.arranged(shape)
    reading, writing = os.pipe()
    counted: list[Counted] = []
    refused: LoadRefused | None = None
    loaded = 0
    failures: list[BaseException] = []

    def read() -> None:
        try:
            with os.fdopen(writing, "wb", buffering=1 << 16) as file:
                counted.append(Counted(file, on_rows))
                snapshot.copy_to(shape, counted[0])  # type: ignore[arg-type]  # write() is all that is asked of it
        except BrokenPipeError:
            return  # the loading side has failed, and says why
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            failures.append(error)

    reader = threading.Thread(target=read, name=f"read {shape.table}")
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
        if failures:
            raise failures[0]
    if refused is not None:
        raise _named(refused, snapshot, shape, shown_as or table, counted[0]) from refused
    if loaded != counted[0].rows:
        raise CopyIncomplete(table=shape.table, read=counted[0].rows, loaded=loaded)
    return loaded, counted[0].bytes


def _named(refused: LoadRefused, snapshot: Snapshot, shape: TableShape, table: TableId, counted: Counted) -> Exception:
    """The refused row by its key and value. One that is no longer kept is read again: MySQL tells of a row only at the
    end, and the same snapshot gives the same rows in the same order."""
    number = int(str(refused.fields["row"]))
    row = counted.row(number)
    if row is None:
        try:
            snapshot.copy_to(shape, _Search(number))  # type: ignore[arg-type]
        except _Found as found:
            row = found.row
        except CdcPipelineError:
            return refused  # the source has gone: what the target said is all there is
    return refused if row is None else value_refused(refused, table, shape, shape.names, row)
