"""What ops of more than one job report: the steps' results as events on the assets, our errors as failures."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from cdc_pipeline.copying.copy import CopyResult
from cdc_pipeline.defs import metadata
from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.model import TableId, TableShape
from cdc_pipeline.replication import Replication

PROGRESS_SECONDS = 5.0

Context = dg.OpExecutionContext | dg.AssetExecutionContext
log = logging.getLogger("cdc_pipeline")


class CopyConfig(dg.Config):
    """The choices of a copy, as the Launchpad shows them."""

    force_resync: bool = False  # reload tables whose target has data already
    adopt: bool = False  # take the owner's word that a target with data equals its source now


@contextmanager
def explained() -> Iterator[None]:
    """An error that a person can meet is shown in its own words, above the stack trace."""
    try:
        yield
    except CdcPipelineError as error:
        raise dg.Failure(str(error), allow_retries=error.retryable) from error


def prepare(context: Context, lineage: Lineage, replication: Replication, *, force_resync: bool) -> None:
    position = replication.prepare(force_resync=force_resync)
    told = metadata.of_start(position, replication.parts)
    context.log_event(dg.AssetMaterialization(lineage.start_position, metadata=told))


def copy(
    context: Context, lineage: Lineage, replication: Replication, config: CopyConfig, partitions: Sequence[str]
) -> None:
    """Copy these tables in parallel, and report each as it ends. A table that fails leaves the others green."""
    failed: list[CopyResult] = []
    for result in replication.copy(
        lineage.sources_of(list(partitions)),
        force_resync=config.force_resync,
        adopt=config.adopt,
        on_progress=ProgressLines(lineage.config.connector_name),
    ):
        if result.error:
            failed.append(result)
        else:
            shape = replication.parts.target.shape(result.table.target)
            for event in _events(lineage, result, shape, forced=config.force_resync):
                context.log_event(event)
    if failed:
        names = ", ".join(lineage.partition(result.table) for result in failed)
        reasons = {lineage.partition(result.table): str(result.error) for result in failed}
        raise dg.Failure(f"{len(failed)} of {len(partitions)} tables failed: {names}", metadata=reasons)


def _events(
    lineage: Lineage, result: CopyResult, shape: TableShape | None, *, forced: bool
) -> Iterator[dg.AssetMaterialization | dg.AssetObservation]:
    """Of a copied table: what was seen in the source, the copy itself, and what the target (of this shape) holds."""
    table, partition = result.table, lineage.partition(result.table)
    yield dg.AssetObservation(lineage.source_key(table), metadata=metadata.of_source(result))
    copied = metadata.of_copy(result, forced=forced)
    yield dg.AssetMaterialization(lineage.initial_copy, partition=partition, metadata=copied)
    held = metadata.of_copied_target(result, shape, lineage.source_key(table))
    yield dg.AssetMaterialization(lineage.target_key(table), metadata=held)


def register(lineage: Lineage, replication: Replication) -> dg.AssetMaterialization:
    told = metadata.of_connector(replication.register(), replication.parts)
    return dg.AssetMaterialization(lineage.connector, metadata=told)


class ProgressLines:
    """A copy's progress in the run's log, at most every few seconds for each table. Called by the threads that
    copy."""

    def __init__(self, connector: str) -> None:
        self.connector = connector
        self.started = time.monotonic()
        self.told: dict[TableId, float] = {}

    def __call__(self, table: TableId, rows: int, total: int) -> None:
        now = time.monotonic()
        begun = now - self.told.setdefault(table, now)
        if begun < PROGRESS_SECONDS:
            return
        self.told[table] = now
        percent = 100 * rows / total if total else 100
        rate = rows / (now - self.started)
        left = max(0, total - rows) / rate if rate else 0
        log.info(
            "[%s] %s: %d of %d rows (%.0f %%), %.0f rows/s, %.0f s left",
            self.connector, table, rows, total, percent, rate, left,
        )  # fmt: skip
