"""Foreign keys: off unless asked for, made when all tables are there, and never in the stream's way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from cdc_pipeline.copying import completion
from cdc_pipeline.copying.copy import CopyResult
from cdc_pipeline.databases.definition import ForeignKey
from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.copying import copied, definition, every_direction, notes
from cdc_pipeline_tests.scenario import Scenario

MakeScenario = Callable[..., Scenario]
ON = {"foreign_keys": "true"}
# The child's name sorts before the parent's, and so does its topic.
TABLES = (
    "CREATE TABLE parents (id INT PRIMARY KEY, code INT NOT NULL)",
    "CREATE TABLE children (id INT PRIMARY KEY, parent INT, twin INT, "
    "CONSTRAINT of_parent FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE {action}, "
    "CONSTRAINT of_twin FOREIGN KEY (twin) REFERENCES children (id))",
    "INSERT INTO parents VALUES (1, 10), (2, 20)",
    "INSERT INTO children VALUES (1, 1, NULL), (2, 2, 1)",
)


def create(made: Scenario, action: str = "NO ACTION") -> None:
    made.run("source", *(statement.format(action=action) for statement in TABLES))


def with_keys(made: Scenario, *tables: str, force: bool = False) -> tuple[Replication, list[CopyResult]]:
    return copied(made, *tables, force=force, foreign_keys="true")


def foreign_keys(replication: Replication, table: str) -> dict[str, ForeignKey]:
    return {key.name: key for key in definition(replication, table).foreign_keys}


@every_direction
def test_off_by_default(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    create(made)
    replication, _ = copied(made, "parents", "children")
    assert foreign_keys(replication, "children") == {}


@every_direction
def test_on_they_arrive_without_actions(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    create(made, "CASCADE")
    replication, _ = with_keys(made, "parents", "children")
    keys = foreign_keys(replication, "children")
    assert keys.keys() == {"of_parent", "of_twin"}
    assert keys["of_parent"].columns == ("parent",)
    assert keys["of_parent"].parent_columns == ("id",)
    assert keys["of_parent"].parent == replication.table("parents").target
    # Both catalogues: NO ACTION is "a" to PostgreSQL, and neither CASCADE nor SET NULL to MySQL.
    actions = (
        "SELECT delete_rule, update_rule FROM information_schema.referential_constraints WHERE constraint_schema = "
        f"'{made.databases['target'] if target == 'mysql' else 'public'}'"
    )
    assert made.rows("target", actions) == [("NO ACTION", "NO ACTION")] * 2


@every_direction
def test_the_stream_may_bring_a_child_first_and_take_a_parent_first(
    scenario: MakeScenario, source: str, target: str
) -> None:
    """Each table's stream is read alone here, so that every order there can be is one that comes about."""
    made = scenario(source, target)
    create(made)
    replication, _ = with_keys(made, "parents", "children")
    replication.register()
    parents, children = made.target_table("parents"), made.target_table("children")
    made.run("source", "INSERT INTO parents VALUES (3, 30)", "INSERT INTO children VALUES (3, 3, NULL)")
    made.replication("children", **ON).consume(until_caught_up=True)
    assert made.rows("target", f"SELECT id FROM {children} WHERE parent = 3") == [(3,)]
    assert made.rows("target", f"SELECT id FROM {parents} WHERE id = 3") == []
    made.replication("parents", **ON).consume(until_caught_up=True)
    made.run("source", "DELETE FROM children WHERE id = 2", "DELETE FROM parents WHERE id = 2")
    made.replication("parents", **ON).consume(until_caught_up=True)
    assert made.rows("target", f"SELECT id FROM {children} WHERE parent = 2") == [(2,)]
    assert made.rows("target", f"SELECT id FROM {parents} WHERE id = 2") == []
    replication = made.replication("parents", "children", **ON)
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)


@every_direction
def test_a_table_that_others_refer_to_is_synced_again(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    create(made)
    with_keys(made, "parents", "children")
    replication, _ = with_keys(made, "parents", "children", force=True)
    made.assert_equal(replication)
    assert foreign_keys(replication, "children").keys() == {"of_parent", "of_twin"}


@every_direction
def test_a_run_that_was_killed_before_is_completed_by_the_next(
    scenario: MakeScenario, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scenario(source, target)
    create(made)
    make, made_keys = completion._make_foreign_key, 0

    def kill_at_the_second(*arguments: object) -> str:
        nonlocal made_keys
        made_keys += 1
        if made_keys == 2:
            raise KeyboardInterrupt
        return make(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(completion, "_make_foreign_key", kill_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            with_keys(made, "parents", "children")
    replication, results = with_keys(made, "parents", "children")
    assert {result.outcome for result in results} == {"skipped"}
    assert foreign_keys(replication, "children").keys() == {"of_parent", "of_twin"}


def test_one_whose_parent_is_elsewhere_is_named(scenario: MakeScenario, caplog: pytest.LogCaptureFixture) -> None:
    made = scenario("mysql", "postgresql")
    create(made)
    with caplog.at_level("INFO"):
        replication, _ = with_keys(made, "children")
    assert foreign_keys(replication, "children").keys() == {"of_twin"}
    assert "foreign key of_parent left out" in caplog.text


def test_they_wait_for_the_last_table(scenario: MakeScenario) -> None:
    made = scenario("mysql", "postgresql")
    create(made)
    replication = made.replication("parents", "children", **ON)
    replication.prepare()
    list(replication.copy(["children"]))
    assert foreign_keys(replication, "children") == {}
    list(replication.copy(["parents"]))
    assert foreign_keys(replication, "children").keys() == {"of_parent", "of_twin"}


def test_a_cascade_that_mysql_does_not_log_is_named(scenario: MakeScenario) -> None:
    made = scenario("mysql", "postgresql")
    create(made, "CASCADE")
    _, results = copied(made, "parents", "children")
    assert "foreign key of_parent: MySQL does not log the rows that its ON DELETE CASCADE changes" in notes(results)


def constraint_is_checked(connection: Connection, table: str) -> bool:
    query = f"SELECT bool_or(conenforced) FROM pg_constraint WHERE conrelid = '{table}'::regclass AND contype = 'f'"
    return bool(connection.exec_driver_sql(query).scalar())


def test_postgresql_does_not_check_them(scenario: MakeScenario) -> None:
    made = scenario("mysql", "postgresql")
    create(made)
    with_keys(made, "parents", "children")
    with made.engine("target").connect() as connection:
        assert not constraint_is_checked(connection, made.target_table("children"))
