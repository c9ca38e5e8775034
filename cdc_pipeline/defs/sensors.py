"""The two sensors of a replication: one keeps the consumer alive, one registers the connector after the last copy."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import dagster as dg

from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import HAS_WATERMARK, LEASE_SECONDS, ConsumerRecord, ConsumerState, Desired, State, TableRecord

TICK_SECONDS = 5
STARTING_SECONDS = 2 * LEASE_SECONDS  # how long a started run may take until it holds the lease
SHORTEST_WAIT, LONGEST_WAIT = 5, 300  # seconds, between a second failure in a row and the next attempt
HEALTHY_SECONDS = 60  # a run that lasted longer had consumed: its failure begins a new count
RUNS_KEPT = 30  # of the consumer: about a week; older ones would only fill the event log
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

Decision = dg.RunRequest | dg.SkipReason


def keep_consuming(lineage: Lineage) -> dg.SensorDefinition:
    name, replication = lineage.name, Replication(lineage.config)

    @dg.sensor(
        name=f"{name}_keep_consuming",
        job_name=f"{name}_consume",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Launches the consumer, and again when its run has ended or died: at once after a failure, then "
        "after 5 seconds and ever later, up to 5 minutes. It waits while nothing is registered, while another process "
        "(such as `cdc-pipeline start`) consumes, and while the owner wants the stream stopped (the jobs "
        f"{name}_stop and {name}_resume). A run that is terminated ends in order, and the next one takes its place.",
    )
    def keep_consuming(context: dg.SensorEvaluationContext) -> Decision:
        try:
            return Keeper(context.instance, lineage, replication.parts.state).decide()
        except CdcPipelineError as error:
            return dg.SkipReason(f"Cannot tell whether to consume: {error}")

    return keep_consuming


class Keeper:
    """One decision whether to launch the consumer."""

    def __init__(self, instance: dg.DagsterInstance, lineage: Lineage, state: State) -> None:
        self.instance = instance
        self.lineage = lineage
        self.state = state
        self.job = dg.RunsFilter(job_name=f"{lineage.name}_consume")

    def decide(self) -> Decision:
        if not self.state.exists() or not self.state.captured_tables:
            return dg.SkipReason("There is no connector yet: run start_replication, or copy and register.")
        lease = self.state.consumer()
        for record in self._runs():
            if not record.dagster_run.is_finished and not self._is_dead(record, lease):
                return dg.SkipReason(f"Run {_show(record)} is on its way.")
        if self.state.desired is Desired.STOPPED:
            return dg.SkipReason(f"Stopped by its owner. The job {self.lineage.name}_resume starts it.")
        if lease is not None and lease.is_alive and not self._release(lease):
            place = f"process {lease.pid} on {lease.host}"
            return dg.SkipReason(f"Another process consumes: {place}, heartbeat {lease.age:.0f} s ago.")
        return self._after_failures(self._runs())

    def _runs(self) -> Sequence[dg.RunRecord]:
        return self.instance.get_run_records(self.job, limit=RUNS_KEPT)

    def _is_dead(self, record: dg.RunRecord, lease: ConsumerRecord | None) -> bool:
        """A started run must prove by its lease that it lives: Dagster cannot tell. Reports one that does not."""
        run = record.dagster_run
        if run.status is not dg.DagsterRunStatus.STARTED:
            return False  # dagster.yaml limits how long a run may be on its way up or down
        if lease is not None and lease.run_id == run.run_id:
            silent, limit = lease.age, LEASE_SECONDS
        else:
            silent, limit = time.time() - (record.start_time or time.time()), STARTING_SECONDS
        if silent <= limit:
            return False
        self.instance.report_run_failed(run, f"No heartbeat for {silent:.0f} s: its process is dead.")
        return True

    def _release(self, lease: ConsumerRecord) -> bool:
        """Dagster knows at once when a run of its own was killed; its lease need not run out. Were the process alive
        all the same, fencing keeps it from changing anything."""
        holder = self.instance.get_run_by_id(lease.run_id)
        if holder is None or not holder.is_finished:
            return False
        self.state.beat(lease.run_id, ConsumerState.FAILED, lease.attempt, f"its run ended: {holder.status.value}")
        return True

    def _after_failures(self, runs: Sequence[dg.RunRecord]) -> Decision:
        failures = consecutive_failures(runs)
        if failures > 1:
            left = (runs[0].end_time or 0) + wait_after(failures) - time.time()
            if left > 0:
                error = getattr(self.state.consumer(), "error", "")
                return dg.SkipReason(f"{failures} failures in a row; next attempt in {left:.0f} s. {error}".strip())
        self._forget_old_runs()
        return dg.RunRequest(tags=self.lineage.tags)

    def _forget_old_runs(self) -> None:
        finished = dg.RunsFilter(job_name=self.job.job_name, statuses=FINISHED)
        for run in self.instance.get_runs(finished)[RUNS_KEPT:]:
            self.instance.delete_run(run.run_id)


def _show(record: dg.RunRecord) -> str:
    run = record.dagster_run
    return f"{run.run_id[:8]} ({run.status.value.lower()})"


def consecutive_failures(runs: Sequence[dg.RunRecord]) -> int:
    """How many of the latest runs failed soon after their start."""
    failures = 0
    for record in runs:
        if record.dagster_run.status is not dg.DagsterRunStatus.FAILURE:
            break
        failures += 1
        if record.start_time and record.end_time and record.end_time - record.start_time > HEALTHY_SECONDS:
            break
    return failures


def wait_after(failures: int) -> float:
    """Seconds. The first is answered at once, which is: at the next tick."""
    return min(SHORTEST_WAIT * 2.0 ** (failures - 2), LONGEST_WAIT) if failures > 1 else 0


def register_when_copied(lineage: Lineage) -> dg.SensorDefinition:
    name, replication = lineage.name, Replication(lineage.config)

    @dg.sensor(
        name=f"{name}_register_when_copied",
        job_name=f"{name}_register_connector",
        minimum_interval_seconds=TICK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Registers the connector when an initial copy in Dagster has brought the last table its "
        "watermark. Once for each set of copies: if it fails, mend what it names and launch register_connector.",
    )
    def register_when_copied(context: dg.SensorEvaluationContext) -> Decision:
        try:
            return decide_to_register(context.instance, lineage, replication)
        except CdcPipelineError as error:
            return dg.SkipReason(f"Cannot tell whether to register: {error}")

    return register_when_copied


def decide_to_register(instance: dg.DagsterInstance, lineage: Lineage, replication: Replication) -> Decision:
    state = replication.parts.state
    if not state.exists():
        return dg.SkipReason("Nothing is copied yet.")
    if state.captured_tables:
        return dg.SkipReason("The connector is registered.")
    records = _selected(replication, state)
    waiting = [str(record.source) for record in records if record.state not in HAS_WATERMARK]
    if waiting or not records:
        return dg.SkipReason(f"Not copied yet: {', '.join(waiting) or 'any table'}.")
    busy = _active_run(instance, lineage)
    if busy:
        return dg.SkipReason(f"Run {busy.run_id[:8]} ({busy.job_name}) may register it itself.")
    last = instance.get_latest_materialization_event(lineage.initial_copy)
    told = last.asset_materialization if last else None
    if told is None or told.metadata["watermark"].value not in {record.watermark for record in records}:
        return dg.SkipReason("The last copy was not made here; whoever made it registers (or launch the job).")
    key = hashlib.sha256("\n".join(sorted(record.watermark or "" for record in records)).encode()).hexdigest()
    job = dg.RunsFilter(job_name=f"{lineage.name}_register_connector", tags={"dagster/run_key": key})
    if instance.get_runs(job, limit=1):
        return dg.SkipReason("Registering these copies was tried already: see the last register_connector run.")
    return dg.RunRequest(run_key=key, tags=lineage.tags)


def _selected(replication: Replication, state: State) -> list[TableRecord]:
    """The remembered tables that the rules still select. The source need not be asked for that."""
    records = state.table_records()
    selected, _ = replication.parts.resolve(records)
    return [records[table.source] for table in selected]


def _active_run(instance: dg.DagsterInstance, lineage: Lineage) -> dg.DagsterRun | None:
    """A run that copies or registers, or that will."""
    active = [status for status in dg.DagsterRunStatus if status not in FINISHED]
    keys = {lineage.initial_copy, lineage.connector}
    for run in instance.get_runs(dg.RunsFilter(statuses=active)):
        if run.job_name == f"{lineage.name}_start_replication" or keys & (run.asset_selection or set()):
            return run
        if run.job_name in (f"{lineage.name}_initial_copy", f"{lineage.name}_register_connector"):
            return run
    return None
