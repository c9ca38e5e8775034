"""What the benchmarks share: databases of their own on the embedded stack, a replication, ten columns of all kinds."""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.engine import URL, make_url

from cdc_pipeline.config import load_replication
from cdc_pipeline.local import stack as local_stack
from cdc_pipeline.local.stack import Endpoints
from cdc_pipeline.replication import Replication
from cdc_pipeline.verify import verify

PROJECT = Path(__file__).resolve().parent.parent
COLUMNS = {
    "mysql": "id BIGINT PRIMARY KEY, customer INT NOT NULL, status VARCHAR(20), amount DECIMAL(12, 2), ratio DOUBLE, "
    "note TEXT, email VARCHAR(80), created DATETIME(6), day DATE, active TINYINT",
    "postgresql": "id BIGINT PRIMARY KEY, customer INT NOT NULL, status VARCHAR(20), amount DECIMAL(12, 2), "
    "ratio DOUBLE PRECISION, note TEXT, email VARCHAR(80), created TIMESTAMP(6), day DATE, active SMALLINT",
}
TITLES = {"mysql": "MySQL", "postgresql": "PostgreSQL"}
WORDS = ("lorem", "ipsum", "dolor", "sit", "amet", "consectetur", "adipiscing", "elit", "sed", "do", "eiusmod")
NULL = r"\N"


@dataclass(frozen=True)
class Direction:
    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source} to {self.target}"


def direction(text: str) -> Direction:
    """`mysql-postgresql`, for a command line."""
    source, _, target = text.partition("-")
    if source not in COLUMNS or target not in COLUMNS:
        raise ValueError(text)
    return Direction(source, target)


def several(parser: argparse.ArgumentParser, name: str, known: Sequence[str]) -> None:
    """Names on a command line, all of them if none is given. (With `choices`, argparse of 3.11 refuses that.)"""

    def one(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(known)}")
        return text

    parser.add_argument(name, nargs="*", type=one, default=list(known), help=f"of {', '.join(known)}")


# The last MySQL that knows the old way to tell a password: some of the programs that are compared know no other.
MYSQL = "mysql-8.0"


@contextmanager
def stack() -> Iterator[Endpoints]:
    """The embedded stack, with MySQL 8.0 in the place of the default one; ended again if it did not run."""
    logging.getLogger("cdc_pipeline").setLevel(logging.ERROR)
    home = local_stack.default_home()
    was_running = bool(local_stack.status(home).connect)
    try:
        endpoints = local_stack.up(home, servers=(MYSQL, "postgresql", "kafka", "connect"))
        yield replace(endpoints, mysql=endpoints.of(MYSQL))
    finally:
        if not was_running:
            local_stack.down(home)


def new_database(endpoints: Endpoints, kind: str, name: str) -> Engine:
    """An empty one, in place of what an earlier run has left."""
    url = make_url(getattr(endpoints, kind))
    force = " WITH (FORCE)" if kind == "postgresql" else ""
    with _server(endpoints, kind).connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}{force}")
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    options = {"local_infile": True} if kind == "mysql" else {}
    return create_engine(url.set(database=name), connect_args=options, poolclass=NullPool)


def drop(endpoints: Endpoints, *names: str) -> None:
    """Databases of both servers."""
    for kind in COLUMNS:
        with _server(endpoints, kind).connect() as connection:
            for name in names:
                connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")


def _server(endpoints: Endpoints, kind: str) -> Engine:
    url = make_url(getattr(endpoints, kind))
    return create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)


@dataclass(frozen=True)
class Login:
    """A user of MySQL for the other programs."""

    name: str
    password: str

    def instead(self, url: URL) -> URL:
        """Other databases' URLs stay as they are."""
        if url.get_backend_name() != "mysql":
            return url
        return url.set(username=self.name, password=self.password)


@contextmanager
def login(endpoints: Endpoints) -> Iterator[Login]:
    """Not all of them know MySQL 8's way to tell a password, hence one who tells it in the old way."""
    made = Login("bench_peer", secrets.token_hex(12))
    with _server(endpoints, "mysql").connect() as connection:
        connection.exec_driver_sql(f"DROP USER IF EXISTS {made.name}")
        connection.exec_driver_sql(
            f"CREATE USER {made.name} IDENTIFIED WITH mysql_native_password BY '{made.password}'"
        )
        connection.exec_driver_sql(f"GRANT ALL ON *.* TO {made.name}")
        try:
            yield made
        finally:
            connection.exec_driver_sql(f"DROP USER {made.name}")


@contextmanager
def replication_file(
    endpoints: Endpoints, way: Direction, name: str, tables: Sequence[str], **settings: str
) -> Iterator[Path]:
    """A replication from the database `{name}_source` to `{name}_target`; what it made is removed at the end."""
    urls = {
        role: make_url(getattr(endpoints, kind)).set(database=f"{name}_{role}").render_as_string(hide_password=False)
        for role, kind in (("source", way.source), ("target", way.target))
    }
    values = {
        "client": "910",
        "database": "1",
        "config": "1",
        "source": f'{{url: "{urls["source"]}"}}',
        "target": f'{{url: "{urls["target"]}"}}',
        "kafka": f'{{bootstrap_servers: "{endpoints.kafka}"}}',
        "connect": f'{{url: "{endpoints.connect}"}}',
        "tables": f"[{', '.join(tables)}]",
        **settings,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}_{values['client']}.yaml"
        path.write_text("".join(f"{key}: {value}\n" for key, value in values.items()))
        made = Replication(load_replication(path))
        if made.parts.connect.exists(made.config.connector_name):
            made.teardown()  # what a run has left that was killed
        try:
            yield path
        finally:
            Replication(load_replication(path)).teardown()


@contextmanager
def replication(
    endpoints: Endpoints, way: Direction, name: str, tables: Sequence[str], **settings: str
) -> Iterator[Replication]:
    with replication_file(endpoints, way, name, tables, **settings) as path:
        yield Replication(load_replication(path))


def rows(first: int, count: int, seed: int = 1) -> Iterator[str]:
    """Lines of COPY text for COLUMNS, about 190 bytes each; one in a hundred has something to escape."""
    pick = random.Random(seed * 1_000_003 + first)
    for number in range(first, first + count):
        note = " ".join(pick.choices(WORDS, k=14)) + (r"\n\ta \\ in it" if number % 100 == 0 else "")
        yield "\t".join(
            (
                str(number), str(pick.randrange(100_000)), pick.choice(("new", "paid", "shipped")),
                f"{pick.randrange(10**8) / 100:.2f}", repr(pick.random()), NULL if number % 20 == 0 else note,
                f"user{number}@example.com",
                f"2024-{pick.randrange(1, 13):02d}-{pick.randrange(1, 29):02d} 12:30:{pick.randrange(60):02d}."
                f"{pick.randrange(10**6):06d}",
                f"2024-01-{pick.randrange(1, 29):02d}", str(number % 2),
            )
        ) + "\n"  # fmt: skip


def load(engine: Engine, table: str, path: Path) -> None:
    """A ready file of COPY text into a table, in one transaction, by what the database does fastest."""
    with closing(engine.raw_connection()) as connection, closing(connection.cursor()) as cursor:
        if engine.dialect.name == "postgresql":
            with path.open("rb") as file:
                cursor.copy_expert(f"COPY {table} FROM STDIN", file, size=1 << 18)  # type: ignore[attr-defined]
        else:
            cursor.execute(f"LOAD DATA LOCAL INFILE '{path}' INTO TABLE {table} CHARACTER SET utf8mb4")
        connection.commit()


def fill(engine: Engine, table: str, lines: Iterator[str]) -> int:
    """Write rows into a table of the source; returns their bytes."""
    with tempfile.NamedTemporaryFile("w", suffix=".copy") as file:
        file.writelines(lines)
        file.flush()
        load(engine, table, Path(file.name))
        return Path(file.name).stat().st_size


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def told(replication: Replication, connector: str | None = None) -> None:
    """Wait until Kafka has all that the source has committed by now: from its connector, or from another one."""
    mark, parts = replication.parts.source.mark(), replication.parts
    name = connector or replication.config.connector_name
    while not ((offset := parts.connect.offsets(name)) and parts.source.reached(offset, mark)):
        parts.source.stir()
        time.sleep(0.05)


class Different(SystemExit):
    """What was written is not what was read."""


def require_equal(replication: Replication, names: Sequence[str] = ()) -> None:
    """No figure counts of a result that is not the source's: of all tables, or of those named."""
    tables = [table for table in replication.tables if not names or table.source.name in names]
    different = [comparison for comparison in verify(replication.parts, tables) if not comparison.equal]
    if different:
        raise Different(f"the target differs from the source: {different}")


@dataclass(frozen=True)
class Taken:
    """What a command took: seconds from its start to its end, and the most MiB that one of its processes had."""

    seconds: float
    memory: float
    output: str


class CommandFailed(Exception):
    """It ended with another status than 0; says how."""


def measured(command: Sequence[str], environment: Mapping[str, str] | None = None, within: float = 1800) -> Taken:
    """Run a command. Raises CommandFailed."""
    with tempfile.NamedTemporaryFile("r") as report, tempfile.TemporaryFile("w+") as output:
        launch = [sys.executable, "-S", "-E", str(Path(__file__).with_name("launch.py")), report.name, *command]
        subprocess.run(
            launch, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, check=True, timeout=within,
        )  # fmt: skip
        output.seek(0)
        said, told = output.read(), json.load(report)
    if told["status"] != 0:
        raise CommandFailed(" ".join(said.strip().splitlines()[-2:]) or f"status {told['status']}")
    return Taken(told["seconds"], told["memory"], said)


def megabytes_of_memory() -> float:
    """The most that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
