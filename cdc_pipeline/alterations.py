"""How the source's tables differ by now from what was copied of them."""

from __future__ import annotations

from cdc_pipeline.apply.drift import drifted
from cdc_pipeline.apply.evolution import Changes
from cdc_pipeline.errors import ChoicesImpossible, SourceTableGone, TableChanged
from cdc_pipeline.parts import Parts
from cdc_pipeline.projection import project
from cdc_pipeline.state import HAS_WATERMARK


def look_for_changes(parts: Parts) -> Changes:
    """What the replication's `schema_changes` makes of it: tables to be copied, or such as cannot go on."""
    if parts.config.ignores_changes:
        return _in_the_way(parts)
    records = parts.state.table_records()
    existing = set(parts.source.tables())
    selected = {table.source: table for table in parts.resolve(existing)[0]}
    changes = Changes(selected=set(selected))
    shapes = parts.source.shapes([table for table in records if table in selected])
    for table, record in records.items():
        if record.state not in HAS_WATERMARK or record.shape is None:
            continue
        if table not in existing:
            changes.gone[table] = SourceTableGone(table=table)
        if table not in shapes:  # or it was dropped since we have asked for the others: the next look tells
            continue
        try:
            shape = project(shapes[table], selected[table].choices)
        except ChoicesImpossible as error:
            changes.gone[table] = error
        else:
            if shape.fingerprint != record.shape.fingerprint:
                changes.changed.add(table)
    if parts.config.schema_changes == "stop":
        changes.gone |= {table: TableChanged(table=table) for table in changes.changed}
        changes.changed = set()
    else:
        changes.new = selected.keys() - records.keys()
        changes.refused = {t: e for t, e in parts.shared_topics(selected.values()).items() if t in changes.new}
        changes.new -= changes.refused.keys()
    return changes


def _in_the_way(parts: Parts) -> Changes:
    """Of a replication that ignores changes: those with which its events cannot be read any more."""
    records = parts.state.table_records()
    selected = [table.source for table in parts.resolve(parts.source.tables())[0]]
    shapes = parts.source.shapes(selected)
    changes = Changes(selected=set(selected))
    for table in shapes.keys() & records.keys():
        copied = records[table].shape
        error = drifted(copied, shapes[table]) if copied and records[table].state in HAS_WATERMARK else None
        if error:
            changes.gone[table] = error
    return changes
