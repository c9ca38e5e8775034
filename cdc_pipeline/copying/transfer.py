"""Rows from a snapshot into a table, through a pipe: one thread reads, the caller's loads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from sqlalchemy import Connection

from cdc_pipeline.databases.base import Snapshot
from cdc_pipeline.databases.target import Target
from cdc_pipeline.errors import CopyIncomplete
from cdc_pipeline.model import TableId, TableShape

OnRows = Callable[[int, int], None]  # rows and bytes so far; called from the reading thread


@dataclass
class Counted:
    """A file that counts what is written to it. COPY text has one newline a row."""

    file: BinaryIO
    on_rows: OnRows
    rows: int = 0
    bytes: int = 0

    def write(self, chunk: bytes) -> int:
        self.file.write(chunk)
        self.rows += chunk.count(b"\n")
        self.bytes += len(chunk)
        self.on_rows(self.rows, self.bytes)
        return len(chunk)


def transfer(
    snapshot: Snapshot, shape: TableShape, target: Target, connection: Connection, table: TableId, on_rows: OnRows
) -> tuple[int, int]:
    """Copy the snapshot's rows into the target table, in the caller's transaction. Returns rows and bytes.

    Raises what went wrong on either side, and CopyIncomplete if the two do not agree on the number of rows; the
    caller must then roll back.
    """
    reading, writing = os.pipe()
    counted: list[Counted] = []
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
            loaded = target.load(connection, table, columns, file)
    finally:
        reader.join()
        if failures:
            raise failures[0]
    if loaded != counted[0].rows:
        raise CopyIncomplete(table=shape.table, read=counted[0].rows, loaded=loaded)
    return loaded, counted[0].bytes
