"""MariaDB as a target: MySQL's way."""

from __future__ import annotations

from cdc_pipeline.databases.mariadb.database import MariaDbDatabase
from cdc_pipeline.databases.mysql.replacer import MySqlReplacer
from cdc_pipeline.databases.mysql.target import MySqlTarget


class MariaDbReplacer(MySqlReplacer):
    renames_checks = False  # their names are the table's own


class MariaDbTarget(MariaDbDatabase, MySqlTarget):
    @property
    def replacer(self) -> MariaDbReplacer:
        return MariaDbReplacer(self)
