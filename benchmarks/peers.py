"""The other ways to copy a table: what each one is, how it is had, and the command that copies with it.

Each tool is used as its documentation says that it is fastest, into a table of the same definition where it can: only
dlt insists on a table of its own. What is published on PyPI gets a virtual environment of its own below `.local/peers`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import bench
from sqlalchemy.engine import URL

from cdc_pipeline.local import programs, stack, versions
from cdc_pipeline.local.programs import Programs

TABLE = "orders"
SCRIPTS = Path(__file__).with_name("peer_scripts")
FOLDER = bench.PROJECT / ".local" / "peers"
SLING = "lib/python3.{minor}/site-packages/sling_linux_amd64/bin/sling-linux-amd64"


@dataclass(frozen=True)
class Ends:
    """From where to where, and a ready file of the rows in COPY's format."""

    source: URL
    target: URL
    file: Path

    @property
    def environment(self) -> dict[str, str]:
        password = next((url.password for url in (self.source, self.target) if kind(url) == "postgresql"), None)
        other = next((url.password for url in (self.source, self.target) if kind(url) == "mysql"), None)
        return {
            "SOURCE": address(self.source),
            "TARGET": address(self.target),
            **({"PGPASSWORD": password} if password else {}),
            **({"MYSQL_PWD": other} if other else {}),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "INGESTR_DISABLE_TELEMETRY": "true",
            "SLING_DISABLE_TELEMETRY": "true",
        }


@dataclass(frozen=True)
class Peer:
    """`landed` is the table that it makes itself, if it does not fill the one that is there."""

    name: str
    command: Callable[[Ends], Sequence[str]]
    pairs: tuple[tuple[str, str], ...]
    packages: tuple[str, ...] = ()
    program: str | None = None  # a Debian package and its program
    landed: str | None = None

    @property
    def folder(self) -> Path:
        return FOLDER / self.name.split()[0].lower()

    def unavailable(self) -> str | None:
        """Get it, unless it is there. The reason if it is not to be had here."""
        if self.program is not None and shutil.which(self.program) is None:
            return _failure(["apt-get", "install", "-y", "-qq", "--no-install-recommends", self.program])
        if not self.packages:
            return None
        stamp, wanted = self.folder / "installed", "\n".join(self.packages)
        if stamp.exists() and stamp.read_text() == wanted:
            return None
        make = [sys.executable, "-m", "venv", "--clear", str(self.folder)]
        pip = [str(self.folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        failed = _failure(make) or _failure([*pip, *self.packages])
        if failed is None:
            stamp.write_text(wanted)
        return failed


def _failure(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = (done.stderr or done.stdout).strip().splitlines() or [""]
    return None if done.returncode == 0 else f"{command[0]}: {said[-1]}"


def kind(url: URL) -> str:
    return url.get_backend_name()


def address(url: URL) -> str:
    """As programs take it that do not know SQLAlchemy's drivers."""
    return url.set(drivername=kind(url)).render_as_string(hide_password=False)


@cache
def _of(kind: str) -> Programs:
    """The programs of the default one of these servers."""
    return programs.of(kind, versions.DEFAULTS[kind][0], stack.silent)


def _mysql(url: URL, options: str, program: str = "mariadb") -> str:
    """The client of the embedded MariaDB: no package brings MySQL's own."""
    mariadb = _of("mariadb")
    environment = "".join(f"{name}={value} " for name, value in mariadb.environment.items())
    login = f"--host={url.host} --port={url.port} --user={url.username} --skip-ssl"
    return f"{environment}{mariadb.find(program)} {login} {options}"


def _psql(url: URL, sql: str) -> str:
    program = _of("postgresql").find("psql")
    place = f"host={url.host} port={url.port} user={url.username} dbname={url.database}"
    return f'{program} --no-psqlrc --quiet --dbname="{place}" --command="{sql}"'


def _shell(pipeline: str) -> list[str]:
    return ["bash", "-o", "pipefail", "-c", pipeline]


def _load(ends: Ends, file: str) -> str:
    sql = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE {TABLE} CHARACTER SET utf8mb4"
    return _mysql(ends.target, f'--local-infile=1 --execute="{sql}" {ends.target.database}')


def ready_file(ends: Ends) -> list[str]:
    if kind(ends.target) == "mysql":
        return _shell(_load(ends, str(ends.file)))
    return _shell(f"{_psql(ends.target, f'COPY {TABLE} FROM STDIN')} < {ends.file}")


def clients(ends: Ends) -> list[str]:
    """One database's own client into the other's. (The client of MySQL writes NULL for a NULL and for that text.)"""
    source = {
        "postgresql": lambda: _psql(ends.source, f"COPY {TABLE} TO STDOUT"),
        "mysql": lambda: _mysql(
            ends.source, f'--quick --batch --skip-column-names --execute="SELECT * FROM {TABLE}" {ends.source.database}'
        ),
    }[kind(ends.source)]()
    null = " WITH (NULL 'NULL')" if kind(ends.source) == "mysql" else ""
    target = {
        "postgresql": lambda: _psql(ends.target, f"COPY {TABLE} FROM STDIN{null}"),
        "mysql": lambda: _load(ends, "/dev/stdin"),
    }[kind(ends.target)]()
    return _shell(f"{source} | {target}")


def dump(ends: Ends) -> list[str]:
    options = f"--single-transaction --no-create-info --no-tablespaces {ends.source.database} {TABLE}"
    written = _mysql(ends.source, options, "mariadb-dump")
    return _shell(f"{written} | {_mysql(ends.target, str(ends.target.database))}")


def _script(name: str) -> Callable[[Ends], list[str]]:
    own = FOLDER / name / "bin" / "python"
    return lambda _: [str(own), str(SCRIPTS / f"{name}_copy.py"), TABLE]


def _qualified(url: URL) -> str:
    return f"{url.database if kind(url) == 'mysql' else 'public'}.{TABLE}"


def _without_tls(url: URL) -> str:
    return address(url) + ("?sslmode=disable" if kind(url) == "postgresql" else "")


def sling(ends: Ends) -> list[str]:
    program = FOLDER / "sling" / SLING.format(minor=sys.version_info.minor)
    program.chmod(0o755)  # the package leaves that to its first start
    return [
        str(program), "run", "--mode", "truncate",
        "--src-conn", _without_tls(ends.source), "--src-stream", _qualified(ends.source),
        "--tgt-conn", _without_tls(ends.target), "--tgt-object", _qualified(ends.target),
    ]  # fmt: skip


def ingestr(ends: Ends) -> list[str]:
    return [
        str(FOLDER / "ingestr" / "bin" / "ingestr"), "ingest", "--yes", "--progress", "log",
        "--incremental-strategy", "truncate+insert",
        "--source-uri", _without_tls(ends.source), "--source-table", _qualified(ends.source),
        "--dest-uri", _without_tls(ends.target), "--dest-table", _qualified(ends.target),
    ]  # fmt: skip


def pgloader(ends: Ends) -> list[str]:
    rename = f" ALTER SCHEMA '{ends.source.database}' RENAME TO 'public'" if kind(ends.source) == "mysql" else ""
    commands = (
        f"LOAD DATABASE FROM {address(ends.source)} INTO {address(ends.target)} WITH data only, truncate{rename};"
    )
    file = ends.file.with_suffix(".load")
    file.write_text(commands)
    return ["pgloader", str(file)]


EVERY = (("mysql", "postgresql"), ("postgresql", "mysql"), ("postgresql", "postgresql"), ("mysql", "mysql"))
OTHERS = tuple(pair for pair in EVERY if pair != ("mysql", "mysql"))
TO_POSTGRESQL = (("mysql", "postgresql"), ("postgresql", "postgresql"))
DUCKDB = (
    "duckdb==1.5.5", "duckdb-extensions==1.5.5", "duckdb-extension-mysql-scanner==1.5.5",
    "duckdb-extension-postgres-scanner==1.5.5",
)  # fmt: skip
# With SQLAlchemy 2.1, dlt takes a DOUBLE for a decimal of ten digits.
DLT = ("dlt[postgres,sql-database]==1.31.0", "sqlalchemy<2.1", "pymysql", "psycopg2-binary", "pyarrow", "pandas")

# From 1.0 on the package of ingestr, and since 1.4.11 the one of sling, fetch a program from elsewhere when they start.
PEERS = (
    Peer("ready file", ready_file, EVERY),
    Peer("clients in a pipe", clients, OTHERS),
    Peer("mariadb-dump in a pipe", dump, (("mysql", "mysql"),)),
    Peer("DuckDB 1.5.5", _script("duckdb"), EVERY, DUCKDB),
    Peer("ingestr 0.15.9", ingestr, EVERY, ("ingestr==0.15.9",)),
    Peer("sling 1.4.11", sling, EVERY, ("sling-linux-amd64==1.4.11",)),
    Peer("pgloader 3.6", pgloader, TO_POSTGRESQL, program="pgloader"),
    Peer("dlt 1.31.0", _script("dlt"), TO_POSTGRESQL, DLT, landed=f"landed.{TABLE}"),
    Peer("pandas", _script("pandas"), EVERY, ("pandas", "sqlalchemy", "pymysql", "cryptography", "psycopg2-binary")),
)
