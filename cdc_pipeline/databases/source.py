"""What a database must offer to be a source: a position in its log, and snapshots with their watermarks."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, BinaryIO

from sqlalchemy import Connection, Engine, event

from cdc_pipeline.databases.database import Database
from cdc_pipeline.databases.definition import Definition
from cdc_pipeline.databases.key_ranges import WHOLE_TABLE, Key, KeyRange, KeySet
from cdc_pipeline.databases.projected import carried, of_source
from cdc_pipeline.errors import PositionLost
from cdc_pipeline.model import Check, Position, TableId, TableShape, Trail, Watermark


class Snapshot(ABC):
    """A reader of one consistent view of one table, with the watermark that says which transactions that holds."""

    watermark: Watermark

    @abstractmethod
    def is_held(self) -> bool:
        """Whether it can still be read."""

    @abstractmethod
    def cut(self, shape: TableShape, after: Key | None, rows: int) -> Key | None:
        """The key at which a range of so many rows ends that begins after this one; None if there are fewer. Asked in
        the reader's own session: another one would wait behind an ALTER TABLE that waits for the reader."""

    def arranged(self, shape: TableShape) -> TableShape:
        """The shape with its columns in the order in which they are read fastest."""
        return shape

    @abstractmethod
    def copy_to(self, shape: TableShape, file: BinaryIO, keys: KeyRange | KeySet = WHOLE_TABLE) -> int:
        """Write every row of this range as COPY text; returns how many. Memory does not grow with the table."""


class Source(Database):
    """A database whose changes are captured.

    Order of calls: `source_checks`, `prepare_capture` once before the first row of any table is read, `snapshot`
    per table. A position that `prepare_capture` returned stays readable in the log until `release_capture`
    (PostgreSQL), or as long as the server keeps its logs, which `check_position` tells.
    """

    hash_salt: str = ""
    truncates_alone = True  # TRUNCATE is a transaction of its own, of which Debezium may not tell the end
    target_family: str | None = None  # of the database that the changes are for; None where nobody has said so
    needs_exact_watermark = False  # where events may not be applied to rows that have seen them, harmless as that is

    def new_engine(self, **pool: Any) -> Engine:
        engine = super().new_engine(**pool)
        if self.hash_salt:
            event.listen(engine, "connect", lambda connection, _: self.tell_salt(connection))
        return engine

    def renew_session(self, connection: Any) -> None:
        super().renew_session(connection)
        if self.hash_salt:
            self.tell_salt(connection)

    @abstractmethod
    def tell_salt(self, connection: Any) -> None:
        """Set the session's variable that the dialect's `sha256` reads, through the driver's own connection: so no
        statement has the secret, which servers show and errors quote."""

    def count_replicated(self, shape: TableShape) -> int:
        return self.count_rows(f"{self.dialect.table(shape.table)}{self.dialect.where(shape)}")

    def read_definition(self, connection: Connection, shape: TableShape) -> Definition:
        """What the target can have of it, where the owner chose to replicate something else than the table itself."""
        return carried(super().read_definition(connection, of_source(shape)), shape)

    @abstractmethod
    def source_checks(self, tables: Sequence[TableShape], slot: str) -> list[Check]: ...

    @abstractmethod
    def prepare_capture(self, tables: Sequence[TableId], slot: str) -> Position:
        """The position from which on every change can be captured. Creates what holds it there (a slot), once."""

    @abstractmethod
    def extend_capture(self, tables: Sequence[TableId], slot: str) -> None:
        """From its return on, every transaction's changes of these further tables are captured too."""

    @abstractmethod
    def release_capture(self, slot: str) -> None:
        """Give up what `prepare_capture` made. Harmless if there is nothing."""

    @abstractmethod
    def check_position(self, position: Position, slot: str) -> None:
        """Raises PositionLost if the log no longer reaches back to it."""

    def log_problem(self, slot: str, offset: Mapping[str, Any], lag_seconds: float, most_mb: int) -> str:
        """What is about to happen to the log that a connector with this offset has yet to read; empty if nothing is.
        `most_mb` is how much of it may be kept for us."""
        return ""

    @abstractmethod
    def mark(self) -> Position:
        """A position at or after every transaction that has committed by now; a connector will reach it even if
        nothing more is written."""

    def clock(self) -> float:
        """Seconds since 1970, by the server's clock where it sends heartbeats: theirs are the times to compare."""
        return time.time()

    def heartbeat_checks(self, table: TableId) -> list[Check]:
        """Whether the connector may beat in this table, or we may make it."""
        return []

    def prepare_heartbeat(self, table: TableId) -> None:
        """Make the table of the heartbeats. Harmless if it is there."""

    def beat(self, table: TableId, replication: str) -> None:
        """Write the replication's row of the heartbeats' table."""

    def stir(self) -> None:
        """Make an idle log move, if this login may: for those who wait for a connector to report its position."""

    @abstractmethod
    def reached(self, offset: Mapping[str, Any], mark: Position) -> bool:
        """Whether a connector with this offset has delivered everything up to the mark."""

    @abstractmethod
    def snapshots(self, shape: TableShape, most: int) -> AbstractContextManager[Sequence[Snapshot]]:
        """Readers of one snapshot, at most so many and at least one; each is for one thread. All of them keep the table
        from being altered: else one could wait for an ALTER TABLE that waits for another."""

    @contextmanager
    def snapshot(self, shape: TableShape) -> Iterator[Snapshot]:
        with self.snapshots(shape, 1) as readers:
            yield readers[0]

    def is_scattered(self, shape: TableShape) -> bool:
        """Whether rows that follow each other in the key's order lie apart, so that to read a range of them is to walk
        through the whole table."""
        return False

    @abstractmethod
    def watermark(self, text: str) -> Watermark:
        """The watermark that `to_text` wrote."""

    def transaction_name(self, id: str) -> str:
        """What the begin, the events and the end of a transaction have in common of what Debezium calls its `id`."""
        return id

    @abstractmethod
    def trail(self, text: str | None) -> Trail:
        """The trail that `to_text` wrote; of a topic of which nothing is known, a new one."""

    def require_position(self, available: bool, position: Position, reason: str) -> None:
        if not available:
            raise PositionLost(position=position.to_text(), reason=reason)
