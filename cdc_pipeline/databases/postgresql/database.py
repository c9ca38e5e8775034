"""The connection to a PostgreSQL server, and its catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg2
from sqlalchemy import bindparam, text

from cdc_pipeline.databases.base import Database, statement_failed
from cdc_pipeline.databases.postgresql.dialect import PostgreSqlDialect
from cdc_pipeline.errors import AccessDenied, CdcPipelineError, DatabaseUnavailable
from cdc_pipeline.model import Column, TableId, TableShape

_SESSION = (
    "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=iso_8601 -c bytea_output=hex -c extra_float_digits=1 "
    "-c standard_conforming_strings=on -c lock_timeout=0 -c statement_timeout=0 "
    "-c idle_in_transaction_session_timeout=0 -c client_min_messages=warning"
)
_LOGIN_REFUSED = ("28P01", "28000")
_RETRYABLE_CLASSES = ("08", "40", "53", "57")  # connection, rollback, resources, operator intervention


class PostgreSqlDatabase(Database):
    dialect = PostgreSqlDialect()
    driver = "postgresql+psycopg2"
    driver_modules = ("psycopg2",)

    def session_options(self) -> dict[str, Any]:
        return {
            "options": _SESSION,
            "client_encoding": "UTF8",
            "connect_timeout": 10,
            "application_name": "cdc-pipeline",
            "keepalives_idle": 30,
        }

    def explain(self, error: BaseException) -> CdcPipelineError:
        state = getattr(error, "pgcode", None) or ""
        reason = str(error).strip()
        if state in _LOGIN_REFUSED or "authentication failed" in reason:
            return AccessDenied(database=self.display, user=self.url.username)
        no_answer = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError) and not state
        if no_answer and "does not exist" in reason:
            return statement_failed(self, error)
        if no_answer or state[:2] in _RETRYABLE_CLASSES:
            return DatabaseUnavailable(database=self.display, reason=reason)
        return statement_failed(self, error)

    @property
    def default_schema(self) -> str:
        return "public"

    def tables(self) -> list[TableId]:
        query = (
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND NOT c.relispartition "
            "AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'cdc_pipeline') ORDER BY 1, 2"
        )
        with self.connect() as connection:
            return [TableId(*row) for row in connection.exec_driver_sql(query)]

    def shapes(self, tables: Sequence[TableId]) -> dict[TableId, TableShape]:
        if not tables:
            return {}
        wanted = set(tables)
        query = text(
            "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, "
            "a.atthasdef OR a.attidentity <> '', t.typtype, "
            "coalesce((SELECT array_position(i.indkey::int2[], a.attnum) FROM pg_index i "
            "          WHERE i.indrelid = c.oid AND i.indisprimary), -1) "
            "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            "JOIN pg_type t ON t.oid = a.atttypid "
            "WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') "
            "AND n.nspname IN :schemas AND c.relname IN :names ORDER BY c.oid, a.attnum"
        ).bindparams(bindparam("schemas", expanding=True), bindparam("names", expanding=True))
        names = {"schemas": sorted({t.schema for t in wanted}), "names": sorted({t.name for t in wanted})}
        columns: dict[TableId, list[Column]] = {}
        keys: dict[TableId, dict[int, str]] = {}
        with self.connect() as connection:
            for schema, table, name, declared, nullable, default, category, place in connection.execute(query, names):
                canonical = self.dialect.canonical_type("text" if category == "e" else declared)
                column = Column(name, declared, canonical, nullable, default or nullable)
                columns.setdefault(TableId(schema, table), []).append(column)
                if place >= 0:
                    keys.setdefault(TableId(schema, table), {})[place] = name
        return {
            table: TableShape(table, tuple(c), tuple(name for _, name in sorted(keys.get(table, {}).items())))
            for table, c in columns.items()
            if table in wanted
        }
