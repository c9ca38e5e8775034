"""A transaction is streamed in as much memory as a small one takes, however many rows it has."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import MakeScenario, Scenario
from cdc_pipeline_tests.streaming import cdc_pipeline
from cdc_pipeline_tests.waiting import wait_until

SMALL, LARGE = 100_000, 250_000  # the small one fills the queue of what is fetched ahead already
# Events of 150,000 rows more are 90 MB in Kafka, and several times that as Python's objects.
MOST_MORE_MIB = 60
CAPTURED_WITHIN_SECONDS = 300
APPLIED_WITHIN_SECONDS = 300


@pytest.mark.deep
def test_a_large_transaction_takes_no_more_memory_than_a_smaller_one(scenario: MakeScenario) -> None:
    """Kept whole, which is where its rows would pile up."""
    shop = scenario()
    shop.run("source", "CREATE TABLE numbers (id INT PRIMARY KEY AUTO_INCREMENT, n INT)")
    shop.run("source", "CREATE TABLE ten (n INT)", f"INSERT INTO ten VALUES {', '.join(f'({n})' for n in range(10))}")
    replication = shop.replication("numbers", apply="transactional")
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    small = peak_mib_of_streaming(shop, replication, SMALL)
    large = peak_mib_of_streaming(shop, replication, LARGE)
    shop.assert_equal(replication)
    assert shop.rows("target", f"SELECT count(*) FROM {shop.target_table('numbers')}") == [(SMALL + LARGE,)]
    assert large - small < MOST_MORE_MIB, (small, large)


def peak_mib_of_streaming(shop: Scenario, replication: Replication, rows: int) -> float:
    """What a consumer of its own takes that has the whole transaction before it, in Kafka."""
    topic = replication.table("numbers").topic
    wanted = replication.parts.broker.ends([topic])[topic, 0] + rows
    million = " CROSS JOIN ".join(f"ten AS t{digit}" for digit in range(6))
    shop.run("source", f"INSERT INTO numbers (n) SELECT t0.n FROM {million} LIMIT {rows}")
    wait_until(lambda: replication.parts.broker.ends([topic])[topic, 0] >= wanted, "captured", CAPTURED_WITHIN_SECONDS)
    with cdc_pipeline(shop, "consume", "--until-caught-up") as consumer:
        peak = peak_mib(consumer)
        assert consumer.returncode == 0
    return peak


def peak_mib(process: subprocess.Popen[str]) -> float:
    """As its status says at last. (What the system counts of children has that of their parent in it.)"""
    peak, deadline = 0, time.monotonic() + APPLIED_WITHIN_SECONDS
    while process.poll() is None:
        assert time.monotonic() < deadline, f"not applied after {APPLIED_WITHIN_SECONDS} s"
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        peak = int(found[1]) if found else peak  # a process that has just ended has none
        time.sleep(0.05)
    return peak / 1024
