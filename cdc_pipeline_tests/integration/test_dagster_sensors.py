"""What the sensors decide: real state tables, and runs that are only told to an instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster import DagsterEvent, DagsterEventType, DagsterRunStatus

from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline.defs.replications import replication_definitions
from cdc_pipeline.defs.sensors import RUNS_KEPT, Keeper, decide_to_register
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import WISHES, ConsumerState, Desired
from cdc_pipeline_tests.scenario import Scenario

ENDS = {
    DagsterRunStatus.SUCCESS: DagsterEventType.PIPELINE_SUCCESS,
    DagsterRunStatus.FAILURE: DagsterEventType.PIPELINE_FAILURE,
    DagsterRunStatus.CANCELED: DagsterEventType.PIPELINE_CANCELED,
}


class Watched:
    """A replication whose connector is registered, as far as its state tables say, and the sensors' view of it."""

    def __init__(self, scenario: Scenario, instance: dg.DagsterInstance) -> None:
        scenario.run("source", "CREATE TABLE users (id INT PRIMARY KEY)", "CREATE TABLE orders (id INT PRIMARY KEY)")
        self.scenario = scenario
        self.instance = instance
        self.replication = scenario.replication("users", "orders")
        self.state = self.replication.parts.state
        self.lineage = Lineage.of(self.replication.config)
        self.definitions = replication_definitions(self.lineage)

    def register(self) -> None:
        self.replication.prepare()
        self.state.set(captured_tables="users")

    def decide(self) -> dg.RunRequest | str:
        """What the sensor asks for, or why it does not."""
        decision = Keeper(self.instance, self.lineage, self.state).decide()
        return decision if isinstance(decision, dg.RunRequest) else decision.skip_message or ""

    def decide_to_register(self) -> dg.RunRequest | str:
        decision = decide_to_register(self.instance, self.lineage, self.replication)
        return decision if isinstance(decision, dg.RunRequest) else decision.skip_message or ""

    def tell_run(
        self,
        status: DagsterRunStatus,
        *,
        job: str = "consume",
        lasted: float = 10,
        ago: float = 0,
        tags: dict[str, str] | None = None,
    ) -> str:
        """A run that began so many seconds before it ended (or before now); it ended `ago`."""
        definition = self.definitions.resolve_job_def(f"{self.lineage.name}_{job}")
        first = DagsterRunStatus.STARTED if status in ENDS else status
        run = self.instance.create_run_for_job(definition, status=first, tags=tags)
        if first is DagsterRunStatus.STARTED:
            self._event(run, DagsterEventType.PIPELINE_START, ago + lasted)
        if status in ENDS:
            self._event(run, ENDS[status], ago)
        return run.run_id

    def _event(self, run: dg.DagsterRun, event: DagsterEventType, ago: float) -> None:
        told = DagsterEvent(event_type_value=event.value, job_name=run.job_name)
        self.instance.run_storage.handle_run_event(run.run_id, told, datetime.now(UTC) - timedelta(seconds=ago))

    def hold_lease(self, run_id: str, silent: int = 0) -> None:
        self.state.take_lease(run_id, "group", "elsewhere", 4711)
        self.state.beat(run_id, ConsumerState.RUNNING)
        age = f"UPDATE cdc_pipeline.consumer_runs SET heartbeat = heartbeat - interval '{silent} seconds'"
        self.scenario.run("target", age)

    def status(self, run_id: str) -> DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status


@pytest.fixture
def watched(scenario: Callable[..., Scenario]) -> Iterator[Watched]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watched(scenario("mysql", "postgresql"), instance)


def test_it_consumes_what_is_registered(watched: Watched) -> None:
    assert "no connector yet" in str(watched.decide())
    watched.replication.prepare()
    assert "no connector yet" in str(watched.decide())
    watched.register()
    assert isinstance(watched.decide(), dg.RunRequest)
    watched.state.set(desired=Desired.STOPPED)
    assert "Stopped by its owner" in str(watched.decide())


def test_a_run_on_its_way_is_waited_for(watched: Watched) -> None:
    watched.register()
    run_id = watched.tell_run(DagsterRunStatus.STARTING)
    assert watched.decide() == f"Run {run_id[:8]} (starting) is on its way."


def test_a_run_that_beats_is_left_alone_and_a_silent_one_is_dead(watched: Watched) -> None:
    watched.register()
    run_id = watched.tell_run(DagsterRunStatus.STARTED, lasted=3600)
    watched.hold_lease(run_id)
    assert watched.decide() == f"Run {run_id[:8]} (started) is on its way."
    watched.hold_lease(run_id, silent=31)
    assert isinstance(watched.decide(), dg.RunRequest)
    assert watched.status(run_id) is DagsterRunStatus.FAILURE


@pytest.mark.parametrize(("lasted", "status"), [(50, DagsterRunStatus.STARTED), (70, DagsterRunStatus.FAILURE)])
def test_a_started_run_has_a_minute_to_take_the_lease(
    watched: Watched, lasted: float, status: DagsterRunStatus
) -> None:
    watched.register()
    watched.hold_lease("of an earlier run", silent=31)
    run_id = watched.tell_run(DagsterRunStatus.STARTED, lasted=lasted)
    watched.decide()
    assert watched.status(run_id) is status


def test_another_process_that_consumes_is_left_alone(watched: Watched) -> None:
    watched.register()
    watched.hold_lease("of the command line")
    assert "Another process consumes: process 4711 on elsewhere" in str(watched.decide())
    watched.hold_lease("of the command line", silent=31)
    assert isinstance(watched.decide(), dg.RunRequest)


def test_the_lease_of_a_killed_run_need_not_run_out(watched: Watched) -> None:
    watched.register()
    run_id = watched.tell_run(DagsterRunStatus.FAILURE, ago=6)
    watched.hold_lease(run_id)
    assert isinstance(watched.decide(), dg.RunRequest)
    assert watched.state.take_lease("the next", "group", "here", 1) is None


def test_a_terminated_run_is_followed_by_another_if_the_stream_is_meant_to_run(watched: Watched) -> None:
    watched.register()
    watched.hold_lease(watched.tell_run(DagsterRunStatus.CANCELED))
    assert isinstance(watched.decide(), dg.RunRequest)
    watched.state.set(desired=Desired.STOPPED)
    assert "Stopped by its owner" in str(watched.decide())


@pytest.mark.parametrize("wish", WISHES)
def test_what_is_wanted_of_the_stream_can_be_said_in_dagster(watched: Watched, wish: str) -> None:
    watched.register()
    before = Desired.STOPPED if wish == "resume" else Desired.RUNNING
    watched.state.set(desired=before)
    job = watched.definitions.resolve_job_def(f"{watched.lineage.name}_{wish}")
    assert job.execute_in_process(instance=watched.instance).success
    assert watched.state.desired is WISHES[wish][0] is not before


def test_failures_are_answered_ever_later(watched: Watched) -> None:
    watched.register()
    watched.tell_run(DagsterRunStatus.SUCCESS, ago=100)
    watched.tell_run(DagsterRunStatus.FAILURE, ago=1)
    assert isinstance(watched.decide(), dg.RunRequest)
    for _ in range(2):
        watched.tell_run(DagsterRunStatus.FAILURE, ago=5)
    assert "3 failures in a row; next attempt in" in str(watched.decide())
    watched.tell_run(DagsterRunStatus.FAILURE, lasted=3600, ago=1)
    assert isinstance(watched.decide(), dg.RunRequest)


def test_old_runs_are_forgotten(watched: Watched) -> None:
    watched.register()
    oldest, *_ = [watched.tell_run(DagsterRunStatus.SUCCESS) for _ in range(RUNS_KEPT + 1)]
    watched.decide()
    assert watched.instance.get_run_by_id(oldest) is None
    assert watched.instance.get_runs_count() == RUNS_KEPT


def copy(watched: Watched) -> None:
    job = watched.definitions.resolve_job_def(f"{watched.lineage.name}_initial_copy")
    span = {"dagster/asset_partition_range_start": "users", "dagster/asset_partition_range_end": "orders"}
    force = {"ops": {f"{watched.lineage.name}__initial_copy": {"config": {"force_resync": True}}}}
    assert job.execute_in_process(instance=watched.instance, tags=span, run_config=force).success


def test_it_registers_once_for_each_set_of_copies(watched: Watched) -> None:
    assert watched.decide_to_register() == "Nothing is copied yet."
    watched.replication.prepare()
    assert "Not copied yet" in str(watched.decide_to_register())

    copy(watched)
    request = watched.decide_to_register()
    assert isinstance(request, dg.RunRequest)
    assert request.run_key

    tags = {"dagster/run_key": request.run_key}
    running = watched.tell_run(DagsterRunStatus.STARTED, job="register_connector", tags=tags)
    assert f"Run {running[:8]}" in str(watched.decide_to_register())
    watched.instance.report_run_failed(watched.instance.get_run_by_id(running))  # type: ignore[arg-type]
    assert "was tried already" in str(watched.decide_to_register())

    watched.scenario.run("source", "INSERT INTO users VALUES (1)")
    copy(watched)
    again = watched.decide_to_register()
    assert isinstance(again, dg.RunRequest)
    assert again.run_key != request.run_key

    watched.state.set(captured_tables="users")
    assert watched.decide_to_register() == "The connector is registered."


def test_copies_of_the_command_line_are_registered_there(watched: Watched) -> None:
    replication: Replication = watched.replication
    replication.prepare()
    assert not [result.error for result in replication.copy() if result.error]
    assert "was not made here" in str(watched.decide_to_register())
