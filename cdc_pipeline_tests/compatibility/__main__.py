"""`make test-servers`: the core of a replication on each version of each server; writes docs/compatibility.md."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cdc_pipeline.local import stack
from cdc_pipeline_tests.compatibility import page

CHECKOUT = Path(__file__).resolve().parents[2]
# A home has one Kafka and one Connect at a time, so each of these has a home of its own.
WORKERS = (
    ("kafka-3.9", "connect-3.9"),
    ("kafka-4.4", "connect-4.4"),
    ("kafka-4.3", "connect-4.3+debezium=3.6"),
    ("kafka-3.9", "connect-3.9+debezium=2.7"),
)
SOURCES = "source-mysql-9.7] or source-mariadb-11.4] or source-postgresql-18]"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make test-servers", description=__doc__)
    parser.add_argument("--only", metavar="WORDS", help="which trials, as pytest's -k has them: 'target-mysql-9.7]'")
    parser.add_argument("--databases", action="store_true", help="databases alone, with the default Kafka and Connect")
    parser.add_argument("--workers", action="store_true", help="Kafka, Connect and Debezium alone")
    parser.add_argument("--processes", type=int, default=2, help="which run the tests; 0 for this one alone")
    options = parser.parse_args(arguments)
    date, good = datetime.date.today().isoformat(), True
    if options.databases or not options.workers:
        passed, outcomes = _run(stack.default_home(), options.only, options.processes)
        page.write("databases", page.of_databases(outcomes, date))
        good = passed and good
    if options.workers or not options.databases:
        for number, names in enumerate(WORKERS):
            home = stack.default_home() / "workers" / str(number)
            try:
                stack.up(home, print, servers=["mysql", "postgresql", *names])
                passed, outcomes = _run(home, options.only or SOURCES, options.processes)
            finally:
                stack.purge(home)
            page.write("workers", [page.of_workers(names, outcomes, date)])
            good = passed and good
    return 0 if good else 1


def _run(home: Path, words: str | None, processes: int) -> tuple[bool, page.Outcomes]:
    """Of these trials, on the servers of this home: whether all passed, and what they noted."""
    file = home / "tests" / "outcomes.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pytest", "-m", "versions", "-n", str(processes), "--outcomes", str(file)]
    command += ["cdc_pipeline_tests/compatibility", *(["-k", words] if words else [])]
    done = subprocess.run(command, cwd=CHECKOUT, env={**os.environ, "CDC_PIPELINE_LOCAL": str(home)}, check=False)
    return done.returncode == 0, json.loads(file.read_text())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
