"""Generated columns: their values arrive by copy and by stream, or they are computed again, or refused in step 1."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdc_pipeline_tests.copying import copied
from cdc_pipeline_tests.scenario import Scenario

MakeScenario = Callable[..., Scenario]


@pytest.mark.parametrize("target", ["mysql", "postgresql"])
def test_mysql_s_generated_columns_arrive_as_values_by_copy_and_by_stream(scenario: MakeScenario, target: str) -> None:
    made = scenario("mysql", target)
    made.run(
        "source",
        "CREATE TABLE boxes (id INT PRIMARY KEY, side INT, area INT AS (side * side) STORED, "
        "twice INT AS (side * 2) VIRTUAL)",
        "INSERT INTO boxes (id, side) VALUES (1, 3), (2, 4)",
    )
    replication, _ = copied(made, "boxes")
    made.assert_equal(replication)
    replication.register()
    made.run("source", "UPDATE boxes SET side = 5 WHERE id = 1", "INSERT INTO boxes (id, side) VALUES (3, 6)")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
    rows = made.rows("target", f"SELECT id, area, twice FROM {made.target_table('boxes')} ORDER BY id")
    assert rows == [(1, 25, 10), (2, 16, 8), (3, 36, 12)]


@pytest.mark.parametrize("target", ["mysql", "postgresql"])
def test_postgresql_s_stored_columns_arrive_as_values_by_copy_and_by_stream(
    scenario: MakeScenario, target: str
) -> None:
    made = scenario("postgresql", target)
    for name, key in (("boxes", " PRIMARY KEY"), ("loose", "")):
        made.run(
            "source",
            f"CREATE TABLE {name} (id INT{key}, side INT, area INT GENERATED ALWAYS AS (side * side) STORED)",
            f"ALTER TABLE {name} REPLICA IDENTITY FULL",
            f"INSERT INTO {name} (id, side) VALUES (1, 3), (2, 4)",
        )
    replication, _ = copied(made, "boxes", "loose")
    made.assert_equal(replication)
    replication.register()
    for name in ("boxes", "loose"):
        made.run("source", f"UPDATE {name} SET side = 5 WHERE id = 1", f"DELETE FROM {name} WHERE id = 2")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
    for name in ("boxes", "loose"):
        assert made.rows("target", f"SELECT id, area FROM {made.target_table(name)}") == [(1, 25)]


def test_a_publication_that_was_made_without_generated_columns_gets_them(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "postgresql")
    made.run(
        "source",
        "CREATE TABLE boxes (id INT PRIMARY KEY, side INT, area INT GENERATED ALWAYS AS (side * side) STORED)",
        f"CREATE PUBLICATION {made.config('boxes').slot_name} FOR TABLE boxes",
    )
    replication, _ = copied(made, "boxes")
    replication.register()
    made.run("source", "INSERT INTO boxes (id, side) VALUES (1, 3)")
    replication.consume(until_caught_up=True)
    assert made.rows("target", f"SELECT id, area FROM {made.target_table('boxes')}") == [(1, 9)]


VIRTUAL = "CREATE TABLE boxes (id INT PRIMARY KEY, side INT, area INT GENERATED ALWAYS AS (side * side) VIRTUAL)"


def test_a_virtual_column_of_postgresql_is_computed_by_the_target_too(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "postgresql")
    made.run("source", VIRTUAL, "INSERT INTO boxes (id, side) VALUES (1, 3)")
    replication, _ = copied(made, "boxes")
    replication.register()
    made.run("source", "UPDATE boxes SET side = 5", "INSERT INTO boxes (id, side) VALUES (2, 6)")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
    rows = made.rows("target", f"SELECT id, area FROM {made.target_table('boxes')} ORDER BY id")
    assert rows == [(1, 25), (2, 36)]


def _problems(made: Scenario, table: str) -> str:
    with pytest.raises(Exception, match="check") as raised:
        made.replication(table).check()
    return str(raised.value)


def test_a_virtual_column_that_the_target_cannot_compute_is_refused_in_step_1(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "mysql")
    made.run("source", VIRTUAL)
    problems = _problems(made, "boxes")
    assert "does not publish area" in problems
    assert "make it STORED" in problems


def test_a_virtual_column_of_a_table_that_logs_whole_rows_is_refused_in_step_1(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "postgresql")
    made.run("source", VIRTUAL, "ALTER TABLE boxes REPLICA IDENTITY FULL")
    assert "virtual column area" in _problems(made, "boxes")


def test_a_target_table_that_does_not_compute_the_column_is_refused(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "postgresql")
    made.run("source", VIRTUAL)
    made.run("target", f"CREATE TABLE {made.target_table('boxes')} (id INT PRIMARY KEY, side INT, area INT)")
    replication = made.replication("boxes")
    replication.prepare()
    (result,) = replication.copy()
    assert "must generate area itself" in str(result.error)
