"""What ten times as much costs, and of rows a hundred times: rows, tables, columns, changes; in seconds and in memory.

    .venv/bin/python benchmarks/growth.py [--direction mysql-postgresql] [--rounds 2] [--scale 1.0] [CASE…]

Each case is measured once as it is and once with more of one thing, in a fresh process each, and verified.
If the cost grows in proportion, the seconds per row are the same: the ratio of the two is 1. Below 1, what is needed
whatever the amount (a session, a topic, a transaction) weighs less. `--scale` makes all cases smaller or larger.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import bench
import results
from alone import Step, alone
from sqlalchemy import Engine
from workloads import inserts, wide_columns, wide_row

from cdc_pipeline.config import load_replication
from cdc_pipeline.replication import Replication

NAME = "bench_growth"
AT_A_TIME = 500


@dataclass(frozen=True)
class Size:
    """How much there is to copy, and how many changes to apply afterwards."""

    tables: int = 1
    rows: int = 20_000  # of each table
    columns: int = 10
    changes: int = 0


# By what, of what to what.
CASES = {
    "rows": (10, Size(), Size(rows=200_000)),
    "rows100": (100, Size(rows=10_000), Size(rows=1_000_000)),
    "tables": (10, Size(tables=20, rows=100), Size(tables=200, rows=100)),
    "columns": (10, Size(), Size(columns=100)),
    "changes": (10, Size(rows=1, changes=20_000), Size(rows=1, changes=200_000)),
}


def fill(engine: Engine, size: Size) -> list[str]:
    """Make the tables; returns their names."""
    if size.changes:
        bench.run(engine, f"CREATE TABLE orders ({bench.COLUMNS[engine.dialect.name]})")
        bench.fill(engine, "orders", bench.rows(0, size.rows))
        return ["orders"]
    names = [f"t{number}" for number in range(size.tables)]
    for name in names:
        bench.run(engine, f"CREATE TABLE {name} ({wide_columns(size.columns)})", *_rows(name, size))
    return names


def _rows(table: str, size: Size) -> Iterator[str]:
    for first in range(0, size.rows, AT_A_TIME):
        numbers = range(first, min(first + AT_A_TIME, size.rows))
        yield f"INSERT INTO {table} VALUES {', '.join(wide_row(number, size.columns) for number in numbers)}"


def measure(endpoints: bench.Endpoints, way: bench.Direction, size: Size) -> Step:
    source = bench.new_database(endpoints, way.source, f"{NAME}_source")
    bench.new_database(endpoints, way.target, f"{NAME}_target")
    with bench.replication_file(endpoints, way, NAME, fill(source, size), client="913") as path:
        step = alone("copy", path)
        if size.changes:
            step = changes(source, path, size)
        bench.require_equal(Replication(load_replication(path)))
    return step


def changes(source: Engine, path: Path, size: Size) -> Step:
    made = Replication(load_replication(path))
    made.register()
    with source.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for statement in inserts(size.rows, size.changes):
            connection.exec_driver_sql(statement)
    bench.told(made)
    return alone("consume", path)


def scaled(size: Size, scale: float) -> Size:
    if size.changes:
        return Size(rows=1, changes=int(size.changes * scale))
    if size.tables > 1:
        return Size(tables=max(1, int(size.tables * scale)), rows=size.rows)
    return Size(rows=int(size.rows * scale), columns=size.columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direction", type=bench.direction, default="mysql-postgresql")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0)
    bench.several(parser, "cases", list(CASES))
    arguments = parser.parse_args()
    found: dict[str, dict] = {}
    with bench.stack() as endpoints:
        for case in arguments.cases:
            times, *both = CASES[case]
            sizes = [scaled(size, arguments.scale) for size in both]
            taken: tuple[list[Step], list[Step]] = ([], [])
            for _ in range(arguments.rounds):
                for size, steps in zip(sizes, taken, strict=True):
                    steps.append(measure(endpoints, arguments.direction, size))
            seconds, memory = (
                [[getattr(step, of) for step in steps] for steps in taken] for of in ("seconds", "memory")
            )
            found[case] = {
                "times": times, "sizes": [asdict(size) for size in sizes], "seconds": seconds, "memory": memory
            }  # fmt: skip
            grown = results.ratios(seconds[1], seconds[0])
            print(f"{case}: {times} times as much, {grown.text(1)} times as long", flush=True)
            results.write("growth", found)
        bench.drop(endpoints, f"{NAME}_source", f"{NAME}_target")


if __name__ == "__main__":
    main()
