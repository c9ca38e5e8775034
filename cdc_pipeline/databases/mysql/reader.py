"""Reads MySQL's text protocol and passes the bytes on, undecoded.

The protocol's text of a value already is its canonical text, so nothing is converted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import pymysql.cursors
from sqlalchemy.engine import URL

from cdc_pipeline.databases import copy_text
from cdc_pipeline.databases.copy_text import Rewrite
from cdc_pipeline.databases.mysql.database import connect

ROWS_AT_A_TIME = 2000
_SESSION = "SET time_zone = '+00:00', net_write_timeout = 600, wait_timeout = 86400"


class RawReader:
    """One session that reads one snapshot."""

    def __init__(self, url: URL, options: Mapping[str, Any]) -> None:
        self.connection = connect(
            host=url.host or "localhost",
            port=url.port or 3306,
            user=url.username,
            password=url.password or "",
            database=url.database,
            charset="utf8mb4",
            connect_timeout=10,
            cursorclass=pymysql.cursors.SSCursor,
            **options,
        )
        self._execute(_SESSION)
        # No decoders and no character set: every field is handed out as the bytes that came.
        self.connection.decoders = {}
        self.connection.use_unicode = False

    def start_snapshot(self) -> None:
        self._execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self._execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def fetch(self, sql: str) -> Sequence[Sequence[bytes | None]]:
        """A short answer, whole."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def copy_to(self, select: str, rewritten: Mapping[int, Rewrite], file: BinaryIO) -> int:
        """Write the query's rows as COPY text, the columns of these indexes rewritten; returns how many."""
        count = 0
        for rows in self._batches(select):
            file.write(copy_text.render_raw(rows, rewritten))
            count += len(rows)
        return count

    def close(self) -> None:
        self.connection.close()

    def _execute(self, sql: str) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql)

    def _batches(self, select: str) -> Iterator[Sequence[Sequence[bytes | None]]]:
        cursor = self.connection.cursor()
        cursor.execute(select)
        while rows := cursor.fetchmany(ROWS_AT_A_TIME):
            yield rows
        cursor.close()
