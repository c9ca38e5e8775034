"""How fast a table is copied, and in how much memory, beside the other ways to do it.

    .venv/bin/python benchmarks/initial_copy.py [--rows 300000] [--rounds 2] [--own] [DIRECTION…]

In each round every way (`peers.py`, and our own) copies the same table of ten mixed columns into an empty one, its
primary key in place, as a command of its own: the seconds are from its start to its end, the memory is the most that
one of its processes had. What it wrote is verified before a figure counts. Before the first round each way copies a
table of one row: that is its cost to begin with, and shows whether it is to be had here at all. `--own` leaves the
tools out, and measures only our ways and the databases' own.

Rates on a shared machine differ from run to run; the ratios within a round are what compares.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bench
import peers
import results
from alone import alone
from peers import TABLE, Ends
from sqlalchemy import Engine

from cdc_pipeline.config import load_replication
from cdc_pipeline.replication import Replication

NAME = "bench_copy"
COMMAND, DAGSTER, STEP = "cdc-pipeline copy", "cdc-pipeline in a Dagster run", "its copy alone"
DIRECTIONS = tuple("-".join(pair) for pair in peers.EVERY)
DATABASES_OWN = {"ready file", "clients in a pipe", "mariadb-dump in a pipe"}


@dataclass(frozen=True)
class Run:
    """What a way needs to know: its ends, and the replication file of ours."""

    ends: Ends
    path: Path


@dataclass(frozen=True)
class Way:
    name: str
    take: Callable[[Run], bench.Taken]
    fills: bool = True  # the table that is there; else it makes its own
    landed: str | None = None


def of_peer(peer: peers.Peer) -> Way:
    def take(run: Run) -> bench.Taken:
        return bench.measured(peer.command(run.ends), run.ends.environment)

    return Way(peer.name, take, landed=peer.landed)


def by_command(run: Run) -> bench.Taken:
    return bench.measured([sys.executable, "-m", "cdc_pipeline.cli", "copy", TABLE], _surroundings(run.path.parent))


def in_dagster(run: Run) -> bench.Taken:
    """As Dagster's own launcher does it: a process that loads the definitions and executes one run."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "dagster.yaml").write_text((bench.PROJECT / "dagster.yaml").read_text())
        name = run.path.stem
        command = [
            sys.executable, "-m", "dagster", "asset", "materialize", "-m", "cdc_pipeline.definitions",
            "--select", f"key:{name}/initial_copy", "--partition", TABLE,
        ]  # fmt: skip
        return bench.measured(command, {**_surroundings(run.path.parent), "DAGSTER_HOME": home})


def _surroundings(folder: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (str(bench.PROJECT), os.environ.get("PYTHONPATH"))))
    return {"CDC_PIPELINE_REPLICATIONS": str(folder), "PYTHONPATH": path}


def step_alone(run: Run) -> bench.Taken:
    step = alone("copy", run.path)
    return bench.Taken(step.seconds, step.memory, "")


OURS = (
    Way(COMMAND, by_command, fills=False),
    Way(DAGSTER, in_dagster, fills=False),
    Way(STEP, step_alone, fills=False),
)


class WroteSomethingElse(Exception):
    """What the target has is not what the source has, though the command ended well; says why if it does."""


def _complaint(output: str) -> str:
    return next((line[line.index("ERROR") :] for line in output.splitlines() if "ERROR" in line), "")


class Direction:
    """One source and one target, and the ways between them."""

    def __init__(self, endpoints: bench.Endpoints, way: bench.Direction, user: bench.Login) -> None:
        self.endpoints, self.way, self.user = endpoints, way, user

    def source(self, file: Path) -> Engine:
        source = bench.new_database(self.endpoints, self.way.source, f"{NAME}_source")
        bench.run(source, f"CREATE TABLE {TABLE} ({bench.COLUMNS[self.way.source]})")
        bench.load(source, TABLE, file)
        return source

    def take(self, way: Way, source: Engine, file: Path) -> bench.Taken:
        """Let it copy into a new database, and see that what it wrote is right."""
        target = bench.new_database(self.endpoints, self.way.target, f"{NAME}_target")
        create = f"CREATE TABLE {TABLE} ({bench.COLUMNS[self.way.target]})"
        if way.fills:
            bench.run(target, create)
        ends = Ends(self.user.instead(source.url), self.user.instead(target.url), file)
        tables = [f"{{{TABLE}: {{target: {TABLE}}}}}"]
        with bench.replication_file(self.endpoints, self.way, NAME, tables, client="912") as path:
            taken = way.take(Run(ends, path))
            if way.landed:
                bench.run(target, f"INSERT INTO {TABLE} {typed(way.landed, self.way.target)}")
            made = Replication(load_replication(path))
            made.parts.state.create()
            try:
                bench.require_equal(made)
            except bench.Different as error:
                raise WroteSomethingElse(_complaint(taken.output) or str(error)) from error
        return taken


def typed(table: str, kind: str) -> str:
    """A table of somebody else's types, read as ours."""
    columns = (column.strip().split(" ", 1) for column in bench.COLUMNS[kind].replace("12, 2", "12,2").split(", "))
    casts = (
        f"CAST({name} AS {words.removesuffix(' PRIMARY KEY').removesuffix(' NOT NULL')})" for name, words in columns
    )
    return f"SELECT {', '.join(casts)} FROM {table}"


@contextmanager
def ready(rows: int, folder: str) -> Iterator[Path]:
    file = Path(folder) / f"{rows}.copy"
    with file.open("w") as lines:
        lines.writelines(bench.rows(1, rows))  # the first has no NULL: dlt leaves a column out that has nothing else
    yield file
    file.unlink()


def available(direction: Direction, ways: list[Way], folder: str) -> tuple[dict[str, bench.Taken], dict[str, str]]:
    """What each way takes for one row, and why the others are not to be had."""
    begins, absent = {}, {}
    with ready(1, folder) as file:
        source = direction.source(file)
        for way in ways:
            try:
                begins[way.name] = direction.take(way, source, file)
            except (bench.CommandFailed, WroteSomethingElse) as error:
                if way in OURS:
                    raise
                absent[way.name] = str(error)
                print(f"{way.name}: not available here: {error}", flush=True)
    return begins, absent


def measure(direction: Direction, rows: int, rounds: int, own: bool) -> dict:
    pair = (direction.way.source, direction.way.target)
    ways, absent = list(OURS), {}
    for peer in peers.PEERS:
        if pair not in peer.pairs or (own and peer.name not in DATABASES_OWN):
            continue
        reason = peer.unavailable()
        if reason is None:
            ways.append(of_peer(peer))
        else:
            absent[peer.name] = reason
            print(f"{peer.name}: not available here: {reason}", flush=True)
    found: dict[str, list[bench.Taken]] = {}
    with tempfile.TemporaryDirectory() as folder:
        begins, more = available(direction, ways, folder)
        ways = [way for way in ways if way.name in begins]
        with ready(rows, folder) as file:
            size = file.stat().st_size
            print(f"{direction.way}: {rows:,} rows, {size / 2**20:,.0f} MiB", flush=True)
            source = direction.source(file)
            for number in range(rounds):
                for way in ways if number % 2 == 0 else ways[::-1]:
                    taken = direction.take(way, source, file)
                    found.setdefault(way.name, []).append(taken)
                    print(f"  {way.name}: {taken.seconds:.1f} s, {taken.memory:.0f} MiB", flush=True)
    return {
        "rows": rows, "bytes": size, "absent": {**absent, **more},
        "ways": {
            name: {
                "begin": begins[name].seconds,
                "seconds": [taken.seconds for taken in takes], "memory": [taken.memory for taken in takes],
            }
            for name, takes in found.items()
        },
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--own", action="store_true", help="leave the tools out")
    bench.several(parser, "directions", DIRECTIONS)
    arguments = parser.parse_args()
    with bench.stack() as endpoints, bench.login(endpoints) as user:
        for text in arguments.directions:
            direction = Direction(endpoints, bench.direction(text), user)
            results.write(f"copy-{text}", measure(direction, arguments.rows, arguments.rounds, arguments.own))
        bench.drop(endpoints, f"{NAME}_source", f"{NAME}_target")


if __name__ == "__main__":
    main()
