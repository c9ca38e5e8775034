"""A row that a target refuses, by name: table, key, column and value."""

from __future__ import annotations

from collections.abc import Sequence

from cdc_pipeline.errors import LoadRefused, ValueRefused
from cdc_pipeline.model import Row, TableId, TableShape

LONGEST = 200  # characters of a value that an error shows


def value_refused(refused: LoadRefused, table: TableId, shape: TableShape, names: Sequence[str], row: Row) -> Exception:
    """The error for people. `names` are those of the row's fields."""
    values = dict(zip(names, row, strict=True))
    key = ", ".join(f"{name} = {_shown(values[name])}" for name in shape.key or names)
    # PostgreSQL names the column of every refused value but the one with a U+0000.
    with_nul = next((name for name, value in values.items() if value and "\0" in value), "")
    column = refused.fields["column"] or with_nul
    what = f"column {column} cannot hold {_shown(values[str(column)])}" if column in values else "the row"
    return ValueRefused(
        source=shape.table, table=table, key=key[: 2 * LONGEST], what=what, reason=refused.fields["reason"]
    )


def _shown(value: str | None) -> str:
    if value is None:
        return "NULL"
    return repr(value) if len(value) <= LONGEST else f"{value[:LONGEST]!r}…"
