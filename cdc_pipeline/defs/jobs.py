"""The jobs of one replication. What they do is done by the assets and by Replication."""

import dagster as dg

from cdc_pipeline.defs import reporting
from cdc_pipeline.defs.consume import consume_job
from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline.defs.quarantine import quarantine_job
from cdc_pipeline.defs.reporting import CopyConfig, explained
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import WISHES, Desired


def jobs(lineage: Lineage, equals_source: dg.AssetChecksDefinition, row_count: dg.AssetChecksDefinition) -> list:
    name, tags = lineage.name, lineage.tags
    return [
        start_replication_job(lineage),
        dg.define_asset_job(
            f"{name}_initial_copy",
            selection=dg.AssetSelection.assets(lineage.initial_copy),
            tags=tags,
            description="Steps 1 and 2 for the chosen tables.",
        ),
        dg.define_asset_job(
            f"{name}_register_connector",
            selection=dg.AssetSelection.assets(lineage.connector),
            tags=tags,
            description="Step 3: start the connector where the copies began, or bring it back.",
        ),
        consume_job(lineage),
        *(wish_job(lineage, name) for name in WISHES),
        quarantine_job(lineage),
        dg.define_asset_job(
            f"{name}_verify",
            selection=dg.AssetSelection.checks(equals_source),
            tags=tags,
            description="Compares every table of source and target by row count and checksum; fails if one differs. "
            "While the stream runs, a row that differs is looked at again when it has passed. With `repair: true` in "
            "the Launchpad, the rows that do differ are made as the source has them.",
        ),
        dg.define_asset_job(
            f"{name}_count",
            selection=dg.AssetSelection.checks(row_count),
            tags=tags,
            description="Compares how many rows every table has in source and target; fails if one has others. Far "
            "cheaper than verify, and blind to rows that are wrong.",
        ),
    ]


def wish_job(lineage: Lineage, wish: str) -> dg.JobDefinition:
    desired, meaning = WISHES[wish]

    @dg.op(name=f"{lineage.name}_wish_{wish}", description=meaning)
    def say() -> None:
        with explained():
            Replication(lineage.config).set_desired(desired)

    @dg.job(
        name=f"{lineage.name}_{wish}",
        executor_def=dg.in_process_executor,
        tags=lineage.tags,
        description=f"{meaning} The same as `cdc-pipeline {wish}`.",
    )
    def job() -> None:
        say()

    return job


def start_replication_job(lineage: Lineage) -> dg.JobDefinition:
    name, config, pool = lineage.name, lineage.config, f"{lineage.name}_setup"

    @dg.op(name=f"{name}_step_1_validate", description="Every check at once; nothing is written.")
    def validate(config: CopyConfig) -> dict:
        with explained():
            Replication(lineage.config).check(force_resync=config.force_resync, adopt=config.adopt)
        return config.model_dump()

    @dg.op(name=f"{name}_step_2_copy", pool=pool, description="All tables, in parallel.")
    def copy(context: dg.OpExecutionContext, choices: dict) -> None:
        chosen, replication = CopyConfig(**choices), Replication(config)
        with explained():
            reporting.prepare(context, lineage, replication, force_resync=chosen.force_resync)
            everything = [lineage.partition(table) for table in lineage.tables]
            reporting.copy(context, lineage, replication, chosen, everything)

    @dg.op(
        name=f"{name}_step_3_register",
        pool=pool,
        ins={"copied": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        description="The connector, started exactly where the copies began.",
    )
    def register(context: dg.OpExecutionContext) -> None:
        with explained():
            context.log_event(reporting.register(lineage, Replication(config)))

    @dg.op(
        name=f"{name}_step_4_let_it_run",
        ins={"registered": dg.In(dg.Nothing)},
        description=f"Says that the stream shall run; the sensor {name}_keep_consuming launches the consumer.",
    )
    def let_it_run() -> None:
        with explained():
            Replication(config).set_desired(Desired.RUNNING)

    @dg.job(
        name=f"{name}_start_replication",
        executor_def=dg.in_process_executor,
        resource_defs={"io_manager": dg.mem_io_manager},
        tags=lineage.tags,
        description="The four steps: validate, copy all tables in parallel, register the connector, and say that the "
        f"stream shall run. The consumer itself is another run: the sensor {name}_keep_consuming launches it within "
        "seconds and keeps it alive.",
    )
    def start_replication() -> None:
        let_it_run(register(copy(validate())))

    return start_replication
