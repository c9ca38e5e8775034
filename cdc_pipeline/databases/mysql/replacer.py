"""How MySQL replaces a table: by one RENAME, which commits by itself. Views and grants go by name, and stay."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from cdc_pipeline.databases.mysql.database import DEADLOCK_OR_TIMEOUT, error_code
from cdc_pipeline.databases.replacer import REPLACED, SHADOW, Swapper, digest, like
from cdc_pipeline.errors import CdcPipelineError, ResyncOvertaken, StatementFailed
from cdc_pipeline.model import TableId

if TYPE_CHECKING:
    from cdc_pipeline.databases.mysql.target import MySqlTarget

LOCK_SECONDS = 1  # the least that the server takes
UNKNOWN_TABLE = (1051, 1146)
_KEY = re.compile(r"^  (?:(?:UNIQUE|FULLTEXT|SPATIAL) )?KEY `(?P<name>(?:[^`]|``)+)` \(`?(?P<first>(?:[^`]|``)+)`?.*$")
_NUMBERED = re.compile(r"^  `(?P<column>(?:[^`]|``)+)` .* AUTO_INCREMENT", re.MULTILINE)
_PRIMARY = re.compile(r"^  PRIMARY KEY \(`(?P<first>(?:[^`]|``)+)`", re.MULTILINE)
_NEXT_NUMBER = re.compile(r"\) ENGINE=\w+.* AUTO_INCREMENT=(?P<number>\d+)")
_CONSTRAINTS = (
    "SELECT constraint_type, constraint_name FROM information_schema.table_constraints "
    "WHERE table_schema = :schema AND table_name = :name AND constraint_type IN ('FOREIGN KEY', 'CHECK')"
)
_REFERENCES = (
    "SELECT constraint_name, table_name FROM information_schema.referential_constraints "
    "WHERE unique_constraint_schema = :schema AND referenced_table_name = :name"
)
_TRIGGERS = (
    "SELECT trigger_name FROM information_schema.triggers "
    "WHERE event_object_schema = :schema AND event_object_table = :name"
)
_KIND = "SELECT table_type, engine FROM information_schema.tables WHERE table_schema = :schema AND table_name = :name"
_LEFTOVERS = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = :schema "
    "AND (table_name LIKE :shadows OR table_name LIKE :replaced)"
)


class MySqlReplacer(Swapper):
    target: MySqlTarget
    in_transaction = False
    renames_checks = True  # a copy's CHECK constraints get names of their own, which are the whole database's

    def obstacles(self, connection: Connection, table: TableId) -> list[str]:
        """Foreign keys, also those that refer to the table, and triggers would go with the old one."""
        names = {"schema": table.schema, "name": table.name}
        kind = connection.execute(text(_KIND), names).one_or_none()
        found = [] if kind is None or kind[0] == "BASE TABLE" else [f"its being a {kind[0].lower()} table"]
        for type, name in connection.execute(text(_CONSTRAINTS), names):
            if type == "FOREIGN KEY" or self.renames_checks:
                found.append(f"{type.lower()} {name}")
        found += [f"foreign key {key} of {other}" for key, other in connection.execute(text(_REFERENCES), names)]
        found += [f"trigger {row[0]}" for row in connection.execute(text(_TRIGGERS), names)]
        granted = self.target.grants(connection)
        lacking = [right for right in ("ALTER", "DROP", "CREATE", "INSERT") if not granted.has(right, table.schema)]
        return found + ([f"this login's lacking {', '.join(lacking)}"] if lacking else [])

    def is_busy(self, error: CdcPipelineError) -> bool:
        return error.__cause__ is not None and error_code(error.__cause__) in DEADLOCK_OR_TIMEOUT

    # -- the shadow ---------------------------------------------------------------------------------------------

    def shadow(self, table: TableId, id: str, *, to_swap: bool) -> TableId:
        return TableId(table.schema, f"{SHADOW}_{digest(table)}_{id}")

    def make_shadow(self, table: TableId, shadow: TableId, names: Sequence[str], *, to_swap: bool) -> None:
        """LIKE leaves out what the obstacles are. Indexes come after the rows; the one that numbering needs stays."""
        with self.target.connect() as connection:
            connection.exec_driver_sql(f"CREATE TABLE {self.dialect.table(shadow)} LIKE {self.dialect.table(table)}")
            written = self._written(connection, table)
            number = _NEXT_NUMBER.search(written)
            changes = [f"AUTO_INCREMENT = {number['number']}"] if number else []
            changes += [f"DROP INDEX `{name}`" for name, _ in _secondary(written)]
            if changes:
                connection.exec_driver_sql(f"ALTER TABLE {self.dialect.table(shadow)} {', '.join(changes)}")

    def finish(self, table: TableId, shadow: TableId, *, anew: bool) -> list[str]:
        notes = []
        with self.target.connect() as connection:
            keys = list(_secondary(self._written(connection, table)))
            alter = f"ALTER TABLE {self.dialect.table(shadow)} "
            if not anew:
                if keys:  # in one statement, which reads the rows once
                    connection.exec_driver_sql(alter + ", ".join(f"ADD {line}" for _, line in keys))
                return []
            for name, line in keys:
                try:
                    connection.exec_driver_sql(f"{alter} ADD {line}")
                except StatementFailed as error:
                    notes.append(f"index {name} of the former table left out: {error}")
        return notes

    def fingerprint(self, connection: Connection, table: TableId) -> str:
        return re.sub(r" AUTO_INCREMENT=\d+", "", self._written(connection, table))

    def _written(self, connection: Connection, table: TableId) -> str:
        return connection.exec_driver_sql(f"SHOW CREATE TABLE {self.dialect.table(table)}").one()[1]

    # -- the replacement ----------------------------------------------------------------------------------------

    def swap(self, connection: Connection, table: TableId, shadow: TableId, fingerprint: str) -> None:
        there, new, old = (self.dialect.table(name) for name in (table, shadow, self._replaced(shadow)))
        self._wait_briefly(connection)
        if self.obstacles(connection, table) or self.fingerprint(connection, table) != fingerprint:
            raise ResyncOvertaken(table=table)
        connection.exec_driver_sql(f"RENAME TABLE {there} TO {old}, {new} TO {there}")

    def was_swapped(self, table: TableId, shadow: TableId) -> bool | None:
        """A killed process's RENAME may still be waiting in the server. So the shadow is dropped before anything is
        concluded: where that succeeds the RENAME fails, whenever it comes. Where there is no shadow, the table that it
        has replaced is there under another name."""
        with self.target.connect() as connection:
            self._wait_briefly(connection)
            try:
                connection.exec_driver_sql(f"DROP TABLE {self.dialect.table(shadow)}")
            except StatementFailed as error:
                if error.__cause__ is None or error_code(error.__cause__) not in UNKNOWN_TABLE:
                    raise
                return True if self._replaced(shadow) in self.leftovers(connection, table) else None
            return False

    def clear(self, table: TableId) -> None:
        with self.target.connect() as connection:
            self._wait_briefly(connection)
            for name in self.leftovers(connection, table):
                connection.exec_driver_sql(f"DROP TABLE IF EXISTS {self.dialect.table(name)}")

    def leftovers(self, connection: Connection, table: TableId) -> list[TableId]:
        mine = f"_{digest(table)}_"
        values = {"schema": table.schema, "shadows": like(SHADOW + mine), "replaced": like(REPLACED + mine)}
        return [TableId(table.schema, row[0]) for row in connection.execute(text(_LEFTOVERS), values)]

    @staticmethod
    def _replaced(shadow: TableId) -> TableId:
        return TableId(shadow.schema, REPLACED + shadow.name.removeprefix(SHADOW))

    @staticmethod
    def _wait_briefly(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}")


def _secondary(written: str) -> Iterator[tuple[str, str]]:
    """Of a table's SHOW CREATE TABLE: the names and lines of the indexes that it can be without while it is loaded."""
    numbered, primary = _NUMBERED.search(written), _PRIMARY.search(written)
    needed = numbered["column"] if numbered and not (primary and primary["first"] == numbered["column"]) else None
    for line in written.split("\n"):
        key = _KEY.match(line)
        if key and key["first"] != needed:
            yield key["name"], line.strip().removesuffix(",")
