"""A session that logs less than its server is told to: MySQL lets it change the row image and the format of the log."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdc_pipeline.errors import ConnectorFailed
from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import Scenario

MakeScenario = Callable[..., Scenario]


def write(made: Scenario, setting: str, *statements: str) -> None:
    with made.engine("source").connect() as connection:
        connection.exec_driver_sql(f"SET SESSION {setting}")
        for statement in statements:
            connection.exec_driver_sql(statement)


def streaming(made: Scenario) -> Replication:
    made.run(
        "source",
        "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20), note LONGTEXT, n INT)",
        "INSERT INTO users VALUES (1, 'Ann', 'long', 1), (2, 'Bob', 'long', 2)",
    )
    replication = made.replication("users")
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    return replication


@pytest.mark.parametrize(("image", "columns"), [("MINIMAL", 1), ("NOBLOB", 3)])
def test_a_partial_row_is_never_guessed(scenario: MakeScenario, image: str, columns: int) -> None:
    made = scenario("mysql", "postgresql")
    replication = streaming(made)
    write(made, f"binlog_row_image = '{image}'", "UPDATE users SET n = 9 WHERE id = 1")
    with pytest.raises(ConnectorFailed, match=rf"table users has {columns} of its 4 columns.*binlog_row_image"):
        replication.consume(until_caught_up=True)
    ours = f"SELECT n FROM {made.target_table('users')} ORDER BY id"
    assert made.rows("target", ours) == [(1,), (2,)]
    # The way out that it names.
    replication.teardown()
    again = made.replication("users")
    again.check(force_resync=True)
    again.prepare(force_resync=True)
    assert [result.error for result in again.copy(force_resync=True) if result.error] == []
    again.register()
    made.run("source", "UPDATE users SET n = 10 WHERE id = 2")
    again.consume(until_caught_up=True)
    made.assert_equal(again)


def test_what_was_logged_as_a_statement_is_seen_by_verify_alone(scenario: MakeScenario) -> None:
    """Debezium passes it over with a line in its worker's log; README.md says so."""
    made = scenario("mysql", "postgresql")
    replication = streaming(made)
    write(made, "binlog_format = 'STATEMENT'", "UPDATE users SET n = 9 WHERE id = 1")
    replication.consume(until_caught_up=True)
    (comparison,) = made.compare(replication)
    assert (comparison.missing, comparison.extra, comparison.different) == (0, 0, 1)
    made.run("source", "UPDATE users SET n = 10 WHERE id = 1")  # logged as a row again: it heals
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
