"""The connection to an Oracle database, and its catalogue."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, event, text
from sqlalchemy.engine import URL

from cdc_pipeline.databases.database import Buckets, Database, statement_failed
from cdc_pipeline.databases.key_ranges import Key, KeySet
from cdc_pipeline.databases.oracle import reader
from cdc_pipeline.databases.oracle.dialect import OracleDialect
from cdc_pipeline.databases.oracle.texts import are_long, comparable
from cdc_pipeline.databases.row_hash import row_hash as hash_of
from cdc_pipeline.errors import AccessDenied, CdcPipelineError, DatabaseUnavailable
from cdc_pipeline.model import Check, Column, ColumnType, TableId, TableShape

OLDEST = (19,)  # the oldest release that Debezium supports, and private temporary tables came with 18
CHARACTER_SET = "AL32UTF8"
SESSION = (
    "ALTER SESSION SET TIME_ZONE = '+00:00' NLS_NUMERIC_CHARACTERS = '.,' NLS_DATE_LANGUAGE = 'AMERICAN' "
    "NLS_CALENDAR = 'GREGORIAN' NLS_COMP = 'BINARY' NLS_SORT = 'BINARY' "
    "NLS_DATE_FORMAT = 'YYYY-MM-DD HH24:MI:SS' NLS_TIMESTAMP_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF6' "
    "NLS_TIMESTAMP_TZ_FORMAT = 'YYYY-MM-DD HH24:MI:SS.FF6 TZH:TZM'"
)

_CODE = re.compile(r"\b(ORA|DPY)-0*(\d+)")
_LOGIN_REFUSED = {1017, 1045, 28000, 28001}
_GONE = {28, 1012, 1033, 1034, 1089, 1090, 1092, 2396, 3113, 3114, 3135}
_NETWORK = range(12150, 12700)
_RETRYABLE = {54, 60, 8177}  # a lock that somebody holds, a deadlock, a serialization failure
_HINTS = {
    904: "If it names DBMS_CRYPTO: a table without a key whose rows are long needs GRANT EXECUTE ON SYS.DBMS_CRYPTO.",
    1466: "The table was altered while it was copied; copy it again.",
    1555: "Undo does not reach back to the start of the copy: raise UNDO_RETENTION (seconds) above its duration.",
    8180: "Undo does not reach back to the start of the copy: raise UNDO_RETENTION (seconds) above its duration.",
}

TABLES = (
    "SELECT owner, table_name FROM all_tables WHERE temporary = 'N' AND nested = 'NO' AND dropped = 'NO' "
    "AND secondary = 'N' AND (iot_type IS NULL OR iot_type = 'IOT') AND table_name <> 'LOG_MINING_FLUSH' "
    "AND table_name NOT LIKE '\\_cdc\\_pipeline\\_%' ESCAPE '\\' "
    "AND owner NOT IN (SELECT username FROM all_users WHERE oracle_maintained = 'Y') ORDER BY 1, 2"
)
COLUMNS = (
    "SELECT owner, table_name, column_name, data_type, char_length, char_used, data_length, data_precision, "
    "data_scale, nullable, default_length FROM all_tab_cols WHERE hidden_column = 'NO' AND virtual_column = 'NO' "
    "AND owner IN :schemas AND table_name IN :names ORDER BY owner, table_name, column_id"
)
KEYS = (
    "SELECT c.owner, c.table_name, k.column_name FROM all_constraints c JOIN all_cons_columns k ON k.owner = c.owner "
    "AND k.constraint_name = c.constraint_name WHERE c.constraint_type = 'P' AND c.owner IN :schemas "
    "AND c.table_name IN :names ORDER BY c.owner, c.table_name, k.position"
)
DATABASE_CHARACTER_SET = "SELECT value FROM nls_database_parameters WHERE parameter = 'NLS_CHARACTERSET'"


def error_code(error: BaseException) -> tuple[str, int]:
    """`("ORA", 1017)`; `("", 0)` if the driver gave no code."""
    match = _CODE.search(str(error))
    return (match[1], int(match[2])) if match else ("", 0)


def declared_type(
    type: str, characters: int | None, used: str | None, length: int, precision: int | None, scale: int | None
) -> str:
    """A type as DDL writes it. The catalogue has timestamps and intervals so already."""
    if type == "NUMBER":
        if precision is None and scale is None:
            return type
        return f"NUMBER({'*' if precision is None else precision},{scale or 0})"
    if type == "FLOAT":
        return f"FLOAT({precision})"
    if type in ("VARCHAR2", "CHAR"):
        return f"{type}({characters} {'BYTE' if used == 'B' else 'CHAR'})"
    if type in ("NVARCHAR2", "NCHAR"):
        return f"{type}({characters})"
    return f"RAW({length})" if type == "RAW" else type


class OracleDatabase(Database):
    dialect = OracleDialect()
    driver = "oracle+oracledb"
    driver_modules = ("oracledb",)
    renews_sessions = False  # nothing takes back all that ALTER SESSION has set, and what temporary tables hold

    def __init__(self, url: URL, options: Mapping[str, Any] | None = None) -> None:
        """The URL names a service: that of the pluggable database, if there are such. `?cdb=` then names the one of
        the root, to which only the connector logs in."""
        super().__init__(url.difference_update_query(["cdb"]), options)

    def session_options(self) -> dict[str, Any]:
        # SQLAlchemy would take the URL's name for a SID.
        return {"dsn": f"{self.url.host}:{self.url.port or 1521}/{self.url.database}", "tcp_connect_timeout": 10}

    def new_engine(self, **pool: Any) -> Engine:
        engine = super().new_engine(**pool)
        event.listen(engine, "connect", prepare_session)
        return engine

    def explain(self, error: BaseException) -> CdcPipelineError:
        family, code = error_code(error)
        reason = str(error).strip()
        if family == "ORA" and code in _LOGIN_REFUSED:
            return AccessDenied(database=self.display, user=self.url.username)
        lost = code in _GONE or code in _NETWORK or code in _RETRYABLE
        if (family == "ORA" and lost) or (family == "DPY" and (code in (1001, 4011) or 6000 <= code < 7000)):
            return DatabaseUnavailable(database=self.display, reason=reason)
        hint = _HINTS.get(code) if family == "ORA" else None
        return statement_failed(self, Exception(f"{reason} {hint}") if hint else error)

    @property
    def default_schema(self) -> str:
        return (self.url.username or "").upper()

    def is_empty(self, connection: Connection, table: TableId) -> bool:
        return self.scalar(connection, f"SELECT 1 FROM {self.dialect.table(table)} FETCH FIRST 1 ROW ONLY") is None

    def common_checks(self, connection: Connection, role: str) -> list[Check]:
        """What is asked of a source and of a target alike."""
        version = connection.dialect.server_version_info or ()
        fix = f"is {'.'.join(map(str, version))}, must be {OLDEST[0]} or later"
        checks = [Check(f"{role} version", "" if version >= OLDEST else fix)]
        charset = self.scalar(connection, DATABASE_CHARACTER_SET)
        fix = f"is {charset}, must be {CHARACTER_SET}: rows are compared by the bytes of their text"
        return [*checks, Check(f"{role} character set", "" if charset == CHARACTER_SET else fix)]

    def tables(self) -> list[TableId]:
        with self.connect() as connection:
            return [TableId(*row) for row in connection.exec_driver_sql(TABLES)]

    def read_shapes(self, connection: Connection, tables: Sequence[TableId]) -> dict[TableId, TableShape]:
        wanted = set(tables)
        names = {"schemas": sorted({t.schema for t in wanted}), "names": sorted({t.name for t in wanted})}
        binds = (bindparam("schemas", expanding=True), bindparam("names", expanding=True))
        columns: dict[TableId, list[Column]] = {}
        keys: dict[TableId, tuple[str, ...]] = {}
        for schema, table, name, *type, nullable, default in connection.execute(
            text(COLUMNS).bindparams(*binds), names
        ):
            declared, may_be_null = declared_type(*type), nullable == "Y"
            canonical = self.dialect.canonical_type(declared)
            column = Column(name, declared, canonical, may_be_null, bool(default) or may_be_null)
            columns.setdefault(TableId(schema, table), []).append(column)
        for schema, table, column in connection.execute(text(KEYS).bindparams(*binds), names):
            keys[TableId(schema, table)] = (*keys.get(TableId(schema, table), ()), column)
        return {t: TableShape(t, tuple(c), keys.get(t, ())) for t, c in columns.items() if t in wanted}

    # -- hashes of long rows ------------------------------------------------------------------------------------

    def bucket_sums(
        self,
        rows: str,
        columns: Sequence[tuple[str, ColumnType]],
        key: Sequence[str],
        digits: int,
        within: Collection[str] = (),
    ) -> Buckets:
        if not are_long([type for _, type in columns]):
            return super().bucket_sums(rows, columns, key, digits, within)
        sums: Buckets = {}
        for texts, row_hash in self.row_hashes(rows, columns, key, within):
            bucket = _bucket_of(texts, row_hash, digits)
            count, total = sums.get(bucket, (0, 0))
            sums[bucket] = count + 1, total + int(row_hash[:15], 16)
        return sums

    def row_hashes(
        self,
        rows: str,
        columns: Sequence[tuple[str, ColumnType]],
        key: Sequence[str],
        only: Collection[str] | KeySet = (),
    ) -> Iterator[tuple[Key, str]]:
        if not are_long([type for _, type in columns]):
            yield from super().row_hashes(rows, columns, key, only)
        elif isinstance(only, KeySet):
            yield from self._hashes_made_here(rows + self._only(columns, key, only), columns, key)
        else:
            digits = len(next(iter(only), ""))
            for texts, row_hash in self._hashes_made_here(rows, columns, key):
                if not only or _bucket_of(texts, row_hash, digits) in only:
                    yield texts, row_hash

    def _hashes_made_here(
        self, rows: str, columns: Sequence[tuple[str, ColumnType]], key: Sequence[str]
    ) -> Iterator[tuple[Key, str]]:
        """No function of the server's gives the hexadecimal text of a BLOB, and its hash of a CLOB is a privilege."""
        types = dict(columns)
        fields = [comparable(self.dialect.quote(name), types[name]) for name in key]
        fields += [comparable(self.dialect.quote(name), type) for name, type in columns]
        sql = f"SELECT {', '.join(fields)} FROM {rows}"
        with self.explained(), self.connect() as connection:
            for batch in reader.batches(connection, sql, {}):
                for row in batch:
                    yield tuple(map(str, row[: len(key)])), hash_of(map(_text, row[len(key) :]))


def _text(value: Any) -> str | None:
    """An empty LOB counts as NULL, as everything empty does in Oracle."""
    if not value:
        return None
    return value.hex() if isinstance(value, bytes) else str(value)


def _bucket_of(key: Key, row_hash: str, digits: int) -> str:
    return (hash_of(key) if key else row_hash)[:digits]


def prepare_session(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SESSION)
