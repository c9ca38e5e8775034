"""What PostgreSQL logs of a row before its change: the replica identity. Of a partitioned table that of its partitions
counts, which they do not inherit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from cdc_pipeline.databases.definition import bytes_of
from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.databases.postgresql.dialect import may_arrive_as_null
from cdc_pipeline.model import Check, TableId, TableShape
from cdc_pipeline.projection import moves_in_and_out, source_columns

FULL = "f"
_NEVER_TOASTED = 1900  # bytes: the server moves values out of rows of more than 2,000
_RELATIONS = text(
    "SELECT n.nspname, c.relname, c.relkind = 'f' OR c.relpersistence <> 'p', c.relreplident, "
    "coalesce((SELECT bool_or(CASE c.relreplident WHEN 'd' THEN i.indisprimary AND i.indimmediate "
    "  WHEN 'i' THEN i.indisprimary AND i.indisreplident END) FROM pg_index i WHERE i.indrelid = c.oid), false), "
    "c.relkind = 'r' AND EXISTS (SELECT 1 FROM pg_inherits h WHERE h.inhparent = c.oid) "
    "FROM pg_class r JOIN pg_namespace s ON s.oid = r.relnamespace "
    "CROSS JOIN LATERAL (SELECT r.oid UNION SELECT relid::oid FROM pg_partition_tree(r.oid) WHERE isleaf) p(oid) "
    "JOIN pg_class c ON c.oid = p.oid JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE s.nspname = :schema AND r.relname = :name ORDER BY c.oid <> r.oid, 1, 2"
)


@dataclass(frozen=True)
class Relation:
    """A table, or a partition that has rows."""

    table: TableId
    unlogged: bool  # a foreign table, or one without a log
    identity: str
    tells_key: bool  # DEFAULT with a primary key that is not deferrable, or USING INDEX with the primary key's
    has_heirs: bool


def relations(connection: Connection, table: TableId) -> list[Relation]:
    """The table, and the partitions at the ends of its tree if it is partitioned."""
    rows = connection.execute(_RELATIONS, {"schema": table.schema, "name": table.name})
    return [
        Relation(TableId(schema, name), bool(unlogged), str(identity), bool(tells_key), bool(has_heirs))
        for schema, name, unlogged, identity, tells_key, has_heirs in rows
    ]


def identity_checks(dialect: Dialect, shape: TableShape, found: Sequence[Relation]) -> list[Check]:
    """Whether every change of a row tells which one it was, wherever the row is."""
    label = f"source table {shape.table}"
    checks = []
    # Without it the server refuses the application's own UPDATEs and DELETEs once the table is published; an index of
    # other columns would leave the key, or columns of a row without one, out of the log.
    wrong = [r for r in found if r.identity != FULL and not (shape.key and r.tells_key)]
    wanted, lacks = ("DEFAULT", "must log its primary key") if shape.key else ("FULL", "has no key to tell its rows by")
    deferrable = [r for r in wrong if shape.key and r.identity == "d"]
    if deferrable:
        wanted, lacks = "FULL", "has a DEFERRABLE primary key, by which the server does not tell its rows"
    if wrong:
        checks.append(Check(f"{label} replica identity", f"{lacks}; run: {_alter(dialect, wrong, wanted)}"))
    short = [r for r in found if r.identity != FULL]
    if short and moves_in_and_out(shape) and _may_be_toasted(shape):
        # What an UPDATE leaves as it is would be missing in a row that it moves into what is replicated.
        fix = f"`where` needs whole rows in the log; run: {_alter(dialect, short, 'FULL')}"
        checks.append(Check(f"{label} rows for where", fix))
    unsafe = ", ".join(c.name for c in shape.columns if may_arrive_as_null(c))
    if unsafe and short:
        reason = f"Debezium sends NULL for a long value that an UPDATE leaves as it is ({unsafe})"
        checks.append(Check(f"{label} long values", f"{reason}; run: {_alter(dialect, short, 'FULL')}"))
    unlogged = ", ".join(str(r.table) for r in found if r.unlogged)
    if unlogged:
        checks.append(Check(f"{label} partitions", f"the log has no change of {unlogged}; DETACH it, or SET LOGGED"))
    if any(r.has_heirs for r in found):
        fix = "other tables inherit from it, and their changes come under their own names: replicate those tables, "
        checks.append(Check(f"{label} heirs", f"{fix}or end it by ALTER TABLE … NO INHERIT, or use partitions"))
    return checks


def _may_be_toasted(shape: TableShape) -> bool:
    """Whether a row may be so long that the server keeps values apart, and does not log them where they stay."""
    if shape.choices.include or shape.choices.exclude:
        return True  # what is left out makes the row longer too
    widths = [bytes_of(column.source.canonical) for column in source_columns(shape)]
    return any(width is None for width in widths) or sum(width or 0 for width in widths) > _NEVER_TOASTED


def _alter(dialect: Dialect, found: Sequence[Relation], identity: str) -> str:
    return "; ".join(f"ALTER TABLE {dialect.table(r.table)} REPLICA IDENTITY {identity}" for r in found)
