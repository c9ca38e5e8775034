"""Compares source and target, table by table: row counts and checksums, each computed by its own server.

For a table whose checksums differ, keys and row hashes of both sides are compared to tell which rows do. Simple form:
the writers are at rest and the stream has caught up, else rows in flight show as differences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.model import Comparison, Replicated, TableShape
from cdc_pipeline.parts import Parts

SAMPLES = 5


def verify(parts: Parts, tables: Sequence[Replicated]) -> Iterator[Comparison]:
    """One comparison for each table, as it ends."""
    shapes = parts.source.shapes([table.source for table in tables])
    targets = parts.target.shapes([table.target for table in tables])
    for table in tables:
        if table.target not in targets:
            raise CdcPipelineError(reason=f"target table {table.target} is not there; copy {table.source} first")
        yield compare(parts, table, shapes[table.source])


def compare(parts: Parts, table: Replicated, shape: TableShape) -> Comparison:
    columns = [(column.name, column.canonical) for column in shape.columns]
    source_rows, source_sum = parts.source.checksum(table.source, columns)
    target_rows, target_sum = parts.target.checksum(table.target, columns)
    if (source_rows, source_sum) == (target_rows, target_sum):
        return Comparison(table.source, table.target, source_rows, target_rows, source_sum, target_sum)
    missing, extra, different, samples = _differences(parts, table, shape)
    return Comparison(
        table.source, table.target, source_rows, target_rows, source_sum, target_sum,
        missing=missing, extra=extra, different=different, samples=samples,
    )  # fmt: skip


def _differences(parts: Parts, table: Replicated, shape: TableShape) -> tuple[int, int, int, tuple[str, ...]]:
    """How many rows are missing, extra and different in the target, with sample keys. Rows of a table without a key
    are told apart by their content, so they are missing or extra."""
    columns = [(column.name, column.canonical) for column in shape.columns]
    source = Counter(parts.source.row_hashes(table.source, columns, shape.key))
    target = Counter(parts.target.row_hashes(table.target, columns, shape.key))
    only_source, only_target = source - target, target - source
    if not shape.key:
        return only_source.total(), only_target.total(), 0, ()
    source_keys, target_keys = {key for key, _ in only_source}, {key for key, _ in only_target}
    different = source_keys & target_keys
    samples = sorted(_show(key) for key in source_keys | target_keys)[:SAMPLES]
    return len(source_keys - different), len(target_keys - different), len(different), tuple(samples)


def _show(key: tuple[str | None, ...]) -> str:
    return ", ".join(str(value) for value in key)
