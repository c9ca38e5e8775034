"""Tables that are synced again while they stream: what they hold, and what may be left of it."""

from __future__ import annotations

import pytest

from cdc_pipeline.copying.copy import CopyResult
from cdc_pipeline_tests.scenario import Scenario

DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql")]
both_directions = pytest.mark.parametrize(("source", "target"), DIRECTIONS)
ROWS = 2000
EVERYTHING = (ROWS, ROWS * (ROWS + 1) // 2)


def create_tables(made: Scenario) -> None:
    """`stock` has a key, `loose` has none. What the writer changes is `note`, so count and sum of `id` stay."""
    made.run(
        "source",
        "CREATE TABLE stock (id INT PRIMARY KEY, hall INT NOT NULL, note VARCHAR(40))",
        "CREATE INDEX stock_hall ON stock (hall)",
        "CREATE TABLE loose (id INT, note VARCHAR(40))",
        *(["ALTER TABLE loose REPLICA IDENTITY FULL"] if made.kinds["source"] == "postgresql" else []),
    )
    numbers = range(1, ROWS + 1)
    made.run("source", "INSERT INTO stock VALUES " + ", ".join(f"({n}, {n % 7}, 'seed')" for n in numbers))
    made.run("source", "INSERT INTO loose VALUES " + ", ".join(f"({n}, 'seed')" for n in numbers))


def resynced(made: Scenario, *tables: str) -> dict[str, CopyResult]:
    """As the command does it."""
    replication = made.replication(*tables)
    replication.check(force_resync=True)
    replication.prepare()
    results = list(replication.copy(force_resync=True))
    assert [result.error for result in results if result.error] == []
    return {result.table.source.name: result for result in results}


def leftovers(made: Scenario) -> list[str]:
    """Whatever of ours is in the target, but for the state tables."""
    schema = made.databases["target"]
    if made.kinds["target"] == "postgresql":
        query = (
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'cdc_pipeline_%' UNION ALL SELECT relname "
            "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE nspname = 'cdc_pipeline' AND relname LIKE 'cdc_%'"
        )
    else:
        query = (
            "SELECT table_name FROM information_schema.tables WHERE "
            f"table_schema = '{schema}' AND (table_name LIKE '%pipeline_new%' OR table_name LIKE '%pipeline_old%')"
        )
    return [row[0] for row in made.rows("target", query)]
