"""`cdc-pipeline` as a process: what it prints, for people and for programs, and the code it exits with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdc_pipeline.apply.progress import PHASES
from cdc_pipeline_tests.scenario import Scenario

pytestmark = pytest.mark.servers

PROGRAM = Path(sys.executable).with_name("cdc-pipeline")
GOOD, NOT_GOOD, NOT_DONE = 0, 1, 2
COMMANDS = [
    "consume", "copy", "local", "pause", "register", "resume", "resync", "start", "status", "stop", "teardown",
    "validate", "verify",
]  # fmt: skip
Make = Callable[..., Scenario]


def run(*arguments: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    own = {"CDC_PIPELINE_REPLICATIONS": str(folder), "COLUMNS": "200", "PYTHONWARNINGS": "error"}
    environment = {**os.environ, **own, **variables}
    return subprocess.run(
        [PROGRAM, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def data(done: subprocess.CompletedProcess[str]) -> Any:
    """The JSON on standard output, which has nothing else on it."""
    return json.loads(done.stdout)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error, and nothing on standard output."""
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


@pytest.fixture
def shop(scenario: Make) -> Scenario:
    """MySQL -> PostgreSQL with two tables, its file written."""
    made = scenario("mysql", "postgresql")
    made.run(
        "source",
        "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(50))",
        "INSERT INTO users VALUES (1, 'ann'), (2, 'bob'), (3, NULL)",
        "CREATE TABLE orders (id INT PRIMARY KEY, total DECIMAL(10, 2))",
        "INSERT INTO orders VALUES (1, 9.90)",
    )
    made.write("users", "orders")
    return made


# -- without a server ---------------------------------------------------------------------------------------------


def test_help_names_every_command(tmp_path: Path) -> None:
    done = run("--help", folder=tmp_path)
    assert done.returncode == GOOD
    assert "Keeps tables of one database continuously equal to tables of another." in done.stdout
    listed = [line.split()[0] for line in done.stdout.partition("Commands:")[2].splitlines() if line.strip()]
    assert set(COMMANDS) <= set(listed)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("validate", ["Step 1 alone", "--json", "--force-resync", "--adopt", "--replication"]),
        ("start", ["The four steps", "--force-resync", "--adopt", "--until-caught-up"]),
        ("copy", ["TABLES", "Steps 1 and 2", "--force-resync"]),
        ("resync", ["TABLES", "while the consumer goes on"]),
        ("register", ["Step 3"]),
        ("consume", ["Step 4", "--until-caught-up", "--group"]),
        ("status", ["--json", "last error"]),
        ("verify", ["[TABLES]", "row count and checksum", "--json"]),
        ("pause", ["until `resume`"]),
        ("resume", ["after `pause` or `stop`"]),
        ("stop", ["End the consumer"]),
        ("teardown", ["--yes", "The copied tables stay"]),
        ("local", ["up", "status", "down"]),
    ],
)
def test_each_command_says_what_it_does(tmp_path: Path, command: str, told: list[str]) -> None:
    done = run(command, "-h", folder=tmp_path)
    assert done.returncode == GOOD
    words = " ".join(done.stdout.split())
    assert [text for text in told if text not in words] == []


def test_the_version_is_told(tmp_path: Path) -> None:
    assert "version" in run("--version", folder=tmp_path).stdout


def test_an_unknown_command_could_not_be_done(tmp_path: Path) -> None:
    done = run("strat", folder=tmp_path)
    assert done.returncode == NOT_DONE
    assert "No such command 'strat'" in done.stderr


@pytest.mark.parametrize("command", ["validate", "start", "status", "verify", "pause", "register"])
def test_without_a_replications_folder_nothing_can_be_done(tmp_path: Path, command: str) -> None:
    done = run(command, folder=tmp_path / "nowhere")
    assert done.returncode == NOT_DONE
    assert str(tmp_path / "nowhere") in one_line(done)


def test_a_misspelt_key_is_one_line_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(
        "client: 2\ndatabase: 5\nconfig: 6\n"
        'source: {url: "mysql://cdc@h/shop", pasword: hunter2}\n'
        'target: {url: "postgresql://cdc@h/dwh"}\nkafka: {bootstrap_servers: k}\nconnect: {url: "http://c"}\n'
        "tables: [users]\n"
    )
    done = run("validate", folder=tmp_path)
    assert done.returncode == NOT_DONE
    assert one_line(done) == f"Error: {tmp_path}/shop.yaml, line 4: source.pasword: unknown key"


def test_of_two_replications_one_must_be_named(tmp_path: Path) -> None:
    for name in ("shop", "stock"):
        (tmp_path / f"{name}.yaml").write_text("tables: []\n")
    done = run("status", folder=tmp_path)
    assert done.returncode == NOT_DONE
    assert "2 replications here (shop, stock); name one with -r" in one_line(done)

    named = run("status", "-r", "stock", folder=tmp_path)
    assert f"{tmp_path}/stock.yaml, line 1" in one_line(named)

    unknown = run("status", "-r", "stick", folder=tmp_path)
    assert unknown.returncode == NOT_DONE
    assert "no replication 'stick' here (shop, stock)" in one_line(unknown)


# -- validate -----------------------------------------------------------------------------------------------------


def test_validate_lists_every_check(shop: Scenario) -> None:
    done = run("validate", "--json", folder=shop.folder)
    assert done.returncode == GOOD, done.stderr
    checks = data(done)["checks"]
    assert all(check.keys() == {"check", "ok", "problem"} for check in checks)
    assert all(check["ok"] and check["problem"] == "" for check in checks)
    names = {check["check"] for check in checks}
    assert names >= {"source reachable", "target reachable", "Kafka reachable", "Kafka Connect reachable"}

    for_people = run("validate", folder=shop.folder)
    assert for_people.returncode == GOOD
    assert for_people.stdout.splitlines()[-len(checks) :] == [f"ok    {check['check']}" for check in checks]


def test_validate_says_what_each_column_becomes(shop: Scenario) -> None:
    shop.run("source", "ALTER TABLE orders ADD made DATETIME(3), ADD area TEXT CHARACTER SET koi8u")
    shop.run("target", f"CREATE TABLE {shop.target_table('users')} (id bigint PRIMARY KEY, name text)")
    done = run("validate", "--json", folder=shop.folder)
    assert done.returncode == NOT_GOOD  # the character set
    columns = {
        f"{table['source'].partition('.')[2]}.{c['column']}": (c["kind"], c["target_type"], c["in_key"])
        for table in data(done)["tables"]
        for c in table["columns"]
    }
    assert columns == {
        "users.id": ("integer(32)", "bigint", True),  # the table that is there
        "users.name": ("text(50)", "text", False),
        "orders.id": ("integer(32)", "integer", True),  # the one to be made
        "orders.total": ("decimal(10, 2)", "numeric(10, 2)", False),
        "orders.made": ("timestamp(3)", "timestamp(3)", False),
        "orders.area": ("", "", False),
    }
    notes = {c["column"]: c["note"] for table in data(done)["tables"] for c in table["columns"]}
    assert notes["made"] == "a date with a zero in it becomes NULL"
    assert "koi8u" in notes["area"]
    for_people = run("validate", folder=shop.folder).stdout
    assert any("total" in line and "decimal(10,2)" in line for line in for_people.splitlines())
    assert any("id (key)" in line and "bigint" in line for line in for_people.splitlines())
    assert any("area" in line and "unknown" in line for line in for_people.splitlines())


def test_a_pipe_gets_every_name_whole(shop: Scenario) -> None:
    name = "a_table_whose_name_is_as_long_as_postgresql_lets_it_be"
    shop.run("source", f"CREATE TABLE {name} (id INT PRIMARY KEY)")
    shop.write(name)
    assert f".{name} " in run("validate", folder=shop.folder, COLUMNS="40").stdout


def test_a_failed_check_is_told_and_exits_with_1(shop: Scenario) -> None:
    shop.write("users", "nowhere")
    done = run("validate", "--json", folder=shop.folder)
    assert done.returncode == NOT_GOOD
    (failed,) = [check for check in data(done)["checks"] if not check["ok"]]
    assert failed["check"] == "source table nowhere"
    assert "no table of" in failed["problem"]

    for_people = run("validate", folder=shop.folder)
    assert for_people.returncode == NOT_GOOD
    assert "FAIL  source table nowhere: no table of" in for_people.stdout


def test_copy_of_what_step_1_refuses_exits_with_1_and_lists_it(shop: Scenario) -> None:
    shop.write("users", "nowhere")
    done = run("copy", "users", folder=shop.folder)
    assert done.returncode == NOT_GOOD
    assert "1 check(s) failed:" in done.stderr
    assert "Traceback" not in done.stderr


def test_start_of_what_step_1_refuses_could_not_be_done(shop: Scenario) -> None:
    shop.write("users", "nowhere")
    done = run("start", "--until-caught-up", folder=shop.folder)
    assert done.returncode == NOT_DONE
    assert "Error: 1 check(s) failed:" in done.stderr
    assert "source table nowhere" in done.stderr
    assert "Traceback" not in done.stderr


# -- before the first start ---------------------------------------------------------------------------------------


def test_the_status_of_what_never_ran_says_so(shop: Scenario) -> None:
    done = run("status", "--json", folder=shop.folder)
    assert done.returncode == GOOD, done.stderr
    answer = data(done)
    assert answer["connector"]["state"] == "NOT REGISTERED"
    assert answer["consumer"]["state"] == "NONE"
    assert answer["tables"] == answer["errors"] == []


@pytest.mark.parametrize("command", [("verify",), ("register",), ("pause",), ("consume", "--until-caught-up")])
def test_what_needs_a_start_says_so_without_a_traceback(shop: Scenario, command: tuple[str, ...]) -> None:
    done = run(*command, folder=shop.folder)
    assert done.returncode == NOT_DONE
    assert done.stderr.splitlines()[-1].startswith("Error: "), done.stderr
    assert "Traceback" not in done.stderr


def test_a_table_that_is_not_of_the_replication_is_named(shop: Scenario) -> None:
    done = run("verify", "clients", folder=shop.folder)
    assert done.returncode == NOT_DONE
    assert "has no table 'clients'; it has" in one_line(done)


# -- a whole life -------------------------------------------------------------------------------------------------


def connector(scenario: Scenario) -> str:
    return f"client_{scenario.number}_db_5_connector"


def copied(scenario: Scenario) -> Scenario:
    done = run("copy", "users", "orders", folder=scenario.folder)
    assert done.returncode == GOOD, done.stderr
    return scenario


def started(scenario: Scenario) -> Scenario:
    done = run("start", "--until-caught-up", folder=scenario.folder)
    assert done.returncode == GOOD, done.stderr
    assert done.stdout == "2 tables, 0 changes applied\n"
    for step in ("STEP 1/4", "STEP 2/4", "STEP 3/4", "STEP 4/4", "Initial sync completed: 2/2 tables, 4 rows"):
        assert f"[{connector(scenario)}] {step}" in done.stderr
    return scenario


def test_verify_tells_rows_and_checksums_of_both_sides(shop: Scenario) -> None:
    copied(shop)
    equal = run("verify", "--json", folder=shop.folder)
    assert equal.returncode == GOOD
    answer = data(equal)
    assert answer.keys() == {"equal", "tables"}
    assert answer["equal"] is True
    users = next(table for table in answer["tables"] if table["source"] == f"{shop.schema}.users")
    checksums = {users.pop("source_checksum"), users.pop("target_checksum")}
    assert len(checksums) == 1
    assert users == {
        "source": f"{shop.schema}.users", "target": f"public.{shop.target_table('users')}", "equal": True,
        "source_rows": 3, "target_rows": 3, "missing": 0, "extra": 0, "different": 0, "undecided": 0, "unread": 0,
        "sample_keys": [], "left_out": [], "mended": 0, "advice": "",
    }  # fmt: skip


def test_verify_tells_what_differs_and_repair_or_resync_mends_it(shop: Scenario) -> None:
    copied(shop)
    shop.run("target", f"DELETE FROM {shop.target_table('users')} WHERE id = 2")
    shop.run("target", f"UPDATE {shop.target_table('users')} SET name = 'x' WHERE id = 1")
    shop.run("target", f"INSERT INTO {shop.target_table('users')} VALUES (9, 'z')")
    different = run("verify", "users", "--json", folder=shop.folder)
    assert different.returncode == NOT_GOOD
    answer = data(different)
    assert answer["equal"] is False
    (users,) = answer["tables"]
    assert (users["missing"], users["extra"], users["different"]) == (1, 1, 1)
    assert users["sample_keys"] == ["1", "2", "9"]
    assert users["source_checksum"] != users["target_checksum"]
    assert "DIFFERENT" in run("verify", "users", folder=shop.folder).stdout

    repaired = run("verify", "users", "--repair", "--json", folder=shop.folder)
    assert repaired.returncode == GOOD
    (users,) = data(repaired)["tables"]
    assert (users["equal"], users["mended"], users["missing"]) == (True, 3, 1)
    assert run("verify", "users", folder=shop.folder).returncode == GOOD

    shop.run("target", f"DELETE FROM {shop.target_table('users')} WHERE id = 2")
    resynced = run("resync", "users", folder=shop.folder)
    assert resynced.returncode == GOOD, resynced.stderr
    assert "Synced 3 rows" in resynced.stderr
    assert run("verify", folder=shop.folder).returncode == GOOD


def test_status_tells_connector_consumer_and_every_table(shop: Scenario) -> None:
    started(shop)
    shop.run("source", "INSERT INTO users VALUES (4, 'dan')", "UPDATE orders SET total = 1", "DELETE FROM orders")
    consumed = run("consume", "--until-caught-up", folder=shop.folder)
    assert consumed.returncode == GOOD, consumed.stderr
    applied, seconds = consumed.stdout.splitlines()
    assert applied == "3 changes applied (0 were in the target already)"
    assert re.fullmatch(r"seconds: poll \d+\.\d, parse \d+\.\d, merge \d+\.\d, commit \d+\.\d", seconds)

    status = run("status", "--json", folder=shop.folder)
    assert status.returncode == GOOD, status.stdout
    answer = data(status)
    assert answer.keys() == {
        "replication", "desired", "connector", "consumer", "joined", "tables", "lag_events", "lag_seconds",
        "last_error", "errors", "heartbeat_age_seconds", "kept_out",
    }  # fmt: skip
    assert (answer["replication"], answer["desired"]) == (shop.name, "running")
    assert (answer["connector"]["name"], answer["connector"]["state"]) == (connector(shop), "RUNNING")
    assert [task["state"] for task in answer["connector"]["tasks"]] == ["RUNNING"]
    assert answer["consumer"]["state"] == "STOPPED"
    assert answer["consumer"]["group"].startswith(f"cdc_consumer_{shop.number}_6_")
    assert (answer["consumer"]["applied"], list(answer["consumer"]["seconds"])) == (3, [*PHASES])
    assert min(answer["consumer"]["events_per_second"], *answer["consumer"]["seconds"].values()) >= 0
    assert answer["consumer"]["seconds"]["poll"] > 0
    assert (answer["lag_events"], answer["last_error"], answer["errors"]) == (0, "", [])
    orders = next(table for table in answer["tables"] if table["source"] == f"{shop.schema}.orders")
    assert orders.pop("copy_seconds") >= 0
    assert orders.pop("copy_phases").keys() == {"read", "write", "index"}
    assert orders.pop("bytes_copied") == len("1\t9.90\n")
    assert orders == {
        "source": f"{shop.schema}.orders", "target": f"public.{shop.target_table('orders')}",
        "topic": f"client_{shop.number}_db_5.{shop.schema}.orders", "state": "STREAMING", "rows_copied": 1,
        "inserted": 0, "updated": 1, "deleted": 1, "set_aside": 0, "lag_events": 0, "lag_seconds": 0.0, "error": "",
    }  # fmt: skip
    for_people = run("status", folder=shop.folder)
    assert for_people.returncode == GOOD
    assert f"Connector  {connector(shop)}: RUNNING task 0 RUNNING" in for_people.stdout
    copied = r"STREAMING[ │]+\d+(\.\d s| ms)(, (read|write|index) \d+%)? "  # a row is copied in less than a clock tells
    assert len(re.findall(copied, for_people.stdout)) == len(answer["tables"]), for_people.stdout
    assert re.search(r"3 rows applied, \d+\.\d a second; seconds: poll \d+\.\d, parse", for_people.stdout)


def test_of_a_consumer_of_an_earlier_version_status_knows_no_seconds(shop: Scenario) -> None:
    started(shop)
    assert run("consume", "--until-caught-up", folder=shop.folder).returncode == GOOD
    shop.run("target", "ALTER TABLE cdc_pipeline.consumer_runs DROP COLUMN work")
    consumer = data(run("status", "--json", folder=shop.folder))["consumer"]
    assert consumer["state"] == "STOPPED"
    assert [consumer[name] for name in ("applied", "events_per_second", "seconds")] == [None, None, None]
    for_people = run("status", folder=shop.folder)
    assert for_people.returncode == GOOD
    assert "seconds:" not in for_people.stdout


def test_the_owners_wishes_are_kept_and_shown(shop: Scenario) -> None:
    copied(shop)
    for command, desired in (("pause", "paused"), ("resume", "running"), ("stop", "stopped")):
        wished = run(command, folder=shop.folder)
        assert (wished.returncode, wished.stdout) == (GOOD, f"{shop.name}: {desired}\n")
        assert data(run("status", "--json", folder=shop.folder))["desired"] == desired


def test_teardown_removes_everything_but_the_copied_tables(shop: Scenario) -> None:
    started(shop)
    gone = run("teardown", "--yes", folder=shop.folder)
    assert gone.returncode == GOOD, gone.stderr
    assert f"removed {connector(shop)}" in gone.stdout.splitlines()
    answer = data(run("status", "--json", folder=shop.folder))
    assert (answer["connector"]["state"], answer["tables"]) == ("NOT REGISTERED", [])
    assert len(shop.rows("target", f"SELECT * FROM {shop.target_table('users')}")) == 3, "the copied tables stay"


def test_a_teardown_that_is_not_confirmed_removes_nothing(shop: Scenario) -> None:
    environment = shop.environment()
    done = subprocess.run(
        [PROGRAM, "teardown"], env=environment, input="n\n", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == NOT_GOOD
    assert "removed" not in done.stdout
