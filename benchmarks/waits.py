"""What the waits on a change's way cost: the latency at ten changes a second, and the processor time without any.

    .venv/bin/python benchmarks/waits.py [--direction mysql-postgresql] [--seconds 20]

The connector as it is by default, then with one property otherwise at a time. Idle are source and stream but for their
heartbeats; processor time is that of each process, as a share of one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import bench
import latency
import psutil
import results
from sqlalchemy import Engine

from cdc_pipeline.config import load_replication
from cdc_pipeline.local import processes
from cdc_pipeline.local import stack as local_stack
from cdc_pipeline.replication import Replication

NAME = "bench_waits"
RATE = 10
VARIANTS: Mapping[str, Mapping[str, str]] = {
    "as it is (poll.interval.ms 10)": {},
    "poll.interval.ms 500, Debezium's default": {"poll.interval.ms": "500"},
    "producer.override.linger.ms 0": {"producer.override.linger.ms": "0"},
}


def measure(path: Path, source: Engine, target: Engine, seconds: float) -> str:
    with latency.consuming(path) as consumer, latency.reading(target) as reader:
        warm = latency.write(source, 1, RATE, 5)
        latency.wait_for(reader, warm[-1][1])
        committed = latency.write(source, warm[-1][1] + 1, RATE, seconds)
        latency.wait_for(reader, committed[-1][1])
        told = latency.quantiles(latency.latencies(committed, reader.seen))
    with latency.consuming(path) as consumer:  # without the reader, which asks all the time
        return f"{told}; idle: {idle({'consumer': consumer.pid, **servers()}, seconds)}"


def servers() -> dict[str, int]:
    home = local_stack.default_home()
    found = {name: processes.running(local_stack.site_of(home, name)) for name in ("connect", "kafka")}
    return {name: process.pid for name, process in found.items() if process is not None}


def idle(pids: Mapping[str, int], seconds: float) -> str:
    """Once they are at rest: what they do at their start is none of it."""
    time.sleep(seconds / 2)
    watched = {name: psutil.Process(pid) for name, pid in pids.items()}
    before, began = {name: busy(process) for name, process in watched.items()}, time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    return ", ".join(f"{name} {(busy(p) - before[name]) / passed:.1%}" for name, p in watched.items())


def busy(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direction", type=bench.direction, default="mysql-postgresql")
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    way, told = arguments.direction, []
    with bench.stack() as endpoints:
        for variant, properties in VARIANTS.items():
            source = bench.new_database(endpoints, way.source, f"{NAME}_source")
            target = bench.new_database(endpoints, way.target, f"{NAME}_target")
            listed = ", ".join(f'{name}: "{value}"' for name, value in properties.items())
            rule = f"{{{latency.TABLE}: {{target: {latency.TABLE}}}}}"
            with bench.replication_file(endpoints, way, NAME, [rule], connector=f"{{{listed}}}") as path:
                latency.start(Replication(load_replication(path)), source)
                told.append(f"{variant}: {measure(path, source, target, arguments.seconds)}")
            print(told[-1], flush=True)
    results.write("waits", told)


if __name__ == "__main__":
    main()
