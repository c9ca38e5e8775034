"""MariaDB as a target: MySQL's way."""

from __future__ import annotations

from cdc_pipeline.databases.mariadb.database import MariaDbDatabase
from cdc_pipeline.databases.mysql.target import MySqlTarget


class MariaDbTarget(MariaDbDatabase, MySqlTarget):
    pass
