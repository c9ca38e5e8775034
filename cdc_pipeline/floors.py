"""The oldest versions that the pipeline works with, which step 1 enforces. docs/compatibility.md says which ones were
tried; what is newer than those is taken for good until somebody finds otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cdc_pipeline.model import Check

_NUMBERS = re.compile(r"\d+(?:\.\d+)*")


@dataclass(frozen=True)
class Floor:
    """`oldest` is the first version that is taken, as people write it; `reason` says what an older one lacks."""

    product: str
    oldest: str
    reason: str

    def check(self, name: str, version: str) -> Check:
        """Of a version as the server tells it, such as `10.11.5-MariaDB-log` or `3.7.0.Final`."""
        told = version or "an unknown version"
        fix = f"is {self.product} {told}, must be {self.oldest} or later: {self.reason}"
        return Check(name, "" if _numbers(version) >= _numbers(self.oldest) else fix)


# By the name of a database in a URL. Oracle's is in databases/oracle.
DATABASES: Mapping[str, Floor] = {
    "mysql": Floor("MySQL", "8.0", "no older one was tried"),
    "mariadb": Floor("MariaDB", "10.5", "10.4 has no privilege BINLOG MONITOR"),
    "postgresql": Floor("PostgreSQL", "13", "12 publishes no partitioned table"),
}
CONNECT = Floor(
    "Kafka Connect", "3.5", "an older worker puts a column's default in the place of a NULL (KIP-581); upgrade it"
)
# By a connector's class.
PLUGINS: Mapping[str, Floor] = {
    "io.debezium.connector.postgresql.PostgresConnector": Floor(
        "the plugin", "3.7.0", "3.6 loses rows of a COPY when it restarts amid it; install a newer one in the worker"
    ),
    "io.debezium.connector.mysql.MySqlConnector": Floor(
        "the plugin", "3.6.1", "2.7.4 fails on MySQL 9.7, nothing between was tried; install a newer one in the worker"
    ),
    "io.debezium.connector.mariadb.MariaDbConnector": Floor(
        "the plugin", "3.4.0", "no older one was tried; install a newer one in the worker"
    ),
}


def database_check(name: str, kind: str, version: str) -> Check | None:
    """Of the server behind a URL of this kind. None for a kind that looks itself."""
    if kind not in DATABASES:
        return None
    is_mariadb = "mariadb" in version.lower()
    if kind == "mysql" and is_mariadb:
        return Check(name, f"is MariaDB ({version}); let its URL begin with mariadb://")
    if kind == "mariadb" and not is_mariadb:
        return Check(name, f"is no MariaDB ({version}); let its URL begin with mysql://")
    return DATABASES[kind].check(name, version)


def _numbers(version: str) -> tuple[int, ...]:
    match = _NUMBERS.search(version)
    return tuple(int(number) for number in match[0].split(".")) if match else ()
