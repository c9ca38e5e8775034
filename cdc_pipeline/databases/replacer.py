"""How a target table is replaced while others read it.

A re-sync loads a *shadow*, a table beside the one that serves. Then the shadow takes its place, or, where something
hangs on the table that would not follow (a view, a trigger, …), only its rows do. Shadows have names of their own, so
that nobody ever takes one attempt's for another's: `<prefix>_<hash of the table>_<id of the attempt>`.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.model import TableId

if TYPE_CHECKING:
    from cdc_pipeline.databases.target import Target

SHADOW, REPLACED = "_cdc_pipeline_new", "_cdc_pipeline_old"


class Replacer(ABC):
    """Replaces rows. What else a database can do is its Swapper's.

    Order of calls: `obstacles` (and `problem_in_place`, if there are any), then `clear`, `make_room`, `make_shadow`,
    the load into the shadow, `replace_rows` (or a Swapper's `finish` and `swap`); `clear` at the end.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.dialect = target.dialect

    @abstractmethod
    def obstacles(self, connection: Connection, table: TableId) -> list[str]:
        """What would not survive if another table took this one's place. Empty: it can be swapped."""

    def problem_in_place(self, connection: Connection, table: TableId) -> str:
        """Why its rows cannot be deleted and inserted in one transaction either."""
        return ""

    def is_busy(self, error: CdcPipelineError) -> bool:
        """Whether a statement failed, and changed nothing, because others held a lock for too long."""
        return False

    # -- the shadow ---------------------------------------------------------------------------------------------

    @abstractmethod
    def shadow(self, table: TableId, id: str, *, to_swap: bool) -> TableId:
        """What this attempt's is called."""

    def make_room(self, shadow: TableId) -> None:  # noqa: B027 - most have nothing to do
        """What must be there before the shadow is made."""

    def make_shadow(self, table: TableId, shadow: TableId, names: Sequence[str], *, to_swap: bool) -> None:
        """An empty table that takes these columns' values, of the very same types. One that is to be swapped carries
        whatever the table does, but for what `finish` adds after the load."""
        columns, there = self.dialect.columns(names), self.dialect.table(table)
        with self.target.connect() as connection:
            connection.exec_driver_sql(
                f"CREATE TABLE {self.dialect.table(shadow)} AS SELECT {columns} FROM {there} WHERE 1 = 0"
            )
            connection.commit()

    # -- the replacement ----------------------------------------------------------------------------------------

    def was_swapped(self, table: TableId, shadow: TableId) -> bool | None:
        """Of a `swap` that commits by itself: whether it happened. If it did not, it will not any more. None: there is
        nothing left that would tell."""
        return False

    def replace_rows(self, connection: Connection, table: TableId, shadow: TableId, names: Sequence[str]) -> None:
        """In the caller's transaction. Readers see the old rows until it commits."""
        columns, there = self.dialect.columns(names), self.dialect.table(table)
        connection.exec_driver_sql(f"DELETE FROM {there}")
        connection.exec_driver_sql(
            f"INSERT INTO {there} ({columns}) SELECT {columns} FROM {self.dialect.table(shadow)}"
        )

    # -- what is left -------------------------------------------------------------------------------------------

    def clear(self, table: TableId) -> None:
        """Drop the table's shadows, and tables that shadows replaced, whoever left them. Harmless if there are none.
        Call while the table is held."""
        with self.target.connect() as connection:
            for name in self.leftovers(connection, table):
                connection.exec_driver_sql(f"DROP TABLE {self.dialect.table(name)}")
            connection.commit()

    @abstractmethod
    def leftovers(self, connection: Connection, table: TableId) -> list[TableId]: ...


class Swapper(Replacer):
    """Of databases that can put another table in the place of one, for readers at once."""

    in_transaction: bool  # whether a swap can be rolled back; else it commits by itself

    @abstractmethod
    def finish(self, table: TableId, shadow: TableId, *, anew: bool) -> list[str]:
        """After the load: the table's indexes and the like. `anew`: the shadow's columns are not the table's, so what
        does not fit them is left out. Returns notes on that."""

    @abstractmethod
    def fingerprint(self, connection: Connection, table: TableId) -> str:
        """Changes whenever somebody alters the table."""

    @abstractmethod
    def swap(self, connection: Connection, table: TableId, shadow: TableId, fingerprint: str) -> None:
        """Raises ResyncOvertaken if the table has another fingerprint than when the shadow was made like it. Waits for
        locks for a moment only, because everybody else queues behind us meanwhile; then fails with an error that
        `is_busy`."""


def digest(table: TableId) -> str:
    return hashlib.sha256(f"{table.schema}\0{table.name}".encode()).hexdigest()[:12]


def like(prefix: str) -> str:
    """The LIKE pattern of names that begin so."""
    return prefix.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%") + "%"
