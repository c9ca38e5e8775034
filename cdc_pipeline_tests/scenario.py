"""A replication that a test has for itself, between real servers that it shares with others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import NullPool

from cdc_pipeline.config import ReplicationConfig, load_replication
from cdc_pipeline.databases.mysql.database import unverified_tls
from cdc_pipeline.local import names
from cdc_pipeline.local.stack import Endpoints
from cdc_pipeline.model import Comparison
from cdc_pipeline.replication import Replication
from cdc_pipeline.verify import verify


def engine_of(url: URL) -> Engine:
    """One that commits each statement and keeps no session. MySQL's TLS is the product's: made once, not each time."""
    tls = {"mysql": {"ssl": unverified_tls()}}.get(url.get_backend_name(), {})
    return create_engine(url, isolation_level="AUTOCOMMIT", connect_args=tls, poolclass=NullPool)


def quote(kind: str, name: str) -> str:
    """An identifier of this kind of database."""
    return "`" + name.replace("`", "``") + "`" if kind != "postgresql" else '"' + name.replace('"', '""') + '"'


class Scenario:
    """A replication of its own: a new source database, a new target database, a client number nobody else has."""

    def __init__(self, stack: Endpoints, number: int, folder: Path, source: str, target: str) -> None:
        self.stack = stack
        self.number = number
        self.name = f"r{self.number}"
        self.folder = folder
        self.servers = {"source": source, "target": target}
        self.kinds = {role: names.parse(server).kind for role, server in self.servers.items()}
        self.databases = {role: f"{role}_{self.number}" for role in self.kinds}
        self.urls = {role: self._create_database(role) for role in self.kinds}
        self.engines: dict[str, Engine] = {}
        self.overrides: dict[str, Any] = {}

    def _create_database(self, role: str) -> str:
        admin = make_url(self.stack.of(self.servers[role]) or "")
        with engine_of(admin).connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {self.databases[role]}")
        return admin.set(database=self.databases[role]).render_as_string(hide_password=False)

    @property
    def schema(self) -> str:
        """The schema of the source's tables."""
        return "public" if self.kinds["source"] == "postgresql" else self.databases["source"]

    def engine(self, role: str) -> Engine:
        if role not in self.engines:
            self.engines[role] = engine_of(make_url(self.urls[role]))
        return self.engines[role]

    def run(self, role: str, *statements: str) -> None:
        """Statements on "source" or "target", each committed."""
        with self.engine(role).connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))

    def rows(self, role: str, query: str) -> list[tuple[Any, ...]]:
        with self.engine(role).connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query.replace("%", "%%"))]

    def target_table(self, table: str) -> str:
        return f"{self.databases['source']}_{table}"

    def write(self, *tables: str, **replaced: str) -> Path:
        """The replication's YAML file. `replaced` are whole top-level values, as YAML."""
        values = {
            "client": str(self.number),
            "database": "5",
            "config": "6",
            "source": f'{{url: "{self.urls["source"]}"}}',
            "target": f'{{url: "{self.urls["target"]}"}}',
            "kafka": f'{{bootstrap_servers: "{self.stack.kafka}"}}',
            "connect": f'{{url: "{self.stack.connect}"}}',
            "tables": "[" + ", ".join(f'"{table}"' for table in tables) + "]",
            **replaced,
        }
        path = self.folder / f"{self.name}.yaml"
        path.write_text("".join(f"{key}: {value}\n" for key, value in values.items()))
        return path

    def config(self, *tables: str, **replaced: str) -> ReplicationConfig:
        return load_replication(self.write(*tables, **replaced))

    def replication(self, *tables: str, **replaced: str) -> Replication:
        return Replication(self.config(*tables, **replaced))

    def environment(self) -> dict[str, str]:
        """For processes that shall find this replication."""
        return {**os.environ, "CDC_PIPELINE_REPLICATIONS": str(self.folder)}

    def compare(self, replication: Replication) -> list[Comparison]:
        return list(verify(replication.parts, replication.tables))

    def assert_equal(self, replication: Replication) -> None:
        comparisons = self.compare(replication)
        assert comparisons
        assert [c for c in comparisons if not c.equal] == []

    def clean_up(self) -> None:
        for path in self.folder.glob("*.yaml"):
            Replication(load_replication(path)).teardown()
        for role in self.kinds:
            admin = make_url(self.stack.of(self.servers[role]) or "")
            with engine_of(admin).connect() as connection:
                force = " WITH (FORCE)" if self.kinds[role] == "postgresql" else ""
                connection.exec_driver_sql(f"DROP DATABASE {self.databases[role]}{force}")


MakeScenario = Callable[..., Scenario]
