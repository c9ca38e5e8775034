"""The assets that Dagster materializes itself: start position, initial copy, connector."""

from collections.abc import Iterator

import dagster as dg

from cdc_pipeline.defs import metadata, reporting
from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline.defs.reporting import CopyConfig, explained
from cdc_pipeline.replication import Replication


def start_position(lineage: Lineage) -> dg.AssetsDefinition:
    @dg.asset(
        key=lineage.start_position,
        group_name=lineage.name,
        kinds={lineage.config.source.kind},
        pool=f"{lineage.name}_setup",
        description="Where in the source's log the replication begins: noted (PostgreSQL: with a slot that holds it) "
        "before the first row is read. Materializing it again changes nothing while that position is good.",
    )
    def start_position() -> dg.MaterializeResult:
        with explained():
            replication = Replication(lineage.config)
            position = replication.prepare()
            return dg.MaterializeResult(metadata=metadata.of_start(position, replication.parts))

    return start_position


def initial_copy(lineage: Lineage) -> dg.AssetsDefinition:
    @dg.asset(
        key=lineage.initial_copy,
        group_name=lineage.name,
        kinds={lineage.config.source.kind, lineage.config.target.kind},
        partitions_def=lineage.partitions,
        deps=[lineage.start_position, *(lineage.source_key(table) for table in lineage.tables)],
        backfill_policy=dg.BackfillPolicy.single_run(),
        output_required=False,
        pool=f"{lineage.name}_setup",
        description="Copies tables past Kafka, one partition each, those of a run in parallel. A table whose target "
        "has data with a known watermark is skipped; `force_resync: true` (*Open launchpad*, in the menu beside "
        f"Materialize) reloads it, also while the stream runs. {lineage.note}".strip(),
    )
    def initial_copy(context: dg.AssetExecutionContext, config: CopyConfig) -> Iterator[dg.Output]:
        partitions = list(context.partition_keys)
        everything = len(partitions) == len(lineage.tables)
        with explained():
            replication = Replication(lineage.config)
            replication.check(force_resync=config.force_resync, adopt=config.adopt)
            # A lost position may be given up only if every table is read anew.
            anew = config.force_resync and everything
            reporting.prepare(context, lineage, replication, force_resync=anew)
            reporting.copy(context, lineage, replication, config, partitions)
        yield from ()  # its events are logged as each table ends

    return initial_copy


def connector(lineage: Lineage) -> dg.AssetsDefinition:
    @dg.asset(
        key=lineage.connector,
        group_name=lineage.name,
        kinds={"debezium"},
        deps=[lineage.start_position, lineage.initial_copy],
        pool=f"{lineage.name}_setup",
        description="The Debezium connector, change data only, started exactly at the start position. Materializing "
        "it again brings back one that has stopped or failed.",
    )
    def connector() -> dg.MaterializeResult:
        with explained():
            done = reporting.register(lineage, Replication(lineage.config))
        return dg.MaterializeResult(metadata=done.metadata)

    return connector
