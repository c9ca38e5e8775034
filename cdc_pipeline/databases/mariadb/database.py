"""The connection to a MariaDB server."""

from __future__ import annotations

from sqlalchemy import Connection

from cdc_pipeline.databases.mariadb.dialect import MariaDbDialect
from cdc_pipeline.databases.mysql.database import MySqlDatabase
from cdc_pipeline.databases.mysql.grants import Grants


class MariaDbGrants(Grants):
    def statement(self, connection: Connection) -> str:
        """Without FOR, it tells what the active role and PUBLIC may do as well; USING does not exist."""
        return "SHOW GRANTS"


class MariaDbDatabase(MySqlDatabase):
    dialect = MariaDbDialect()
    grants = MariaDbGrants
    table_types = ("BASE TABLE", "SYSTEM VERSIONED")
    driver = "mariadb+pymysql"
    isolation_variable = "tx_isolation"  # the name that versions before 11.1 have too
