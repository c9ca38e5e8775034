"""One replication file -> its assets, jobs and sensors. A file that cannot be read takes down only itself."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import dagster as dg

from cdc_pipeline.config import ReplicationConfig, load_replication, replication_files
from cdc_pipeline.defs import alerting, assets, checks, jobs, schedules, sensors
from cdc_pipeline.defs.lineage import Lineage, database_labels, identifier
from cdc_pipeline.errors import CdcPipelineError

log = logging.getLogger("cdc_pipeline")


def load_definitions(folder: Path | None = None) -> dg.Definitions:
    """All replications of the folder."""
    files = Files(replication_files(folder))
    return dg.Definitions.merge(*files.definitions(), dg.Definitions(executor=dg.in_process_executor))


class Files:
    """Replication files on their way into one code location: what is broken in one of them stays with that one."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.configs: dict[str, ReplicationConfig] = {}
        self.broken: dict[str, dg.Definitions] = {}
        self.seen: dict[dg.AssetKey, str] = {}  # of tables: the replication that has it first
        for path in paths:
            name = identifier(path.stem)
            while name in self.configs or name in self.broken:  # shop-1.yaml and shop_1.yaml
                name += "_"
            self._attempt(name, lambda path=path, name=name: self._read(path, name))

    def _read(self, path: Path, name: str) -> None:
        if name != identifier(path.stem):
            raise CdcPipelineError(reason=f"In Dagster, {path} would have the same name as another file; rename it.")
        self.configs[name] = load_replication(path)

    def _attempt(self, name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 (whatever is wrong with one replication, the others shall load)
            log.warning("Replication %s is left out: %s", name, error)
            self.broken[name] = broken_replication(name, str(error) or repr(error))

    def definitions(self) -> list[dg.Definitions]:
        sources = database_labels(config.source for config in self.configs.values())
        labels = {**sources, **database_labels(config.target for config in self.configs.values())}
        loaded: list[dg.Definitions] = []
        for name, config in self.configs.items():
            self._attempt(name, lambda config=config: loaded.append(self._define(config, labels)))
        return [*loaded, *self.broken.values()]

    def _define(self, config: ReplicationConfig, labels: dict[str, str]) -> dg.Definitions:
        lineage = Lineage.of(config, labels)
        if lineage.note:
            log.warning("[%s] %s", config.connector_name, lineage.note)
        for table in lineage.tables:
            other = self.seen.get(lineage.target_key(table))
            if other:
                raise CdcPipelineError(reason=f"Target table {table.target} is already that of replication {other}.")
        definitions = replication_definitions(lineage, known=self.seen)
        dg.Definitions.validate_loadable(definitions)
        self.seen.update({spec.key: config.name for spec in lineage.external_assets()})
        return definitions


def replication_definitions(lineage: Lineage, known: Iterable[dg.AssetKey] = ()) -> dg.Definitions:
    """The group of one replication, without the source tables that another group shows (`known`)."""
    equals_source, row_count, known = checks.equals_source(lineage), checks.row_count(lineage), set(known)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # backfill_policy; pyproject.toml stays with 1.13
        initial_copy = assets.initial_copy(lineage)
    return dg.Definitions(
        assets=[
            *(spec for spec in lineage.external_assets() if spec.key not in known),
            assets.start_position(lineage),
            initial_copy,
            assets.connector(lineage),
        ],
        asset_checks=[equals_source, row_count],
        jobs=jobs.jobs(lineage, equals_source, row_count),
        schedules=schedules.schedules(lineage),
        sensors=[
            sensors.keep_consuming(lineage),
            sensors.register_when_copied(lineage),
            *alerting.sensors(lineage),
        ],
        executor=dg.in_process_executor,
    )


def broken_replication(name: str, problem: str) -> dg.Definitions:
    """What the UI shows in place of a replication that cannot be loaded: its error."""

    @dg.asset(key=[name, "broken"], group_name=name, kinds={"error"}, description=problem)
    def broken() -> None:
        raise dg.Failure(problem, allow_retries=False)

    return dg.Definitions(assets=[broken], executor=dg.in_process_executor)
