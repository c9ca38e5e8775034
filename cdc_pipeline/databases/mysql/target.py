"""MySQL as a target: LOAD DATA, and the merge from a staging table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from sqlalchemy import Connection

from cdc_pipeline.databases import frames
from cdc_pipeline.databases.mysql.database import MySqlDatabase, error_code
from cdc_pipeline.databases.mysql.dialect import load_data
from cdc_pipeline.databases.mysql.replacer import MySqlReplacer
from cdc_pipeline.databases.mysql.session import OFFERED
from cdc_pipeline.databases.target import STAGE_GROUP, WHOLE, Target
from cdc_pipeline.errors import LoadRefused, StatementFailed
from cdc_pipeline.model import Check, Column, ColumnType, TableId, TableShape

_PLACE = re.compile(r"(?:column '(?P<column>.*)' )?at row (?P<row>\d+)")

DUPLICATE = 1062
DEPRECATED_DELIMITERS = (4095, 4096)  # warnings of MySQL 9 about how a date is spelled


class MySqlTarget(MySqlDatabase, Target):
    state_schema = None
    state_prefix = "_cdc_pipeline_"

    def session_options(self) -> dict[str, Any]:
        """A server takes LOAD DATA LOCAL only of a client that has said at its login that it can. What it then gets is
        the matter of session.py."""
        return {**super().session_options(), "local_infile": True}

    def target_checks(self, tables: Sequence[TableId]) -> list[Check]:
        user, checks = self.url.username, []
        wanted = {"CREATE", "SELECT", "INSERT", "UPDATE", "DELETE", "DROP", "CREATE TEMPORARY TABLES"}
        with self.connect() as connection:
            for schema in sorted({table.schema for table in tables} | {self.default_schema}):
                granted = self.grants(connection)
                missing = ", ".join(sorted(p for p in wanted if not granted.has(p, schema)))
                fix = f"{missing} missing; run: GRANT {missing} ON {self.dialect.quote(schema)}.* TO '{user}'@'…'"
                checks.append(Check(f"target privileges on {schema}", fix if missing else ""))
        return checks

    def _bulk_allowed(self, connection: Connection) -> bool:
        return bool(self.scalar(connection, "SELECT @@GLOBAL.local_infile"))

    def load_method(self) -> str:
        with self.connect() as connection:
            if self._bulk_allowed(connection):
                return "LOAD DATA LOCAL"
        return "pandas to_sql, because the target's local_infile is OFF"

    def load(
        self, connection: Connection, table: TableId, columns: Sequence[tuple[str, ColumnType]], file: BinaryIO
    ) -> int:
        if not self._bulk_allowed(connection):
            return frames.load(connection, table, columns, file)
        return self._load_data(connection, table, columns, file)

    def _load_data(
        self, connection: Connection, table: TableId, columns: Sequence[tuple[str, ColumnType]], file: BinaryIO
    ) -> int:
        """LOCAL turns errors into warnings, as INSERT IGNORE does: a warning here is a value that was changed."""
        session: Any = connection.connection.driver_connection
        try:
            with session.offering(file):
                loaded = connection.exec_driver_sql(load_data(self.dialect, table, columns, OFFERED)).rowcount
        except StatementFailed as error:
            raise self._refused(str(error.fields["reason"]), table) or error from error
        warnings = list(connection.exec_driver_sql("SHOW WARNINGS LIMIT 3"))
        if warnings:
            warnings.sort(key=lambda row: row[1] in DEPRECATED_DELIMITERS)  # whatever else there is says more
            reason = f"loading {table.name}: " + "; ".join(str(row[2]) for row in warnings)
            refused = self._refused(str(warnings[0][2]), table)
            raise refused or StatementFailed(database=self.display, reason=reason)
        return loaded

    def _refused(self, reason: str, table: TableId) -> LoadRefused | None:
        """If the server tells which row it is about."""
        place = _PLACE.search(reason)
        if place is None:
            return None
        column = place["column"] or ""
        return LoadRefused(database=self.display, row=int(place["row"]), column=column, reason=reason)

    @property
    def replacer(self) -> MySqlReplacer:
        return MySqlReplacer(self)

    def truncate(self, connection: Connection, table: TableId) -> None:
        # Not TRUNCATE: it would commit.
        connection.exec_driver_sql(f"DELETE FROM {self.dialect.table(table)}")

    def is_duplicate(self, error: StatementFailed) -> bool:
        return error.__cause__ is not None and error_code(error.__cause__) == DUPLICATE

    def create_stage(self, connection: Connection, stage: str, table: TableId, columns: Mapping[str, Column]) -> None:
        fields = ", ".join(f"{self.dialect.quote(n)} {c.declared} NULL" for n, c in columns.items())
        connection.exec_driver_sql(f"DROP TEMPORARY TABLE IF EXISTS {self.dialect.quote(stage)}")
        connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE {self.dialect.quote(stage)} ({self.dialect.quote(STAGE_GROUP)} INT, {fields})"
        )

    def delete_join(self, table: TableId, stage: str, condition: str) -> str:
        return f"DELETE t FROM {self.dialect.table(table)} t, {self.dialect.quote(stage)} s WHERE {condition}"

    def update_join(self, table: TableId, stage: str, names: Sequence[str], condition: str) -> str:
        settings = ", ".join(f"t.{self.dialect.quote(n)} = s.{self.dialect.quote(n)}" for n in names)
        return f"UPDATE {self.dialect.table(table)} t, {self.dialect.quote(stage)} s SET {settings} WHERE {condition}"

    def insert_whole(self, connection: Connection, table: TableId, stage: str, shape: TableShape) -> None:
        """Delete, then insert: ON DUPLICATE KEY UPDATE would take a clash on another unique key for the same row."""
        quote = self.dialect.quote
        whole = f"s.{quote(STAGE_GROUP)} = {WHOLE}"
        same_key = " AND ".join(f"t.{quote(name)} = s.{quote(name)}" for name in shape.key)
        connection.exec_driver_sql(self.delete_join(table, stage, f"{same_key} AND {whole}"))
        names = self.dialect.columns(shape.names)
        connection.exec_driver_sql(
            f"INSERT INTO {self.dialect.table(table)} ({names}) SELECT {names} FROM {quote(stage)} s WHERE {whole}"
        )
