"""A table in ranges of its primary key, each to be read by itself; and single rows of it. Pure SQL text.

Ranges are cut by counting keys in the order of the key's own index, so they have equally many rows however the keys are
spread. What is cut is the order of keys, not a state of the table: rows may come and go meanwhile, each has one range.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdc_pipeline.databases.row_hash import row_hash
from cdc_pipeline.model import Column, ColumnType, Kind, TableShape

if TYPE_CHECKING:
    from cdc_pipeline.databases.dialect import Dialect

Key = tuple[str, ...]  # the texts of a key's columns, as `Dialect.key_text` gives them

# An ENUM is in another order than its texts, as is a text with rules of its own; of the others, no text says exactly
# which value is meant.
CUT_KINDS = {
    Kind.INTEGER, Kind.DECIMAL, Kind.TEXT, Kind.UUID, Kind.BINARY, Kind.DATE, Kind.TIMESTAMP, Kind.INSTANT,
}  # fmt: skip


@dataclass(frozen=True)
class KeyRange:
    """The rows whose keys come after one key, and not after another. None: as far as there are rows."""

    after: Key | None = None
    upto: Key | None = None

    @property
    def is_whole(self) -> bool:
        return self.after is None and self.upto is None


@dataclass(frozen=True)
class KeySet:
    """The rows with these keys, told by the texts that `Dialect.compare` gives of the key's columns."""

    keys: tuple[Key, ...]


WHOLE_TABLE = KeyRange()


def can_be_cut(shape: TableShape) -> bool:
    key = [column.canonical for column in key_columns(shape)]
    return bool(key) and all(t.kind in CUT_KINDS and not (t.kind is Kind.TEXT and t.native) for t in key)


def key_columns(shape: TableShape) -> list[Column]:
    """As the source has them."""
    return [column.source for column in shape.key_columns]


def is_same_order(shape: TableShape) -> bool:
    """Whether every database has these keys in the same order, and spells them the same."""
    return all(column.canonical.kind in (Kind.INTEGER, Kind.DECIMAL) for column in key_columns(shape))


def within(dialect: Dialect, columns: Sequence[Column], keys: KeyRange | KeySet) -> str:
    """The condition on a table's rows that they lie in this range, or are among these, by the key's columns; empty for
    the whole table."""
    if isinstance(keys, KeySet):
        return among(dialect, [(column.name, column.canonical) for column in columns], keys.keys)
    parts = []
    if keys.after is not None:
        parts.append(_beyond(dialect, columns, keys.after, ">"))
    if keys.upto is not None:
        parts.append(_beyond(dialect, columns, keys.upto, "<", or_equal=True))
    return " AND ".join(parts)


def among(dialect: Dialect, columns: Sequence[tuple[str, ColumnType]], keys: Collection[Key]) -> str:
    """The condition that a row has one of these keys, told by the texts that `compare` gives of these columns: exact,
    whatever the server takes for equal. Numbers are asked for by themselves as well, so that the key's index serves."""
    hashes = ", ".join(dialect.text(row_hash(key)) for key in keys)
    condition = f"{dialect.row_hash(columns)} IN ({hashes})"
    name, type = columns[0]
    if type.kind is not Kind.INTEGER:
        return condition
    numbers = ", ".join(sorted({dialect.key_literal(key[0], type) for key in keys}))
    return f"{dialect.quote(name)} IN ({numbers}) AND {condition}"


def cut(dialect: Dialect, shape: TableShape, after: Key | None, rows: int) -> str:
    """The query for the key at which a range of so many rows ends that begins after this one."""
    columns = key_columns(shape)
    texts = ", ".join(dialect.key_text(dialect.quote(column.name), column.canonical) for column in columns)
    condition = within(dialect, columns, KeyRange(after))
    where = f" WHERE {condition}" if condition else ""
    order = dialect.columns([column.name for column in columns], "t.")  # not the texts, which may have these names too
    return f"SELECT {texts} FROM {dialect.table(shape.table)} t{where} ORDER BY {order} {dialect.nth(rows)}"


def as_key(row: Sequence[object] | None) -> Key | None:
    """Of the answer's one row of texts, if there is one."""
    return None if row is None or None in row else tuple(str(value) for value in row)


def _beyond(dialect: Dialect, columns: Sequence[Column], key: Key, operator: str, *, or_equal: bool = False) -> str:
    """`a > 1`, and of a key of two columns `a >= 1 AND (a > 1 OR (b > 2))`: so every server finds the range in the
    key's index, which MySQL does not for `(a, b) > (1, 2)`."""
    (first, *more), (text, *rest) = columns, key
    name, value = dialect.quote(first.name), dialect.key_literal(text, first.canonical)
    if not more:
        return f"{name} {operator}{'=' if or_equal else ''} {value}"
    beyond = _beyond(dialect, more, tuple(rest), operator, or_equal=or_equal)
    return f"{name} {operator}= {value} AND ({name} {operator} {value} OR ({beyond}))"
