"""Oracle as a source: system change number, checks, flashback snapshot and watermark (design: mechanisms 1 and 2)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from sqlalchemy import Connection, text

from cdc_pipeline.databases import copy_text
from cdc_pipeline.databases.key_ranges import WHOLE_TABLE, Key, KeyRange, KeySet, as_key, cut
from cdc_pipeline.databases.oracle import reader
from cdc_pipeline.databases.oracle.database import OracleDatabase
from cdc_pipeline.databases.oracle.grants import PACKAGES, VIEWS, Grants
from cdc_pipeline.databases.oracle.texts import is_long
from cdc_pipeline.databases.oracle.trail import RedoTrail
from cdc_pipeline.databases.oracle.watermark import ScnWatermark, first_needed, has_reached, offset_at
from cdc_pipeline.databases.source import Snapshot, Source
from cdc_pipeline.errors import CdcPipelineError, StatementFailed
from cdc_pipeline.model import Check, Position, TableId, TableShape, Trail, Watermark

LONGEST_CAPTURED_NAME = 30  # of a table or a column: LogMiner passes over longer ones, without an error

SCN = "SELECT current_scn FROM v$database"
OPEN_TRANSACTIONS = "SELECT LOWER(RAWTOHEX(xid)), start_scn FROM v$transaction WHERE start_scn < :scn"
OLDEST_SCN = (
    "SELECT MIN(first_change#) FROM (SELECT first_change# FROM v$log UNION ALL "
    "SELECT first_change# FROM v$archived_log WHERE deleted = 'NO' AND name IS NOT NULL)"
)
LOG_SETTINGS = "SELECT log_mode, supplemental_log_data_min, supplemental_log_data_all FROM v$database"
REDO_THREADS = "SELECT COUNT(DISTINCT thread#) FROM v$log"
PRIVILEGES = "SELECT privilege FROM session_privs"
ROLES = "SELECT role FROM session_roles"
OBJECT_GRANTS = f"SELECT table_name, privilege FROM all_tab_privs WHERE table_name IN {(*VIEWS, *PACKAGES)}"
ALL_COLUMNS_LOGGED = (
    "SELECT COUNT(*) FROM all_log_groups WHERE owner = :schema AND table_name = :name "
    "AND log_group_type = 'ALL COLUMN LOGGING'"
)
VIRTUAL_COLUMNS = (
    "SELECT column_name FROM all_tab_cols WHERE owner = :schema AND table_name = :name "
    "AND virtual_column = 'YES' AND hidden_column = 'NO' ORDER BY column_name"
)


class OracleSnapshot(Snapshot):
    """A flashback query: it states the number, so no transaction is held open, and every read sees the same rows."""

    def __init__(self, database: OracleSource, scn: int) -> None:
        self.database = database
        self.scn = scn
        self.watermark = ScnWatermark(scn)

    def is_held(self) -> bool:
        """As long as the server keeps what it needs to undo."""
        return True

    def cut(self, shape: TableShape, after: Key | None, rows: int) -> Key | None:
        with self.database.connect() as connection:
            row = connection.exec_driver_sql(cut(self.database.dialect, shape, after, rows)).first()
        return as_key(row)

    def copy_to(self, shape: TableShape, file: BinaryIO, keys: KeyRange | KeySet = WHOLE_TABLE) -> int:
        renderers = [reader.renderer(column) for column in shape.columns]
        count = 0
        with self.database.explained(), self.database.connect() as connection:
            for rows in reader.batches(connection, self.database.flashback(shape, keys), {"scn": self.scn}):
                texts = ([render(value) for render, value in zip(renderers, row, strict=True)] for row in rows)
                file.write(copy_text.render(texts))
                count += len(rows)
        return count


class OracleSource(OracleDatabase, Source):
    def flashback(self, shape: TableShape, keys: KeyRange | KeySet = WHOLE_TABLE) -> str:
        return self.dialect.select(shape, keys, at=" AS OF SCN :scn")

    def tell_salt(self, connection: Any) -> None:
        """Nothing: config refuses a salt for this source."""

    # -- step 1 -------------------------------------------------------------------------------------------------

    def source_checks(self, tables: Sequence[TableShape], slot: str) -> list[Check]:
        with self.connect() as connection:
            missing = self._missing_grants(connection)
            if missing:
                return missing  # the other questions are to views that this login may not see
            checks = self.common_checks(connection, "source")
            checks += self._log_checks(connection)
            for shape in tables:
                checks += self._table_checks(connection, shape)
        return checks

    def _missing_grants(self, connection: Connection) -> list[Check]:
        privileges = {row[0] for row in connection.exec_driver_sql(PRIVILEGES)}
        roles = {row[0] for row in connection.exec_driver_sql(ROLES)}
        objects = {(row[0], row[1]) for row in connection.exec_driver_sql(OBJECT_GRANTS)}
        user = self.dialect.quote(self.default_schema)
        return [
            Check(f"source privilege {name}", f"missing; run: GRANT {name} TO {user} (a common user: CONTAINER=ALL)")
            for name in Grants(privileges, roles, objects).missing()
        ]

    def _log_checks(self, connection: Connection) -> list[Check]:
        mode, minimal, _ = connection.exec_driver_sql(LOG_SETTINGS).one()
        fix = f"is {mode}; run: SHUTDOWN IMMEDIATE; STARTUP MOUNT; ALTER DATABASE ARCHIVELOG; ALTER DATABASE OPEN"
        checks = [Check("source archive log", "" if mode == "ARCHIVELOG" else fix)]
        fix = "is off; run: ALTER DATABASE ADD SUPPLEMENTAL LOG DATA"
        checks.append(Check("source supplemental logging", "" if minimal != "NO" else fix))
        threads = int(self.scalar(connection, REDO_THREADS))
        fix = f"{threads} redo threads: transactions of a cluster's other nodes are not seen (V$TRANSACTION is one's)"
        checks.append(Check("source single instance", "" if threads == 1 else fix))
        return checks

    def _table_checks(self, connection: Connection, shape: TableShape) -> list[Check]:
        name, quoted = f"source table {shape.table}", self.dialect.table(shape.table)
        place = {"schema": shape.table.schema, "name": shape.table.name}
        checks = [Check(f"{name} readable", self._unreadable(connection, shape.table))]
        *_, everywhere = connection.exec_driver_sql(LOG_SETTINGS).one()
        logged = everywhere == "YES" or connection.execute(text(ALL_COLUMNS_LOGGED), place).scalar()
        fix = f"is off; run: ALTER TABLE {quoted} ADD SUPPLEMENTAL LOG DATA (ALL) COLUMNS"
        checks.append(Check(f"{name} supplemental logging", "" if logged else fix))
        long = [each for each in (shape.table.name, *shape.names) if len(each.encode()) > LONGEST_CAPTURED_NAME]
        fix = f"LogMiner leaves out names of more than {LONGEST_CAPTURED_NAME} bytes: {', '.join(long)}; rename them"
        checks.append(Check(f"{name} names", fix if long else ""))
        virtual = [row[0] for row in connection.execute(text(VIRTUAL_COLUMNS), place)]
        fix = f"virtual columns are not in the log: {', '.join(virtual)}; leave the table out of the replication"
        checks.append(Check(f"{name} virtual columns", fix if virtual else ""))
        lobs = [column.name for column in shape.columns if column.type and is_long(column.type)]
        fix = f"needs a primary key: a change of {', '.join(lobs)} does not say what was there before"
        checks.append(Check(f"{name} key", fix if lobs and not shape.key else ""))
        return checks

    def _unreadable(self, connection: Connection, table: TableId) -> str:
        quoted = self.dialect.table(table)
        try:
            probe = f"SELECT 1 FROM {quoted} AS OF SCN :scn WHERE ROWNUM < 1"
            connection.exec_driver_sql(probe, {"scn": self._scn(connection)})
        except StatementFailed as error:
            user = self.dialect.quote(self.default_schema)
            return f"not as of an earlier moment ({error}); run: GRANT SELECT, FLASHBACK ON {quoted} TO {user}"
        return ""

    # -- the log ------------------------------------------------------------------------------------------------

    def prepare_capture(self, tables: Sequence[TableId], slot: str) -> Position:
        """First the number, then the transactions that were open then. One that ends in between is not among them, but
        every snapshot is taken later and holds it whole."""
        with self.connect() as connection:
            scn = self._scn(connection)
            pending = {row[0]: int(row[1]) for row in connection.execute(text(OPEN_TRANSACTIONS), {"scn": scn})}
        unknown = sorted(transaction for transaction, start in pending.items() if start <= 1)
        if unknown:
            reason = f"transactions began before the oldest log: {', '.join(unknown)}. Try again when they have ended"
            raise CdcPipelineError(reason=reason)
        return Position(offset_at(scn, pending))

    def extend_capture(self, tables: Sequence[TableId], slot: str) -> None:
        """Nothing to do: the redo log holds every table."""

    def release_capture(self, slot: str) -> None:
        """Nothing to do: the server keeps its archive logs by its own rules."""

    def _scn(self, connection: Connection) -> int:
        return int(self.scalar(connection, SCN))

    def mark(self) -> Position:
        with self.connect() as connection:
            return Position(offset_at(self._scn(connection), {}))

    def check_position(self, position: Position, slot: str) -> None:
        """Debezium itself would only warn if the log lacks the beginning of a transaction that was open."""
        with self.connect() as connection:
            oldest = self.scalar(connection, OLDEST_SCN)
        kept = oldest is not None and int(oldest) <= first_needed(position.offset)
        self.require_position(kept, position, "the archive logs that hold it are deleted")

    def reached(self, offset: Mapping[str, Any], mark: Position) -> bool:
        return has_reached(offset, int(mark.offset["scn"]))

    def is_scattered(self, shape: TableShape) -> bool:
        return True  # a heap, of which nobody has been asked

    def watermark(self, text: str) -> Watermark:
        return ScnWatermark(json.loads(text)["scn"])

    def trail(self, text: str | None) -> Trail:
        return RedoTrail.parse(text)

    @contextmanager
    def snapshots(self, shape: TableShape, most: int) -> Iterator[Sequence[OracleSnapshot]]:
        with self.connect() as connection:
            scn = self._scn(connection)
        yield [OracleSnapshot(self, scn) for _ in range(most)]
