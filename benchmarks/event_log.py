"""How large Dagster's event log becomes in a week of streaming, whatever is streamed.

    .venv/bin/python benchmarks/event_log.py [--tables 50] [--minutes 300]

So many minutes of the consumer's heartbeat are told one after another, while all tables change all the time; what they
add to the files of a SQLite instance (Dagster's default) is multiplied to a week.
"""

import argparse
import tempfile
import time
from pathlib import Path

import bench
import dagster as dg
import results

from cdc_pipeline.apply.progress import Progress
from cdc_pipeline.defs.consume import HEARTBEAT_SECONDS, Heartbeat
from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import TableState

NAME = "bench_log"
BEATS_A_WEEK = 7 * 24 * 3600 / HEARTBEAT_SECONDS


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def let_stream(made: Replication) -> None:
    """What the consumer would say of the tables when it takes them over."""
    with made.parts.target.connect() as connection:
        for table in made.tables:
            made.parts.state.move_table(connection, table.source, TableState.STREAMING)
        connection.commit()


def beat(made: Replication, target: bench.Engine, minutes: int) -> tuple[int, float]:
    """Bytes and seconds of so many beats, each after a change to every table."""
    lineage, took = Lineage.of(made.config), 0.0

    @dg.op
    def stream(context: dg.OpExecutionContext) -> None:
        nonlocal took
        heartbeat, progress = Heartbeat(context, lineage, made), Progress("cdc_consumer_1_1_1732080456")
        for _ in range(minutes):
            bench.run(target, "UPDATE cdc_pipeline.offsets SET inserted = inserted + 12345, updated = updated + 678")
            progress.inserted += 12_345
            progress.batches += 1
            began = time.monotonic()
            heartbeat.beat(progress)
            took += time.monotonic() - began

    with (
        tempfile.TemporaryDirectory() as home,
        dg.DagsterInstance.local_temp(home, {"telemetry": {"enabled": False}}) as instance,
    ):
        before = size(Path(home))
        dg.GraphDefinition("consume", node_defs=[stream]).execute_in_process(
            instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        )
        return size(Path(home)) - before, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=int, default=50)
    parser.add_argument("--minutes", type=int, default=300)
    arguments = parser.parse_args()
    way, names = bench.direction("mysql-postgresql"), [f"t{number:03}" for number in range(arguments.tables)]
    with bench.stack() as endpoints:
        source = bench.new_database(endpoints, way.source, f"{NAME}_source")
        target = bench.new_database(endpoints, way.target, f"{NAME}_target")
        for name in names:
            bench.run(source, f"CREATE TABLE {name} ({bench.COLUMNS[way.source]})")
        with bench.replication(endpoints, way, NAME, names, client="914") as made:
            for step in (made.check, made.prepare, lambda: list(made.copy()), lambda: let_stream(made)):
                step()
            taken, seconds = beat(made, target, arguments.minutes)
    week = taken / arguments.minutes * BEATS_A_WEEK
    told = (
        f"{arguments.tables} tables that change all the time: {taken / arguments.minutes / 1000:.1f} kB a minute, "
        f"{week / 1e6:.0f} MB a week; {seconds / arguments.minutes * 1000:.0f} ms of each minute"
    )
    print(told)
    results.write("event_log", [told])


if __name__ == "__main__":
    main()
