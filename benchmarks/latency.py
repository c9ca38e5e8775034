"""How long a change takes from its commit in the source to where a reader of the target sees it.

    .venv/bin/python benchmarks/latency.py [--direction mysql-postgresql] [--rates 10 1000 10000] [--seconds 20]

At each rate, transactions of one row each (of ten at 1,000 a second, of a hundred above) are committed by one session,
while the consumer runs in a process of its own and a reader asks the target for the highest number that it has. The
commit's end and the reader's sight are told by one clock, of this machine. Prints the median and the 99th percentile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bench
import results
from sqlalchemy import Engine

from cdc_pipeline.config import load_replication
from cdc_pipeline.replication import Replication

READ_SECONDS = 0.002  # between two looks at the target
TABLE = "ticks"


class Reader(threading.Thread):
    """Notes when it first saw each number."""

    def __init__(self, engine: Engine, table: str) -> None:
        super().__init__(daemon=True)
        self.engine = engine
        self.table = table
        self.seen: list[tuple[float, int]] = [(0.0, 0)]
        self.stop = threading.Event()

    def run(self) -> None:
        with self.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            while not self.stop.wait(READ_SECONDS):
                highest = connection.exec_driver_sql(f"SELECT max(id) FROM {self.table}").scalar() or 0
                if highest > self.seen[-1][1]:
                    self.seen.append((time.monotonic(), highest))


def write(engine: Engine, first: int, rate: int, seconds: float) -> list[tuple[float, int]]:
    """When each transaction had committed, and the highest number that it wrote."""
    at_a_time = 1 if rate < 1000 else 10 if rate < 10_000 else 100
    committed = []
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        began, number = time.monotonic(), first
        while number - first < rate * seconds:
            values = ", ".join(f"({n}, 'tick {n}')" for n in range(number, number + at_a_time))
            connection.exec_driver_sql(f"INSERT INTO {TABLE} VALUES {values}")
            number += at_a_time
            committed.append((time.monotonic(), number - 1))
            time.sleep(max(0.0, began + (number - first) / rate - time.monotonic()))
    return committed


def latencies(committed: list[tuple[float, int]], seen: list[tuple[float, int]]) -> list[float]:
    found, index = [], 0
    for when, number in committed:
        while seen[index][1] < number:
            index += 1
        found.append(seen[index][0] - when)
    return sorted(found)


def wait_for(reader: Reader, number: int) -> None:
    while reader.seen[-1][1] < number:
        if not reader.is_alive():
            raise SystemExit("the reader has failed")
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direction", type=bench.direction, default="mysql-postgresql")
    parser.add_argument("--rates", type=int, nargs="*", default=[10, 1000, 10_000])
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    way = arguments.direction
    with bench.stack() as endpoints:
        source = bench.new_database(endpoints, way.source, "bench_latency_source")
        target = bench.new_database(endpoints, way.target, "bench_latency_target")
        with bench.replication_file(endpoints, way, "bench_latency", [f"{{{TABLE}: {{target: {TABLE}}}}}"]) as path:
            start(Replication(load_replication(path)), source)
            measure(path, source, target, arguments)


def start(made: Replication, source: Engine) -> None:
    bench.run(source, f"CREATE TABLE {TABLE} (id BIGINT PRIMARY KEY, note VARCHAR(40))")
    made.check()
    made.prepare()
    list(made.copy())
    made.register()


@contextmanager
def consuming(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder, command = str(path.parent), [sys.executable, "-m", "cdc_pipeline.cli", "consume"]
    consumer = subprocess.Popen(command, env={**os.environ, "CDC_PIPELINE_REPLICATIONS": folder})
    try:
        yield consumer
    finally:
        consumer.terminate()
        consumer.wait()


@contextmanager
def reading(target: Engine) -> Iterator[Reader]:
    reader = Reader(target, TABLE)
    reader.start()
    try:
        yield reader
    finally:
        reader.stop.set()
        reader.join()


def quantiles(found: list[float]) -> str:
    middle, last = found[len(found) // 2], found[int(len(found) * 0.99)]
    return f"median {middle * 1000:.0f} ms, 99 % within {last * 1000:.0f} ms"


def measure(path: Path, source: Engine, target: Engine, arguments: argparse.Namespace) -> None:
    told = []
    with consuming(path), reading(target) as reader:
        warm = write(source, 1, 10, 5)
        wait_for(reader, warm[-1][1])
        for rate in arguments.rates:
            committed = write(source, reader.seen[-1][1] + 1, rate, arguments.seconds)
            wait_for(reader, committed[-1][1])
            found = latencies(committed, reader.seen)
            reached = (committed[-1][1] - committed[0][1]) / (committed[-1][0] - committed[0][0])
            told.append(f"{arguments.direction}, {rate:,}/s (reached {reached:,.0f}/s): {quantiles(found)}")
            print(told[-1], flush=True)
    results.write("latency", told)


if __name__ == "__main__":
    main()
