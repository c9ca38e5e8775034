"""Reads MySQL's text protocol and passes the bytes on, undecoded.

The protocol's text of a value already is its canonical text, so nothing is converted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import pymysql
from pymysql.constants import CR
from sqlalchemy import Engine

from cdc_pipeline.databases.copy_text import Rewrite
from cdc_pipeline.databases.mysql.rows import ServerError, copy_lines

# A statement that waits for a table's metadata makes later ones of the table wait behind it, so it may wait only this
# long at a time.
LOCK_WAIT_SECONDS = 2
# Patience with a target that takes its time, not with an ALTER TABLE.
_SETTINGS = f"SET net_write_timeout = 600, lock_wait_timeout = {LOCK_WAIT_SECONDS}"


class RawReader:
    """One session that reads one snapshot."""

    def __init__(self, engine: Engine) -> None:
        self._session = engine.raw_connection()
        self.connection: Any = self._session.driver_connection
        self._is_amid_rows = False
        self._execute(_SETTINGS)
        # No decoders and no character set: every field is handed out as the bytes that came.
        self._decoders, self.connection.decoders = self.connection.decoders, {}
        self._use_unicode, self.connection.use_unicode = self.connection.use_unicode, False

    def start_snapshot(self) -> None:
        self._execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self._execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def end_snapshot(self) -> None:
        self._execute("ROLLBACK")

    def fetch(self, sql: str) -> Sequence[Sequence[bytes | None]]:
        """A short answer, whole."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def copy_to(self, select: str, rewrites: Sequence[Rewrite | None], file: BinaryIO) -> int:
        """Write the query's rows as COPY text, each field rewritten in its way; returns how many."""
        self._is_amid_rows = True
        self.connection.query(select, unbuffered=True)
        # The driver has read what the fields are. The rows we read ourselves, so there are none left for it.
        self.connection._result.unbuffered_active = False
        count = 0
        try:
            for lines in copy_lines(self.connection._rfile.read1, rewrites):
                file.write(lines)
                count += lines.count(b"\n")
        except ServerError as error:
            pymysql.err.raise_mysql_exception(error.packet)
        except EOFError:
            raise pymysql.OperationalError(CR.CR_SERVER_LOST, "Lost connection to MySQL server during query") from None
        self._is_amid_rows = False
        return count

    def close(self) -> None:
        """Amid its rows nothing more can be asked of a session, not even a rollback: it is ended."""
        self.connection.decoders, self.connection.use_unicode = self._decoders, self._use_unicode
        if self._is_amid_rows:
            self._session.invalidate()
        else:
            self._session.close()

    def _execute(self, sql: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
