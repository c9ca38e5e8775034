"""How Oracle replaces a table: row by row."""

from __future__ import annotations

from sqlalchemy import Connection, text

from cdc_pipeline.databases.replacer import SHADOW, Replacer, digest, like
from cdc_pipeline.model import TableId

LEFTOVERS = "SELECT table_name FROM user_tables WHERE table_name LIKE :pattern ESCAPE '\\'"


class OracleReplacer(Replacer):
    def obstacles(self, connection: Connection, table: TableId) -> list[str]:
        """A table takes another one's name in two statements, each of which commits: in between there would be none."""
        return ["Oracle's lack of a statement that exchanges two tables"]

    def shadow(self, table: TableId, id: str, *, to_swap: bool) -> TableId:
        """In the login's own schema, where it may drop tables."""
        return TableId(self.target.default_schema, f"{SHADOW}_{digest(table)}_{id}")

    def leftovers(self, connection: Connection, table: TableId) -> list[TableId]:
        found = connection.execute(text(LEFTOVERS), {"pattern": like(f"{SHADOW}_{digest(table)}_")})
        return [TableId(self.target.default_schema, row[0]) for row in found]
