"""The events in quarantine, from the UI: what `cdc-pipeline quarantine` does."""

from enum import Enum

import dagster as dg

from cdc_pipeline.defs import metadata
from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline.defs.reporting import explained
from cdc_pipeline.replication import Replication


class Action(Enum):
    LIST = "list"
    RETRY = "retry"
    DISCARD = "discard"


class QuarantineConfig(dg.Config):
    """What to do, and with which events, as the Launchpad shows it."""

    action: Action = Action.LIST
    table: str | None = None  # of the source; all tables without it
    row: str | None = None  # the row's key as `list` shows it; all rows without it


def quarantine_job(lineage: Lineage) -> dg.JobDefinition:
    @dg.op(name=f"{lineage.name}_set_aside", description="Lists, retries or discards events that were set aside.")
    def set_aside(context: dg.OpExecutionContext, config: QuarantineConfig) -> None:
        replication = Replication(lineage.config)
        with explained():
            if config.action is Action.RETRY:
                done = replication.retry_set_aside(config.table, config.row)
                told = {"applied": done.applied, "stay": done.left}
            elif config.action is Action.DISCARD:
                told = {"discarded": replication.discard_set_aside(config.table, config.row)}
            else:
                told = {}
            left = replication.set_aside(config.table, config.row)
        context.log_event(dg.AssetObservation(lineage.stream, metadata={**told, **metadata.of_set_aside(left)}))

    @dg.job(
        name=f"{lineage.name}_quarantine",
        executor_def=dg.in_process_executor,
        tags=lineage.tags,
        description="Events that the target could not take, and those of the same rows that wait behind them: `list` "
        "them (as metadata of the stream), `retry` them once the target can take them, or `discard` them, which leaves "
        "their rows as they are.",
    )
    def quarantine() -> None:
        set_aside()

    return quarantine
