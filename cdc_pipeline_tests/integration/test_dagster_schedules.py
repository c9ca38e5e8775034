"""What the clock starts, decided against runs that are only told to an instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline.defs.replications import replication_definitions
from cdc_pipeline.defs.schedules import schedules
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline_tests.scenario import Scenario

MakeScenario = Callable[..., Scenario]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def scheduled(made: Scenario, **more: str) -> Lineage:
    made.run("source", "CREATE TABLE users (id INT PRIMARY KEY)", "CREATE TABLE orders (id INT PRIMARY KEY)")
    return Lineage.of(made.config("users", "orders", **more))


def tick(lineage: Lineage, instance: dg.DagsterInstance, name: str) -> tuple[list[dg.RunRequest], str]:
    """What the schedule asks for; and why, if it does not."""
    definitions = replication_definitions(lineage)
    schedule = definitions.resolve_schedule_def(name)
    with dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=datetime(2024, 2, 29, 3, tzinfo=UTC),
        repository_def=definitions.get_repository_def(),
    ) as context:
        decision = schedule.evaluate_tick(context)
    return list(decision.run_requests or []), decision.skip_message or ""


def test_a_tick_starts_nothing_while_the_last_ones_run_is_at_work(
    scenario: MakeScenario, instance: dg.DagsterInstance
) -> None:
    lineage = scheduled(scenario())
    for what in ("verify", "count"):
        name, job = f"{lineage.name}_{what}_by_the_clock", f"{lineage.name}_{what}"
        (asked,), _ = tick(lineage, instance, name)
        assert asked.tags["cdc_pipeline/replication"] == lineage.name
        run = instance.create_run_for_job(replication_definitions(lineage).resolve_job_def(job))
        assert tick(lineage, instance, name) == ([], f"Run {run.run_id[:8]} is still at it.")
        instance.report_run_failed(run)
        assert len(tick(lineage, instance, name)[0]) == 1


def test_each_table_is_copied_anew_when_its_owner_says(scenario: MakeScenario, instance: dg.DagsterInstance) -> None:
    when = '{verify: off, count: off, timezone: Europe/Berlin, resync: {users: "0 5 * * 0", orders: "0 5 * * 0"}}'
    lineage = scheduled(scenario(), schedules=when)
    (schedule,) = schedules(lineage)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 5 * * 0", "Europe/Berlin")
    asked, _ = tick(lineage, instance, schedule.name)
    assert [request.partition_key for request in asked] == ["users", "orders"]
    config = {"ops": {f"{lineage.name}__initial_copy": {"config": {"force_resync": True}}}}
    assert [request.run_config for request in asked] == [config, config]
    job = replication_definitions(lineage).resolve_job_def(f"{lineage.name}_initial_copy")
    instance.create_run_for_job(job, run_config=config, tags={"dagster/partition": "users"})
    asked, _ = tick(lineage, instance, schedule.name)
    assert [request.partition_key for request in asked] == ["orders"]
    instance.create_run_for_job(job, run_config=config, tags={"dagster/partition": "orders"})
    assert tick(lineage, instance, schedule.name) == ([], "Each of these tables is still being copied.")


def test_a_table_that_is_none_is_named(scenario: MakeScenario) -> None:
    lineage = scheduled(scenario(), schedules='{resync: {user: "@daily"}}')
    with pytest.raises(CdcPipelineError, match=r"schedules: resync: user is none of the replication's tables: .*users"):
        schedules(lineage)
