"""Dagster as it runs in earnest: daemon, code server and run workers as processes, and `kill -9` under load."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import dagster as dg
import pytest

from cdc_pipeline.state import ConsumerRecord, State
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import wait_until_caught_up
from cdc_pipeline_tests.workload import TABLES, create_tables, wait_for_transactions, writing

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 120
ENDS_WITHIN_SECONDS = 30

Answer = TypeVar("Answer")


def wait_until(ask: Callable[[], Answer | None], what: str) -> Answer:
    """The first answer that is not empty."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(0.1)
    return answer


class Dagster:
    """A daemon with its code server: a DAGSTER_HOME and a process group of its own."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        shutil.copy(REPOSITORY / "dagster.yaml", home)
        self.environment = {**environment, "DAGSTER_HOME": str(home)}
        self.log = home / "daemon.log"
        self.instance = dg.DagsterInstance.from_config(str(home))
        self._make_databases()
        with self.log.open("wb") as log:
            self.daemon = subprocess.Popen(
                [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"],
                cwd=REPOSITORY,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _make_databases(self) -> None:
        """Dagster makes each when it is first asked for, and two processes that do so at once fail."""
        self.instance.get_runs(limit=1)
        self.instance.fetch_run_status_changes(dg.DagsterEventType.RUN_SUCCESS, limit=1)
        self.instance.all_instigator_state()

    def launch(self, job: str) -> str:
        """Submit a run, as the UI does; the daemon starts it. Returns its id."""
        launch = [sys.executable, "-m", "dagster", "job", "launch", "-w", "workspace.yaml", "-j", job]
        done = subprocess.run(launch, cwd=REPOSITORY, env=self.environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return self.instance.get_runs(dg.RunsFilter(job_name=job), limit=1)[0].run_id

    def finished(self, run_id: str) -> dg.DagsterRun | None:
        run = self.instance.get_run_by_id(run_id)
        return run if run and run.is_finished else None

    def end(self) -> None:
        """The group, gently; whoever is left of it after that, not gently."""
        self._signal(signal.SIGTERM)
        try:
            self.daemon.wait(ENDS_WITHIN_SECONDS)
        finally:
            self._signal(signal.SIGKILL)
            self.daemon.wait()
            self.instance.dispose()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.daemon.pid, number)
        except ProcessLookupError:
            return


@pytest.fixture
def shop(scenario: Callable[..., Scenario]) -> Scenario:
    shop = scenario("mysql", "postgresql")
    create_tables(shop)
    return shop


@pytest.fixture
def dagster(shop: Scenario, tmp_path: Path) -> Iterator[Dagster]:
    shop.write(*TABLES)
    home = tmp_path / "dagster"
    home.mkdir()
    dagster = Dagster(home, shop.environment())
    yield dagster
    dagster.end()


def living_consumer(state: State, not_run: str = "") -> ConsumerRecord | None:
    consumer = state.consumer()
    return consumer if consumer and consumer.is_alive and consumer.run_id != not_run else None


def applied(state: State) -> int:
    return sum(offset.inserted + offset.updated + offset.deleted for offset in state.offsets_of().values())


def test_a_killed_consumer_is_relaunched_and_loses_nothing(shop: Scenario, dagster: Dagster) -> None:
    replication = shop.replication(*TABLES)
    state = replication.parts.state
    with writing(shop) as writers:
        wait_for_transactions(writers, 20)
        start = dagster.launch(f"{shop.name}_start_replication")
        assert wait_until(lambda: dagster.finished(start), "the four steps").is_success

        first = wait_until(lambda: living_consumer(state), "the first consumer")
        wait_until(lambda: applied(state) > 100, "changes are applied")
        os.kill(first.pid, signal.SIGKILL)
        killed = time.monotonic()

        second = wait_until(lambda: living_consumer(state, not_run=first.run_id), "the next consumer")
        print(f"relaunched {time.monotonic() - killed:.1f} s after the kill")
        before = applied(state)
        wait_until(lambda: applied(state) > before + 100, "the next consumer applies changes")
        wait_for_transactions(writers, 50)
    wait_until_caught_up(replication)

    shop.assert_equal(replication)
    runs = [dagster.instance.get_run_by_id(consumer.run_id) for consumer in (first, second)]
    assert [run and run.status for run in runs] == [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED]
