"""MySQL as a source: log position, checks, snapshot and watermark (design: mechanisms 1 and 2)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import takewhile
from typing import Any, BinaryIO

from sqlalchemy import Connection, bindparam, text

from cdc_pipeline.databases import copy_text
from cdc_pipeline.databases.json_text import plain_numbers
from cdc_pipeline.databases.key_ranges import WHOLE_TABLE, Key, KeyRange, KeySet, as_key, cut
from cdc_pipeline.databases.mysql import heartbeat
from cdc_pipeline.databases.mysql import watermark as watermarks
from cdc_pipeline.databases.mysql.database import MySqlDatabase, RetryableStatementFailed, error_code
from cdc_pipeline.databases.mysql.dialect import SALT, joinable, select_joined
from cdc_pipeline.databases.mysql.grants import Grants
from cdc_pipeline.databases.mysql.reader import LOCK_WAIT_SECONDS, RawReader
from cdc_pipeline.databases.mysql.trail import BinlogTrail
from cdc_pipeline.databases.mysql.watermark import BinlogWatermark, GtidSet, GtidWatermark
from cdc_pipeline.databases.source import Snapshot, Source
from cdc_pipeline.errors import CdcPipelineError, StatementFailed
from cdc_pipeline.model import Check, Kind, Position, TableId, TableShape, Trail, Watermark

TABLE_CHANGED = 1412  # "Table definition has changed, please retry transaction"
MOST_SNAPSHOTS = 20
COMMIT_CHECK_SECONDS = 0.05
MOST_OF_RETENTION = 0.5
# What each must be, where the server has it. Debezium passes over an update that logs parts of a JSON value
# (PARTIAL_JSON), and all events of a compressed transaction have one position: all but the first look like repetitions.
LOG_SETTINGS = {
    "log_bin": "ON",
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "binlog_row_value_options": "",
    "binlog_transaction_compression": "OFF",
}


# What becomes of the texts that the server does not escape; a JSON's numbers get the spelling of the stream.
_REWRITTEN = {
    **dict.fromkeys((Kind.TEXT, Kind.ENUM, Kind.BINARY, Kind.GEOMETRY), copy_text.escape),
    Kind.JSON: lambda value: copy_text.escape(plain_numbers(value)),
}


class MySqlSnapshot(Snapshot):
    def __init__(self, reader: RawReader, watermark: Watermark, database: MySqlSource) -> None:
        self.reader = reader
        self.watermark = watermark
        self.database = database

    def is_held(self) -> bool:
        try:
            with self.database.explained():
                self.reader.fetch("SELECT 1")
        except CdcPipelineError:
            return False
        return True

    def cut(self, shape: TableShape, after: Key | None, rows: int) -> Key | None:
        with self.database.explained():
            found = self.reader.fetch(cut(self.database.dialect, shape, after, rows))
        return as_key([None if text is None else text.decode() for text in found[0]]) if found else None

    def arranged(self, shape: TableShape) -> TableShape:
        """First the columns whose texts the server escapes, and hands out as one."""
        joined = joinable(shape.columns)
        return replace(shape, columns=(*joined, *(column for column in shape.columns if column not in joined)))

    def copy_to(self, shape: TableShape, file: BinaryIO, keys: KeyRange | KeySet = WHOLE_TABLE) -> int:
        joined = list(takewhile(joinable(shape.columns).__contains__, shape.columns))
        rewrites = [_REWRITTEN.get(column.canonical.kind) for column in shape.columns[len(joined) :]]
        with self.database.explained():
            select = select_joined(self.database.dialect, shape, joined, keys)
            return self.reader.copy_to(select, [*([None] if joined else []), *rewrites], file)


class MySqlSource(MySqlDatabase, Source):
    log_settings: Mapping[str, str] = LOG_SETTINGS
    how_to_set = "SET PERSIST {name} = '{wanted}'"
    privileges: Sequence[str] = ("REPLICATION SLAVE", "REPLICATION CLIENT")
    locks_tables = True

    def tell_salt(self, connection: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET {SALT} = %s", (self.hash_salt,))

    def source_checks(self, tables: Sequence[TableShape], slot: str) -> list[Check]:
        with self.connect() as connection:
            checks = self._log_settings(connection)
            grants = self.grants(connection)
            for privilege in self.privileges:
                ok = grants.has(privilege)
                fix = f"missing; run: GRANT {privilege} ON *.* TO '{self.url.username}'@'…'"
                checks.append(Check(f"source privilege {privilege}", "" if ok else fix))
            for shape in tables:
                checks += self._table_checks(connection, shape, grants)
        return checks

    def _log_settings(self, connection: Connection) -> list[Check]:
        """Those that the server knows; another version may lack one, and writes its log as if it had the value wanted
        here."""
        query = text("SHOW GLOBAL VARIABLES WHERE variable_name IN :names")
        query = query.bindparams(bindparam("names", list(self.log_settings), expanding=True))
        values = {name: value.upper() for name, value in connection.execute(query)}
        return [self._log_setting(name, value, self.log_settings[name]) for name, value in values.items()]

    def _log_setting(self, name: str, value: str, wanted: str) -> Check:
        how = f"run: {self.how_to_set.format(name=name, wanted=wanted)}; open sessions keep their own value"
        how = "start the server with --log-bin" if name == "log_bin" else how
        fix = f"is {value or 'empty'}, must be {wanted or 'empty'}: {how}"
        return Check(f"source {name}", "" if value == wanted else fix)

    def _table_checks(self, connection: Connection, shape: TableShape, grants: Grants) -> list[Check]:
        table, user = shape.table, self.url.username
        problem = ""
        try:
            connection.exec_driver_sql(f"SELECT * FROM {self.dialect.table(table)} LIMIT 0")
        except CdcPipelineError:
            problem = f"{user} may not read it; run: GRANT SELECT ON {self.dialect.table(table)} TO '{user}'@'…'"
        checks = [Check(f"source table {table} readable", problem)]
        if self.locks_tables and not grants.has("LOCK TABLES", table.schema):
            fix = f"missing; run: GRANT LOCK TABLES ON {self.dialect.quote(table.schema)}.* TO '{user}'@'…'"
            checks.append(Check(f"source privilege LOCK TABLES on {table.schema}", fix))
        engine = connection.exec_driver_sql(
            "SELECT engine FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
            (table.schema, table.name),
        ).scalar()
        fix = f"its engine is {engine}, which has no consistent snapshot: ALTER TABLE … ENGINE = InnoDB"
        checks.append(Check(f"source table {table} transactional", "" if engine == "InnoDB" else fix))
        return checks

    def prepare_capture(self, tables: Sequence[TableId], slot: str) -> Position:
        return self.mark()

    def extend_capture(self, tables: Sequence[TableId], slot: str) -> None:
        """Nothing to do: the binary log holds every table."""

    def release_capture(self, slot: str) -> None:
        """Nothing to do: the server purges its binary log by age alone."""

    def mark(self) -> Position:
        with self.connect() as connection:
            return Position(self._log_position(connection))

    def clock(self) -> float:
        with self.connect() as connection:
            return float(self.scalar(connection, "SELECT UNIX_TIMESTAMP(NOW(6))"))

    def heartbeat_checks(self, table: TableId) -> list[Check]:
        """To explain a statement asks for the privileges of the statement, and writes nothing."""
        name, user = self.dialect.table(table), f"'{self.url.username}'@'…'"
        problem = ""
        with self.connect() as connection:
            granted = self.grants(connection)
            if self.shape(table) is None:
                missing = [p for p in ("CREATE", "INSERT", "UPDATE", "SELECT") if not granted.has(p, table.schema)]
                problem = f"does not exist; run: {heartbeat.create(table)}; GRANT SELECT, INSERT, UPDATE ON {name} "
                problem = f"{problem}TO {user}" if missing else ""
            else:
                try:
                    connection.exec_driver_sql(f"EXPLAIN {heartbeat.beat(table, '')}")
                except CdcPipelineError as error:
                    problem = f"{error} Run: GRANT SELECT, INSERT, UPDATE ON {name} TO {user}"
        return [Check(f"source heartbeat table {table}", problem)]

    def prepare_heartbeat(self, table: TableId) -> None:
        if self.shape(table) is None:
            with self.connect() as connection:
                connection.exec_driver_sql(heartbeat.create(table))

    def beat(self, table: TableId, replication: str) -> None:
        with self.connect() as connection, connection.begin():
            connection.exec_driver_sql(heartbeat.beat(table, replication))

    def stir(self) -> None:
        """A logged statement that changes no data: the connector reports its position only when an event passes, and
        of an idle server none does for 48 s. Not on a replica, which must have no transactions of its own."""
        with self.connect() as connection:
            replica_status, harmless = self._stirring(connection)
            try:
                is_replica = connection.exec_driver_sql(replica_status).first() is not None
                if not is_replica and not self.scalar(connection, "SELECT @@GLOBAL.read_only"):
                    connection.exec_driver_sql(harmless)
            except CdcPipelineError:
                return  # not granted (RELOAD, or FLUSH_OPTIMIZER_COSTS): it takes longer, and is as right

    def _stirring(self, connection: Connection) -> tuple[str, str]:
        """The statement that has a row on a replica, and the one that is logged and changes no data."""
        new_name = (connection.dialect.server_version_info or ()) >= (8, 0, 22)
        return "SHOW REPLICA STATUS" if new_name else "SHOW SLAVE STATUS", "FLUSH OPTIMIZER_COSTS"

    def _log_position(self, connection: Connection) -> dict[str, Any]:
        """File, position and executed GTIDs, read at one moment. In every GTID mode but ON a transaction may come
        without a GTID, so neither we nor Debezium go by them."""
        new_name = (connection.dialect.server_version_info or ()) >= (8, 2)
        row = connection.exec_driver_sql(f"SHOW {'BINARY LOG' if new_name else 'MASTER'} STATUS").one()
        offset: dict[str, Any] = {"file": row[0], "pos": int(row[1])}
        gtids = "".join(str(row[4]).split())
        if gtids and self.scalar(connection, "SELECT @@GLOBAL.gtid_mode") == "ON":
            offset["gtids"] = gtids
        return offset

    def check_position(self, position: Position, slot: str) -> None:
        with self.connect() as connection:
            if "gtids" in position.offset:
                purged = GtidSet(self.scalar(connection, "SELECT @@GLOBAL.gtid_purged") or "")
                kept = GtidSet(position.offset["gtids"]).includes(purged)
            else:
                kept = position.offset["file"] in [row[0] for row in connection.exec_driver_sql("SHOW BINARY LOGS")]
        self.require_position(kept, position, "the server has purged binary logs (see binlog_expire_logs_seconds)")

    def log_problem(self, slot: str, offset: Mapping[str, Any], lag_seconds: float, most_mb: int) -> str:
        with self.connect() as connection:
            files = [row[0] for row in connection.exec_driver_sql("SHOW BINARY LOGS")]
            kept = int(self.scalar(connection, "SELECT @@GLOBAL.binlog_expire_logs_seconds"))
        if "file" in offset and offset["file"] not in files:
            return f"The source has purged {offset['file']}, which the connector has yet to read"
        if kept and lag_seconds > kept * MOST_OF_RETENTION:
            return f"The source keeps its log for {kept} s, and the stream is {lag_seconds:.0f} s behind"
        return ""

    def reached(self, offset: Mapping[str, Any], mark: Position) -> bool:
        """Debezium adds a statement such as TRUNCATE to the GTIDs of its offset only when the next transaction begins,
        but its position is behind it at once: that decides about a last transaction that seems to be missing."""
        order = watermarks.binlog_order
        passed = order(offset["file"], offset["pos"]) >= order(mark.offset["file"], mark.offset["pos"])
        if "gtids" not in mark.offset:
            return passed
        missing = GtidSet(offset.get("gtids") or "").lacks(GtidSet(mark.offset["gtids"]))
        return missing == 0 or (missing == 1 and passed)

    def watermark(self, text: str) -> Watermark:
        return watermarks.parse(text)

    def trail(self, text: str | None) -> Trail:
        return BinlogTrail.parse(text)

    @contextmanager
    def snapshots(self, shape: TableShape, most: int) -> Iterator[Sequence[MySqlSnapshot]]:
        """Snapshots of one table, all taken under one table lock of a few milliseconds.

        Without the lock a transaction may be in the GTID set but not in the snapshot, or the other way round
        (measured: 59 of 150 snapshots wrong). If a long transaction withholds the lock, a table with a key takes one
        snapshot and a low watermark instead: events that the snapshot holds already are then applied again, to the
        same rows. A table without a key has nothing that makes that harmless, so it waits; and where whole transactions
        are applied, a reader would see halves of them meanwhile. Without GTIDs, too, it waits: a transaction is in the
        GTID set once the engine has committed it, but in the log before that, so a position that was read before the
        snapshot is not a low one.
        """
        with ExitStack() as stack:
            readers = []
            for _ in range(most):
                with self.explained():
                    readers.append(RawReader(self.engine))
                stack.callback(readers[-1].close)
            readers, watermark = self._begun(readers, shape)
            yield [MySqlSnapshot(reader, watermark, self) for reader in readers]

    def _begun(self, readers: Sequence[RawReader], shape: TableShape) -> tuple[Sequence[RawReader], Watermark]:
        """Those that have begun to read and hold the table, and what they see. Of a table that has been altered since,
        a snapshot sees nothing; and of one that has just been made it may see nothing yet (measured: once in 29 runs
        that copied new tables, 8.0.15). The server says so when it is read, and it is taken anew."""
        attempt = 1
        while True:
            begun, watermark = self._take_watermark(readers, shape)
            try:
                with self.explained():
                    for reader in begun:
                        reader.fetch(f"SELECT 1 FROM {self.dialect.table(shape.table)} LIMIT 1")
                return begun, watermark
            except RetryableStatementFailed:  # one waits for an ALTER TABLE, and that for those before
                for reader in begun:
                    reader.end_snapshot()
            except StatementFailed as error:
                if error_code(error.__cause__ or error) != TABLE_CHANGED or attempt == MOST_SNAPSHOTS:
                    raise
                attempt += 1
                for reader in begun:
                    reader.end_snapshot()
                time.sleep(0.1)

    def _take_watermark(self, readers: Sequence[RawReader], shape: TableShape) -> tuple[Sequence[RawReader], Watermark]:
        """Those that have begun, and what they will see. While the table is locked they ask nothing of it: that would
        wait behind an ALTER TABLE that waits for the lock."""
        with self.connect() as connection:
            connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {LOCK_WAIT_SECONDS}")
            while not self._locked(connection, shape.table):
                low = self._watermark_now(connection)
                if shape.key and not self.needs_exact_watermark and isinstance(low, GtidWatermark):
                    self._wait_for_commits(connection)
                    readers[0].start_snapshot()
                    return readers[:1], low
                time.sleep(LOCK_WAIT_SECONDS)  # let the writers that queued behind the lock pass
            for reader in readers:
                reader.start_snapshot()
            watermark = self._watermark_now(connection)
            connection.exec_driver_sql("UNLOCK TABLES")
            return readers, watermark

    def _wait_for_commits(self, connection: Connection) -> None:
        """Until the engine has committed what stands in the log by now, which may wait for a replica in between. A
        connector that begins at the log's end, or has read on to it and captures the table from there, tells none of
        that; so a snapshot must hold it."""
        begun = self._being_committed(connection)
        while begun & self._being_committed(connection):
            time.sleep(COMMIT_CHECK_SECONDS)

    def _being_committed(self, connection: Connection) -> set[str]:
        """GTIDs that have an owner, as `uuid:number#thread:number#thread,uuid:tag:number#thread` tells them."""
        entries = str(self.scalar(connection, "SELECT @@GLOBAL.gtid_owned")).split(",")
        return {f"{uuid}:{part}" for uuid, *parts in (entry.split(":") for entry in entries) for part in parts}

    def _locked(self, connection: Connection, table: TableId) -> bool:
        try:
            connection.exec_driver_sql(f"LOCK TABLES {self.dialect.table(table)} READ")
        except StatementFailed:
            raise
        except CdcPipelineError:  # lock_wait_timeout: the one retryable answer here
            return False
        return True

    def _watermark_now(self, connection: Connection) -> Watermark:
        offset = self._log_position(connection)
        if "gtids" in offset:
            return GtidWatermark(GtidSet(offset["gtids"]))
        return BinlogWatermark(offset["file"], offset["pos"])
