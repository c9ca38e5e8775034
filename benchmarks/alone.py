"""One step of a replication in a fresh process: prints its seconds, and the memory that it took beyond what Python and
the libraries have, as JSON.

    .venv/bin/python benchmarks/alone.py copy|consume FILE
"""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import bench

from cdc_pipeline.config import load_replication
from cdc_pipeline.replication import Replication


@dataclass(frozen=True)
class Step:
    """What a step took: `units` are rows or changes."""

    seconds: float
    memory: float
    units: int
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.units / self.seconds


def alone(step: str, path: Path) -> Step:
    """Run one in a process of its own."""
    taken = bench.measured([sys.executable, __file__, step, str(path)])
    return Step(**json.loads(taken.output.splitlines()[-1]))


def copy(made: Replication) -> tuple[int, dict[str, float]]:
    rows = 0
    for result in made.copy():
        if result.error:
            raise result.error
        rows += result.rows
    return rows, {}


def consume(made: Replication) -> tuple[int, dict[str, float]]:
    progress = made.consume(until_caught_up=True)
    return progress.applied, progress.seconds


def main() -> None:
    step = {"copy": copy, "consume": consume}[sys.argv[1]]
    logging.getLogger("cdc_pipeline").setLevel(logging.ERROR)
    made = Replication(load_replication(Path(sys.argv[2])))
    if step is copy:
        made.check()
        made.prepare()
    before = bench.megabytes_of_memory()
    began = time.monotonic()
    units, phases = step(made)
    seconds = time.monotonic() - began
    memory = bench.megabytes_of_memory() - before
    print(json.dumps({"seconds": seconds, "memory": memory, "units": units, "phases": phases}))


if __name__ == "__main__":
    main()
