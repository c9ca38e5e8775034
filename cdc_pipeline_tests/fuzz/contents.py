"""What a table of a server holds: its columns by the catalogue, its rows as text, read by the driver alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cdc_pipeline_tests.fuzz.canonical import Value
from cdc_pipeline_tests.fuzz.plan import quote
from cdc_pipeline_tests.fuzz.servers import Refused, Session

_POSTGRESQL_SESSION = (
    "SET timezone = 'UTC'",
    "SET datestyle = 'ISO, YMD'",
    "SET intervalstyle = 'iso_8601'",
    "SET extra_float_digits = 3",
    "SET bytea_output = 'hex'",
    "SET lc_monetary = 'C'",
    "SET search_path = public, pg_catalog",
    "SET client_encoding = 'UTF8'",
    "SET quote_all_identifiers = off",
    "SET standard_conforming_strings = on",
    "SET row_security = off",
    "SET statement_timeout = 0",
    "SET default_transaction_isolation = 'repeatable read'",
)
_MYSQL_SESSION = (
    "SET SESSION time_zone = '+00:00', sql_mode = '', sql_select_limit = DEFAULT, max_execution_time = 0",
    "SET SESSION group_concat_max_len = 1000000",
)


@dataclass(frozen=True)
class Shown:
    """Column names, their types as the catalogue writes them, and the rows."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Value, ...]]


def prepare(kind: str, session: Session) -> None:
    """Settings that this judge states itself: those of the database or the role are part of what is tried."""
    for statement in _POSTGRESQL_SESSION if kind == "postgresql" else _MYSQL_SESSION:
        session.run(statement if kind != "mariadb" else statement.replace(", max_execution_time = 0", ""))


def tables(kind: str, session: Session) -> set[str]:
    """The names of the tables of this database (of PostgreSQL's schema public, without the partitions of others)."""
    if kind == "postgresql":
        sql = (
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace "
            "AND relkind IN ('r', 'p') AND NOT relispartition"
        )
    else:
        sql = (
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() "
            "AND TABLE_TYPE = 'BASE TABLE'"
        )
    return {str(row[0]) for row in session.run(sql)}


def read(kind: str, session: Session, table: str) -> Shown:
    """Raises Refused if there is no such table."""
    columns = _columns(kind, session, table)
    if not columns:
        raise Refused(f"there is no table {table}")
    shown = [_expression(kind, name, declared) for name, declared in columns]
    rows = session.run(f"SELECT {', '.join(shown)} FROM {quote(kind, table)}")
    return Shown(tuple(name for name, _ in columns), tuple(declared for _, declared in columns), rows)


def _columns(kind: str, session: Session, table: str) -> Sequence[tuple[str, str]]:
    literal = "'" + table.replace("\\", "\\\\").replace("'", "''") + "'"
    if kind == "postgresql":
        literal = "'" + table.replace("'", "''") + "'"
        sql = (
            "SELECT a.attname::text, format_type(coalesce(nullif(b.typbasetype, 0), a.atttypid), "
            "CASE WHEN b.typbasetype <> 0 THEN b.typtypmod ELSE a.atttypmod END) "
            "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type b ON b.oid = a.atttypid "
            f"WHERE c.relnamespace = 'public'::regnamespace AND c.relname = {literal} "
            "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
        )
    else:
        sql = (
            "SELECT COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS "
            f"WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = {literal} ORDER BY ORDINAL_POSITION"
        )
    return [(str(name), _plain(declared)) for name, declared in session.run(sql)]


def _plain(declared: object) -> str:
    return declared.decode() if isinstance(declared, bytes) else str(declared)


def _expression(kind: str, name: str, declared: str) -> str:
    """What PostgreSQL's output functions write, which a cast to text does not always (inet), and NULL as such, which a
    composite of NULLs is not. MySQL shows six digits of a FLOAT, but all of a DOUBLE."""
    quoted = quote(kind, name)
    if kind == "postgresql":
        return f"CASE WHEN {quoted} IS DISTINCT FROM NULL THEN format('%s', {quoted}) END"
    return f"{quoted} * 1e0" if declared.lower().startswith("float") else quoted
