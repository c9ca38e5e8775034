"""The embedded stack keeps its promises: nothing started twice, nothing foreign ended, no failure unexplained."""

from __future__ import annotations

import json
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest
import requests
from click.testing import CliRunner
from sqlalchemy import NullPool, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import ports, processes, stack
from cdc_pipeline.local.command import local
from cdc_pipeline.local.site import unprivileged_account

pytestmark = pytest.mark.servers

CHEAP = ("postgresql",)


@pytest.fixture
def home() -> Iterator[Path]:
    """A state folder which another user can reach, as pytest's own tmp_path of root is not."""
    folder = Path(tempfile.mkdtemp(prefix="cdc-pipeline-test-"))
    folder.chmod(0o755)
    yield folder
    stack.purge(folder)
    shutil.rmtree(folder)


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    """A process which the stack did not start."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield psutil.Process(process.pid)
        process.kill()


def recorded_pid(home: Path, server: str) -> int:
    return json.loads((home / server / "process.json").read_text())["pid"]


def query(url: str | None, sql: str) -> object:
    assert url is not None
    parts = make_url(url)
    connection = psycopg2.connect(
        host=parts.host, port=parts.port, user=parts.username, password=parts.password, dbname=parts.database
    )
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else None
    finally:
        connection.close()


def test_up_twice_keeps_what_runs_and_down_up_keeps_the_data(home: Path) -> None:
    first = stack.up(home, servers=CHEAP)
    pid = recorded_pid(home, "postgresql")
    query(first.postgresql, "CREATE TABLE kept AS SELECT 42 AS answer")

    assert stack.up(home, servers=CHEAP) == first
    assert recorded_pid(home, "postgresql") == pid

    assert stack.down(home) == ["postgresql"]
    assert not psutil.pid_exists(pid)
    again = stack.up(home, servers=CHEAP)
    assert again == first, "port and password are kept"
    assert query(again.postgresql, "SELECT answer FROM kept") == [(42,)]


def test_postgresql_is_ready_to_be_captured_and_only_on_loopback(home: Path) -> None:
    url = stack.up(home, servers=CHEAP).postgresql
    assert query(url, "SHOW wal_level") == [("logical",)]
    assert query(url, "SHOW max_replication_slots") == [("40",)]
    server = processes.running(stack.site_of(home, "postgresql"))
    assert server is not None
    listening = [c.laddr for c in server.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert [address.ip for address in listening] == [ports.LOOPBACK]


def test_passwords_are_private_and_nowhere_else(home: Path) -> None:
    stack.up(home, servers=CHEAP)
    kept = home / "secrets" / "postgresql.password"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    password = kept.read_text()
    files = [path for path in home.rglob("*") if path.is_file() and path != kept]
    assert [path for path in files if password.encode() in path.read_bytes()] == []
    server = processes.running(stack.site_of(home, "postgresql"))
    assert server is not None
    assert password not in " ".join(server.cmdline())


def test_status_tells_the_truth_after_a_server_was_killed(home: Path) -> None:
    assert stack.status(home) == stack.Endpoints()
    stack.up(home, servers=CHEAP)
    killed = psutil.Process(recorded_pid(home, "postgresql"))
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)

    assert stack.status(home).postgresql is None
    assert stack.down(home) == []
    assert stack.up(home, servers=CHEAP).postgresql is not None, "a dead server is started again"


def test_down_spares_a_foreign_process_under_a_reused_pid(home: Path, sleeper: psutil.Process) -> None:
    site = stack.site_of(home, "postgresql")
    site.make_folder()
    long_gone = {"pid": sleeper.pid, "started": sleeper.create_time() - 3600}
    (site.folder / "process.json").write_text(json.dumps(long_gone))

    assert stack.down(home) == []
    assert sleeper.is_running()
    assert not (site.folder / "process.json").exists()


def test_down_ends_its_own_home_only(home: Path, sleeper: psutil.Process) -> None:
    other = home / "other"
    stack.up(home, servers=CHEAP)
    stack.up(other, servers=CHEAP)
    try:
        stack.down(home)
        assert stack.status(home).postgresql is None
        assert stack.status(other).postgresql is not None
        assert sleeper.is_running()
    finally:
        stack.purge(other)


def test_a_server_that_ignores_the_polite_signal_is_killed(home: Path) -> None:
    site = stack.site_of(home, "postgresql")
    site.make_files()
    processes.spawn(site, ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"])
    process = processes.running(site)
    assert process is not None
    processes.wait_until_ready(site, lambda: "deaf" in site.log.read_text(), within=10)

    assert processes.end(site, within=0.5)
    assert not process.is_running()


def test_a_server_that_cannot_start_shows_the_end_of_its_log(home: Path) -> None:
    stack.up(home, servers=CHEAP)
    stack.down(home)
    (stack.site_of(home, "postgresql").files / "data" / "postgresql.conf").write_text("nonsense = 1\n")

    with pytest.raises(LocalStackError) as failure:
        stack.up(home, servers=CHEAP)
    assert "postgresql: ended while starting" in str(failure.value)
    assert 'unrecognized configuration parameter "nonsense"' in str(failure.value)
    assert stack.status(home).postgresql is None


def test_an_unknown_server_is_refused(home: Path) -> None:
    with pytest.raises(LocalStackError, match="there is no such server; there are mysql, mariadb, postgresql, kafka"):
        stack.up(home, servers=("db2",))


def test_the_shell_shows_no_password_and_purge_names_what_goes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_PIPELINE_LOCAL", str(home))
    url = stack.up(home, servers=CHEAP).postgresql
    password = (home / "secrets" / "postgresql.password").read_text()
    shell = CliRunner()

    table = shell.invoke(local, ["status"])
    assert table.exit_code == 1, "not every server runs"
    assert password not in table.output
    assert json.loads(shell.invoke(local, ["status", "--json"]).stdout) == {"postgresql": url}

    def sql(statement: str, place: str = "postgresql/postgres") -> str:
        ran = shell.invoke(local, ["sql", place, statement])
        assert password not in ran.output
        return ran.stdout or f"{ran.exit_code}: {ran.stderr}"

    assert sql("CREATE TABLE notes (id int, text varchar(9))") == "0 rows\n"
    assert sql("INSERT INTO notes VALUES (1, '100 %'), (2, NULL)", "postgresql") == "2 rows\n"
    assert [word for word in sql("SELECT * FROM notes").split() if word.isalnum()] == [
        "id", "text", "1", "100", "2", "NULL",
    ]  # fmt: skip
    assert 'relation "nothing" does not exist' in sql("SELECT * FROM nothing")
    assert sql("SELECT 1", "mysql/shop") == "2: Error: mysql: no such database server runs; these do: postgresql\n"

    purged = shell.invoke(local, ["down", "--purge"])
    assert purged.exit_code == 0, purged.output
    assert f"deleting {home / 'postgresql'}" in purged.output
    assert not (home / "postgresql").exists()
    assert not (home / "secrets" / "postgresql.password").exists()


def mariadb_answers(url: str | None, sql: str) -> list[tuple[object, ...]]:
    assert url is not None
    assert url.startswith("mariadb")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        result = connection.exec_driver_sql(sql)
        return [tuple(row) for row in result] if result.returns_rows else []


def test_mariadb_is_ready_to_be_captured_and_only_on_loopback(home: Path) -> None:
    url = stack.up(home, servers=("mariadb",)).mariadb
    settings = "@@log_bin, @@binlog_format, @@binlog_row_image, @@gtid_strict_mode, @@character_set_server"
    assert mariadb_answers(url, f"SELECT {settings}") == [(1, "ROW", "FULL", 1, "utf8mb4")]
    logins = mariadb_answers(
        url, "SELECT user, host FROM mysql.global_priv WHERE user NOT IN ('mariadb.sys', 'PUBLIC')"
    )
    assert logins == [("root", "localhost")], "no login that needs no password"
    with pytest.raises(OperationalError, match="Access denied"):
        mariadb_answers(make_url(str(url)).set(password=None).render_as_string(), "SELECT 1")
    server = processes.running(stack.site_of(home, "mariadb"))
    assert server is not None
    account = unprivileged_account()
    assert account is None or server.username() == account.name
    listening = [c.laddr.ip for c in server.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening == [ports.LOOPBACK]


def test_mariadb_is_started_for_those_who_ask_and_belongs_to_the_stack_until_down(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CDC_PIPELINE_LOCAL", str(home))
    monkeypatch.setattr(stack, "DEFAULT", CHEAP)  # the others take their time
    shell = CliRunner()
    assert "mariadb" not in shell.invoke(local, ["up"]).stdout
    assert shell.invoke(local, ["status"]).exit_code == 0, "it was not asked for"

    started = shell.invoke(local, ["up", "--with", "mariadb"])
    assert started.exit_code == 0, started.output
    urls = json.loads(shell.invoke(local, ["status", "--json"]).stdout)
    assert urls.keys() == {"postgresql", "mariadb"}
    mariadb_answers(urls["mariadb"], "CREATE DATABASE kept")

    killed = psutil.Process(recorded_pid(home, "mariadb"))
    killed.kill()
    killed.wait(10)
    died = shell.invoke(local, ["status"])
    assert died.exit_code == 1
    assert "mariadb" in died.stdout
    assert shell.invoke(local, ["up"]).exit_code == 0
    assert json.loads(shell.invoke(local, ["status", "--json"]).stdout) == urls, "started again, where it was"
    assert ("kept",) in mariadb_answers(urls["mariadb"], "SHOW DATABASES")

    assert stack.down(home, servers=("mariadb",)) == ["mariadb"]
    assert shell.invoke(local, ["status"]).exit_code == 0
    purged = shell.invoke(local, ["down", "--purge"])
    assert f"deleting {home / 'mariadb'}" in purged.output
    assert not (home / "secrets" / "mariadb.password").exists()


def test_a_server_that_nobody_knows_is_refused_in_the_shell(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDC_PIPELINE_LOCAL", str(home))
    refused = CliRunner().invoke(local, ["up", "--with", "db2"])
    assert refused.exit_code == 2
    assert "there is no such server; there are mysql, mariadb" in refused.output
    assert stack.status(home) == stack.Endpoints()


def test_connect_lists_every_debezium_connector_and_starts_kafka_first(home: Path) -> None:
    endpoints = stack.up(home, servers=("connect",))
    assert endpoints.kafka is not None
    plugins = requests.get(f"{endpoints.connect}/connector-plugins", timeout=30).json()
    names = {plugin["class"].rsplit(".", 1)[-1] for plugin in plugins}
    assert names >= {"MySqlConnector", "PostgresConnector", "MariaDbConnector", "OracleConnector"}
    assert stack.down(home) == ["connect", "kafka"], "Connect leaves before its broker"
