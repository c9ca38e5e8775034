"""Sensors that look after a replication: restart what has failed, and tell people of trouble and of re-syncs."""

from __future__ import annotations

from typing import Any

import dagster as dg

from cdc_pipeline.alerts import Message, send
from cdc_pipeline.defs.lineage import REPLICATION_TAG, Lineage
from cdc_pipeline.parts import Parts
from cdc_pipeline.watch import Watch, watch

LOOK_SECONDS = 15
RUNNING = dg.DefaultSensorStatus.RUNNING


def sensors(lineage: Lineage) -> list[dg.SensorDefinition]:
    return [look_after(lineage), tell_of_failures(lineage), tell_of_resyncs(lineage)]


def look_after(lineage: Lineage) -> dg.SensorDefinition:
    parts = Parts(lineage.config)

    @dg.sensor(
        name=f"{lineage.name}_look_after",
        minimum_interval_seconds=LOOK_SECONDS,
        default_status=RUNNING,
        description="Looks at connector, consumer, tables, lag, quarantine and the source's log. Restarts a connector "
        "that has failed, ever later, five times; then, and of everything else, it tells people once (`alerts` in the "
        "replication's file), and once when it is over.",
    )
    def look_after(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        seen = Watch.parse(context.cursor)
        look = watch(parts, seen)
        context.update_cursor(seen.to_text())
        return dg.SkipReason("; ".join(trouble.what for trouble in look.troubles) or "All is well.")

    return look_after


def tell_of_failures(lineage: Lineage) -> dg.SensorDefinition:
    """Not of the consumer's: its sensor starts it again, and `look_after` tells where that does not help.

    A run that is none of ours gets no answer, here and below. A SkipReason would end the tick behind it, and a tick
    that has told of a run as well would fail, forget how far it had come, and tell of that run again, every time.
    """

    @dg.run_failure_sensor(
        name=f"{lineage.name}_tell_of_failures",
        default_status=RUNNING,
        description="Tells people of a copy, a registration or a verification that has failed.",
    )
    def tell_of_failures(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        if not is_ours(lineage, run) or run.job_name == f"{lineage.name}_consume":
            return
        kind = kind_of(lineage, run)
        what, advice = f"{kind.capitalize()} has failed: {failure_of(context)}", f"docs/runbook.md#{kind}"
        _tell(context, lineage, kind, what, advice)

    return tell_of_failures


def tell_of_resyncs(lineage: Lineage) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name=f"{lineage.name}_tell_of_resyncs",
        default_status=RUNNING,
        description="Tells people when a re-sync is complete.",
    )
    def tell_of_resyncs(context: dg.RunStatusSensorContext) -> None:
        run = context.dagster_run
        if is_ours(lineage, run) and is_forced(run):
            _tell(context, lineage, "resync", f"Re-sync complete: {_tables(run)}")

    return tell_of_resyncs


def is_ours(lineage: Lineage, run: dg.DagsterRun) -> bool:
    """Also one that was started from an asset, which has no tag of ours."""
    if run.tags.get(REPLICATION_TAG) == lineage.config.name:
        return True
    keys = {lineage.start_position, lineage.initial_copy, lineage.connector}
    checked = {key.asset_key for key in run.asset_check_selection or ()}
    return bool(keys & (run.asset_selection or set()) or checked & {lineage.target_key(t) for t in lineage.tables})


def kind_of(lineage: Lineage, run: dg.DagsterRun) -> str:
    if run.asset_check_selection or run.job_name in (f"{lineage.name}_verify", f"{lineage.name}_count"):
        return "verification"
    is_connector = run.job_name == f"{lineage.name}_register_connector" or run.asset_selection == {lineage.connector}
    return "connector" if is_connector else "copy"


def is_forced(run: dg.DagsterRun) -> bool:
    ops: Any = run.run_config.get("ops", {})
    return any(op.get("config", {}).get("force_resync") for op in ops.values())


def _tables(run: dg.DagsterRun) -> str:
    first, last = (run.tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    return run.tags.get("dagster/partition") or (f"{first} to {last}" if first else "all tables")


def failure_of(context: dg.RunFailureSensorContext) -> str:
    """The first step's own words, which are what a person reads in the run, too."""
    for event in context.get_step_failure_events():
        failure = event.step_failure_data
        if failure.user_failure_data and failure.user_failure_data.description:
            return failure.user_failure_data.description
        if failure.error:
            return failure.error.message.strip()
    return context.failure_event.message or "no step has said why"


def _tell(context: dg.RunStatusSensorContext, lineage: Lineage, kind: str, what: str, advice: str = "") -> None:
    run, alerts = context.dagster_run, lineage.config.alerts
    record = context.instance.get_run_record_by_id(run.run_id)
    since = (record and (record.start_time or record.create_timestamp.timestamp())) or 0.0
    url = alerts.dagster_url.rstrip("/")
    link = f"{url}/runs/{run.run_id}" if url else f"run {run.run_id}"
    for problem in send(alerts, Message(lineage.config.name, kind, what, since, advice, link)):
        context.log.warning(f"A message could not be sent: {problem}")
