"""Reads MySQL's text protocol and passes the bytes on, undecoded.

The protocol's text of a value already is its canonical text, so nothing is converted. MySQL Connector/Python's C
extension reads a table three times as fast as PyMySQL does; where it is missing, PyMySQL reads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import pymysql
import pymysql.cursors
from sqlalchemy.engine import URL

from cdc_pipeline.databases import copy_text

try:
    from mysql.connector.connection_cext import CMySQLConnection
except ImportError:
    CMySQLConnection = None

ROWS_AT_A_TIME = 2000
_CONNECTING = threading.Lock()  # the C client initializes itself with the first connection, which is not thread-safe
_SESSION = "SET time_zone = '+00:00', net_write_timeout = 600, wait_timeout = 86400"


class RawReader:
    """One session that reads one snapshot."""

    def __init__(self, url: URL, options: Mapping[str, Any]) -> None:
        login = {"host": url.host, "port": url.port or 3306, "user": url.username, "password": url.password or ""}
        self.connection: Any
        if CMySQLConnection is not None and not options:
            with _CONNECTING:
                self.connection = CMySQLConnection(
                    **login, database=url.database, charset="utf8mb4", connection_timeout=10, use_pure=False
                )
        else:
            self.connection = pymysql.connect(
                **login, database=url.database, charset="utf8mb4", connect_timeout=10, **options
            )
        self.is_c = not isinstance(self.connection, pymysql.Connection)
        self._execute(_SESSION)

    def start_snapshot(self) -> None:
        self._execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self._execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def copy_to(self, select: str, may_need_escape: Sequence[int], file: BinaryIO) -> int:
        """Write the query's rows as COPY text; returns how many."""
        count = 0
        for rows in self._batches(select):
            file.write(copy_text.render_raw(rows, may_need_escape))
            count += len(rows)
        return count

    def close(self) -> None:
        self.connection.close()

    def _execute(self, sql: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    def _batches(self, select: str) -> Iterator[Sequence[Sequence[bytes | None]]]:
        if self.is_c:
            cursor = self.connection.cursor(raw=True, buffered=False)
        else:
            # No decoders and no character set: PyMySQL then hands out each field's bytes.
            self.connection.decoders = {}
            self.connection.use_unicode = False
            cursor = self.connection.cursor(pymysql.cursors.SSCursor)
        cursor.execute(select)
        while rows := cursor.fetchmany(ROWS_AT_A_TIME):
            yield rows
        cursor.close()
