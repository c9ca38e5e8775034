"""MariaDB's SQL. Pure: names and types in, strings out."""

from __future__ import annotations

import re

from cdc_pipeline.databases.mysql.dialect import MySqlDialect
from cdc_pipeline.model import Column, ColumnType, Kind

# Measured with Debezium 3.4. The log leaves out a uuid's last bytes where they are zero, and the rest is shifted.
_REFUSED = {
    "uuid": "Debezium garbles one value in 256; ALTER TABLE … MODIFY the column to CHAR(36)",
    "inet4": "Debezium does not know it; ALTER TABLE … MODIFY the column to VARCHAR(15)",
    "inet6": "Debezium does not know it; ALTER TABLE … MODIFY the column to VARCHAR(45)",
}
_COMPRESSED = re.compile(r"/\*M!\d+ compressed\*/", re.IGNORECASE)


class MariaDbDialect(MySqlDialect):
    """JSON is a name of LONGTEXT here, so it is the text that was written."""

    name = "mariadb"

    def canonical_type(self, declared: str) -> ColumnType | None:
        return None if _COMPRESSED.search(declared) else super().canonical_type(declared)

    def refusal(self, declared: str) -> str:
        if _COMPRESSED.search(declared):
            return "Debezium cannot read compressed columns; ALTER TABLE … MODIFY the column without COMPRESSED"
        return _REFUSED.get(declared.lower().split()[0], super().refusal(declared))

    def column_type(self, type: ColumnType, *, in_key: bool) -> str:
        if type.kind is Kind.JSON:
            return super().column_type(ColumnType(Kind.TEXT), in_key=False)
        declared = super().column_type(type, in_key=in_key)
        return "GEOMETRYCOLLECTION" if declared == "GEOMCOLLECTION" else declared  # MySQL 8's name of it

    def read(self, column: Column) -> str:
        if column.canonical.kind is Kind.INSTANT:
            return _with_epoch(self.quote(column.name))
        return super().read(column)

    def compare(self, name: str, type: ColumnType) -> str:
        if type.kind is Kind.INSTANT:
            return f"DATE_FORMAT({_with_epoch(name)}, '%Y-%m-%d %H:%i:%s.%f')"
        if type.kind is Kind.JSON and type.size == 64:
            # A blank after each comma and colon, as MySQL writes it; and its whole doubles, as its dialect says.
            return f"REGEXP_REPLACE(JSON_LOOSE({name}), '([0-9])[.]0([],}}]|$)', '\\\\1\\\\2')"
        return super().compare(name, type)


def _with_epoch(name: str) -> str:
    """MariaDB keeps the zero of a TIMESTAMP as second 0, and that is what Debezium tells, so a copy has to do the same.
    No other value is that second: the first one is a microsecond later."""
    return f"IF(YEAR({name}) = 0, '1970-01-01 00:00:00', {name})"
