"""Oracle as a target: array inserts, and the merge from a private temporary table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, BinaryIO

from sqlalchemy import Connection, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.compiler import DDLCompiler

from cdc_pipeline.databases import copy_text
from cdc_pipeline.databases.oracle.binds import Bind, bind, insert
from cdc_pipeline.databases.oracle.database import OracleDatabase, error_code
from cdc_pipeline.databases.oracle.replacer import OracleReplacer
from cdc_pipeline.databases.target import STAGE_GROUP, WHOLE, Target
from cdc_pipeline.errors import LoadRefused, StatementFailed
from cdc_pipeline.model import Check, Column, ColumnType, Row, TableId, TableShape

ROWS_AT_A_TIME = 5000
BYTES_AT_A_TIME = 8 << 20
DUPLICATE = 1
_OF_OTHERS = {"CREATE", "SELECT", "INSERT", "UPDATE", "DELETE"}
_COLUMN = re.compile(r'"[^"]*"\."[^"]*"\."(?P<column>[^"]*)"')

PRIVILEGES = "SELECT privilege FROM session_privs"
QUOTAS = "SELECT COUNT(*) FROM user_ts_quotas WHERE max_bytes <> 0"
SCHEMA_EXISTS = "SELECT COUNT(*) FROM all_users WHERE username = :name"
STAGE_EXISTS = "SELECT COUNT(*) FROM user_private_temp_tables WHERE table_name = :name"
# A private temporary table's name must begin so, unless the server's private_temp_table_prefix says otherwise.
STAGE_PREFIX = "ORA$PTT_"


class OracleTarget(OracleDatabase, Target):
    """DDL commits in Oracle, but for that of private temporary tables."""

    state_schema = None
    state_prefix = "_cdc_pipeline_"
    stage_prefix = f"{STAGE_PREFIX}CDC_STAGE_"

    def target_checks(self, tables: Sequence[TableId]) -> list[Check]:
        user = self.dialect.quote(self.default_schema)
        with self.connect() as connection:
            checks = self.common_checks(connection, "target")
            rights = {row[0] for row in connection.exec_driver_sql(PRIVILEGES)}
            wanted = {"CREATE TABLE"}
            for schema in sorted({table.schema for table in tables} - {self.default_schema}):
                exists = connection.execute(text(SCHEMA_EXISTS), {"name": schema}).scalar()
                fix = (
                    f"it does not exist; run: CREATE USER {self.dialect.quote(schema)} …, or name another in `target:`"
                )
                checks.append(Check(f"target schema {schema}", "" if exists else fix))
                wanted |= {f"{right} ANY TABLE" for right in _OF_OTHERS}
            missing = ", ".join(sorted(wanted - rights))
            fix = f"{missing} missing; run: GRANT {missing} TO {user}"
            checks.append(Check("target privileges", fix if missing else ""))
            room = "UNLIMITED TABLESPACE" in rights or self.scalar(connection, QUOTAS)
            fix = f"no room in any tablespace; run: ALTER USER {user} QUOTA UNLIMITED ON …"
            checks.append(Check("target quota", "" if room else fix))
            checks.append(Check("target staging table", self._staging_problem(connection)))
        return checks

    def _staging_problem(self, connection: Connection) -> str:
        """A private temporary table is the session's own and in memory: making one changes nothing."""
        name = self.dialect.quote(f"{STAGE_PREFIX}CDC_CHECK")
        try:
            connection.exec_driver_sql(f"CREATE PRIVATE TEMPORARY TABLE {name} (x NUMBER) ON COMMIT DROP DEFINITION")
        except StatementFailed as error:
            return f"cannot be made; private_temp_table_prefix must be {STAGE_PREFIX}: {error}"
        return ""

    def load_method(self) -> str:
        return "array INSERTs, because a direct path load commits by itself"

    def load(
        self, connection: Connection, table: TableId, columns: Sequence[tuple[str, ColumnType]], file: BinaryIO
    ) -> int:
        binds = [bind(name, type) for name, type in columns]
        # Long values last, wherever their columns are: after one, Oracle takes no more short ones (ORA-24816).
        order = sorted(range(len(binds)), key=lambda number: binds[number].is_long)
        ordered = [binds[number] for number in order]
        sql, loaded = insert(table, ordered), 0
        for rows in _chunks(file):
            values = [
                [self._bound(ordered, place, row[number], loaded + count) for place, number in enumerate(order)]
                for count, row in enumerate(rows, 1)
            ]
            self._insert(connection, sql, [each.size for each in ordered], values, loaded)
            loaded += len(rows)
        return loaded

    def _bound(self, binds: Sequence[Bind], place: int, value: str | None, row: int) -> Any:
        try:
            return None if value is None else binds[place].convert(value)
        except (ValueError, ArithmeticError) as error:
            name = binds[place].name
            raise LoadRefused(database=self.display, row=row, column=name, reason=str(error)) from error

    def _insert(self, connection: Connection, sql: str, sizes: Sequence[Any], rows: Sequence[Any], before: int) -> None:
        """One round trip. With batch errors the driver tells which row is refused; the caller then rolls back."""
        with self.explained(), closing(connection.connection.cursor()) as cursor:
            cursor.setinputsizes(*sizes)
            cursor.executemany(sql, rows, batcherrors=True)  # type: ignore[call-arg]  # of this driver alone
            errors = cursor.getbatcherrors()  # type: ignore[attr-defined]
        if errors:
            first = min(errors, key=lambda error: error.offset)
            column = _COLUMN.search(first.message)
            raise LoadRefused(
                database=self.display,
                row=before + first.offset + 1,
                column=column["column"] if column else "",
                reason=first.message.strip(),
            )

    @property
    def replacer(self) -> OracleReplacer:
        return OracleReplacer(self)

    def truncate(self, connection: Connection, table: TableId) -> None:
        # Not TRUNCATE: it would commit.
        connection.exec_driver_sql(f"DELETE FROM {self.dialect.table(table)}")

    def is_duplicate(self, error: StatementFailed) -> bool:
        return error.__cause__ is not None and error_code(error.__cause__) == ("ORA", DUPLICATE)

    def create_stage(self, connection: Connection, stage: str, table: TableId, columns: Mapping[str, Column]) -> None:
        """Not AS SELECT: the columns would stay NOT NULL."""
        if connection.execute(text(STAGE_EXISTS), {"name": stage}).scalar():
            connection.exec_driver_sql(f"DROP TABLE {self.dialect.quote(stage)}")
        fields = ", ".join(f"{self.dialect.quote(n)} {c.declared}" for n, c in columns.items())
        connection.exec_driver_sql(
            f"CREATE PRIVATE TEMPORARY TABLE {self.dialect.quote(stage)} "
            f"({self.dialect.quote(STAGE_GROUP)} NUMBER(10), {fields}) ON COMMIT PRESERVE DEFINITION"
        )

    def delete_join(self, table: TableId, stage: str, condition: str) -> str:
        found = f"SELECT 1 FROM {self.dialect.quote(stage)} s WHERE {condition}"
        return f"DELETE FROM {self.dialect.table(table)} t WHERE EXISTS ({found})"

    def update_join(self, table: TableId, stage: str, names: Sequence[str], condition: str) -> str:
        columns, staged = self.dialect.columns(names), self.dialect.columns(names, "s.")
        found = f"FROM {self.dialect.quote(stage)} s WHERE {condition}"
        return (
            f"UPDATE {self.dialect.table(table)} t SET ({columns}) = (SELECT {staged} {found}) "
            f"WHERE EXISTS (SELECT 1 {found})"
        )

    def insert_whole(self, connection: Connection, table: TableId, stage: str, shape: TableShape) -> None:
        """Delete, then insert: a MERGE cannot put rows in place that exchange the values of another unique key."""
        quote = self.dialect.quote
        whole = f"s.{quote(STAGE_GROUP)} = {WHOLE}"
        same_key = " AND ".join(f"t.{quote(name)} = s.{quote(name)}" for name in shape.key)
        connection.exec_driver_sql(self.delete_join(table, stage, f"{same_key} AND {whole}"))
        names = self.dialect.columns(shape.names)
        connection.exec_driver_sql(
            f"INSERT INTO {self.dialect.table(table)} ({names}) SELECT {names} FROM {quote(stage)} s WHERE {whole}"
        )


def _chunks(file: BinaryIO) -> Iterator[list[Row]]:
    """Rows for one round trip each, by number and by size."""
    rows: list[Row] = []
    size = 0
    for row in copy_text.parse(file):
        rows.append(tuple(row))
        size += sum(len(value) for value in row if value)
        if len(rows) >= ROWS_AT_A_TIME or size >= BYTES_AT_A_TIME:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


@compiles(CreateTable, "oracle")
def _create_table(element: CreateTable, compiler: DDLCompiler, **options: Any) -> str:
    """IF NOT EXISTS came only with 23ai: elsewhere the error that it exists (ORA-00955) is passed over."""
    if not element.if_not_exists:
        return compiler.visit_create_table(element, **options)
    statement = compiler.visit_create_table(CreateTable(element.element), **options).strip().replace("'", "''")
    return (
        f"BEGIN EXECUTE IMMEDIATE '{statement}'; EXCEPTION WHEN OTHERS THEN IF SQLCODE <> -955 THEN RAISE; END IF; END;"
    )
