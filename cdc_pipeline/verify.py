"""Compares source and target, table by table: row counts and checksums, each computed by its own server.

For a table whose checksums differ, keys and row hashes of both sides are compared to tell which rows do. Simple form:
the writers are at rest and the stream has caught up, else rows in flight show as differences.

Some equal numbers are spelled differently: a double of MySQL's JSON is `1e25` on one side and has all its digits on the
other, and of two shortest texts of one double (1e23) each server has its own choice. So rows that differ are looked at
once more, and their doubles and JSON compared here by value.

Where changes of the source are ignored, only the columns that both have are compared, and the others named.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from cdc_pipeline.errors import CdcPipelineError, ColumnsChanged
from cdc_pipeline.model import ColumnType, Comparison, Kind, Replicated, TableShape
from cdc_pipeline.parts import Parts
from cdc_pipeline.projection import common, filter_columns, not_common, source_columns

SAMPLES = 5
MOST_LOOKED_AT = 1000  # rows that are read; where more differ, it is not the spelling of a number
_INTEGERS = 1 << 64  # what is beyond is a double to MySQL

Key = tuple[str | None, ...]


def verify(parts: Parts, tables: Sequence[Replicated]) -> Iterator[Comparison]:
    """One comparison for each table, as it ends."""
    wanted = {table.source for table in tables}
    kept = {table: shape for table, shape in parts.kept().items() if table in wanted}
    shapes = parts.shapes([table for table in tables if table.source not in kept])
    now = parts.source.shapes(list(kept))
    targets = parts.target.shapes([table.target for table in tables])
    for table in tables:
        if table.target not in targets:
            raise CdcPipelineError(reason=f"target table {table.target} is not there; copy {table.source} first")
        if table.source in kept:
            yield _compare_common(parts, table, kept[table.source], now[table.source])
        else:
            yield compare(parts, table, shapes[table.source])


def _compare_common(parts: Parts, table: Replicated, copied: TableShape, source: TableShape) -> Comparison:
    """Of a table whose changes are ignored. Raises ColumnsChanged where its rows cannot be told apart any more."""
    shape, left_out = common(copied, source), not_common(copied, source)
    if not set(copied.key) <= set(shape.names) or filter_columns(copied) != filter_columns(shape):
        raise ColumnsChanged(table=table.source, change=f"not in both: {', '.join(left_out)}")
    return replace(compare(parts, table, shape), left_out=left_out)


def compare(parts: Parts, table: Replicated, shape: TableShape) -> Comparison:
    columns, (source, target) = _columns(shape), _rows(parts, table, shape)
    source_rows, source_sum = parts.source.checksum(source, columns)
    target_rows, target_sum = parts.target.checksum(target, columns)
    if (source_rows, source_sum) == (target_rows, target_sum):
        return Comparison(table.source, table.target, source_rows, target_rows, source_sum, target_sum)
    missing, extra, different, samples = _differences(parts, table, shape)
    return Comparison(
        table.source, table.target, source_rows, target_rows, source_sum, target_sum,
        missing=missing, extra=extra, different=different, samples=samples,
        same_values=bool(shape.key) and missing == extra == different == 0,
    )  # fmt: skip


def _columns(shape: TableShape) -> list[tuple[str, ColumnType]]:
    return [(column.name, column.canonical) for column in source_columns(shape)]


def _rows(parts: Parts, table: Replicated, shape: TableShape) -> tuple[str, str]:
    """What is compared: what is replicated of the source, and what of the target is not marked as deleted."""
    return parts.source.dialect.replicated(shape), parts.target.dialect.undeleted(table.target, shape)


def _differences(parts: Parts, table: Replicated, shape: TableShape) -> tuple[int, int, int, tuple[str, ...]]:
    """How many rows are missing, extra and different in the target, with sample keys. Rows of a table without a key
    are told apart by their content, so they are missing or extra."""
    columns, rows = _columns(shape), _rows(parts, table, shape)
    source = Counter(parts.source.row_hashes(rows[0], columns, shape.key))
    target = Counter(parts.target.row_hashes(rows[1], columns, shape.key))
    only_source, only_target = source - target, target - source
    if not shape.key:
        return only_source.total(), only_target.total(), 0, ()
    source_keys, target_keys = {key for key, _ in only_source}, {key for key, _ in only_target}
    both = source_keys & target_keys
    different = both - _equal_by_value(parts, table, shape, both)
    samples = sorted(_show(key) for key in (source_keys | target_keys) - (both - different))[:SAMPLES]
    return len(source_keys - both), len(target_keys - both), len(different), tuple(samples)


def _equal_by_value(parts: Parts, table: Replicated, shape: TableShape, keys: set[Key]) -> set[Key]:
    """Those of the rows that differ in nothing but how their doubles and their JSON spell the same values."""
    columns, rows = _columns(shape), _rows(parts, table, shape)
    numbers = [(name, type) for name, type in columns if _has_spellings(type)]
    rest = [(name, type) for name, type in columns if not _has_spellings(type)]
    if not numbers or not 0 < len(keys) <= MOST_LOOKED_AT or not set(shape.key) <= {name for name, _ in rest}:
        return set()
    source = parts.source.row_texts(rows[0], rest, numbers, shape.key, keys)
    target = parts.target.row_texts(rows[1], rest, numbers, shape.key, keys)
    kinds = [type.kind for _, type in numbers]
    return {key for key in keys if key in source and key in target and _same(source[key], target[key], kinds)}


def _has_spellings(type: ColumnType) -> bool:
    return type.kind is Kind.FLOAT or (type.kind is Kind.JSON and type.size is not None)


def _same(one: Sequence[str | None], other: Sequence[str | None], kinds: Sequence[Kind]) -> bool:
    """The hash of the rest, then the texts of these kinds."""
    return one[0] == other[0] and all(
        text == theirs or (text is not None and theirs is not None and _value(kind, text) == _value(kind, theirs))
        for kind, text, theirs in zip(kinds, one[1:], other[1:], strict=True)
    )


def _value(kind: Kind, text: str) -> Any:
    return float(text) if kind is Kind.FLOAT else json.loads(text, parse_int=_integer)


def _integer(digits: str) -> float:
    number = int(digits)
    return number if abs(number) < _INTEGERS else float(number)


def _show(key: Key) -> str:
    return ", ".join(str(value) for value in key)
