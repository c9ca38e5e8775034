"""How fast a table is copied, and in how much memory, beside what the two databases need for it themselves.

    .venv/bin/python benchmarks/initial_copy.py [--direction mysql-postgresql] [--rows 1000000] [--rounds 3]

Beside the copy, which includes its watermark, each round times two floors: the source's rows read and thrown away, and
a ready file of the same rows loaded into the same table, the primary key in place. A copy does both at once, so with
cores to spare it takes as long as the longer of them; on one core as long as their sum. The target is verified before
a figure counts. Rates on a shared machine differ from run to run; the ratios are what compares.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench

from cdc_pipeline.config import load_replication
from cdc_pipeline.replication import Replication

TABLE = "orders"


def copy_alone(path: str) -> None:
    """The copy of a fresh process: prints its seconds, and the memory that it took beyond what Python and the
    libraries have."""
    logging.getLogger("cdc_pipeline").setLevel(logging.ERROR)
    made = Replication(load_replication(Path(path)))
    made.check()
    made.prepare()
    before = bench.megabytes_of_memory()
    began = time.monotonic()
    (result,) = made.copy(force_resync=False)
    seconds = time.monotonic() - began
    if result.error:
        raise result.error
    memory = bench.megabytes_of_memory() - before
    print(json.dumps({"seconds": seconds, "memory": memory, "rows": result.rows, "bytes": result.bytes}))


def read_alone(made: Replication) -> float:
    """Seconds to read what the copy reads, to throw it away."""
    source = made.parts.source
    (table,) = made.tables
    shape = source.shape(table.source)
    assert shape is not None
    with source.snapshot(shape) as snapshot, Path("/dev/null").open("wb") as nowhere:
        began = time.monotonic()
        snapshot.copy_to(snapshot.arranged(shape), nowhere)
        return time.monotonic() - began


def main() -> None:
    if sys.argv[1:2] == ["--copy-alone"]:
        copy_alone(sys.argv[2])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direction", type=bench.direction, default="mysql-postgresql")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with bench.stack() as endpoints, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.copy"
        with file.open("w") as lines:
            lines.writelines(bench.rows(0, arguments.rows))
        print(f"{arguments.direction}: {arguments.rows:,} rows, {file.stat().st_size / 2**20:,.0f} MiB")
        rounds = [one_round(endpoints, arguments.direction, file) for _ in range(arguments.rounds)]
    for name in ("load", "sum"):
        ratio = statistics.median(times["copy"] / times[name] for times in rounds)
        print(f"median of {len(rounds)}: the copy takes {ratio:.2f} times the {FLOORS[name]}")


FLOORS = {"load": "load of a ready file", "sum": "sum of reading and loading"}


def one_round(endpoints: bench.Endpoints, way: bench.Direction, file: Path) -> dict[str, float]:
    source = bench.new_database(endpoints, way.source, "bench_copy_source")
    target = bench.new_database(endpoints, way.target, "bench_copy_target")
    bench.run(source, f"CREATE TABLE {TABLE} ({bench.COLUMNS[way.source]})")
    bench.load(source, TABLE, file)
    with bench.replication_file(endpoints, way, "bench_copy", [TABLE]) as path:
        command = [sys.executable, __file__, "--copy-alone", str(path)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        copied = json.loads(told.splitlines()[-1])
        made = Replication(load_replication(path))
        bench.require_equal(made)
        reading = read_alone(made)
        bench.run(target, f"CREATE TABLE ready ({bench.COLUMNS[way.target]})")
        began = time.monotonic()
        bench.load(target, "ready", file)
        loading = time.monotonic() - began
    rate = copied["rows"] / copied["seconds"]
    print(f"copy {copied['seconds']:.1f} s ({rate:,.0f} rows/s, {copied['memory']:.0f} MiB), ", end="")
    print(f"read {reading:.1f} s, load {loading:.1f} s", flush=True)
    return {"copy": copied["seconds"], "load": loading, "sum": reading + loading}


if __name__ == "__main__":
    main()
