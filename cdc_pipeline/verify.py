"""Compares source and target, table by table: row counts and checksums, each computed by its own server.

For a table whose checksums differ, `differences.py` tells which rows do. If its owner wants that, they are mended
(apply/repair.py), and the table is compared once more.

Some equal numbers are spelled differently: a double of MySQL's JSON is `1e25` on one side and has all its digits on the
other, and of two shortest texts of one double (1e23) each server has its own choice. So rows that differ are looked at
once more, and their doubles and JSON compared here by value.

Where changes of the source are ignored, only the columns that both have are compared, and the others named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from cdc_pipeline.apply.repair import Repairer
from cdc_pipeline.databases.database import Buckets
from cdc_pipeline.databases.key_ranges import Key, KeySet
from cdc_pipeline.differences import MOST_ASKED, Passed, Side, find, look
from cdc_pipeline.errors import CdcPipelineError, ColumnsChanged
from cdc_pipeline.model import ColumnType, Comparison, Kind, Replicated, RowCount, TableShape
from cdc_pipeline.parts import Parts
from cdc_pipeline.projection import common, filter_columns, not_common, source_columns
from cdc_pipeline.threads import at_once

SAMPLES = 5
COUNTS = 3  # looks at numbers of rows, each when the stream has passed the last one
_INTEGERS = 1 << 64  # what is beyond is a double to MySQL


def verify(
    parts: Parts, tables: Sequence[Replicated], passed: Passed | None = None, *, repair: bool = False
) -> Iterator[Comparison]:
    """One comparison for each table, as it ends. Without `passed` writers have to be at rest, and the stream too. With
    `repair`, a comparison tells what was found, and of the rest how it is behind that."""
    wanted = {table.source for table in tables}
    kept = {table: shape for table, shape in parts.kept().items() if table in wanted}
    shapes = parts.shapes([table for table in tables if table.source not in kept])
    now = parts.source.shapes(list(kept))
    targets = parts.target.shapes([table.target for table in tables])
    for table in tables:
        if table.target not in targets:
            raise CdcPipelineError(reason=f"target table {table.target} is not there; copy {table.source} first")
        if table.source in kept:
            found = _compare_common(parts, table, kept[table.source], now[table.source], passed)
            yield _advised(found, "its columns are not those of its copy any more") if repair else found
        else:
            yield compare(parts, table, shapes[table.source], passed, repair=repair)


def _compare_common(
    parts: Parts, table: Replicated, copied: TableShape, source: TableShape, passed: Passed | None
) -> Comparison:
    """Of a table whose changes are ignored. Raises ColumnsChanged where its rows cannot be told apart any more."""
    shape, left_out = common(copied, source), not_common(copied, source)
    if not set(copied.key) <= set(shape.names) or filter_columns(copied) != filter_columns(shape):
        raise ColumnsChanged(table=table.source, change=f"not in both: {', '.join(left_out)}")
    return replace(compare(parts, table, shape, passed), left_out=left_out)


def compare(
    parts: Parts, table: Replicated, shape: TableShape, passed: Passed | None = None, *, repair: bool = False
) -> Comparison:
    source, target = _sides(parts, table, shape)
    sums = look(source, target)
    (source_rows, source_sum), (target_rows, target_sum) = _total(sums.source), _total(sums.target)
    counted = Comparison(table.source, table.target, source_rows, target_rows, source_sum, target_sum)
    if counted.equal:
        return counted
    found = find(source, target, sums, passed)
    for key in _equal_by_value(source, target, found.different):
        del found.rows[key]
    told = replace(
        counted,
        missing=found.missing,
        extra=found.extra,
        different=len(found.different),
        samples=tuple(sorted(map(_show, found.rows))[:SAMPLES]) if shape.key else (),
        undecided=len(found.undecided),
        unread=found.unread,
        no_row_differs=found.is_nothing and (passed is not None or bool(shape.key)),
        advice=f"{found.unread:,} rows more may differ, too many to be read: re-sync it" if found.unread else "",
    )
    obstacle = Repairer.obstacle(shape)
    if not repair or not found.rows or obstacle:
        return _advised(told, obstacle) if repair else told
    in_source = {key: bool(ours) for key, (ours, _) in found.rows.items()}
    mended = Repairer(parts.source, parts.target, parts.state).mend(table, shape, in_source)
    after = compare(parts, table, shape, passed)
    found_before = replace(after, missing=told.missing, extra=told.extra, different=told.different)
    return replace(found_before if after.equal else after, samples=told.samples, mended=mended)


def _total(buckets: Buckets) -> tuple[int, str]:
    """Of the whole table: how many rows, and the checksum."""
    return sum(rows for rows, _ in buckets.values()), f"{sum(total for _, total in buckets.values()):x}"


def _advised(found: Comparison, obstacle: str) -> Comparison:
    if found.equal or not obstacle:
        return found
    return replace(found, advice=f"{obstacle}, so its rows are not mended one by one: re-sync {found.table}")


def count(parts: Parts, tables: Sequence[Replicated], passed: Passed | None = None) -> Iterator[RowCount]:
    """How many rows source and target of each table have. Without `passed` the first look decides."""
    kept = parts.kept()
    shapes = {**parts.shapes([table for table in tables if table.source not in kept]), **kept}
    for table in tables:
        source, target = _sides(parts, table, shapes[table.source])
        counted = RowCount(table.source, *at_once(Side.count, source, target, "count"))
        looks = 0
        while passed and not counted.equal and looks < COUNTS:
            passed()
            theirs, after = target.count(), source.count()
            least, most = sorted((counted.source_rows, after))
            counted = RowCount(table.source, after, theirs, settled=least <= theirs <= most)
            looks += 1
        yield counted


def _sides(parts: Parts, table: Replicated, shape: TableShape) -> tuple[Side, Side]:
    """What is compared: what is replicated of the source, and what of the target is not marked as deleted."""
    columns = [(column.name, column.canonical) for column in source_columns(shape)]
    source, target = parts.source.dialect.replicated(shape), parts.target.dialect.undeleted(table.target, shape)
    return Side(parts.source, source, columns, shape.key), Side(parts.target, target, columns, shape.key)


def _equal_by_value(source: Side, target: Side, keys: set[Key]) -> set[Key]:
    """Those of the rows that differ in nothing but how their doubles and their JSON spell the same values."""
    numbers = [(name, type) for name, type in source.columns if _has_spellings(type)]
    rest = [(name, type) for name, type in source.columns if not _has_spellings(type)]
    # Where very many rows differ, it is not the spelling of a number.
    if not numbers or not 0 < len(keys) <= MOST_ASKED or not set(source.key) <= {name for name, _ in rest}:
        return set()
    ours, theirs = (
        side.database.row_texts(side.rows, rest, numbers, side.key, KeySet(tuple(keys))) for side in (source, target)
    )
    kinds = [type.kind for _, type in numbers]
    return {key for key in keys if key in ours and key in theirs and _same(ours[key], theirs[key], kinds)}


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
    return ", ".join(key)
