"""Versions of servers beside each other: each with its own name, files, port, password and options."""

from __future__ import annotations

import fcntl
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from sqlalchemy import NullPool, create_engine

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import processes, stack, versions
from cdc_pipeline.local.command import local
from cdc_pipeline_tests.compatibility.trials import VERSIONS

pytestmark = pytest.mark.servers

# What a source must say to be captured.
CAPTURED = {
    "mysql": ("SELECT @@log_bin, @@binlog_format, @@gtid_mode, @@binlog_row_metadata", (1, "ROW", "ON", "FULL")),
    "mariadb": ("SELECT @@log_bin, @@binlog_format, @@gtid_strict_mode, @@binlog_row_metadata", (1, "ROW", 1, "FULL")),
    "postgresql": ("SELECT current_setting('wal_level'), current_setting('server_encoding')", ("logical", "UTF8")),
}


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder which another user can reach, as pytest's own tmp_path of root is not."""
    folder = Path(tempfile.mkdtemp(prefix="cdc-pipeline-test-"))
    folder.chmod(0o755)
    monkeypatch.setenv("CDC_PIPELINE_LOCAL", str(folder))
    yield folder
    stack.purge(folder)
    shutil.rmtree(folder)


def ask(url: str | None, sql: str) -> Any:
    """The one row that a server answers."""
    assert url is not None
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return tuple(connection.exec_driver_sql(sql).one())


@pytest.mark.parametrize("name", VERSIONS)
def test_each_version_of_the_table_starts_is_that_version_and_ready_to_be_captured(home: Path, name: str) -> None:
    kind, _, version = name.partition("-")
    url = stack.up(home, servers=[name]).of(name)
    (told,) = ask(url, "SHOW server_version" if kind == "postgresql" else "SELECT version()")
    assert told.split("-")[0].startswith(version)
    sql, expected = CAPTURED[kind]
    assert ask(url, sql) == expected
    assert stack.versions_of(home) == {name: version}


def test_versions_of_a_kind_live_beside_each_other(home: Path) -> None:
    both = stack.up(home, servers=["postgresql", "postgresql-14"])
    assert ask(both.postgresql, "SELECT current_setting('server_version_num')::int / 10000") == (18,)
    assert ask(both.of("postgresql-14"), "SELECT current_setting('server_version_num')::int / 10000") == (14,)
    passwords = {(home / "secrets" / f"{name}.password").read_text() for name in both.all()}
    assert len(passwords) == 2

    assert stack.down(home, servers=["postgresql-14"]) == ["postgresql-14"]
    left = stack.status(home)
    assert left.all() == {"postgresql": both.postgresql}
    assert stack.up(home, servers=["postgresql-14"]) == both, "port and password are kept"

    stack.purge(home)
    assert stack.known(home) == []
    assert list((home / "secrets").iterdir()) == []


def test_options_make_another_server_of_the_same_version(home: Path) -> None:
    name = "postgresql-14+wal_level=replica+work_mem=1MB"
    both = stack.up(home, servers=["postgresql-14", name])
    asked = "SELECT current_setting('wal_level'), current_setting('work_mem')"
    assert ask(both.of("postgresql-14"), asked) == ("logical", "4MB")
    assert ask(both.of(name), asked) == ("replica", "1MB")


def test_an_option_of_mysql_counts_more_than_ours(home: Path) -> None:
    name = "mysql-8.0+binlog-row-metadata=MINIMAL+lower-case-table-names=1"
    url = stack.up(home, servers=[name]).of(name)
    assert ask(url, "SELECT @@binlog_row_metadata, @@lower_case_table_names") == ("MINIMAL", 1)


def test_a_home_keeps_the_default_version_that_it_began_with(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(versions.DEFAULTS, "postgresql", ("14",))
    major = "SELECT current_setting('server_version_num')::int / 10000"
    assert ask(stack.up(home, servers=["postgresql"]).postgresql, major) == (14,)
    stack.down(home)

    monkeypatch.setitem(versions.DEFAULTS, "postgresql", ("18", "14"))
    assert ask(stack.up(home, servers=["postgresql"]).postgresql, major) == (14,)
    assert stack.versions_of(home) == {"postgresql": "14"}
    stack.down(home)

    (home / "postgresql" / "version").unlink()  # as in a home that is older than such records
    monkeypatch.setitem(versions.DEFAULTS, "postgresql", ("18", "installed", "14"))
    monkeypatch.setitem(versions.ORIGINS, "postgresql", {
        **versions.ORIGINS["postgresql"], "installed": versions.Installed("no-such-program"),
    })  # fmt: skip
    assert ask(stack.up(home, servers=["postgresql"]).postgresql, major) == (14,)


def test_a_version_that_cannot_be_had_leaves_the_default_to_the_next(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = versions.Maven({"postgresql": "0.0.0"})
    monkeypatch.setitem(versions.ORIGINS, "postgresql", {**versions.ORIGINS["postgresql"], "99": absent})
    monkeypatch.setitem(versions.DEFAULTS, "postgresql", ("99", "14"))
    told: list[str] = []
    stack.up(home, told.append, servers=["postgresql"])
    assert stack.versions_of(home) == {"postgresql": "14"}
    (why,) = [line for line in told if "postgresql 99 cannot be had here" in line]
    assert "0.0.0" in why


def test_who_asks_for_what_runs_waits_for_nobody(home: Path) -> None:
    running = stack.up(home, servers=["postgresql-14"])
    answers: list[stack.Endpoints] = []
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as one who is starting another server
        asker = threading.Thread(target=lambda: answers.append(stack.up(home, servers=["postgresql-14"])), daemon=True)
        asker.start()
        asker.join(30)
        assert answers == [running]


def test_another_kafka_and_connect_take_the_place_of_those_that_run(home: Path) -> None:
    old = stack.up(home, servers=["kafka-3.9", "connect-3.9+debezium=2.7"])
    assert kafka_of(old) == "3.9.1"
    plugins = requests.get(f"{old.connect}/connector-plugins", timeout=30).json()
    found = {plugin["class"].rsplit(".", 1)[-1]: plugin["version"] for plugin in plugins}
    assert (found["MySqlConnector"], found["PostgresConnector"]) == ("2.7.4.Final", "2.7.4.Final")

    assert stack.up(home, servers=["connect"]) == old, "without a version it is the one that runs"
    assert stack.asked_for(home) == ["mysql", "postgresql", "kafka-3.9", "connect-3.9+debezium=2.7"]
    assert stack.asked_for(home, ["kafka-4.4"])[2:] == ["kafka-4.4", "connect-3.9+debezium=2.7"]

    new = stack.up(home, servers=["connect-4.4", "kafka-4.4"])
    assert kafka_of(new) == "4.4.0"
    assert (new.kafka, new.connect) == (old.kafka, old.connect), "those who use them need not be told"
    assert new.all().keys() == {"kafka", "connect", "kafka-4.4", "connect-4.4"}
    with pytest.raises(LocalStackError, match=r"kafka-3\.9, kafka-4\.4: a home has one kafka at a time"):
        stack.up(home, servers=["kafka-3.9", "kafka-4.4"])
    assert stack.down(home) == ["connect-4.4", "kafka-4.4"]


def kafka_of(endpoints: stack.Endpoints) -> str:
    return requests.get(f"{endpoints.connect}/", timeout=30).json()["version"]


def test_versions_are_asked_for_in_the_shell(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "DEFAULT", ("postgresql",))  # the others take their time
    shell = CliRunner()
    started = shell.invoke(local, ["up", "--postgresql", "14", "--postgresql", "13+work_mem=1MB"])
    assert started.exit_code == 0, started.output
    urls = json.loads(shell.invoke(local, ["status", "--json"]).stdout)
    assert urls.keys() == {"postgresql", "postgresql-13+work_mem=1MB", "postgresql-14"}
    told = shell.invoke(local, ["sql", "postgresql-14/template1", "SHOW server_version"]).stdout
    assert "14." in told

    site = stack.site_of(home, "postgresql-14")
    assert processes.end(site)
    processes.spawn(site, ["true"])  # it was started and has died
    assert shell.invoke(local, ["status"]).exit_code == 1
    again = shell.invoke(local, ["up"])
    assert "postgresql-14" in again.stdout
    assert json.loads(shell.invoke(local, ["status", "--json"]).stdout) == urls

    refused = shell.invoke(local, ["up", "--postgresql", "12"])
    assert refused.exit_code == 2
    assert "there is no version 12 to be had; there are 13, 14, 15" in refused.output


def test_a_scenario_has_the_versions_that_it_names(scenario: Callable[..., Any]) -> None:
    made = scenario("mysql+binlog-row-metadata=MINIMAL", "postgresql-14")
    assert made.kinds == {"source": "mysql", "target": "postgresql"}
    assert made.rows("source", "SELECT @@binlog_row_metadata, database()") == [("MINIMAL", made.databases["source"])]
    assert made.rows("target", "SELECT current_setting('server_version_num')::int / 10000") == [(14,)]
    assert made.rows("target", "SELECT current_database()") == [(made.databases["target"],)]
