"""The heartbeat's table in a MySQL source, whose log tells nothing of itself while nobody writes. Pure."""

from __future__ import annotations

from cdc_pipeline.databases.mysql.definition import quoted
from cdc_pipeline.databases.mysql.dialect import MySqlDialect
from cdc_pipeline.model import TableId

_DIALECT = MySqlDialect()


def create(table: TableId) -> str:
    """One row for each replication that beats there."""
    return (
        f"CREATE TABLE IF NOT EXISTS {_DIALECT.table(table)} "
        "(replication VARCHAR(100) CHARACTER SET utf8mb4 NOT NULL PRIMARY KEY, beat DATETIME(6) NOT NULL)"
    )


def beat(table: TableId, replication: str) -> str:
    """The statement that is run at each beat."""
    return (
        f"INSERT INTO {_DIALECT.table(table)} (replication, beat) VALUES ({quoted(replication)}, UTC_TIMESTAMP(6)) "
        "ON DUPLICATE KEY UPDATE beat = VALUES(beat)"
    )
