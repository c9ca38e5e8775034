"""Reads what PostgreSQL's catalogue says of a table beyond its columns and its key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from cdc_pipeline.databases.definition import (
    Default,
    Definition,
    Expression,
    ForeignKey,
    Generated,
    Index,
    Literal,
    Now,
    Part,
)
from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.errors import StatementFailed
from cdc_pipeline.model import ColumnType, Kind, TableId, TableShape

FAMILY = "postgresql"
# A generated column whose values are not published: a virtual one never, a stored one from version 18 on.
UNPUBLISHED = "(a.attgenerated = 'v' OR (a.attgenerated = 's' AND current_setting('server_version_num')::int < 180000))"
_TYPE = r"(?:::[\w .\"\[\](),]+)?"
_CONSTANT = re.compile(rf"^(?:\(?-?\d+(?:\.\d+)?\)?|E?'(?:[^']|'')*'|true|false){_TYPE}$", re.DOTALL)
_NULL = re.compile(rf"^NULL{_TYPE}$")
_NOW = re.compile(
    r"^(?:(?:now|transaction_timestamp|statement_timestamp|clock_timestamp)\(\)"
    r"|(?:CURRENT_TIMESTAMP|LOCALTIMESTAMP)(?:\((?P<digits>\d)\))?)$"
)
_NOW_IN_UTC = re.compile(
    r"^(?:timezone\('utc'::text, (?P<timezone>.+)\)|\((?P<at>.+) AT TIME ZONE 'utc'::text\))$", re.I
)
_OF_TABLE = "n.nspname = :schema AND c.relname = :name"
_CLASS = "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"


def read(dialect: Dialect, connection: Connection, shape: TableShape) -> Definition:
    names = {"schema": shape.table.schema, "name": shape.table.name}
    query = text(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS declared, a.attidentity, a.attgenerated, "
        f"pg_get_expr(d.adbin, d.adrelid) AS expression, {UNPUBLISHED} AS unpublished, "
        "col_description(c.oid, a.attnum) AS comment, obj_description(c.oid, 'pg_class') AS comment_of_table "
        f"FROM {_CLASS} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
        f"WHERE {_OF_TABLE} ORDER BY a.attnum"
    )
    columns = connection.execute(query, names).all()
    expressions = {c.attname: c.expression for c in columns if c.expression and not c.attgenerated}
    numbered = {name for name, sql in expressions.items() if sql.startswith("nextval(")}
    return Definition(
        family=FAMILY,
        defaults=_defaults(dialect, connection, shape, {k: v for k, v in expressions.items() if k not in numbered}),
        identities=tuple(c.attname for c in columns if c.attidentity or c.attname in numbered),
        generated={
            c.attname: Generated(c.declared, c.expression, stored=c.attgenerated == "s")
            for c in columns
            if c.unpublished
        },
        computed=tuple(c.attname for c in columns if c.attgenerated),
        indexes=_indexes(connection, names),
        foreign_keys=_foreign_keys(connection, names),
        comments={c.attname: c.comment for c in columns if c.comment},
        comment=next((c.comment_of_table or "" for c in columns), ""),
    )


def unpublished(connection: Connection, table: TableId) -> list[str]:
    """The generated columns whose values no event carries."""
    query = text(
        f"SELECT a.attname FROM {_CLASS} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
        f"AND NOT a.attisdropped WHERE {_OF_TABLE} AND {UNPUBLISHED} ORDER BY a.attnum"
    )
    return list(connection.execute(query, {"schema": table.schema, "name": table.name}).scalars())


# -- defaults -----------------------------------------------------------------------------------------------------


def _defaults(
    dialect: Dialect, connection: Connection, shape: TableShape, expressions: Mapping[str, str]
) -> dict[str, Default]:
    defaults: dict[str, Default] = {}
    constants: dict[str, str] = {}
    types = {column.name: column.type for column in shape.columns}
    for name, sql in expressions.items():
        moment = _moment(sql, types.get(name))
        if moment:
            defaults[name] = moment
        elif not _NULL.match(sql):
            defaults[name] = Expression(sql)
            if _CONSTANT.match(sql):
                constants[name] = sql
    for name, value in _evaluated(dialect, connection, shape, constants).items():
        defaults[name] = Literal(value)
    return defaults


def _moment(sql: str, type: ColumnType | None) -> Now | None:
    kind = type.kind if type else None
    if kind is Kind.DATE and sql == "CURRENT_DATE":
        return Now(0)
    if type is None or kind not in (Kind.TIMESTAMP, Kind.INSTANT):
        return None
    in_utc = _NOW_IN_UTC.match(sql)
    if in_utc and kind is not Kind.TIMESTAMP:
        return None
    match = _NOW.match((in_utc["timezone"] or in_utc["at"]) if in_utc else sql)
    most = 6 if type.size is None else type.size
    return Now(min(most, int(match["digits"] or 6)), utc=bool(in_utc)) if match else None


def _evaluated(
    dialect: Dialect, connection: Connection, shape: TableShape, constants: Mapping[str, str]
) -> dict[str, str]:
    """The constants' canonical texts, as a copy reads values."""
    values = {}
    for column in shape.columns:
        if column.name not in constants or column.type is None:
            continue
        constant = f"({constants[column.name]})::{column.declared} AS {dialect.quote(column.name)}"
        try:
            value = connection.exec_driver_sql(f"SELECT ({dialect.read(column)})::text FROM (SELECT {constant}) d")
        except StatementFailed:  # then it stays an expression
            connection.rollback()
        else:
            values[column.name] = value.scalar()
    return {name: value for name, value in values.items() if value is not None}


# -- indexes and keys ---------------------------------------------------------------------------------------------


def _indexes(connection: Connection, names: Mapping[str, str]) -> tuple[Index, ...]:
    # A column that older servers' catalogue lacks is read through to_jsonb.
    query = text(
        "SELECT ic.relname, i.indisunique, am.amname, coalesce((to_jsonb(i)->>'indnullsnotdistinct')::boolean, false) "
        "AS nulls_equal, i.indpred IS NOT NULL AS partial, i.indnatts > i.indnkeyatts AS includes, k.contype, "
        "coalesce(k.condeferrable, false) AS deferrable, pg_get_indexdef(i.indexrelid) AS written, "
        "format('INDEX %I ON %I.%I ', ic.relname, n.nspname, c.relname) AS head, "
        "(SELECT json_agg(json_build_array(coalesce(a.attname, ''), pg_get_indexdef(i.indexrelid, p.n::int, true), "
        "p.option & 1, a.atttypid = 'bpchar'::regtype) ORDER BY p.n) "
        "FROM unnest(i.indkey::int2[], i.indoption::int2[]) WITH ORDINALITY p(attribute, option, n) "
        "LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = p.attribute AND p.attribute > 0 "
        f"WHERE p.n <= i.indnkeyatts) AS parts FROM {_CLASS} JOIN pg_index i ON i.indrelid = c.oid "
        "JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam "
        "LEFT JOIN pg_constraint k ON k.conindid = ic.oid AND k.contype IN ('u', 'x') "
        f"WHERE {_OF_TABLE} AND NOT i.indisprimary AND i.indisvalid ORDER BY ic.relname"
    )
    return tuple(_index(row) for row in connection.execute(query, names))


def _index(row: Any) -> Index:
    parts = tuple(
        Part(column, "" if column else expression, descending=bool(option), pads=bool(pads))
        for column, expression, option, pads in row.parts
    )
    expressions = ", ".join(part.expression for part in parts if part.expression)
    peculiar = f"it is over the expression {expressions}" if expressions else ""
    peculiar = "it is partial" if row.partial else peculiar
    peculiar = f"{row.amname} indexes are PostgreSQL's own" if row.amname != "btree" else peculiar
    lost = ["its INCLUDE columns are left out"] if row.includes else []
    lost += ["NULLs are distinct in the target"] if row.nulls_equal and row.indisunique else []
    return Index(
        row.relname,
        parts,
        unique=row.indisunique,
        method=row.amname,
        native=row.written.partition(row.head)[2],
        peculiar=peculiar,
        lost="; ".join(lost),
        impossible="an exclusion constraint would stop the stream half-way" if row.contype == "x" else "",
        deferrable=row.deferrable,
    )


def _foreign_keys(connection: Connection, names: Mapping[str, str]) -> tuple[ForeignKey, ...]:
    column = "SELECT a.attname FROM pg_attribute a WHERE a.attrelid = {relation} AND a.attnum = p.{number}"
    query = text(
        "SELECT k.conname, fn.nspname, f.relname, json_agg(json_build_array("
        f"({column.format(relation='k.conrelid', number='child')}), "
        f"({column.format(relation='k.confrelid', number='parent')})) ORDER BY p.n) AS pairs "
        f"FROM {_CLASS} JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f' "
        "JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace "
        "CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY p(child, parent, n) "
        f"WHERE {_OF_TABLE} GROUP BY k.conname, fn.nspname, f.relname ORDER BY k.conname"
    )
    return tuple(
        ForeignKey(name, tuple(pair[0] for pair in pairs), TableId(schema, parent), tuple(pair[1] for pair in pairs))
        for name, schema, parent, pairs in connection.execute(query, names)
    )
