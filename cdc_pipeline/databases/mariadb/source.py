"""MariaDB as a source: the snapshot tells its own position, so there is no table lock (design: mechanisms 1 and 2)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from cdc_pipeline.databases.mariadb.binlog import GtidPosition, MariaDbWatermark, is_handled
from cdc_pipeline.databases.mariadb.database import MariaDbDatabase
from cdc_pipeline.databases.mysql.grants import Grants
from cdc_pipeline.databases.mysql.reader import LOCK_WAIT_SECONDS, RawReader
from cdc_pipeline.databases.mysql.source import COMMIT_CHECK_SECONDS, LOG_SETTINGS, MySqlSource
from cdc_pipeline.databases.mysql.watermark import binlog_order
from cdc_pipeline.errors import CdcPipelineError, StatementFailed
from cdc_pipeline.model import Check, Position, TableId, TableShape, Watermark

# In a snapshot its place in the log, elsewhere that of the last commit.
SNAPSHOT_PLACE = "SHOW SESSION STATUS LIKE 'Binlog_snapshot_%'"


class MariaDbSource(MariaDbDatabase, MySqlSource):
    # Debezium passes compressed events over without an error (measured with 3.4.0: not one of three changes came).
    # MariaDB 11.4 and later may leave out where in the log an event lies: then what Debezium tells again after a crash
    # cannot be told from what is new.
    log_settings: Mapping[str, str] = {**LOG_SETTINGS, "log_bin_compress": "OFF", "binlog_legacy_event_pos": "ON"}
    how_to_set = "SET GLOBAL {name} = '{wanted}', and set it in the server's option file"
    privileges = ("REPLICATION SLAVE", "BINLOG MONITOR")
    locks_tables = False

    def source_checks(self, tables: Sequence[TableShape], slot: str) -> list[Check]:
        return [*super().source_checks(tables, slot), self._unreadable()]

    def _unreadable(self) -> Check:
        """Debezium reads the definition of each table that its login sees, and fails at a type that it does not know,
        whether the table is replicated or not."""
        query = (
            "SELECT DISTINCT CONCAT(table_schema, '.', table_name) FROM information_schema.columns "
            "WHERE data_type IN ('inet4', 'inet6') ORDER BY 1 LIMIT 10"
        )
        with self.connect() as connection:
            found = ", ".join(row[0] for row in connection.exec_driver_sql(query))
        fix = f"Debezium fails at the types inet4 and inet6, which are in {found}; use a login that cannot see them"
        return Check("source definitions readable", fix if found else "")

    def _table_checks(self, connection: Connection, shape: TableShape, grants: Grants) -> list[Check]:
        table = shape.table
        kind = connection.exec_driver_sql(
            "SELECT table_type FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
            (table.schema, table.name),
        ).scalar()
        fix = "is system-versioned, and the log has its history as rows: leave it out"
        versioned = Check(f"source table {table} not versioned", fix if kind == "SYSTEM VERSIONED" else "")
        return [*super()._table_checks(connection, shape, grants), versioned]

    def _stirring(self, connection: Connection) -> tuple[str, str]:
        """All replication connections, not only the unnamed one. And of the statements that are logged and change
        nothing, one that Debezium can parse: FLUSH THREADS ends the connector."""
        return "SHOW ALL SLAVES STATUS", "FLUSH QUERY CACHE"

    def _log_position(self, connection: Connection) -> dict[str, Any]:
        return self._position(connection, *_log_end(connection))

    def _position(self, connection: Connection, file: str, pos: int) -> dict[str, Any]:
        gtids = self.scalar(connection, f"SELECT BINLOG_GTID_POS('{file}', {pos})")
        return {"file": file, "pos": pos, **({"gtids": gtids} if gtids else {})}

    def check_position(self, position: Position, slot: str) -> None:
        with self.connect() as connection:
            files = [row[0] for row in connection.exec_driver_sql("SHOW BINARY LOGS")]
        kept = position.offset["file"] in files
        self.require_position(kept, position, "the server has purged binary logs (see binlog_expire_logs_seconds)")

    def reached(self, offset: Mapping[str, Any], mark: Position) -> bool:
        """The offset is a place between transactions, or in the last one that Debezium has told of: it names its
        beginning, the GTIDs before it, its own GTID and how many of its events are told. Compare connector.py."""
        done, goal = (GtidPosition.parse(at.get("gtids") or "") for at in (offset, mark.offset))
        passed = binlog_order(offset["file"], offset["pos"]) >= binlog_order(mark.offset["file"], mark.offset["pos"])
        if passed:
            return done.includes(goal)
        current = offset.get("transaction_id")
        if not current or not goal.ends_with(current) or not done.after(current).includes(goal):
            return False
        return self._is_handled(offset)

    def _is_handled(self, offset: Mapping[str, Any]) -> bool:
        handled = int(offset.get("event", 0))
        most = 2 * handled + 2  # at most one note for people with each event
        query = f"SHOW BINLOG EVENTS IN '{offset['file']}' FROM {int(offset['pos'])} LIMIT {most}"
        with self.connect() as connection:
            try:
                events = [(row[2], row[5]) for row in connection.exec_driver_sql(query)]
            except CdcPipelineError:
                return False  # that file is gone, or is another server's
        return is_handled(events, handled)

    def watermark(self, text: str) -> Watermark:
        return MariaDbWatermark(**json.loads(text))

    def _take_watermark(self, readers: Sequence[RawReader], shape: TableShape) -> tuple[Sequence[RawReader], Watermark]:
        """One reader's snapshot tells its own place in the log. Several see the same rows of the table if they begin
        while nobody may write it; without the lock, there is one."""
        with self.connect() as connection:
            self._wait_for_commits(connection)
            if len(readers) > 1 and not self._may_lock(connection, shape.table):
                readers = readers[:1]
            for reader in readers:
                reader.start_snapshot()
            with self.explained():
                status = readers[0].fetch(SNAPSHOT_PLACE)
            connection.exec_driver_sql("UNLOCK TABLES")
            offset = self._position(connection, *_snapshot_place(status))
            strict = bool(self.scalar(connection, "SELECT @@GLOBAL.gtid_strict_mode"))
        return readers, MariaDbWatermark(offset["file"], offset["pos"], offset.get("gtids", ""), strict)

    def _wait_for_commits(self, connection: Connection) -> None:
        end = binlog_order(*_log_end(connection))
        while binlog_order(*_snapshot_place(connection.exec_driver_sql(SNAPSHOT_PLACE).all())) < end:
            time.sleep(COMMIT_CHECK_SECONDS)

    def _may_lock(self, connection: Connection, table: TableId) -> bool:
        connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}")
        try:
            return self._locked(connection, table)
        except StatementFailed:  # the privilege is not granted, and need not be
            return False


def _log_end(connection: Connection) -> tuple[str, int]:
    file, pos, *_ = connection.exec_driver_sql("SHOW MASTER STATUS").one()
    return file, int(pos)


def _snapshot_place(status: Sequence[Sequence[Any]]) -> tuple[str, int]:
    """Our raw reader hands out bytes."""
    found = {_text(name): _text(value) for name, value in status}
    return found["Binlog_snapshot_file"], int(found["Binlog_snapshot_position"])


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
