"""Tables that change in the source while the stream goes on into them as they were copied (`schema_changes: ignore`).

An event tells its columns and its key, so what is new, and what is gone, is known of each. It does not tell types:
those the catalogue tells, when the consumer takes a table up and every few seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from cdc_pipeline.apply.images import Missing
from cdc_pipeline.databases.definition import Default
from cdc_pipeline.databases.mysql.charsets import charset_of
from cdc_pipeline.databases.target import Target
from cdc_pipeline.errors import ColumnsChanged
from cdc_pipeline.model import Column, ColumnType, Kind, TableId, TableShape
from cdc_pipeline.projection import filter_columns, source_columns

_AS_TEXT = (Kind.TEXT, Kind.ENUM, Kind.UUID, Kind.DECIMAL)  # Debezium sends the text that the copy reads
_ANY_SIZE = (Kind.INTEGER, Kind.BINARY)  # the target's column refuses what is too large for it
_TO_SOME_DIGITS = (Kind.TIME, Kind.TIMESTAMP, Kind.INSTANT)
_MILLISECONDS = 3  # digits of a second up to which a TIMESTAMP comes in them


def missing_in(target: Target, table: TableId) -> Missing:
    """What a new row gets in a column that the source does not have any more: NULL, or the default of one that must
    have a value. Columns that have neither are left out. Asked once, when the first such row comes."""

    def ask() -> Mapping[str, Default | None]:
        shape = target.shape(table)
        columns = shape.columns if shape else ()
        defaults = target.definition(shape).defaults if shape else {}
        return {c.name: None if c.nullable else defaults[c.name] for c in columns if c.nullable or c.name in defaults}

    return Missing(ask)


def drifted(copied: TableShape, now: TableShape) -> ColumnsChanged | None:
    """Why the events of a table that its source defines so `now` cannot go into what was copied of it, if so."""
    problems = "; ".join(_problems(copied, {column.name: column for column in now.columns}, now.key))
    return ColumnsChanged(table=copied.table, change=problems) if problems else None


def _problems(copied: TableShape, now: Mapping[str, Column], key: tuple[str, ...]) -> Iterator[str]:
    columns = source_columns(copied)
    origins = {column.name: column.source.name for column in columns}
    if copied.key and set(key) != {origins[name] for name in copied.key}:
        yield f"its primary key is ({', '.join(key)})"
    yield from (f"gone {name}, which `where` asks" for name in filter_columns(copied) if name not in now)
    for column in (column.source for column in columns):
        if column.name in now and not reads_alike(column, now[column.name]):
            yield f"{column.name} was {column.declared} and is {now[column.name].declared}"


def reads_alike(copied: Column, now: Column) -> bool:
    """Whether events of the column as it is now are read rightly as what it was, and the target refuses what its column
    cannot hold: one that would round it, cut it off or pad it does not."""
    old, new = copied.canonical, now.type
    if copied.declared == now.declared:
        return True
    if new is None or charset_of(copied.declared) != charset_of(now.declared):
        return False
    if old.kind in (Kind.TEXT, Kind.ENUM) and not old.native_to("postgresql"):
        return new.kind in _AS_TEXT and not new.native_to("postgresql") and (new.fixed or not old.fixed)
    return _without_size(old) == _without_size(new) and not _is_finer(old, new)


def _without_size(type: ColumnType) -> ColumnType:
    if type.kind is Kind.INTEGER and not (type.unsigned and type.size == 64):  # whose upper half comes as negative
        return replace(type, size=None, unsigned=False)
    if type.kind is Kind.DECIMAL or (type.kind in _ANY_SIZE and not type.fixed) or type.kind in _TO_SOME_DIGITS:
        return replace(type, size=None, scale=None)
    return type


def _is_finer(old: ColumnType, new: ColumnType) -> bool:
    """Or, of a TIMESTAMP, told in another unit."""
    if old.kind is Kind.DECIMAL:
        return old.scale is not None and (new.scale is None or new.scale > old.scale)
    if old.kind not in _TO_SOME_DIGITS:
        return False
    before, after = (6 if type.size is None else type.size for type in (old, new))
    another_unit = old.kind is Kind.TIMESTAMP and (before <= _MILLISECONDS) != (after <= _MILLISECONDS)
    return after > before or another_unit
