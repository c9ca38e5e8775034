"""The initial copy as a user starts it, and what the target's catalogue has after it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cdc_pipeline.copying.copy import CopyResult
from cdc_pipeline.databases.definition import Definition, Index
from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import Scenario

DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql"), ("mysql", "mysql"), ("postgresql", "postgresql")]
every_direction = pytest.mark.parametrize(("source", "target"), DIRECTIONS)


def copied(made: Scenario, *tables: str, force: bool = False, **replaced: str) -> tuple[Replication, list[CopyResult]]:
    replication = made.replication(*tables, **replaced)
    replication.check(force_resync=force)
    replication.prepare(force_resync=force)
    results = list(replication.copy(force_resync=force))
    assert [result.error for result in results if result.error] == []
    return replication, results


def notes(results: Sequence[CopyResult]) -> str:
    return "\n".join(note for result in results for note in result.notes)


def definition(replication: Replication, table: str) -> Definition:
    """The target table's, read by the target's own reader."""
    target = replication.parts.target
    shape = target.shape(replication.table(table).target)
    assert shape is not None
    return target.definition(shape)


def indexes(replication: Replication, table: str) -> dict[str, Index]:
    return {index.name: index for index in definition(replication, table).indexes}


def columns_of(index: Index) -> list[tuple[str, bool]]:
    return [(part.column, part.descending) for part in index.parts]
