"""The connection to a PostgreSQL server, and its catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg2
from sqlalchemy import Connection, bindparam, text

from cdc_pipeline.databases.database import Database, statement_failed
from cdc_pipeline.databases.postgresql.catalogue import UNPUBLISHED
from cdc_pipeline.databases.postgresql.definition import PostgreSqlDefiner
from cdc_pipeline.databases.postgresql.dialect import PostgreSqlDialect
from cdc_pipeline.errors import AccessDenied, CdcPipelineError, DatabaseUnavailable, RowRefused
from cdc_pipeline.model import Column, ColumnType, Kind, TableId, TableShape

_SESSION = (
    "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=iso_8601 -c bytea_output=hex -c extra_float_digits=1 "
    "-c standard_conforming_strings=on -c lock_timeout=0 -c statement_timeout=0 "
    "-c idle_in_transaction_session_timeout=0 -c client_min_messages=warning -c lc_monetary=C "
    "-c synchronize_seqscans=off"  # a second scan gives the rows in the order of the first
)
# What a column's type is when it is no domain, and its category: base, enum, composite, …; `array of e` of an enum.
_BASE_TYPE = (
    "WITH RECURSIVE step(oid, modifier) AS (SELECT a.atttypid, a.atttypmod UNION ALL SELECT d.typbasetype, d.typtypmod "
    "FROM step JOIN pg_type d ON d.oid = step.oid WHERE d.typtype = 'd') "
    "SELECT format_type(b.oid, step.modifier) AS type, CASE WHEN e.typtype = 'e' THEN 'array of e' "
    "ELSE b.typtype::text END AS category FROM step JOIN pg_type b ON b.oid = step.oid "
    "LEFT JOIN pg_type e ON e.oid = b.typelem AND b.typcategory = 'A' WHERE b.typtype <> 'd'"
)
LOCK_NOT_AVAILABLE, DEADLOCK = "55P03", "40P01"
ABOUT_VALUES = ("22", "23")  # classes of SQLSTATE: data exceptions and violated constraints
_LOGIN_REFUSED = ("28P01", "28000")
_RETRYABLE_CLASSES = ("08", "40", "53", "57")  # connection, rollback, resources, operator intervention


class PostgreSqlDatabase(Database):
    dialect = PostgreSqlDialect()
    definer = PostgreSqlDefiner()
    driver = "postgresql+psycopg2"
    version_query = "SHOW server_version"
    driver_modules = ("psycopg2",)

    def session_options(self) -> dict[str, Any]:
        return {
            "options": _SESSION,
            "client_encoding": "UTF8",
            "connect_timeout": 10,
            "application_name": "cdc-pipeline",
            "keepalives_idle": 30,
        }

    def renew_session(self, connection: Any) -> None:
        """Settings become what the session's options said at its beginning. Not in a transaction: the server refuses
        that."""
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("DISCARD ALL")
        connection.autocommit = False
        super().renew_session(connection)

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
        if state[:2] in ABOUT_VALUES:
            return RowRefused(database=self.display, reason=reason)
        return statement_failed(self, error)

    @property
    def default_schema(self) -> str:
        return "public"

    def tables(self) -> list[TableId]:
        """A partitioned table is one like others; its partitions are parts of it."""
        query = (
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition "
            "AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'cdc_pipeline') "
            "AND n.nspname !~ '^cdc_pipeline_[0-9a-f]{12}_[0-9a-f]{8}$' ORDER BY 1, 2"
        )
        with self.connect() as connection:
            return [TableId(*row) for row in connection.exec_driver_sql(query)]

    def read_shapes(self, connection: Connection, tables: Sequence[TableId]) -> dict[TableId, TableShape]:
        wanted = set(tables)
        query = text(
            "SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull, "
            "a.atthasdef OR a.attidentity <> '', base.type, base.category, "
            "coalesce((SELECT array_position(i.indkey::int2[], a.attnum) FROM pg_index i "
            "          WHERE i.indrelid = c.oid AND i.indisprimary), -1) "
            "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            f"CROSS JOIN LATERAL ({_BASE_TYPE}) base "
            f"WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND NOT {UNPUBLISHED} "
            "AND n.nspname IN :schemas AND c.relname IN :names ORDER BY c.oid, a.attnum"
        ).bindparams(bindparam("schemas", expanding=True), bindparam("names", expanding=True))
        names = {"schemas": sorted({t.schema for t in wanted}), "names": sorted({t.name for t in wanted})}
        columns: dict[TableId, list[Column]] = {}
        keys: dict[TableId, dict[int, str]] = {}
        for schema, table, name, declared, nullable, default, base, category, place in connection.execute(query, names):
            canonical = self._canonical_type(base, category)
            column = Column(name, declared, canonical, nullable, default or nullable)
            columns.setdefault(TableId(schema, table), []).append(column)
            if place >= 0:
                keys.setdefault(TableId(schema, table), {})[place] = name
        return {
            table: TableShape(table, tuple(c), tuple(name for _, name in sorted(keys.get(table, {}).items())))
            for table, c in columns.items()
            if table in wanted
        }

    def _canonical_type(self, base: str, category: str) -> ColumnType | None:
        """Of a type that is no domain. The types of extensions may be written with their schema."""
        match category:
            case "e":
                return ColumnType(Kind.ENUM)
            case "c":
                return ColumnType(Kind.TEXT, native=f"composite:{base}")
            case "array of e":
                return self.dialect.canonical_type("text[]")
        return self.dialect.canonical_type(base.rpartition(".")[2])
