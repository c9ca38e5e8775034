"""How fast changes are applied, beside how fast Debezium captures them: the same changes, in one run.

    .venv/bin/python benchmarks/apply.py [--direction mysql-postgresql] [--changes 200000] [--rounds 3] [WORKLOAD…]

Each round writes the changes while the connector is stopped, then times two things one after the other: the connector
until Kafka has all of them, and the consumer until the target has. The target is verified before a figure counts.
Rates on a shared machine differ from run to run; the ratio of the two is what compares.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import bench
from sqlalchemy import Engine

from cdc_pipeline.replication import Replication

ROWS = 20_000  # there before the changes
AT_A_TIME = 200  # rows changed by one statement; each statement is a transaction

Statements = Iterator[str]


def inserts(first: int, count: int) -> Statements:
    for start in range(first, first + count, AT_A_TIME):
        values = ", ".join(_value(line) for line in bench.rows(start, min(AT_A_TIME, first + count - start)))
        yield f"INSERT INTO orders VALUES {values}"


def mixed(first: int, count: int) -> Statements:
    """Half inserts, two fifths updates of random rows, a tenth deletes."""
    pick = random.Random(first)
    yield from inserts(first, count // 2)
    for _ in range(count * 2 // 5 // AT_A_TIME):
        yield _update(pick.sample(range(ROWS), AT_A_TIME))
    for start in range(first, first + count // 10, AT_A_TIME):
        yield f"DELETE FROM orders WHERE id BETWEEN {start} AND {start + AT_A_TIME - 1}"


def hot(first: int, count: int) -> Statements:
    """Updates of which most meet few rows (Zipf)."""
    pick = random.Random(first)
    for _ in range(count // AT_A_TIME):
        keys = {min(ROWS, int(pick.paretovariate(0.3))) - 1 for _ in range(AT_A_TIME)}
        yield _update(sorted({*keys, *range(AT_A_TIME - len(keys))}))


def deletes(first: int, count: int) -> Statements:
    """Rows that are put there and taken away again."""
    yield from inserts(first, count // 2)
    for start in range(first, first + count // 2, AT_A_TIME):
        yield f"DELETE FROM orders WHERE id BETWEEN {start} AND {start + AT_A_TIME - 1}"


WORKLOADS: dict[str, Callable[[int, int], Statements]] = {
    "inserts": inserts, "mixed": mixed, "hot": hot, "deletes": deletes,
}  # fmt: skip


def _update(keys: Sequence[int]) -> str:
    return f"UPDATE orders SET amount = amount + 1, active = 1 - active WHERE id IN ({', '.join(map(str, keys))})"


def _value(line: str) -> str:
    """A line of COPY text as an INSERT's row."""
    fields = line.rstrip("\n").split("\t")
    return f"({', '.join('NULL' if field == bench.NULL else _quoted(field) for field in fields)})"


def _quoted(field: str) -> str:
    return "'" + field.replace("\\n", "\n").replace("\\t", " ").replace("\\", "/") + "'"


def write(engine: Engine, statements: Statements) -> None:
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def measure(made: Replication, engine: Engine, workload: str, changes: int, rounds: int, free: Iterator[int]) -> None:
    """`free` gives a number from which on no row has been there yet."""
    connect, name = made.parts.connect, made.config.connector_name
    ratios = []
    for number in range(1, rounds + 1):
        connect.stop(name)
        connect.wait_stopped(name)
        write(engine, WORKLOADS[workload](next(free), changes))
        connect.resume(name)
        connect.wait_running(name)
        began = time.monotonic()
        bench.told(made)
        captured = time.monotonic() - began
        began = time.monotonic()
        progress = made.consume(until_caught_up=True)
        applied = time.monotonic() - began
        bench.require_equal(made)
        ratios.append(captured / applied)
        print(
            f"{workload}, round {number}: captured {progress.applied / captured:,.0f}/s, "
            f"applied {progress.applied / applied:,.0f}/s, {ratios[-1]:.2f} times as fast; "
            f"seconds of {applied:.1f}: " + ", ".join(f"{phase} {s:.1f}" for phase, s in progress.seconds.items()),
            flush=True,
        )
    print(f"{workload}: median of {rounds}: applied {statistics.median(ratios):.2f} times as fast as captured")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direction", type=bench.direction, default="mysql-postgresql")
    parser.add_argument("--changes", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("workloads", nargs="*", default=list(WORKLOADS), choices=list(WORKLOADS), metavar="WORKLOAD")
    arguments = parser.parse_args()
    way = arguments.direction
    with bench.stack() as endpoints:
        engine = bench.new_database(endpoints, way.source, "bench_apply_source")
        bench.new_database(endpoints, way.target, "bench_apply_target")
        bench.run(engine, f"CREATE TABLE orders ({bench.COLUMNS[way.source]})")
        bench.fill(engine, "orders", bench.rows(0, ROWS))
        with bench.replication(endpoints, way, "bench_apply", ["orders"]) as made:
            made.check()
            made.prepare()
            list(made.copy())
            made.register()
            free = itertools.count(ROWS, arguments.changes)
            for workload in arguments.workloads:
                measure(made, engine, workload, arguments.changes, arguments.rounds, free)


if __name__ == "__main__":
    main()
