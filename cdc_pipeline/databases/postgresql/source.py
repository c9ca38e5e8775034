"""PostgreSQL as a source: publication and slot, checks, snapshot and watermark (design: mechanisms 1 and 2)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any, BinaryIO

from sqlalchemy import Connection, text

from cdc_pipeline.databases.copy_text import without_control_escapes
from cdc_pipeline.databases.key_ranges import WHOLE_TABLE, Key, KeyRange, KeySet, as_key, cut
from cdc_pipeline.databases.postgresql.catalogue import unpublished
from cdc_pipeline.databases.postgresql.database import LOCK_NOT_AVAILABLE, PostgreSqlDatabase
from cdc_pipeline.databases.postgresql.definition import VERSION_18, server_version
from cdc_pipeline.databases.postgresql.dialect import SALT
from cdc_pipeline.databases.postgresql.heartbeat import PREFIX
from cdc_pipeline.databases.postgresql.identity import FULL, identity_checks, relations
from cdc_pipeline.databases.postgresql.trail import WalTrail
from cdc_pipeline.databases.postgresql.watermark import SnapshotWatermark
from cdc_pipeline.databases.source import Snapshot, Source
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.model import Check, Kind, Position, TableId, TableShape, Trail, Watermark

# A lock that waits makes later statements of the table wait behind it, so it may wait only this long at a time.
LOCK_WAIT_SECONDS = 2
LEAST_LEFT = 0.25  # of what a slot holds: room for so much more, or people are told
ORDERLY = 0.5  # a correlation of keys and places from which on a range is read in less than a walk through all


class _CopySink:
    """psycopg2 writes one row at a time here."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def write(self, row: bytes) -> None:
        self.file.write(without_control_escapes(row))


class PostgreSqlSnapshot(Snapshot):
    def __init__(self, connection: Connection, watermark: SnapshotWatermark, database: PostgreSqlSource) -> None:
        self.connection = connection
        self.watermark = watermark
        self.database = database

    def is_held(self) -> bool:
        try:
            self.database.scalar(self.connection, "SELECT 1")
        except CdcPipelineError:
            return False
        return True

    def cut(self, shape: TableShape, after: Key | None, rows: int) -> Key | None:
        row = self.connection.exec_driver_sql(cut(self.database.dialect, shape, after, rows)).first()
        return as_key(row)

    def copy_to(self, shape: TableShape, file: BinaryIO, keys: KeyRange | KeySet = WHOLE_TABLE) -> int:
        with self.database.explained(), closing(self.connection.connection.cursor()) as cursor:
            select = self.database.dialect.select(shape, keys)
            cursor.copy_expert(f"COPY ({select}) TO STDOUT", _CopySink(file), size=1 << 16)  # type: ignore[attr-defined]
            return cursor.rowcount


class PostgreSqlSource(PostgreSqlDatabase, Source):
    truncates_alone = False

    def tell_salt(self, connection: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config(%s, %s, false)", (SALT, self.hash_salt))
        connection.commit()  # a rollback would take it back

    def source_checks(self, tables: Sequence[TableShape], slot: str) -> list[Check]:
        user = self.dialect.quote(self.url.username or "")
        with self.connect() as connection:
            wal_level = self.scalar(connection, "SHOW wal_level")
            fix = f"is {wal_level}, must be logical: ALTER SYSTEM SET wal_level = logical, then restart the server"
            checks = [Check("source wal_level", "" if wal_level == "logical" else fix)]
            may = "SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user"
            fix = f"missing; run: ALTER ROLE {user} REPLICATION"
            checks.append(Check("source privilege REPLICATION", "" if self.scalar(connection, may) else fix))
            checks.append(self._slot_check(connection, slot))
            checks.append(self._publication_check(connection, slot))
            for shape in tables:
                checks += self._table_checks(connection, shape, user)
                checks += self._generated_checks(connection, shape)
        return checks

    def _slot_check(self, connection: Connection, slot: str) -> Check:
        used, ours = connection.execute(
            text("SELECT count(*), count(*) FILTER (WHERE slot_name = :slot) FROM pg_replication_slots"),
            {"slot": slot},
        ).one()
        most = int(self.scalar(connection, "SHOW max_replication_slots"))
        full = not ours and used >= most
        fix = f"none free, {used} of {most} used: drop one, or raise max_replication_slots and restart the server"
        return Check("source replication slot", fix if full else "")

    def _publication_check(self, connection: Connection, slot: str) -> Check:
        may = self.scalar(connection, "SELECT has_database_privilege(current_database(), 'CREATE')")
        if not may:
            may = self._publication_exists(connection, slot)
        database = self.dialect.quote(self.url.database or "")
        fix = f"missing; run: GRANT CREATE ON DATABASE {database} TO {self.dialect.quote(self.url.username or '')}"
        return Check("source privilege to create a publication", "" if may else fix)

    def _table_checks(self, connection: Connection, shape: TableShape, user: str) -> list[Check]:
        name = self.dialect.table(shape.table)
        readable, owned = connection.execute(
            text(
                "SELECT has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(c.relnamespace, 'USAGE'), "
                "pg_has_role(c.relowner, 'USAGE') FROM pg_class c "
                "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND c.relname = :name"
            ),
            {"schema": shape.table.schema, "name": shape.table.name},
        ).one()
        fix = f"{user} may not read it; run: GRANT USAGE ON SCHEMA … and GRANT SELECT ON {name} TO {user}"
        checks = [Check(f"source table {shape.table} readable", "" if readable else fix)]
        fix = f"a publication needs its owner; run: ALTER TABLE {name} OWNER TO {user}, or GRANT its owner TO {user}"
        checks.append(Check(f"source table {shape.table} publishable", "" if owned else fix))
        return [*checks, *identity_checks(self.dialect, shape, relations(connection, shape.table))]

    def _generated_checks(self, connection: Connection, shape: TableShape) -> list[Check]:
        """A generated column that is not published is computed by the target as well, if it can; and the source must
        not need its value to tell rows by: it would refuse the application's own UPDATEs and DELETEs."""
        generated = unpublished(connection, shape.table)
        if not generated:
            return []
        names, name = ", ".join(generated), self.dialect.table(shape.table)
        problem = ""
        if self.target_family not in (None, self.definer.family):
            problem = f"the server does not publish {names}, and the target cannot compute it; make it STORED on a "
            problem += "server of version 18 or later, or drop it"
        elif server_version(connection) >= VERSION_18 and any(
            relation.identity == FULL for relation in relations(connection, shape.table)
        ):
            problem = "PostgreSQL refuses UPDATE and DELETE of a published table whose REPLICA IDENTITY FULL holds the "
            problem += f"virtual column {names}; make it STORED, or run: ALTER TABLE {name} REPLICA IDENTITY DEFAULT"
        return [Check(f"source table {shape.table} generated columns", problem)]

    def _publication_exists(self, connection: Connection, name: str) -> bool:
        query = text("SELECT count(*) FROM pg_publication WHERE pubname = :name")
        return bool(connection.execute(query, {"name": name}).scalar())

    def prepare_capture(self, tables: Sequence[TableId], slot: str) -> Position:
        """Publication first, then the slot: creating a slot waits for every transaction that began before, so all
        changes after it are decoded with the publication in force."""
        self.extend_capture(tables, slot)
        with self.connect() as connection:
            query = text("SELECT confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE slot_name = :slot")
            lsn = connection.execute(query, {"slot": slot}).scalar()
            connection.commit()
            if lsn is None:
                create = text("SELECT lsn - '0/0' FROM pg_create_logical_replication_slot(:slot, 'pgoutput')")
                lsn = connection.execute(create, {"slot": slot}).scalar_one()
                connection.commit()
        return Position({"lsn": int(lsn)})

    def extend_capture(self, tables: Sequence[TableId], slot: str) -> None:
        publication = self.dialect.quote(slot)
        with self.connect() as connection:
            exists = self._publication_exists(connection, slot)
            # A change in a partition comes under the name of the partitioned table, in its columns.
            options = "publish_via_partition_root = true"
            options += ", publish_generated_columns = stored" if server_version(connection) >= VERSION_18 else ""
            # An earlier version of ours may have made it without, and then it names the partitions. Not each time: that
            # is a transaction, and a copy that was killed goes on only where there was none.
            if exists and not self._has_options(connection, slot):
                connection.exec_driver_sql(f"ALTER PUBLICATION {publication} SET ({options})")
            query = text("SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = :name")
            published = {TableId(*row) for row in connection.execute(query, {"name": slot})}
            missing = ", ".join(self.dialect.table(t) for t in tables if t not in published)
            if not exists:
                connection.exec_driver_sql(f"CREATE PUBLICATION {publication} FOR TABLE {missing} WITH ({options})")
            elif missing:
                connection.exec_driver_sql(f"ALTER PUBLICATION {publication} ADD TABLE {missing}")
            connection.commit()
            if exists and missing:
                self._wait_for_older_transactions(connection)

    def _has_options(self, connection: Connection, publication: str) -> bool:
        stored = "pubgencols = 's'" if server_version(connection) >= VERSION_18 else "true"
        query = text(f"SELECT pubviaroot AND {stored} FROM pg_publication WHERE pubname = :name")
        return bool(connection.execute(query, {"name": publication}).scalar())

    def _wait_for_older_transactions(self, connection: Connection) -> None:
        """A change made before the publication knew its table is not decoded, though its transaction may commit
        after it; so nothing may be copied until every transaction of that time has ended."""
        limit = int(self.scalar(connection, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"))
        connection.commit()
        while int(self.scalar(connection, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text")) < limit:
            connection.commit()
            time.sleep(0.1)

    def release_capture(self, slot: str) -> None:
        with self.connect() as connection:
            drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = :slot"
            connection.execute(text(drop), {"slot": slot})
            connection.exec_driver_sql(f"DROP PUBLICATION IF EXISTS {self.dialect.quote(slot)}")
            connection.commit()

    def check_position(self, position: Position, slot: str) -> None:
        query = text("SELECT wal_status, confirmed_flush_lsn - '0/0' FROM pg_replication_slots WHERE slot_name = :slot")
        with self.connect() as connection:
            row = connection.execute(query, {"slot": slot}).one_or_none()
        self.require_position(row is not None, position, f"the replication slot {slot} is gone")
        if row is not None:
            self.require_position(row[0] != "lost", position, f"slot {slot} is lost (see max_slot_wal_keep_size)")

    def log_problem(self, slot: str, offset: Mapping[str, Any], lag_seconds: float, most_mb: int) -> str:
        """`safe_wal_size` is NULL where no limit is set (max_slot_wal_keep_size)."""
        query = text(
            "SELECT wal_status, safe_wal_size, pg_current_wal_lsn() - restart_lsn "
            "FROM pg_replication_slots WHERE slot_name = :slot"
        )
        with self.connect() as connection:
            row = connection.execute(query, {"slot": slot}).one_or_none()
        if row is None:
            return f"The replication slot {slot} is gone"
        status, left, kept = row[0], row[1], int(row[2] or 0)
        if status in ("unreserved", "lost"):
            return f"The source's log for slot {slot} is {status} (see max_slot_wal_keep_size)"
        if left is not None and int(left) < kept * LEAST_LEFT:
            return f"Slot {slot} holds {kept >> 20} MiB of the source's log, with room for {int(left) >> 20} MiB more"
        if kept >> 20 > most_mb:
            return f"Slot {slot} holds {kept >> 20} MiB of the source's log, more than {most_mb} MiB"
        return ""

    def mark(self) -> Position:
        """A logical message: the connector reports its position even if no table changes, and it needs no table."""
        with self.connect() as connection:
            lsn = self.scalar(connection, f"SELECT pg_logical_emit_message(true, '{PREFIX}', 'mark') - '0/0'")
            connection.commit()
        return Position({"lsn": int(lsn)})

    def clock(self) -> float:
        with self.connect() as connection:
            return float(self.scalar(connection, "SELECT extract(epoch FROM clock_timestamp())"))

    def reached(self, offset: Mapping[str, Any], mark: Position) -> bool:
        # Events come in the order of commits, and an event's LSN lies before its commit's: so an LSN at or after
        # the mark belongs to a transaction that committed after the mark, and all before it have been delivered.
        return int(offset.get("lsn") or 0) >= mark.offset["lsn"]

    def watermark(self, text: str) -> Watermark:
        return SnapshotWatermark.parse(text)

    def transaction_name(self, id: str) -> str:
        """The transaction's number; behind it stands the LSN, of each event its own."""
        return id.partition(":")[0]

    def trail(self, text: str | None) -> Trail:
        return WalTrail.parse(text)

    def is_scattered(self, shape: TableShape) -> bool:
        """By the statistics of the key's first column (pg_stats: 1 and -1 are the key's own order); where there are
        none, numbers and times are taken to be in the order in which rows came."""
        first = shape.key_columns[0].source
        query = text(
            "SELECT correlation FROM pg_stats WHERE schemaname = :schema AND tablename = :name AND attname = :column"
        )
        place = {"schema": shape.table.schema, "name": shape.table.name, "column": first.name}
        with self.connect() as connection:
            correlation = connection.execute(query, place).scalar()
        if correlation is None:
            return first.canonical.kind in (Kind.TEXT, Kind.UUID, Kind.BINARY)
        return abs(correlation) < ORDERLY

    @contextmanager
    def snapshots(self, shape: TableShape, most: int) -> Iterator[Sequence[PostgreSqlSnapshot]]:
        """The first reader's transaction takes the snapshot, and hands it to the others. All lock the table before: of
        one that is rewritten after a snapshot was taken, that sees no rows."""
        with ExitStack() as stack:
            first, *others = readers = [stack.enter_context(self._reader()) for _ in range(most)]
            while not all(self._locked(reader, shape.table) for reader in readers):
                for reader in readers:  # an ALTER TABLE may wait for those that have the lock
                    reader.rollback()
                time.sleep(LOCK_WAIT_SECONDS)
            watermark = SnapshotWatermark.parse(self.scalar(first, "SELECT pg_current_snapshot()::text"))
            if others:
                exported = self.scalar(first, "SELECT pg_export_snapshot()")
                for other in others:
                    other.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{exported}'")
            yield [PostgreSqlSnapshot(reader, watermark, self) for reader in readers]

    def _locked(self, reader: Connection, table: TableId) -> bool:
        reader.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_WAIT_SECONDS}s'")
        try:
            reader.exec_driver_sql(f"LOCK TABLE {self.dialect.table(table)} IN ACCESS SHARE MODE")
        except CdcPipelineError as error:
            if getattr(error.__cause__, "pgcode", None) != LOCK_NOT_AVAILABLE:
                raise
            return False
        reader.exec_driver_sql("SET LOCAL lock_timeout = 0")
        return True

    def _reader(self) -> Connection:
        return self.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
