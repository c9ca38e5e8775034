"""Results as Dagster's metadata: what people read beside a run or an asset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from cdc_pipeline.capture.connect_api import mask
from cdc_pipeline.copying.copy import CopyResult
from cdc_pipeline.model import Comparison, Position, RowCount, TableShape
from cdc_pipeline.parts import Parts
from cdc_pipeline.projection import source_columns
from cdc_pipeline.quarantine import SetAside

SHOWN = 100  # of the events in quarantine

Metadata = dict[str, Any]


def of_start(position: Position, parts: Parts) -> Metadata:
    metadata: Metadata = {"position": dg.MetadataValue.json(dict(position.offset))}
    if parts.config.source.kind == "postgresql":
        metadata["slot"] = parts.config.slot_name
    return metadata


def of_source(result: CopyResult) -> Metadata:
    return {"dagster/row_count": result.source_rows, **of_shape(result.shape)}


def of_copy(result: CopyResult, *, forced: bool) -> Metadata:
    """For the table's partition of the initial copy."""
    return {
        "outcome": result.outcome,
        "rows": result.rows,
        "seconds": round(result.seconds, 2),
        "rows_per_second": round(result.rows_per_second),
        **{f"{phase}_seconds": round(seconds, 2) for phase, seconds in result.phases.items()},
        "bytes": result.bytes,
        "forced": forced,
        "source_rows": result.source_rows,
        "target": str(result.table.target),
        "method": result.method or "none: nothing was read",
        "notes": dg.MetadataValue.md("\n".join(f"- {note}" for note in result.notes) or "none"),
        "watermark": dg.MetadataValue.text(result.watermark),
        "dagster/partition_row_count": _rows_in_target(result),
    }


def of_copied_target(result: CopyResult, shape: TableShape | None, source: dg.AssetKey) -> Metadata:
    """For the target table (of this shape), which now holds what the copy read of this source."""
    return {
        **_column_lineage(result.shape, source),
        "change": f"initial copy: {result.outcome}",
        "dagster/row_count": _rows_in_target(result),
        **of_shape(shape),
    }


def _column_lineage(shape: TableShape | None, source: dg.AssetKey) -> Metadata:
    """Of the copied shape, which remembers what each column is called in the source."""
    if shape is None:
        return {}
    columns = {
        column.name: [dg.TableColumnDep(asset_key=source, column_name=column.source.name)]
        for column in source_columns(shape)
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(columns)}


def _rows_in_target(result: CopyResult) -> int:
    return result.rows if result.outcome in ("copied", "reloaded") else result.target_rows_before


def of_shape(shape: TableShape | None) -> Metadata:
    if shape is None:
        return {}
    columns = [
        dg.TableColumn(
            column.name,
            column.declared,
            constraints=dg.TableColumnConstraints(nullable=column.nullable, other=_key_of(shape, column.name)),
        )
        for column in shape.columns
    ]
    return {"dagster/column_schema": dg.TableSchema(columns)}


def _key_of(shape: TableShape, name: str) -> list[str]:
    return ["primary key"] if name in shape.key else []


def of_connector(status: Mapping[str, Any], parts: Parts) -> Metadata:
    name = parts.config.connector_name
    config = parts.connect.config(name)
    tasks = [{key: str(value) for key, value in task.items()} for task in status["tasks"]]
    return {
        "connector": name,
        "state": status["connector"],
        "tasks": dg.MetadataValue.json(tasks),
        "mode": config["snapshot.mode"],
        "offset": dg.MetadataValue.json(parts.connect.offsets(name) or {}),
        "config": dg.MetadataValue.json(mask(config)),
        "in Kafka Connect": dg.MetadataValue.url(f"{parts.config.connect.url.rstrip('/')}/connectors/{name}"),
    }


def of_set_aside(items: Sequence[SetAside]) -> Metadata:
    """Of the events in quarantine; a table of the first ones."""
    if not items:
        return {"set_aside": 0}
    records = [
        dg.TableRecord(
            {"table": str(i.table), "row": i.row_key, "offset": i.offset, "since": str(i.since), "error": i.error}
        )
        for i in items[:SHOWN]
    ]
    return {"set_aside": len(items), "events in quarantine": dg.MetadataValue.table(records)}


def of_comparison(comparison: Comparison) -> Metadata:
    metadata: Metadata = {
        "source_rows": comparison.source_rows,
        "target_rows": comparison.target_rows,
        "source_checksum": comparison.source_checksum,
        "target_checksum": comparison.target_checksum,
        "missing": comparison.missing,
        "extra": comparison.extra,
        "different": comparison.different,
        "undecided": comparison.undecided,
        "unread": comparison.unread,
        "mended": comparison.mended,
    }
    if comparison.advice:
        metadata["advice"] = comparison.advice
    if comparison.samples:
        metadata["sample_keys"] = ", ".join(comparison.samples)
    if comparison.left_out:
        metadata["columns left out"] = ", ".join(comparison.left_out)
    return metadata


def of_row_count(counted: RowCount) -> Metadata:
    return {"source_rows": counted.source_rows, "target_rows": counted.target_rows}
