"""PostgreSQL as a target: COPY, and the merge from a staging table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import BinaryIO

import psycopg2
from sqlalchemy import Connection, text

from cdc_pipeline.databases.postgresql.database import ABOUT_VALUES, PostgreSqlDatabase
from cdc_pipeline.databases.postgresql.replacer import PostgreSqlReplacer
from cdc_pipeline.databases.target import STAGE_GROUP, WHOLE, Target
from cdc_pipeline.errors import CdcPipelineError, LoadRefused, StatementFailed
from cdc_pipeline.model import Check, Column, ColumnType, TableId, TableShape

UNIQUE_VIOLATION = "23505"
_PLACE = re.compile(r"COPY .*, line (?P<row>\d+)(?:, column (?P<column>.*?))?(?:: |$)", re.MULTILINE)


class PostgreSqlTarget(PostgreSqlDatabase, Target):
    state_schema = "cdc_pipeline"
    state_prefix = ""

    def target_checks(self, tables: Sequence[TableId]) -> list[Check]:
        user = self.dialect.quote(self.url.username or "")
        checks = []
        with self.connect() as connection:
            query = text(
                "SELECT has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE') "
                "FROM pg_namespace WHERE nspname = :schema"
            )
            for schema in sorted({table.schema for table in tables}):
                quoted = self.dialect.quote(schema)
                may = connection.execute(query, {"schema": schema}).scalar()
                fix = "" if may else f"missing; run: GRANT USAGE, CREATE ON SCHEMA {quoted} TO {user}"
                if may is None:
                    fix = f"it does not exist; run: CREATE SCHEMA {quoted} AUTHORIZATION {user}"
                checks.append(Check(f"target schema {schema}", fix))
            may = connection.execute(query, {"schema": self.state_schema}).scalar()
            if may is None:
                may = self.scalar(connection, "SELECT has_database_privilege(current_database(), 'CREATE')")
            fix = f"may not be created or used; run: CREATE SCHEMA {self.state_schema} AUTHORIZATION {user}"
            checks.append(Check(f"target schema {self.state_schema}", "" if may else fix))
        return checks

    def prepare_state(self) -> None:
        with self.connect() as connection:
            exists = text("SELECT count(*) FROM pg_namespace WHERE nspname = :schema")
            if not connection.execute(exists, {"schema": self.state_schema}).scalar():
                connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {self.state_schema}")
            connection.commit()

    def load_method(self) -> str:
        return "COPY"

    def load(
        self, connection: Connection, table: TableId, columns: Sequence[tuple[str, ColumnType]], file: BinaryIO
    ) -> int:
        names = self.dialect.columns([name for name, _ in columns])
        with self.explained(), closing(connection.connection.cursor()) as cursor:
            copy = f"COPY {self.dialect.table(table)} ({names}) FROM STDIN"
            try:
                cursor.copy_expert(copy, file, size=1 << 18)  # type: ignore[attr-defined]
            except psycopg2.Error as error:
                raise self._refused(error) from error
            return cursor.rowcount

    def _refused(self, error: psycopg2.Error) -> CdcPipelineError:
        place = _PLACE.search(error.diag.context or "")
        if place is None or (error.pgcode or "")[:2] not in ABOUT_VALUES:
            return self.explain(error)
        column = error.diag.column_name or place["column"] or ""
        reason = str(error.diag.message_primary)
        return LoadRefused(database=self.display, row=int(place["row"]), column=column, reason=reason)

    @property
    def replacer(self) -> PostgreSqlReplacer:
        return PostgreSqlReplacer(self)

    def truncate(self, connection: Connection, table: TableId) -> None:
        connection.exec_driver_sql(f"TRUNCATE TABLE {self.dialect.table(table)}")

    def is_duplicate(self, error: StatementFailed) -> bool:
        return getattr(error.__cause__, "pgcode", None) == UNIQUE_VIOLATION

    def create_stage(self, connection: Connection, stage: str, table: TableId, columns: Mapping[str, Column]) -> None:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS pg_temp.{self.dialect.quote(stage)}")
        quote = self.dialect.quote
        names = ", ".join(f"{quote(column.name)} AS {quote(name)}" for name, column in columns.items())
        connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {self.dialect.quote(stage)} ON COMMIT DELETE ROWS AS "
            f"SELECT 0 AS {self.dialect.quote(STAGE_GROUP)}, {names} FROM {self.dialect.table(table)} WHERE false"
        )

    def delete_join(self, table: TableId, stage: str, condition: str) -> str:
        return f"DELETE FROM {self.dialect.table(table)} t USING {self.dialect.quote(stage)} s WHERE {condition}"

    def update_join(self, table: TableId, stage: str, names: Sequence[str], condition: str) -> str:
        settings = ", ".join(f"{self.dialect.quote(n)} = s.{self.dialect.quote(n)}" for n in names)
        return (
            f"UPDATE {self.dialect.table(table)} t SET {settings} FROM {self.dialect.quote(stage)} s WHERE {condition}"
        )

    def insert_whole(self, connection: Connection, table: TableId, stage: str, shape: TableShape) -> None:
        """Upsert by the primary key. Where rows exchange the values of another unique key, no order of upserts
        passes; then all of them are removed first."""
        quote = self.dialect.quote
        names = self.dialect.columns(shape.names)
        whole = f"s.{quote(STAGE_GROUP)} = {WHOLE}"
        insert = f"INSERT INTO {self.dialect.table(table)} ({names}) SELECT {names} FROM {quote(stage)} s WHERE {whole}"
        changed = ", ".join(f"{quote(n)} = EXCLUDED.{quote(n)}" for n in shape.names if n not in shape.key)
        action = f"DO UPDATE SET {changed}" if changed else "DO NOTHING"
        savepoint = connection.begin_nested()
        try:
            connection.exec_driver_sql(f"{insert} ON CONFLICT ({self.dialect.columns(shape.key)}) {action}")
        except StatementFailed as error:
            if not self.is_duplicate(error):
                raise
            savepoint.rollback()
            same_key = " AND ".join(f"t.{quote(name)} = s.{quote(name)}" for name in shape.key)
            connection.exec_driver_sql(self.delete_join(table, stage, f"{same_key} AND {whole}"))
            connection.exec_driver_sql(insert)
        else:
            savepoint.commit()
