"""The checks on each target table: that it equals the source, and that it has as many rows."""

from collections.abc import Iterable, Iterator

import dagster as dg

from cdc_pipeline.defs import metadata
from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline.defs.metadata import Metadata
from cdc_pipeline.defs.reporting import explained
from cdc_pipeline.model import Comparison, Replicated, RowCount
from cdc_pipeline.replication import Replication

Specs = list[tuple[dg.AssetCheckSpec, Replicated]]


class VerifyConfig(dg.Config):
    """What a verification does with rows that differ, as the Launchpad shows it."""

    repair: bool = False  # make them as the source has them


def equals_source(lineage: Lineage) -> dg.AssetChecksDefinition:
    """All by one op."""
    specs = _specs(
        lineage,
        "equals_source",
        "Row count and checksum of {target} and {source}, each computed by its own server. While the stream runs, a "
        "row that differs is looked at again when it has passed. With `repair: true` in the Launchpad, rows that do "
        "differ are made as the source has them.",
    )

    @dg.multi_asset_check(name=f"{lineage.name}_equals_source", specs=[spec for spec, _ in specs], can_subset=True)
    def equals_source(context: dg.AssetCheckExecutionContext, config: VerifyConfig) -> Iterator[dg.AssetCheckResult]:
        with explained():
            replication = Replication(lineage.config)
            chosen = _chosen(context, specs, replication)
            found = ((c, metadata.of_comparison(c)) for c in replication.verify(list(chosen), repair=config.repair))
            yield from _results(found, chosen, "Target and source differ")

    return equals_source


def row_count(lineage: Lineage) -> dg.AssetChecksDefinition:
    """All by one op."""
    specs = _specs(
        lineage,
        "row_count",
        "How many rows {target} and {source} have. While the stream runs, the number of the target has to lie between "
        "two of the source, from before and after the stream has passed.",
    )

    @dg.multi_asset_check(name=f"{lineage.name}_row_count", specs=[spec for spec, _ in specs], can_subset=True)
    def row_count(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        with explained():
            replication = Replication(lineage.config)
            chosen = _chosen(context, specs, replication)
            found = ((counted, metadata.of_row_count(counted)) for counted in replication.count(list(chosen)))
            yield from _results(found, chosen, "Target and source have other numbers of rows")

    return row_count


def _specs(lineage: Lineage, name: str, description: str) -> Specs:
    return [
        (
            dg.AssetCheckSpec(
                name,
                asset=lineage.target_key(table),
                description=description.format(target=table.target, source=table.source),
            ),
            table,
        )
        for table in sorted(lineage.tables, key=lineage.partition)
    ]


def _chosen(
    context: dg.AssetCheckExecutionContext, specs: Specs, replication: Replication
) -> dict[str, dg.AssetCheckKey]:
    """The tables whose checks were selected, by their source's names, of those that are there now."""
    tables = {str(table.source) for table in replication.tables}
    selected = context.selected_asset_check_keys
    named = {str(table.source): spec.key for spec, table in specs if spec.key in selected}
    return {name: key for name, key in named.items() if name in tables}


def _results(
    found: Iterable[tuple[Comparison | RowCount, Metadata]], chosen: dict[str, dg.AssetCheckKey], problem: str
) -> Iterator[dg.AssetCheckResult]:
    different = []
    for result, told in found:
        key = chosen[str(result.table)]
        yield dg.AssetCheckResult(passed=result.equal, asset_key=key.asset_key, check_name=key.name, metadata=told)
        if not result.equal:
            different.append(str(result.table))
    if different:
        raise dg.Failure(f"{problem}: {', '.join(different)}", allow_retries=False)
