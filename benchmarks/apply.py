"""How fast changes are applied: beside how fast Debezium captures them, and beside Debezium's own JDBC sink connector.

    .venv/bin/python benchmarks/apply.py [--direction mysql-postgresql] [--changes 100000] [--rounds 2] [--own]
        [WORKLOAD…]

Each round writes the changes while the connector is stopped, then times one after the other: the connector until Kafka
has all of them, our consumer (a process of its own) until the target has, and the sink (`sink.py`) until its target
has; which of the last two is first changes from round to round. Both targets are verified before a figure counts.
Rates on a shared machine differ from run to run; the ratios within a round are what compares. `--own` leaves the sink
out, and so does a source that is not MySQL.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import bench
import results
from alone import Step, alone
from sink import NAME as SINK
from sink import Sink, jdbc_sink
from sqlalchemy import Engine
from workloads import ROWS, WORKLOADS, Statements, definitions

from cdc_pipeline.config import load_replication
from cdc_pipeline.replication import Replication

NAME = "bench_apply"
TABLES = tuple(definitions("mysql"))
WARM = 2000  # changes that do not count: Java is slow until it has compiled what it runs


class Measurement:
    """One replication that is fed, and the sink beside it."""

    def __init__(self, path: Path, source: Engine, sunk: Replication | None, sink: Sink | None) -> None:
        self.path, self.source, self.sunk, self.sink = path, source, sunk, sink
        self.made = Replication(load_replication(path))

    def round(self, name: str, first: int, changes: int, turn: int) -> dict[str, float]:
        """Rates, seconds of each phase and MiB of one round."""
        workload, connect = WORKLOADS[name], self.made.parts.connect
        for connector in self._connectors:
            connect.stop(connector)
            connect.wait_stopped(connector)
        write(self.source, workload.statements(first, changes), one_transaction=workload.one_transaction)
        captured, *_ = [self._capture(connector) for connector in self._connectors]
        found: dict[str, float] = {}

        def ours() -> None:
            step = alone("consume", self.path)
            bench.require_equal(self.made, workload.tables)
            found.update(_of(step), captured=step.units / captured)

        def theirs() -> None:
            if self.sink and self.sunk:
                seconds = self.sink.apply()
                bench.require_equal(self.sunk, workload.tables)
                found.update(sink_seconds=seconds)

        steps: list[Callable[[], None]] = [ours, theirs]
        for step in steps if turn % 2 == 0 else reversed(steps):
            step()
        if "sink_seconds" in found:
            found["sink"] = found["changes"] / found.pop("sink_seconds")
        return found

    @property
    def _connectors(self) -> list[str]:
        """Ours, and the one that captures the same changes for the sink: one after the other."""
        return [self.made.config.connector_name, *([SINK] if self.sink else [])]

    def _capture(self, connector: str) -> float:
        """Seconds until Kafka has all of what this one has to tell."""
        connect = self.made.parts.connect
        connect.resume(connector)
        connect.wait_running(connector)
        began = time.monotonic()
        bench.told(self.made, connector)
        return time.monotonic() - began


def _of(step: Step) -> dict[str, float]:
    return {"applied": step.rate, "memory": step.memory, "changes": step.units, **step.phases}


def write(engine: Engine, statements: Statements, *, one_transaction: bool) -> None:
    level = "READ COMMITTED" if one_transaction else "AUTOCOMMIT"
    with engine.execution_options(isolation_level=level).connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))
        if one_transaction:
            connection.commit()


def measure(measurement: Measurement, name: str, changes: int, rounds: int, free: Iterator[int]) -> list[dict]:
    """`free` gives numbers that no row has had."""
    found = []
    for turn in range(rounds):
        told = measurement.round(name, next(free), changes, turn)
        found.append(told)
        beside = f", sink {told['sink']:,.0f}/s" if "sink" in told else ""
        print(
            f"{name}: captured {told['captured']:,.0f}/s, applied {told['applied']:,.0f}/s{beside}; "
            f"{told['memory']:.0f} MiB; seconds: "
            + ", ".join(f"{phase} {told[phase]:.1f}" for phase in ("poll", "parse", "merge", "commit")),
            flush=True,
        )
    return found


def start(made: Replication) -> None:
    made.check()
    made.prepare()
    failed = [result.error for result in made.copy() if result.error]
    if failed:
        raise failed[0]
    made.register()


def with_sink(stack: ExitStack, endpoints: bench.Endpoints, way: bench.Direction, source: Engine, target: Engine):
    """Tables of the sink's own, which have what ours have by now; the sink; and a way to compare them."""
    for table, columns in definitions(way.target).items():
        statement = f"CREATE TABLE sink_{table} ({columns})"
        bench.run(target, statement, f"INSERT INTO sink_{table} SELECT * FROM {table}")
    rules = [f"{{{table}: {{target: sink_{table}}}}}" for table in TABLES]
    sunk = stack.enter_context(bench.replication(endpoints, way, NAME, rules, client="911"))
    sink = stack.enter_context(jdbc_sink(endpoints, source, target, TABLES))
    bench.told(sunk, SINK)  # once it has begun to read the log it may be stopped
    return sunk, sink


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direction", type=bench.direction, default="mysql-postgresql")
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--transaction", type=int, default=200_000, help="rows of the one large transaction")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--own", action="store_true", help="leave the sink out")
    bench.several(parser, "workloads", list(WORKLOADS))
    arguments = parser.parse_args()
    way, found = arguments.direction, {}
    with bench.stack() as endpoints, ExitStack() as stack:
        source = bench.new_database(endpoints, way.source, f"{NAME}_source")
        target = bench.new_database(endpoints, way.target, f"{NAME}_target")
        for table, columns in definitions(way.source).items():
            bench.run(source, f"CREATE TABLE {table} ({columns})")
        bench.fill(source, "orders", bench.rows(0, ROWS))
        rules = [f"{{{table}: {{target: {table}}}}}" for table in TABLES]
        path = stack.enter_context(bench.replication_file(endpoints, way, NAME, rules))
        start(Replication(load_replication(path)))
        sunk, sink = None, None
        if way.source == "mysql" and not arguments.own:
            sunk, sink = with_sink(stack, endpoints, way, source, target)
        measurement, first = Measurement(path, source, sunk, sink), ROWS + WARM
        measurement.round("inserts", ROWS, WARM, 0)
        for name in arguments.workloads:
            workload = WORKLOADS[name]
            changes = arguments.transaction if workload.one_transaction else int(arguments.changes * workload.share)
            free = iter(range(first, 1 << 62, changes))
            found[name] = measure(measurement, name, changes, arguments.rounds, free)
            first = next(free)
            sunk_memory = {"memory": sink.memory()} if sink else {}
            results.write("stream", {"workloads": found, "sink": sunk_memory})
    with bench.stack() as endpoints:
        bench.drop(endpoints, f"{NAME}_source", f"{NAME}_target")


if __name__ == "__main__":
    main()
