"""Sessions on the servers by their drivers, and what a server refuses: no part of the product is in between."""

from __future__ import annotations

import time
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import psycopg2
import pymysql

PATIENCE = 3  # seconds that a statement waits for a lock: sessions of a plan may stand in each other's way
CONNECT_WITHIN = 60  # seconds, to a server that was just killed


class Refused(Exception):
    """The server did not take a statement."""


class Session(Protocol):
    """One connection; each statement is committed unless the session itself has begun a transaction."""

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """Raises Refused."""
        ...

    def close(self) -> None: ...


class MySqlSession:
    """Values come as the server's text (or bytes), whatever their type: `conv` is empty."""

    def __init__(self, url: str, database: str) -> None:
        parts = urlsplit(url)
        self._connection = pymysql.connect(
            host=parts.hostname or "",
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=database or None,
            charset="utf8mb4",
            autocommit=True,
            conv={},
            local_infile=True,
            connect_timeout=10,
        )
        self.run(f"SET SESSION lock_wait_timeout = {PATIENCE}, innodb_lock_wait_timeout = {PATIENCE}")

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall()) if cursor.description else []
        except (pymysql.Error, UnicodeError) as error:
            raise Refused(str(error.args[-1])) from error

    def close(self) -> None:
        if self._connection.open:
            self._connection.close()


class PostgreSqlSession:
    """Values come as psycopg2 gives them: ask for text."""

    def __init__(self, url: str, database: str) -> None:
        parts = urlsplit(url)
        self._connection = psycopg2.connect(
            host=parts.hostname,
            port=parts.port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            dbname=database or "postgres",
            connect_timeout=10,
        )
        self._connection.autocommit = True
        self.run(f"SET lock_timeout = '{PATIENCE}s'")

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall()) if cursor.description else []
        except (psycopg2.Error, UnicodeError) as error:
            raise Refused(str(error).strip()) from error

    def close(self) -> None:
        self._connection.close()


def open_session(kind: str, url: str, database: str) -> Session:
    """Waits for a server that is on its way back. Raises Refused."""
    make = PostgreSqlSession if kind == "postgresql" else MySqlSession
    deadline = time.monotonic() + CONNECT_WITHIN
    while True:
        try:
            return make(url, database)
        except (psycopg2.OperationalError, pymysql.OperationalError) as error:
            if time.monotonic() > deadline:
                raise Refused(str(error)) from error
            time.sleep(0.2)


def version(kind: str, session: Session) -> tuple[int, ...]:
    text = str(session.run("SHOW server_version" if kind == "postgresql" else "SELECT VERSION()")[0][0])
    digits = text.split(maxsplit=1)[0].split("-", maxsplit=1)[0].split(".")
    return tuple(int(part) for part in digits if part.isdigit())
