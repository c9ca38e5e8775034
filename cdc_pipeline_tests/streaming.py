"""A replication under way: its tables copied, its connector at work, its commands as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.copying import copied
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.waiting import wait_until
from cdc_pipeline_tests.workload import TABLES, create_tables, wait_for_transactions, writing


@contextmanager
def cdc_pipeline(scenario: Scenario, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command line as a process of its own; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cdc_pipeline.cli", *arguments],
        env=scenario.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def started(scenario: Scenario, *tables: str, **replaced: str) -> Replication:
    """Every table copied, and the connector at work."""
    replication, _ = copied(scenario, *tables, force=False, **replaced)
    replication.register()
    return replication


def start_streaming(scenario: Scenario, **replaced: str) -> Replication:
    create_tables(scenario)
    return started(scenario, *TABLES, **replaced)


def applied(replication: Replication) -> int:
    offsets = replication.parts.state.offsets_of().values()
    return sum(offset.inserted + offset.updated + offset.deleted for offset in offsets)


@contextmanager
def flowing(scenario: Scenario, replication: Replication) -> Iterator[None]:
    """Inside, somebody writes, and a process applies what comes."""
    with writing(scenario, writers=1) as writers, cdc_pipeline(scenario, "consume"):
        wait_for_transactions(writers, 20)
        wait_until(lambda: applied(replication) > 0, "applying")
        yield


def wait_until_caught_up(replication: Replication) -> None:
    caught_up = replication.caught_up()

    def check() -> bool:
        return caught_up({key: offset.next_offset for key, offset in replication.parts.state.offsets_of().items()})

    wait_until(check, "all applied that is written", seconds=120)
