"""What runs by the clock. A tick that comes while the last one's run is still at work starts nothing, so ticks that
were missed and are made up for end in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import dagster as dg

from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.model import Replicated

Tick = Iterator[dg.RunRequest | dg.SkipReason]
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_PARTITION = "dagster/partition"


def schedules(lineage: Lineage) -> list[dg.ScheduleDefinition]:
    """Raises CdcPipelineError where a table that is to be copied anew is none of the replication's."""
    wanted = lineage.config.schedules
    made = []
    if wanted.verify:
        made.append(_of_job(lineage, "verify", wanted.verify, "Compares every row of source and target."))
    if wanted.count:
        made.append(_of_job(lineage, "count", wanted.count, "Compares how many rows source and target have."))
    tables = {name: _table(lineage, name) for name in wanted.resync}
    for number, cron in enumerate(sorted(filter(None, set(wanted.resync.values()))), 1):
        partitions = [lineage.partition(tables[name]) for name, when in wanted.resync.items() if when == cron]
        made.append(_resync(lineage, number, cron, partitions))
    return made


def _of_job(lineage: Lineage, what: str, cron: str, description: str) -> dg.ScheduleDefinition:
    job = f"{lineage.name}_{what}"

    def by_the_clock(context: dg.ScheduleEvaluationContext) -> Tick:
        busy = _unfinished(context, job)
        yield dg.SkipReason(f"Run {busy.run_id[:8]} is still at it.") if busy else dg.RunRequest(tags=lineage.tags)

    description = f"{description} `schedules: {what}:` in the replication's file says when."
    return _schedule(lineage, f"{job}_by_the_clock", job, cron, description, by_the_clock)


def _resync(lineage: Lineage, number: int, cron: str, partitions: list[str]) -> dg.ScheduleDefinition:
    job = f"{lineage.name}_initial_copy"
    config = {"ops": {"__".join(lineage.initial_copy.path): {"config": {"force_resync": True}}}}

    def resync(context: dg.ScheduleEvaluationContext) -> Tick:
        at_work = {partition for partition in partitions if _unfinished(context, job, {_PARTITION: partition})}
        if len(at_work) == len(partitions):
            yield dg.SkipReason("Each of these tables is still being copied.")
        for partition in partitions:
            if partition not in at_work:
                key = f"{context.scheduled_execution_time.isoformat()} {partition}"
                tags = {**lineage.tags, _PARTITION: partition}
                yield dg.RunRequest(key, partition_key=partition, run_config=config, tags=tags)

    description = f"Copies anew, while the stream runs: {', '.join(partitions)}."
    return _schedule(lineage, f"{lineage.name}_resync_{number}", job, cron, description, resync)


def _schedule(
    lineage: Lineage, name: str, job: str, cron: str, description: str,
    tick: Callable[[dg.ScheduleEvaluationContext], Tick],
) -> dg.ScheduleDefinition:  # fmt: skip
    return dg.schedule(
        name=name,
        job_name=job,
        cron_schedule=cron,
        execution_timezone=lineage.config.schedules.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
        tags=lineage.tags,
    )(tick)


def _unfinished(
    context: dg.ScheduleEvaluationContext, job: str, tags: dict[str, str] | None = None
) -> dg.DagsterRun | None:
    runs = context.instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED, tags=tags or {}), limit=1)
    return runs[0] if runs else None


def _table(lineage: Lineage, name: str) -> Replicated:
    for table in lineage.tables:
        if table.is_called(name):
            return table
    known = ", ".join(str(table.source) for table in lineage.tables)
    raise CdcPipelineError(reason=f"schedules: resync: {name} is none of the replication's tables: {known}")
