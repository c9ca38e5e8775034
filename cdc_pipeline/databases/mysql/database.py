"""The connection to a MySQL server, and its catalogue."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from functools import cache
from typing import Any

import pymysql
from pymysql.constants import CR
from sqlalchemy import Connection, Engine, bindparam, event, text

from cdc_pipeline.databases.database import ISOLATION_LEVEL, Database, statement_failed
from cdc_pipeline.databases.mysql.definition import MySqlDefiner
from cdc_pipeline.databases.mysql.dialect import MySqlDialect
from cdc_pipeline.databases.mysql.grants import Grants
from cdc_pipeline.databases.mysql.session import REFUSED, Session
from cdc_pipeline.errors import AccessDenied, CdcPipelineError, DatabaseUnavailable, FileDemanded, RowRefused
from cdc_pipeline.model import Column, TableId, TableShape

ACCESS_DENIED = {1044, 1045, 1698}
LOST_OR_REFUSED = {1040, 1053, 1158, 1159, 1160, 1161, 1203, 1927, 2002, 2003, 2005, 2006, 2013, 2014, 2055}
DEADLOCK_OR_TIMEOUT = {1205, 1213}
# NOT NULL, duplicate, out of range, too long, wrong value, foreign key, CHECK (3819 MySQL, 4025 MariaDB), JSON.
ABOUT_VALUES = {1048, 1062, 1169, 1216, 1217, 1264, 1265, 1292, 1366, 1406, 1451, 1452, 1586, 1690, 3140, 3819, 4025}
_RESET_CONNECTION = 0x1F  # COM_RESET_CONNECTION, for which the driver has no function
_OURS = "\\_cdc\\_pipeline\\_%"
_SYSTEM = ("mysql", "sys", "information_schema", "performance_schema")

# NO_ZERO_DATE is left out: a zero date is a value like others to MySQL, and the target must be able to hold it.
SQL_MODE = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"


def error_code(error: BaseException) -> int:
    """The server's or the client's error number; 0 if the driver gave none."""
    number = getattr(error, "errno", None) or (error.args[0] if error.args else 0)
    return number if isinstance(number, int) else 0


@cache
def unverified_tls() -> ssl.SSLContext:
    """What the driver makes anew for every connection that states nothing about TLS: encryption, no verification.
    It also loads the machine's CA certificates, which are not looked at then and take longer (30 to 70 ms, measured)
    than the rest of a connection on a near server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(**options: Any) -> Session:
    """A session that encrypts where the server can, as the driver does by itself."""
    if any(name.startswith(("ssl", "read_default")) for name in options):
        return Session(**options)
    try:
        return Session(**options, ssl=unverified_tls())
    except pymysql.OperationalError as error:
        if error_code(error) != CR.CR_SSL_CONNECTION_ERROR:
            raise
        return Session(**options, ssl_disabled=True)


class RetryableStatementFailed(DatabaseUnavailable):
    """{database}: {reason}"""

    hint = ""


class MySqlDatabase(Database):
    dialect = MySqlDialect()
    grants = Grants
    table_types: Sequence[str] = ("BASE TABLE",)
    definer = MySqlDefiner()
    driver = "mysql+pymysql"
    version_query = "SELECT version()"
    driver_modules = ("pymysql",)
    isolation_variable = "transaction_isolation"

    def new_engine(self, **pool: Any) -> Engine:
        engine = super().new_engine(**pool)

        @event.listens_for(engine, "do_connect")
        def _connect(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> Session:
            return connect(**options)

        return engine

    def session_options(self) -> dict[str, Any]:
        return {
            "charset": "utf8mb4",
            "connect_timeout": 10,
            "local_infile": False,
            # Rows arrive in an order that foreign keys need not allow half-way; the source has checked them.
            "init_command": f"SET time_zone = '+00:00', sql_mode = '{SQL_MODE}', foreign_key_checks = 0, "
            "SESSION group_concat_max_len = 1048576, "
            # A session that holds a table for a copy of many hours has nothing to say meanwhile.
            "SESSION wait_timeout = 2147483",
        }

    def release_session(self, connection: Any) -> None:
        """A rollback would leave LOCK TABLES in force, so the server resets the whole session."""
        connection._execute_command(_RESET_CONNECTION, b"")
        connection._read_ok_packet()

    def renew_session(self, connection: Any) -> None:
        """The reset has taken back what the driver and SQLAlchemy set at the beginning of the session, too."""
        collation = f" COLLATE {connection.collation}" if connection.collation else ""
        isolation = ISOLATION_LEVEL.replace(" ", "-")
        connection.query(
            f"SET NAMES {connection.charset}{collation}, autocommit = {int(connection.autocommit_mode)}, "
            f"SESSION {self.isolation_variable} = '{isolation}'"
        )
        connection.query(connection.init_command)
        super().renew_session(connection)

    def explain(self, error: BaseException) -> CdcPipelineError:
        code = error_code(error)
        reason = str(error.args[1] if len(error.args) > 1 else error)
        if code == REFUSED:
            return FileDemanded(database=self.display, name=reason)
        if code in ACCESS_DENIED:
            return AccessDenied(database=self.display, user=self.url.username)
        if code == 1049:
            return statement_failed(self, Exception(f"{reason}. Create it, or name another one in the URL."))
        if code in LOST_OR_REFUSED or isinstance(error, ConnectionError | TimeoutError):
            return DatabaseUnavailable(database=self.display, reason=reason)
        if code in DEADLOCK_OR_TIMEOUT:
            return RetryableStatementFailed(database=self.display, reason=reason)
        if code in ABOUT_VALUES:
            return RowRefused(database=self.display, reason=f"{reason} ({code})")
        return statement_failed(self, Exception(f"{reason} ({code})" if code else reason))

    @property
    def default_schema(self) -> str:
        return self.url.database or ""

    def tables(self) -> list[TableId]:
        query = text(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type IN :types "
            "AND table_schema NOT IN :system AND table_name NOT LIKE :ours ORDER BY 1, 2"
        ).bindparams(bindparam("system", _SYSTEM, expanding=True), bindparam("types", self.table_types, expanding=True))
        with self.connect() as connection:
            return [TableId(*row) for row in connection.execute(query, {"ours": _OURS})]

    def read_shapes(self, connection: Connection, tables: Sequence[TableId]) -> dict[TableId, TableShape]:
        wanted = set(tables)
        query = text(
            "SELECT table_schema, table_name, column_name, column_type, is_nullable, column_default, extra, "
            "character_set_name, collation_name FROM information_schema.columns "
            "WHERE table_schema IN :schemas AND table_name IN :names "
            "ORDER BY table_schema, table_name, ordinal_position"
        ).bindparams(bindparam("schemas", expanding=True), bindparam("names", expanding=True))
        names = {"schemas": sorted({t.schema for t in wanted}), "names": sorted({t.name for t in wanted})}
        columns: dict[TableId, list[Column]] = {}
        for schema, table, *column in connection.execute(query, names):
            columns.setdefault(TableId(schema, table), []).append(self._column(*column))
        keys = self._keys(connection, names)
        return {t: TableShape(t, tuple(c), keys.get(t, ())) for t, c in columns.items() if t in wanted}

    def _column(
        self, name: str, declared: str, nullable: str, default: str | None, extra: str, charset: str, collation: str
    ) -> Column:
        if charset:
            declared = f"{declared} CHARACTER SET {charset} COLLATE {collation}"
        canonical = self.dialect.canonical_type(declared)
        has_default = default is not None or bool(extra)
        return Column(name, declared, canonical, nullable == "YES", has_default or nullable == "YES")

    def _keys(self, connection: Any, names: dict[str, Any]) -> dict[TableId, tuple[str, ...]]:
        query = text(
            "SELECT table_schema, table_name, column_name FROM information_schema.statistics WHERE index_name = "
            "'PRIMARY' AND table_schema IN :schemas AND table_name IN :names "
            "ORDER BY table_schema, table_name, seq_in_index"
        ).bindparams(bindparam("schemas", expanding=True), bindparam("names", expanding=True))
        keys: dict[TableId, tuple[str, ...]] = {}
        for schema, table, column in connection.execute(query, names):
            keys[TableId(schema, table)] = (*keys.get(TableId(schema, table), ()), column)
        return keys
