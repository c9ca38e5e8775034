"""The load that works everywhere: pandas and plain INSERTs, for a target that has or allows no bulk load."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any, BinaryIO

import pandas as pd
from sqlalchemy import Connection

from cdc_pipeline.databases import copy_text
from cdc_pipeline.model import ColumnType, Kind, TableId

ROWS_A_FRAME = 5000
ROWS_A_STATEMENT = 500


def load(connection: Connection, table: TableId, columns: Sequence[tuple[str, ColumnType]], file: BinaryIO) -> int:
    """Insert COPY text in the caller's transaction; returns how many rows."""
    loaded, rows = 0, copy_text.parse(file)
    names = [name for name, _ in columns]
    while chunk := list(islice(rows, ROWS_A_FRAME)):
        values = [[_value(text, type) for text, (_, type) in zip(row, columns, strict=True)] for row in chunk]
        frame = pd.DataFrame(values, columns=pd.Index(names), dtype=object)
        frame.to_sql(
            table.name,
            connection,
            schema=table.schema or None,
            if_exists="append",
            index=False,
            method="multi",
            chunksize=max(1, min(ROWS_A_STATEMENT, 30_000 // len(names))),
        )
        loaded += len(chunk)
    return loaded


def _value(text: str | None, type: ColumnType) -> Any:
    """A canonical text as what the driver binds; the server converts the rest from its text."""
    if text is None:
        return None
    match type.kind:
        case Kind.BINARY:
            return bytes.fromhex(text[2:])
        case Kind.BITS:
            return int(text, 2)
        case Kind.BOOLEAN | Kind.INTEGER:
            return int(text)
        case _:
            return text
