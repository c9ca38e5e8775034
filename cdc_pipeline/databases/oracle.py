"""Oracle. ROUGH: written from Oracle's and Debezium's documentation, never run against a server by us.

The pure parts (SQL texts, types, watermark) have unit tests; the rest has none. README.md says so too. What it lacks:
bulk load (rows go through pandas), intervals, spatial types, LOB changes by the stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from sqlalchemy import Connection, bindparam, text

from cdc_pipeline.databases import copy_text, frames
from cdc_pipeline.databases.base import Database, Dialect, Snapshot, Source, statement_failed
from cdc_pipeline.databases.target import STAGE_GROUP, WHOLE, Target
from cdc_pipeline.errors import AccessDenied, CdcPipelineError, DatabaseUnavailable
from cdc_pipeline.model import Check, Column, ColumnType, Kind, Position, TableId, TableShape, Watermark

ROWS_AT_A_TIME = 2000
_UNREACHABLE = ("ORA-12", "DPY-6", "DPY-4011", "ORA-03113", "ORA-03114")


@dataclass(frozen=True)
class ScnWatermark:
    """Holds the events of the transactions that committed at or before a system change number."""

    scn: int

    def holds(self, source: Mapping[str, Any]) -> bool:
        return int(source["commit_scn"]) <= self.scn

    def to_text(self) -> str:
        return json.dumps({"scn": self.scn})


class OracleDialect(Dialect):
    name = "oracle"
    longest_identifier = 128

    def quote(self, identifier: str) -> str:
        if '"' in identifier:
            raise CdcPipelineError(reason=f"Oracle allows no double quote in a name: {identifier}")
        return f'"{identifier}"'

    def canonical_type(self, declared: str) -> ColumnType | None:
        """`declared` is DATA_TYPE, with precision and scale in parentheses where the catalogue has them."""
        name, _, arguments = declared.lower().partition("(")
        numbers = [int(n) for n in arguments.partition(")")[0].split(",") if n.strip()]
        size = numbers[0] if numbers else None
        if name.startswith("timestamp"):
            return ColumnType(Kind.INSTANT if "time zone" in declared.lower() else Kind.TIMESTAMP, size or 6)
        return {
            "number": ColumnType(Kind.DECIMAL, size, numbers[1] if len(numbers) > 1 else size and 0),
            "binary_float": ColumnType(Kind.FLOAT, 32),
            "binary_double": ColumnType(Kind.FLOAT, 64),
            "varchar2": ColumnType(Kind.TEXT, size),
            "nvarchar2": ColumnType(Kind.TEXT, size),
            "char": ColumnType(Kind.TEXT, size, fixed=True),
            "clob": ColumnType(Kind.TEXT),
            "raw": ColumnType(Kind.BINARY, size),
            "blob": ColumnType(Kind.BINARY),
            "date": ColumnType(Kind.TIMESTAMP, 0),
        }.get(name)

    def column_type(self, type: ColumnType, *, in_key: bool) -> str:
        match type.kind:
            case Kind.BOOLEAN:
                return "NUMBER(1)"
            case Kind.INTEGER:
                return "NUMBER(20)"
            case Kind.DECIMAL:
                return "NUMBER" if type.size is None or type.size > 38 else f"NUMBER({type.size}, {type.scale or 0})"
            case Kind.FLOAT:
                return "BINARY_FLOAT" if type.size == 32 else "BINARY_DOUBLE"
            case Kind.BINARY:
                return f"RAW({type.size or 255})" if in_key or (type.size or 2001) <= 2000 else "BLOB"
            case Kind.DATE:
                return "DATE"
            case Kind.TIMESTAMP:
                return f"TIMESTAMP({6 if type.size is None else type.size})"
            case Kind.INSTANT:
                return f"TIMESTAMP({6 if type.size is None else type.size}) WITH TIME ZONE"
            case Kind.TIME | Kind.UUID:
                return "VARCHAR2(36 CHAR)"
            case Kind.BITS:
                return f"VARCHAR2({type.size or 64} CHAR)"
            case Kind.JSON:
                return "CLOB"
            case Kind.TEXT | Kind.ENUM:
                short = type.size is not None and type.size <= 1000
                return f"VARCHAR2({type.size if short else 255} CHAR)" if short or in_key else "CLOB"

    def read(self, column: Column) -> str:
        return self.compare(self.quote(column.name), column.canonical)

    def compare(self, name: str, type: ColumnType) -> str:
        match type.kind:
            case Kind.BOOLEAN | Kind.INTEGER | Kind.DECIMAL:
                return f"TO_CHAR({name}, 'TM9')"
            case Kind.DATE:
                return f"TO_CHAR({name}, 'YYYY-MM-DD')"
            case Kind.TIMESTAMP if type.size == 0:
                return f"TO_CHAR({name}, 'YYYY-MM-DD HH24:MI:SS') || '.000000'"
            case Kind.TIMESTAMP:
                return f"TO_CHAR({name}, 'YYYY-MM-DD HH24:MI:SS.FF6')"
            case Kind.INSTANT:
                return f"TO_CHAR(SYS_EXTRACT_UTC({name}), 'YYYY-MM-DD HH24:MI:SS.FF6')"
            case Kind.BINARY:
                return f"'\\x' || LOWER(RAWTOHEX({name}))"
            case Kind.FLOAT:
                return f"TO_CHAR({name}, 'TM9')"
            case _:
                return name

    def row_hash(self, columns: Sequence[tuple[str, ColumnType]], prefix: str = "") -> str:
        texts = [self.compare(prefix + self.quote(name), type) for name, type in columns]
        fields = [f"CASE WHEN {value} IS NULL THEN 'N' ELSE LENGTH({value}) || ':' || {value} END" for value in texts]
        return f"LOWER(RAWTOHEX(STANDARD_HASH({' || '.join(fields)}, 'MD5')))"

    def hash_sum(self, row_hash: str) -> str:
        return f"SUM(TO_NUMBER(SUBSTR({row_hash}, 1, 15), 'XXXXXXXXXXXXXXX'))"


class OracleDatabase(Database):
    dialect = OracleDialect()
    driver = "oracle+oracledb"
    driver_modules = ("oracledb",)

    def session_options(self) -> dict[str, Any]:
        return {}

    def explain(self, error: BaseException) -> CdcPipelineError:
        reason = str(error).strip()
        if "ORA-01017" in reason:
            return AccessDenied(database=self.display, user=self.url.username)
        if any(code in reason for code in _UNREACHABLE):
            return DatabaseUnavailable(database=self.display, reason=reason)
        return statement_failed(self, error)

    @property
    def default_schema(self) -> str:
        return (self.url.username or "").upper()

    def is_empty(self, table: TableId) -> bool:
        with self.connect() as connection:
            return self.scalar(connection, f"SELECT 1 FROM {self.dialect.table(table)} FETCH FIRST 1 ROW ONLY") is None

    def tables(self) -> list[TableId]:
        query = (
            "SELECT owner, table_name FROM all_tables WHERE temporary = 'N' AND nested = 'NO' AND table_name NOT LIKE "
            "'CDC\\_PIPELINE\\_%' ESCAPE '\\' AND owner NOT IN (SELECT username FROM all_users WHERE "
            "oracle_maintained = 'Y') ORDER BY 1, 2"
        )
        with self.connect() as connection:
            return [TableId(*row) for row in connection.exec_driver_sql(query)]

    def shapes(self, tables: Sequence[TableId]) -> dict[TableId, TableShape]:
        if not tables:
            return {}
        wanted = set(tables)
        names = {"schemas": sorted({t.schema for t in wanted}), "names": sorted({t.name for t in wanted})}
        binds = (bindparam("schemas", expanding=True), bindparam("names", expanding=True))
        columns: dict[TableId, list[Column]] = {}
        keys: dict[TableId, tuple[str, ...]] = {}
        with self.connect() as connection:
            for schema, table, *column in connection.execute(text(_COLUMNS).bindparams(*binds), names):
                columns.setdefault(TableId(schema, table), []).append(self._column(*column))
            for schema, table, column in connection.execute(text(_KEYS).bindparams(*binds), names):
                keys[TableId(schema, table)] = (*keys.get(TableId(schema, table), ()), column)
        return {t: TableShape(t, tuple(c), keys.get(t, ())) for t, c in columns.items() if t in wanted}

    def _column(
        self, name: str, type: str, size: int, precision: int, scale: int, nullable: str, default: int
    ) -> Column:
        declared = type
        if type == "NUMBER" and precision is not None:
            declared = f"NUMBER({precision},{scale or 0})"
        elif "CHAR" in type or type == "RAW":
            declared = f"{type}({size})"
        return Column(
            name, declared, self.dialect.canonical_type(declared), nullable == "Y", bool(default) or nullable == "Y"
        )


_COLUMNS = (
    "SELECT owner, table_name, column_name, data_type, "
    "CASE WHEN char_length > 0 THEN char_length ELSE data_length END, "
    "data_precision, data_scale, nullable, default_length FROM all_tab_columns "
    "WHERE owner IN :schemas AND table_name IN :names ORDER BY owner, table_name, column_id"
)
_KEYS = (
    "SELECT c.owner, c.table_name, k.column_name FROM all_constraints c JOIN all_cons_columns k ON k.owner = c.owner "
    "AND k.constraint_name = c.constraint_name WHERE c.constraint_type = 'P' AND c.owner IN :schemas "
    "AND c.table_name IN :names ORDER BY c.owner, c.table_name, k.position"
)


class OracleSnapshot(Snapshot):
    """A flashback query: every read states the SCN, so no transaction is held open."""

    def __init__(self, database: OracleSource, scn: int) -> None:
        self.database = database
        self.scn = scn
        self.watermark = ScnWatermark(scn)

    def copy_to(self, shape: TableShape, file: BinaryIO) -> int:
        select = f"{self.database.dialect.select(shape)} AS OF SCN {self.scn}"
        count = 0
        with self.database.connect().execution_options(stream_results=True) as connection:
            for rows in connection.exec_driver_sql(select).partitions(ROWS_AT_A_TIME):
                values = ([None if v is None else str(v) for v in row] for row in rows)
                file.write(copy_text.render(values))
                count += len(rows)
        return count


class OracleSource(OracleDatabase, Source):
    def source_checks(self, tables: Sequence[TableShape], slot: str) -> list[Check]:
        with self.connect() as connection:
            log_mode, supplemental = connection.exec_driver_sql(
                "SELECT log_mode, supplemental_log_data_min FROM v$database"
            ).one()
        fix = f"is {log_mode}; run: SHUTDOWN IMMEDIATE; STARTUP MOUNT; ALTER DATABASE ARCHIVELOG; ALTER DATABASE OPEN"
        checks = [Check("source archive log", "" if log_mode == "ARCHIVELOG" else fix)]
        fix = "is off; run: ALTER DATABASE ADD SUPPLEMENTAL LOG DATA"
        checks.append(Check("source supplemental logging", "" if supplemental != "NO" else fix))
        return checks

    def prepare_capture(self, tables: Sequence[TableId], slot: str) -> Position:
        return self.mark()

    def extend_capture(self, tables: Sequence[TableId], slot: str) -> None:
        """Nothing to do: the redo log holds every table."""

    def release_capture(self, slot: str) -> None:
        """Nothing to do: the server keeps its archive logs by its own rules."""

    def _scn(self) -> int:
        with self.connect() as connection:
            return int(self.scalar(connection, "SELECT current_scn FROM v$database"))

    def mark(self) -> Position:
        scn = str(self._scn())
        return Position({"scn": scn, "snapshot_scn": scn, "commit_scn": scn, "snapshot_pending_tx": ""})

    def check_position(self, position: Position, slot: str) -> None:
        with self.connect() as connection:
            oldest = self.scalar(connection, "SELECT MIN(first_change#) FROM v$archived_log WHERE deleted = 'NO'")
        kept = oldest is None or int(oldest) <= int(position.offset["scn"])
        self.require_position(kept, position, "the archive logs that hold it are deleted")

    def reached(self, offset: Mapping[str, Any], mark: Position) -> bool:
        return int(offset.get("scn") or 0) >= int(mark.offset["scn"])

    def watermark(self, text: str) -> Watermark:
        return ScnWatermark(json.loads(text)["scn"])

    @contextmanager
    def snapshot(self, shape: TableShape) -> Iterator[OracleSnapshot]:
        yield OracleSnapshot(self, self._scn())


class OracleTarget(OracleDatabase, Target):
    state_schema = None
    state_prefix = "cdc_pipeline_"

    def target_checks(self, tables: Sequence[TableId]) -> list[Check]:
        with self.connect() as connection:
            rights = {row[0] for row in connection.exec_driver_sql("SELECT privilege FROM session_privs")}
        fix = "missing; run: GRANT CREATE TABLE TO " + self.default_schema
        return [Check("target privilege CREATE TABLE", "" if "CREATE TABLE" in rights else fix)]

    def load_method(self) -> str:
        return "pandas to_sql, because bulk load into Oracle is not written yet"

    def load(
        self, connection: Connection, table: TableId, columns: Sequence[tuple[str, ColumnType]], file: BinaryIO
    ) -> int:
        return frames.load(connection, table, columns, file)

    def truncate(self, connection: Connection, table: TableId) -> None:
        connection.exec_driver_sql(f"DELETE FROM {self.dialect.table(table)}")  # TRUNCATE would commit

    def create_stage(self, connection: Connection, stage: str, table: TableId, columns: Sequence[Column]) -> None:
        names = self.dialect.columns([column.name for column in columns])
        connection.exec_driver_sql(
            f"CREATE PRIVATE TEMPORARY TABLE {self.dialect.quote(stage)} ON COMMIT PRESERVE DEFINITION AS SELECT "
            f"0 AS {self.dialect.quote(STAGE_GROUP)}, {names} FROM {self.dialect.table(table)} WHERE 1 = 0"
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
        quote = self.dialect.quote
        whole = f"s.{quote(STAGE_GROUP)} = {WHOLE}"
        same_key = " AND ".join(f"t.{quote(name)} = s.{quote(name)}" for name in shape.key)
        connection.exec_driver_sql(self.delete_join(table, stage, f"{same_key} AND {whole}"))
        names = self.dialect.columns(shape.names)
        connection.exec_driver_sql(
            f"INSERT INTO {self.dialect.table(table)} ({names}) SELECT {names} FROM {quote(stage)} s WHERE {whole}"
        )
