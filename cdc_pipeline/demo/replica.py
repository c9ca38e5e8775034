"""The demo's replication: its databases, its two logins with the least that they need, and its file."""

from __future__ import annotations

import secrets
from pathlib import Path

import psycopg2
import pymysql
from psycopg2 import sql
from pymysql.connections import Connection
from sqlalchemy.engine import URL, make_url

from cdc_pipeline.config import ReplicationConfig, load_replication
from cdc_pipeline.demo import shop
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.local.site import demos_replications, secrets_folder, write_private
from cdc_pipeline.local.stack import Endpoints
from cdc_pipeline.replication import Replication

SOURCE, TARGET, LOGIN = "shop", "dwh", "cdc"
SOURCE_PASSWORD_FILE, TARGET_PASSWORD_FILE = "shop-source.password", "dwh.password"

REPLICATION = """\
# Written by the demo, anew each time.
client: 2
database: 5
config: 6
source: {{url: "{source}", password_file: "{secrets}/{source_file}"}}
target: {{url: "{target}", password_file: "{target_password}"}}
kafka: {{bootstrap_servers: "{kafka}"}}
# In place of the password, the connector's JSON has this reference, which the Connect worker resolves.
connect: {{url: "{connect}", source_password: "${{directory:{secrets}:{source_file}}}"}}
connector:
  # The table definitions are read without a global read lock: nobody who writes the shop has to wait.
  snapshot.locking.mode: none
tables: [{tables}]
"""


class Servers:
    """The stack's databases, as their administrators see them."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.mysql_url = _present("mysql", endpoints.mysql)
        self.postgresql_url = _present("postgresql", endpoints.postgresql)
        self.kafka = str(endpoints.kafka)
        self.connect_url = str(endpoints.connect)

    def shop(self) -> Connection:
        """A connection of the shop's own application, which writes it."""
        return self.mysql(SOURCE)

    def mysql(self, database: str | None = None) -> Connection:
        url = self.mysql_url
        return pymysql.connect(
            host=url.host, port=url.port or 0, user=url.username, password=str(url.password), database=database,
            charset="utf8mb4",
        )  # fmt: skip

    def postgresql(self) -> psycopg2.extensions.connection:
        url = self.postgresql_url
        connection = psycopg2.connect(
            host=url.host, port=url.port, user=url.username, password=url.password, dbname="postgres"
        )
        connection.autocommit = True  # CREATE DATABASE does not run in a transaction
        return connection


def _present(server: str, url: str | None) -> URL:
    if url is None:
        raise CdcPipelineError(reason=f"{server} does not answer any more.")
    return make_url(url)


def prepare(servers: Servers, home: Path) -> Replication:
    """An empty shop, an empty target, fresh logins and the replication between them.

    Works on what an earlier demo left, also one that was killed: its connector, topics and state are removed first,
    while its tables still say what they are.
    """
    passwords = {SOURCE: secrets.token_urlsafe(24), TARGET: secrets.token_urlsafe(24)}
    make_source(servers, passwords[SOURCE])
    make_target(servers, passwords[TARGET])
    write_private(secrets_folder(home) / SOURCE_PASSWORD_FILE, passwords[SOURCE])
    write_private(home / "demo" / TARGET_PASSWORD_FILE, passwords[TARGET])  # which Connect need not read
    config = write_replication(servers, home)
    Replication(config).teardown()
    empty(servers)
    return Replication(config)


def make_source(servers: Servers, password: str) -> None:
    """The database `shop`, and a login that may read and follow it, but not change it."""
    with servers.mysql() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS {SOURCE}")
        cursor.execute(f"DROP USER IF EXISTS '{LOGIN}'@'%'")
        cursor.execute(f"CREATE USER '{LOGIN}'@'%%' IDENTIFIED BY %s", (password,))
        # LOCK TABLES: for the moment in which a snapshot of one table is taken.
        cursor.execute(f"GRANT SELECT, LOCK TABLES ON {SOURCE}.* TO '{LOGIN}'@'%'")
        cursor.execute(f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{LOGIN}'@'%'")
        # Not needed: with it, waiting until an idle server is caught up takes seconds instead of most of a minute.
        cursor.execute(f"GRANT RELOAD ON *.* TO '{LOGIN}'@'%'")


def make_target(servers: Servers, password: str) -> None:
    """The database `dwh`, owned by a login that can do nothing else."""
    login, database = sql.Identifier(LOGIN), sql.Identifier(TARGET)
    connection = servers.postgresql()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (LOGIN,))
            verb = sql.SQL("CREATE" if cursor.fetchone() is None else "ALTER")
            cursor.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD %s").format(verb, login), (password,))
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (TARGET,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, login))
    finally:
        connection.close()


def empty(servers: Servers) -> None:
    """Both databases as new ones."""
    with servers.mysql() as mysql, mysql.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {SOURCE}")
        cursor.execute(f"CREATE DATABASE {SOURCE} CHARACTER SET utf8mb4")
    postgresql = servers.postgresql()
    try:
        with postgresql.cursor() as cursor:
            # FORCE: a person may be looking at it with psql.
            cursor.execute(f"DROP DATABASE {TARGET} WITH (FORCE)")
            cursor.execute(f"CREATE DATABASE {TARGET} OWNER {LOGIN}")
    finally:
        postgresql.close()


def replication_file(home: Path) -> Path:
    return demos_replications(home) / f"{SOURCE}.yaml"


def write_replication(servers: Servers, home: Path) -> ReplicationConfig:
    """The file as its owner would write it: it holds no password, and every command in this checkout can use it."""
    mysql, postgresql = servers.mysql_url, servers.postgresql_url
    source = URL.create("mysql", LOGIN, host=mysql.host, port=mysql.port, database=SOURCE)
    target = URL.create("postgresql", LOGIN, host=postgresql.host, port=postgresql.port, database=TARGET)
    text = REPLICATION.format(
        source=source.render_as_string(),
        target=target.render_as_string(),
        target_password=(home / "demo" / TARGET_PASSWORD_FILE).resolve(),
        kafka=servers.kafka,
        connect=servers.connect_url,
        secrets=secrets_folder(home).resolve(),
        source_file=SOURCE_PASSWORD_FILE,
        tables=", ".join(shop.TABLES),
    )
    path = replication_file(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return load_replication(path)
