"""How long the initial copy of many small tables takes, where it is not the rows that cost.

    .venv/bin/python benchmarks/many_tables.py [--direction mysql-postgresql] [--tables 200] [--rows 100]

Beside it the floor: what cannot be left out, in one session of each database and one table after another: the source's
rows read into a file, the target's table made, the file loaded and committed. What a copy does besides for each table
is to look at both definitions, to take a watermark, to remember where it stands, and to make indexes. The target is
verified before a figure counts. Processor time is that of this process, without the servers' own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import bench
import results
from sqlalchemy import event
from sqlalchemy.pool import Pool

from cdc_pipeline.databases import copy_text
from cdc_pipeline.replication import Replication

NAME = "bench_many"


@contextmanager
def connections_opened() -> Iterator[list[object]]:
    opened: list[object] = []

    def note(connection: object, _: object) -> None:
        opened.append(connection)

    event.listen(Pool, "connect", note)
    try:
        yield opened
    finally:
        event.remove(Pool, "connect", note)


def timed(step: str, made: Replication, tables: int) -> str:
    """Take one step of the replication's; returns what it took."""
    actions = {"check": made.check, "prepare": made.prepare, "copy": lambda: list(made.copy())}
    with connections_opened() as opened:
        began, busy = time.monotonic(), time.process_time()
        done = actions[step]()
        seconds, busy = time.monotonic() - began, time.process_time() - busy
    if step == "copy":
        failed = [result.error for result in done if result.error]
        if failed:
            raise failed[0]
    each = f"{seconds / tables * 1000:.0f} ms a table"
    return f"{step} {seconds:.1f} s ({each}; {busy:.1f} s of processor time, {len(opened)} connections)"


def floor(made: Replication, target: bench.Engine, way: bench.Direction, tables: Sequence[str]) -> float:
    source = made.parts.source
    shapes = source.shapes([table.source for table in made.tables])
    bulk = {"mysql": "LOAD DATA LOCAL INFILE '{}' INTO TABLE ready_{} CHARACTER SET utf8mb4"}
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as folder,
        source.connect() as reader,
        closing(target.raw_connection()) as writer,
        closing(writer.cursor()) as cursor,
    ):
        for name, shape in zip(tables, shapes.values(), strict=True):
            path = Path(folder) / name
            rows = reader.exec_driver_sql(source.dialect.select(shape))
            texts = ([None if value is None else str(value) for value in row] for row in rows)
            path.write_bytes(copy_text.render(texts))
            cursor.execute(f"CREATE TABLE ready_{name} ({bench.COLUMNS[way.target]})")
            if way.target in bulk:
                cursor.execute(bulk[way.target].format(path, name))
            else:
                with path.open("rb") as file:
                    cursor.copy_expert(f"COPY ready_{name} FROM STDIN", file)  # type: ignore[attr-defined]
            writer.commit()
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direction", type=bench.direction, default="mysql-postgresql")
    parser.add_argument("--tables", type=int, default=200)
    parser.add_argument("--rows", type=int, default=100)
    arguments = parser.parse_args()
    way, names = arguments.direction, [f"small{number:04}" for number in range(arguments.tables)]
    with bench.stack() as endpoints:
        source = bench.new_database(endpoints, way.source, f"{NAME}_source")
        target = bench.new_database(endpoints, way.target, f"{NAME}_target")
        for number, name in enumerate(names):
            bench.run(source, f"CREATE TABLE {name} ({bench.COLUMNS[way.source]})")
            bench.fill(source, name, bench.rows(0, arguments.rows, seed=number))
        told = [f"{way}: {arguments.tables} tables of {arguments.rows} rows"]
        with bench.replication(endpoints, way, NAME, names) as made:
            told += [timed(step, made, arguments.tables) for step in ("check", "prepare", "copy")]
            bench.require_equal(made)
            told.append(f"floor {floor(made, target, way, names):.1f} s, one table after another")
    print("\n".join(told))
    results.write("many_tables", told)


if __name__ == "__main__":
    main()
