"""Indexes under odd names, killed and repeated copies, and a stream that meets unique indexes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

import pytest

from cdc_pipeline.copying import completion, copy, load
from cdc_pipeline.state import TableState
from cdc_pipeline_tests.copying import columns_of, copied, every_direction, indexes, notes
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.waiting import wait_until

MakeScenario = Callable[..., Scenario]

# -- names --------------------------------------------------------------------------------------------------------

ODD = "Größe \"x\" `y` 'z' 100% \\"


@every_direction
def test_odd_and_long_names(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    quote = '"' if source == "postgresql" else "`"
    longest = "n" * (63 if source == "postgresql" else 64)
    umlauts = "ä" * (31 if source == "postgresql" else 64)

    def quoted(name: str) -> str:
        return quote + name.replace(quote, quote * 2) + quote

    table = 'Tab "le` %'
    made.run(
        "source",
        f"CREATE TABLE {quoted(table)} (id INT PRIMARY KEY, {quoted(ODD)} INT DEFAULT 3)",
        *(f"CREATE INDEX {quoted(name)} ON {quoted(table)} ({quoted(ODD)})" for name in (ODD, longest, umlauts)),
        f"INSERT INTO {quoted(table)} VALUES (1, 2)",
    )
    replication, results = copied(made, "Tab*")
    assert notes(results) == ""
    found = indexes(replication, table)
    assert ODD in found
    assert len(found) == 3
    kept = {longest, umlauts} & found.keys()
    assert kept == ({longest, umlauts} if target != "postgresql" or source == "postgresql" else set())
    assert all(columns_of(index) == [(ODD, False)] for index in found.values())
    made.assert_equal(replication)


def test_a_name_that_the_schema_has_already_gets_the_table_s_name_before_it(scenario: MakeScenario) -> None:
    made = scenario("mysql", "postgresql")
    for table in ("first", "second", "third"):
        made.run("source", f"CREATE TABLE {table} (id INT PRIMARY KEY, n INT, KEY n (n), KEY {table}_n (n, id))")
    made.run("target", "CREATE TABLE first_of_all (id INT)", "CREATE INDEX n ON first_of_all (id)")
    replication, results = copied(made, "first", "second", "third", parallel_tables="3")
    assert notes(results) == ""
    for table in ("first", "second", "third"):
        found = indexes(replication, table)
        assert found.keys() == {f"{made.target_table(table)}_n", f"{table}_n"}
        assert [columns_of(index) for _, index in sorted(found.items())] in (
            [[("n", False)], [("n", False), ("id", False)]],
            [[("n", False), ("id", False)], [("n", False)]],
        )


def test_names_that_differ_in_case_only_both_arrive_in_mysql(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "mysql")
    made.run(
        "source",
        "CREATE TABLE cases (id INT PRIMARY KEY, a INT, b INT)",
        'CREATE INDEX "Ab" ON cases (a)',
        'CREATE INDEX "aB" ON cases (b)',
        'CREATE INDEX "PRIMARY" ON cases (a, b)',
    )
    replication, _ = copied(made, "cases")
    found = {tuple(columns_of(index)): name for name, index in indexes(replication, "cases").items()}
    assert found.keys() == {(("a", False),), (("b", False),), (("a", False), ("b", False))}
    assert set(copied(made, "cases", force=True)[1][0].notes) == set()
    assert len(indexes(replication, "cases")) == 3


# -- kills and repetitions ------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What no handler of ours catches."""


@every_direction
def test_killed_between_rows_and_indexes_the_next_copy_goes_on_with_the_indexes(
    scenario: MakeScenario, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scenario(source, target)
    made.run(
        "source",
        "CREATE TABLE seats (id INT PRIMARY KEY, hall INT, number INT)",
        "CREATE INDEX first ON seats (hall)",
        "CREATE INDEX second ON seats (number)",
        "INSERT INTO seats VALUES (1, 1, 1)",
    )
    replication = made.replication("seats")
    replication.prepare()
    made_index, count = completion._make_index, 0

    def kill_at_the_second(*arguments) -> str:
        nonlocal count
        count += 1
        if count == 2:
            raise Killed
        return made_index(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(completion, "_make_index", kill_at_the_second)
        with pytest.raises(Killed):
            list(replication.copy())
    record = replication.parts.state.table_records()[replication.table("seats").source]
    assert record.state is TableState.LOADED
    assert indexes(replication, "seats").keys() == {"first"}
    with pytest.raises(Exception, match="not copied yet"):
        replication.register()
    with monkeypatch.context() as patch:  # the rows are not read again
        patch.setattr(load, "transfer", None)
        again, results = copied(made, "seats")
    assert [(result.outcome, result.rows) for result in results] == [("copied", 1)]
    assert indexes(again, "seats").keys() == {"first", "second"}
    assert again.parts.state.table_records()[again.table("seats").source].watermark == record.watermark
    made.run("source", "INSERT INTO seats VALUES (2, 2, 2)")
    again.register()
    again.consume(until_caught_up=True)
    made.assert_equal(again)


@pytest.mark.parametrize("done", ["DROP TABLE", "TRUNCATE TABLE"])
def test_killed_between_rows_and_indexes_a_target_that_has_lost_its_rows_is_copied_again(
    scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch, done: str
) -> None:
    made = scenario("mysql", "postgresql")
    made.run("source", "CREATE TABLE seats (id INT PRIMARY KEY, hall INT)", "INSERT INTO seats VALUES (1, 1)")
    replication = made.replication("seats")
    replication.prepare()

    def kill(*_: object) -> NoReturn:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(copy, "complete", kill)
        with pytest.raises(Killed):
            list(replication.copy())
    assert replication.parts.state.table_record(replication.table("seats").source).state is TableState.LOADED
    made.run("target", f"{done} {made.target_table('seats')}")
    _, results = copied(made, "seats")
    assert [(result.outcome, result.rows) for result in results] == [("copied", 1)]
    made.assert_equal(replication)


def test_a_process_that_is_killed_while_it_makes_an_index_is_gone_on_with(scenario: MakeScenario) -> None:
    made = scenario("mysql", "postgresql")
    made.run("source", "CREATE TABLE seats (id INT PRIMARY KEY, hall INT, KEY first (hall))")
    replication, _ = copied(made, "seats")
    table = made.target_table("seats")
    made.run("source", "INSERT INTO seats VALUES (1, 1)")
    made.run("target", "DROP INDEX first")
    seats = replication.table("seats").source
    with made.engine("target").execution_options(isolation_level="READ COMMITTED").connect() as holder:
        holder.exec_driver_sql(f"LOCK TABLE {table} IN ROW EXCLUSIVE MODE")  # lets rows pass, but no new index
        process = subprocess.Popen([sys.executable, "-m", "cdc_pipeline.cli", "copy", "seats"], env=made.environment())
        wait_until(lambda: replication.parts.state.table_records()[seats].state is TableState.LOADED, "loaded")
        process.send_signal(signal.SIGKILL)
        process.wait()
    _, results = copied(made, "seats")
    assert [(result.outcome, result.rows) for result in results] == [("copied", 1)]
    assert replication.parts.state.table_records()[seats].state is TableState.COPIED
    assert indexes(replication, "seats").keys() == {"first"}
    made.assert_equal(replication)


@every_direction
def test_a_resync_makes_what_is_missing_and_keeps_what_is_there(
    scenario: MakeScenario, source: str, target: str
) -> None:
    made = scenario(source, target)
    made.run(
        "source",
        "CREATE TABLE seats (id INT PRIMARY KEY, hall INT, number INT)",
        "CREATE INDEX first ON seats (hall)",
        "CREATE INDEX second ON seats (number)",
    )
    replication, _ = copied(made, "seats")
    table = made.target_table("seats")
    of_table = f" ON {table}" if target == "mysql" else ""
    made.run("target", f"DROP INDEX second{of_table}", f"CREATE INDEX mine ON {table} (number, hall)")
    made.run("source", "CREATE INDEX third ON seats (number, id)")
    copied(made, "seats", force=True)
    assert indexes(replication, "seats").keys() == {"first", "second", "third", "mine"}


# -- the stream ---------------------------------------------------------------------------------------------------


@every_direction
def test_rows_that_exchange_unique_values_do_not_stop_the_stream(
    scenario: MakeScenario, source: str, target: str
) -> None:
    """Of `long`, PostgreSQL logs nothing where an update leaves it as it is: such rows change in part."""
    made = scenario(source, target)
    text = "text" if source == "postgresql" else "longtext"
    made.run("source", f"CREATE TABLE seats (id INT PRIMARY KEY, place INT, note {text})",
             "CREATE UNIQUE INDEX one ON seats (place)")  # fmt: skip
    if source == "postgresql":
        made.run("source", "ALTER TABLE seats ALTER COLUMN note SET STORAGE EXTERNAL")
    made.run("source", "INSERT INTO seats VALUES (1, 1, repeat('x', 9000)), (2, 2, repeat('y', 9000)), (3, 3, 'short')")
    replication, _ = copied(made, "seats")
    assert indexes(replication, "seats")["one"].unique
    replication.register()
    made.run(
        "source",
        "UPDATE seats SET place = 9 WHERE id = 1",
        "UPDATE seats SET place = 1 WHERE id = 2",
        "UPDATE seats SET place = 2 WHERE id = 1",
        "UPDATE seats SET place = 4 WHERE id = 1",
        "INSERT INTO seats VALUES (4, 2, 'new')",
        "UPDATE seats SET place = 5 WHERE id = 2",
        "UPDATE seats SET place = 1 WHERE id = 3",
    )
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
