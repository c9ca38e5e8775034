"""How PostgreSQL replaces a table: in one transaction, with everything that hangs on it or not at all.

A shadow has a schema of its own, so that it, its indexes, constraints and sequences have their final names from the
beginning: ALTER TABLE … SET SCHEMA takes them all along.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from cdc_pipeline.databases.postgresql import belongings
from cdc_pipeline.databases.postgresql.database import DEADLOCK, LOCK_NOT_AVAILABLE
from cdc_pipeline.databases.postgresql.definition import quoted
from cdc_pipeline.databases.replacer import Swapper, digest, like
from cdc_pipeline.errors import CdcPipelineError, ResyncOvertaken, StatementFailed
from cdc_pipeline.model import TableId

LOCK_MILLISECONDS = 200
STATE_SCHEMA = "cdc_pipeline"


class PostgreSqlReplacer(Swapper):
    in_transaction = True

    def obstacles(self, connection: Connection, table: TableId) -> list[str]:
        may = connection.exec_driver_sql("SELECT has_database_privilege(current_database(), 'CREATE')").scalar()
        lacking = [] if may else ["this login may not CREATE a schema for the new table in the database"]
        return lacking + belongings.obstacles(connection, table)

    def problem_in_place(self, connection: Connection, table: TableId) -> str:
        keys = belongings.enforced_references(connection, table)
        return f"rows refer to its rows, by {', '.join(keys)}" if keys else ""

    def is_busy(self, error: CdcPipelineError) -> bool:
        return getattr(error.__cause__, "pgcode", None) in (LOCK_NOT_AVAILABLE, DEADLOCK)

    # -- the shadow ---------------------------------------------------------------------------------------------

    def shadow(self, table: TableId, id: str, *, to_swap: bool) -> TableId:
        """One that is not to be swapped needs no schema, which not every login may make."""
        name = f"{STATE_SCHEMA}_{digest(table)}_{id}"
        return TableId(name, table.name) if to_swap else TableId(STATE_SCHEMA, name)

    def make_room(self, shadow: TableId) -> None:
        if shadow.schema == STATE_SCHEMA:
            return
        with self.target.connect() as connection:
            connection.exec_driver_sql(f"CREATE SCHEMA {self.dialect.quote(shadow.schema)}")
            connection.commit()

    def make_shadow(self, table: TableId, shadow: TableId, names: Sequence[str], *, to_swap: bool) -> None:
        there, new = self.dialect.table(table), self.dialect.table(shadow)
        options = " INCLUDING ALL EXCLUDING INDEXES EXCLUDING STATISTICS" if to_swap else ""
        with self.target.connect() as connection:
            connection.exec_driver_sql(f"CREATE TABLE {new} (LIKE {there}{options})")
            connection.commit()

    def finish(self, table: TableId, shadow: TableId, *, anew: bool) -> list[str]:
        notes = []
        with self.target.connect() as connection:
            for name, sql in belongings.indexes_and_keys(self.dialect, connection, table, shadow, anew=anew):
                try:
                    connection.exec_driver_sql(sql)
                except StatementFailed as error:
                    connection.rollback()
                    if not anew:
                        raise
                    notes.append(f"{name} of the former table left out: {error}")
                connection.commit()
        return notes

    def fingerprint(self, connection: Connection, table: TableId) -> str:
        return belongings.fingerprint(connection, table)

    # -- the replacement ----------------------------------------------------------------------------------------

    def swap(self, connection: Connection, table: TableId, shadow: TableId, fingerprint: str) -> None:
        there, new, quote = self.dialect.table(table), self.dialect.table(shadow), self.dialect.quote
        # In force for all that follows: whatever else has to be waited for, nobody waits longer for us.
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_MILLISECONDS}ms'")
        connection.exec_driver_sql(f"LOCK TABLE {there} IN ACCESS EXCLUSIVE MODE")
        if self.obstacles(connection, table) or self.fingerprint(connection, table) != fingerprint:
            raise ResyncOvertaken(table=table)  # by somebody who has altered it since
        for sql in belongings.carried_over(self.dialect, connection, table, shadow):
            connection.exec_driver_sql(sql)
        renamed = belongings.renamed(self.dialect, connection, table, shadow)
        owned = belongings.own_sequences(self.dialect, connection, table, shadow)
        for sequence, _ in owned:  # they stay, with their grants and numbers, and go to the new table
            connection.exec_driver_sql(f"ALTER SEQUENCE {sequence} OWNED BY NONE")
        # Without CASCADE: what depends on the table, and was overlooked, stops us here, and all is as it was.
        connection.exec_driver_sql(f"DROP TABLE {there}")
        for sql in renamed:
            connection.exec_driver_sql(sql)
        connection.exec_driver_sql(f"ALTER TABLE {new} SET SCHEMA {quote(table.schema)}")
        for sequence, column in owned:
            connection.exec_driver_sql(f"ALTER SEQUENCE {sequence} OWNED BY {there}.{quote(column)}")
        connection.exec_driver_sql(f"DROP SCHEMA {quote(shadow.schema)}")

    def replace_rows(self, connection: Connection, table: TableId, shadow: TableId, names: Sequence[str]) -> None:
        # Those that cannot be deferred, and would object half-way, are the `problem_in_place`.
        connection.exec_driver_sql("SET CONSTRAINTS ALL DEFERRED")
        super().replace_rows(connection, table, shadow, names)

    # -- what is left -------------------------------------------------------------------------------------------

    def clear(self, table: TableId) -> None:
        begin = like(f"{STATE_SCHEMA}_{digest(table)}_")
        with self.target.connect() as connection:
            schemas = text("SELECT nspname FROM pg_namespace WHERE nspname LIKE :begin")
            for name in connection.execute(schemas, {"begin": begin}).scalars().all():
                connection.exec_driver_sql(f"DROP SCHEMA {self.dialect.quote(name)} CASCADE")
            for name in self.leftovers(connection, table):
                connection.exec_driver_sql(f"DROP TABLE {self.dialect.table(name)}")
            connection.commit()

    def leftovers(self, connection: Connection, table: TableId) -> list[TableId]:
        query = text(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE n.nspname = {quoted(STATE_SCHEMA)} AND c.relkind = 'r' AND c.relname LIKE :begin"
        )
        found = connection.execute(query, {"begin": like(f"{STATE_SCHEMA}_{digest(table)}_")})
        return [TableId(STATE_SCHEMA, row[0]) for row in found]
