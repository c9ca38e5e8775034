"""H2 in its Oracle mode, as a stand-in for a target: no other database here reads Oracle's SQL.

H2 is a server of PostgreSQL's protocol, and SQLAlchemy's own Oracle dialect writes the statements. What H2 does not
know is translated below, one line each; nothing else is.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import AsIs, new_type, register_type
from psycopg2.extras import execute_batch
from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.oracle.base import OracleDialect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import QueuePool

from cdc_pipeline.databases.oracle.database import OracleDatabase
from cdc_pipeline.databases.oracle.target import OracleTarget
from cdc_pipeline.errors import StatementFailed
from cdc_pipeline.local import downloads, ports
from cdc_pipeline.local.stack import silent
from cdc_pipeline.model import TableId

USER, PASSWORD, NAME = "CDC", "secret", "target"
UNIQUE_VIOLATION = "23505"
NUMERIC_OID = 1700
CONNECTIONS = 12  # more than a pipeline of two tables has at once
TRANSLATIONS = [
    # Private temporary tables; H2's local ones are the same: the session's own, and kept at a commit.
    (r"^CREATE PRIVATE TEMPORARY TABLE (.*) ON COMMIT PRESERVE DEFINITION$", r"CREATE LOCAL TEMPORARY TABLE \1"),
    # PL/SQL, which passes over the error that a table exists.
    (r"^BEGIN EXECUTE IMMEDIATE 'CREATE TABLE (.*)'; EXCEPTION .* END;$", r"CREATE TABLE IF NOT EXISTS \1"),
    # The functions that hash. A CLOB is text to H2's.
    (r"TO_CLOB\(", "("),
    (r"STANDARD_HASH\((.*?), 'SHA256'\)", r"HASH('SHA-256', \1)"),
    (r"DBMS_CRYPTO\.HASH\(((?:(?!DBMS_CRYPTO).)*?), 4\)", r"HASH('SHA-256', \1)"),  # the inner one of a BLOB,
    (r"DBMS_CRYPTO\.HASH\((.*?), 4\)", r"HASH('SHA-256', \1)"),  # then the outer one
    (r"TO_NUMBER\(SUBSTR\((.*), 1, 15\), 'X+'\)", r"CAST(HEXTORAW('0' || SUBSTR(\1, 1, 15)) AS BIGINT)"),
    # The time in UTC.
    (r'SYS_EXTRACT_UTC\(((?:[ts]\.)?"[^"]+")\)', r"(\1 AT TIME ZONE 'UTC')"),
]
SESSION = """SET MODE Oracle; SET TIME ZONE 'UTC'; SET SCHEMA_SEARCH_PATH "CDC", public; SET SCHEMA "CDC" """
# What the Oracle modules ask of the catalogue, out of H2's.
VIEWS = """
CREATE SCHEMA "CDC";
CREATE VIEW user_private_temp_tables AS
SELECT table_name FROM information_schema.tables WHERE UPPER(table_type) LIKE '%TEMPORARY%';
CREATE VIEW user_tables AS
SELECT table_name FROM information_schema.tables WHERE table_schema = 'CDC' AND UPPER(table_type) = 'BASE TABLE';
CREATE VIEW all_tab_cols AS
SELECT table_schema AS owner, table_name, column_name, ordinal_position AS column_id,
       CASE UPPER(data_type) WHEN 'NUMERIC' THEN 'NUMBER' WHEN 'DECFLOAT' THEN 'NUMBER'
           WHEN 'CHARACTER VARYING' THEN 'VARCHAR2' WHEN 'CHARACTER LARGE OBJECT' THEN 'CLOB'
           WHEN 'BINARY VARYING' THEN 'RAW' WHEN 'BINARY LARGE OBJECT' THEN 'BLOB'
           WHEN 'DOUBLE PRECISION' THEN 'BINARY_DOUBLE' WHEN 'REAL' THEN 'BINARY_FLOAT' WHEN 'INTEGER' THEN 'NUMBER'
           WHEN 'TIMESTAMP' THEN 'TIMESTAMP(' || datetime_precision || ')'
           WHEN 'TIMESTAMP WITH TIME ZONE' THEN 'TIMESTAMP(' || datetime_precision || ') WITH TIME ZONE'
           ELSE UPPER(data_type) END AS data_type,
       character_maximum_length AS char_length, 'C' AS char_used, character_octet_length AS data_length,
       CASE WHEN UPPER(data_type) = 'NUMERIC' THEN numeric_precision END AS data_precision,
       CASE WHEN UPPER(data_type) = 'NUMERIC' THEN numeric_scale END AS data_scale,
       UPPER(SUBSTR(is_nullable, 1, 1)) AS nullable, CAST(NULL AS INTEGER) AS default_length,
       'NO' AS hidden_column, 'NO' AS virtual_column
  FROM information_schema.columns;
CREATE VIEW all_constraints AS
SELECT constraint_schema AS owner, table_name, constraint_name, 'P' AS constraint_type
  FROM information_schema.table_constraints WHERE constraint_type = 'PRIMARY KEY';
CREATE VIEW all_cons_columns AS
SELECT constraint_schema AS owner, constraint_name, column_name, ordinal_position AS position
  FROM information_schema.key_column_usage
"""


class H2Dialect(OracleDialect):
    """SQLAlchemy's Oracle dialect over the driver of PostgreSQL."""

    driver = "h2"
    default_paramstyle = "pyformat"
    supports_statement_cache = True
    supports_sane_multi_rowcount = False

    @classmethod
    def import_dbapi(cls) -> Any:
        return psycopg2

    def create_connect_args(self, url: Any) -> Any:
        return (), {"host": url.host, "port": url.port, "user": url.username, "password": url.password}

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        return (19, 0)

    def initialize(self, connection: Any) -> None:
        self.server_version_info = (19, 0)

    def get_isolation_level_values(self, dbapi_connection: Any) -> list[str]:
        return ["READ COMMITTED"]

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        """H2's own default is that one."""


registry.register("oracle.h2", __name__, "H2Dialect")


class _Pool(QueuePool):
    """The mode is the whole database's, and each login sets it to PostgreSQL's for a moment. So all connections are
    there before the first statement runs."""

    def __init__(self, creator: Any, **options: Any) -> None:
        super().__init__(creator, **{**options, "pool_size": CONNECTIONS, "max_overflow": 0})


_engines: dict[URL, Engine] = {}  # of this process: every H2Target of a URL shares one pool


class H2Target(OracleTarget):
    """The Oracle target; different are the driver and, of its statements, what TRANSLATIONS has."""

    driver = "oracle+h2"
    driver_modules = ("psycopg2",)

    def session_options(self) -> dict[str, Any]:
        return {"dbname": self.url.database}

    def new_engine(self, **_: Any) -> Engine:
        if self.url not in _engines:
            engine = super(OracleDatabase, self).new_engine(poolclass=_Pool)  # without Oracle's ALTER SESSION
            event.listen(engine, "connect", _prepare_session)
            event.listen(engine, "before_cursor_execute", _translated, retval=True)
            _engines[self.url] = engine
        return _engines[self.url]

    def _insert(self, connection: Any, sql: str, sizes: Sequence[Any], rows: Sequence[Any], before: int) -> None:
        """psycopg2 has no array binds, and `%s` for Oracle's `:1`."""
        values = [tuple(map(_literal, row)) for row in rows]
        with self.explained(), closing(connection.connection.cursor()) as cursor:
            execute_batch(cursor, re.sub(r":\d+\b", "%s", sql.replace("%", "%%")), values)

    def tables_here(self, connection: Connection) -> list[TableId]:
        query = "SELECT table_schema, table_name FROM information_schema.tables WHERE UPPER(table_type) = 'BASE TABLE'"
        return [TableId(*row) for row in connection.exec_driver_sql(f"{query} AND table_schema = '{USER}'")]

    def is_duplicate(self, error: StatementFailed) -> bool:
        return getattr(error.__cause__, "pgcode", None) == UNIQUE_VIOLATION


def translated(statement: str) -> str:
    for pattern, replacement in TRANSLATIONS:
        statement = re.sub(pattern, replacement, statement, flags=re.DOTALL)
    return statement


def _translated(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
    return translated(statement), {name: _literal(value) for name, value in dict(parameters).items()}


def _literal(value: Any) -> Any:
    """What psycopg2 writes for bytes H2 takes for text, and its `E''` for an error."""
    if isinstance(value, bytes):
        return AsIs(f"X'{value.hex()}'")
    return AsIs("''") if value == "" else value


def _number(text: Any, _cursor: Any) -> Any:
    """As Oracle's driver: a NUMBER without digits after the point is an int."""
    return text and (Decimal(text) if "." in text else int(text))


def _prepare_session(connection: Any, _record: Any) -> None:
    register_type(new_type((NUMERIC_OID,), "NUMBER", _number), connection)
    with connection.cursor() as cursor:  # in one round trip: each takes the 40 ms of a delayed acknowledgement
        cursor.execute(SESSION)
    connection.commit()


def _prepare_database(port: int) -> None:
    with closing(
        psycopg2.connect(host=ports.LOOPBACK, port=port, user=USER, password=PASSWORD, dbname=NAME)
    ) as connection:
        with connection.cursor() as cursor:
            for statement in ("SET MODE Oracle", "SET DB_CLOSE_DELAY -1", *VIEWS.split(";")):
                cursor.execute(statement)
        connection.commit()


@contextmanager
def h2(folder: Path) -> Iterator[H2Target]:
    """A server of its own, with an empty database."""
    jars = downloads.cached("h2", silent, {}, goal="copy")
    port = ports.find_free(())
    command = [downloads.java(silent), "-Xmx128m", "-Duser.timezone=UTC", f"-Dh2.bindAddress={ports.LOOPBACK}",
               "-cp", str(next(jars.glob("h2-*.jar"))), "org.h2.tools.Server",
               "-pg", "-pgPort", str(port), "-baseDir", str(folder), "-ifNotExists"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_until_it_answers(port, server)
            target = H2Target(make_url(f"oracle://{USER}:{PASSWORD}@{ports.LOOPBACK}:{port}/{NAME}"))
            for connection in [target.connect() for _ in range(CONNECTIONS)]:
                connection.close()
            yield target
            target.engine.dispose()
        finally:
            server.terminate()


def _wait_until_it_answers(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            _prepare_database(port)
        except psycopg2.OperationalError:
            if time.monotonic() > deadline or server.poll() is not None:
                raise
            time.sleep(0.1)
        else:
            return
