"""Plans of the fuzzer: the same seed gives the same one, as data that comes back from its text, and as SQL."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cdc_pipeline_tests.fuzz import documented
from cdc_pipeline_tests.fuzz.acts import ACTS
from cdc_pipeline_tests.fuzz.decisions import decision
from cdc_pipeline_tests.fuzz.features import INVENTORY, Steering, check_names
from cdc_pipeline_tests.fuzz.plan import (
    SQL,
    START,
    Clause,
    Column,
    Delete,
    Insert,
    Plan,
    Raw,
    Step,
    Table,
    Update,
    create,
    creation,
    from_json,
    render,
    to_json,
)
from cdc_pipeline_tests.fuzz.planning import make
from cdc_pipeline_tests.fuzz.script import script

DIRECTIONS = [(source, target) for source in ("mysql", "postgresql", "mariadb") for target in ("mysql", "postgresql")]
PROJECT = Path(__file__).parents[2]


def plans(count: int = 15, **steering: object) -> list[Plan]:
    return [
        make(seed, Steering(source, target, **steering))  # type: ignore[arg-type]
        for source, target in DIRECTIONS
        for seed in range(count)
    ]


def test_a_seed_gives_the_same_plan_each_time_and_another_seed_another_one() -> None:
    assert plans(5) == plans(5)
    assert len(set(plans())) == 15 * len(DIRECTIONS)


def test_a_plan_comes_back_from_its_text() -> None:
    for plan in plans(disrupts=True):
        assert from_json(to_json(plan)) == plan


def test_a_plan_starts_once_and_knows_every_act_and_feature() -> None:
    for plan in plans(disrupts=True):
        assert [step.does for step in plan.steps].count(START) >= 1
        assert {step.does for step in (*plan.prelude, *plan.steps)} - {SQL} <= ACTS.keys()
        assert set(plan.features) - INVENTORY.keys() <= {"rows", "start"}
        assert len({table.name for table in plan.tables}) == len(plan.tables)
        assert script(plan)


def test_every_feature_can_come_into_a_plan_when_it_is_asked_for() -> None:
    for name, feature in INVENTORY.items():
        source = next(kind for kind in ("mysql", "postgresql", "mariadb") if kind in feature.sources)
        target = next(kind for kind in ("postgresql", "mysql", "mariadb") if kind in feature.targets)
        steering = Steering(source, target, only=frozenset({name}))
        used = any(name in make(seed, steering).features for seed in range(12))
        assert used or feature.base, f"{name} is in none of 12 plans that ask for it"


def test_steering_leaves_out_what_it_is_told_to() -> None:
    for plan in plans(known=False):
        assert not [name for name in plan.features if name in INVENTORY and INVENTORY[name].known]
    assert any("plain" in plan.features for plan in plans())
    assert not any("plain" in plan.features for plan in plans(without=frozenset({"plain"})))
    only = plans(only=frozenset({"interleaved"}))
    assert all(INVENTORY[f].base or f == "interleaved" for p in only for f in p.features if f in INVENTORY)
    with pytest.raises(ValueError, match="no such feature: plane"):
        check_names(["plain", "plane"])


def test_a_server_is_not_stopped_for_others_unless_that_is_asked_for() -> None:
    for plan in plans():
        assert not [name for name in plan.features if name in INVENTORY and INVENTORY[name].disrupts]


def test_no_transaction_is_left_open_over_an_act_but_by_its_own_block() -> None:
    for plan in plans(30, without=frozenset({"transaction_over_restart"})):
        is_open: set[str] = set()
        for step in plan.steps:
            texts = [statement.sql for statement in step.statements if isinstance(statement, Raw)]
            for text in texts:
                if text == "BEGIN":
                    is_open.add(step.session)
                elif text in ("COMMIT", "ROLLBACK"):
                    is_open.discard(step.session)
            assert step.does == SQL or not is_open


def test_sql_has_quoted_names_and_literals_as_they_are() -> None:
    table = Table(
        'a"b', (Column("x`y", "INT"), Column("v", "TEXT")), ("x`y",), (Clause("UNIQUE («0»)", ("v",)),),
        after=(Clause("ALTER TABLE «table» REPLICA IDENTITY FULL"),),
    )  # fmt: skip
    assert create("mysql", table) == 'CREATE TABLE `a"b` (`x``y` INT, `v` TEXT, PRIMARY KEY (`x``y`), UNIQUE (`v`))'
    assert list(creation("postgresql", table))[1] == 'ALTER TABLE "a""b" REPLICA IDENTITY FULL'
    insert = Insert("t", ((("a", "'{0} %s'"), ("b", "NULL")), (("a", "1"), ("b", "2"))), "REPLACE")
    assert render("mysql", insert) == "REPLACE INTO `t` (`a`, `b`) VALUES ('{0} %s', NULL), (1, 2)"
    update = Update("t", (("a", "NULL"),), (("a", "1"), ("b", "NULL")))
    assert render("postgresql", update) == 'UPDATE "t" SET "a" = NULL WHERE "a" = 1 AND "b" IS NULL'
    assert render("mysql", Delete("t")) == "DELETE FROM `t`"
    assert render("mysql", Raw("SELECT «1», '«x»' FROM «0»", ("t", "c"))) == "SELECT `c`, '«x»' FROM `t`"


def test_a_script_names_who_does_what() -> None:
    table = Table("t", (Column("id", "INT"),), ("id",))
    steps = (
        Step(SQL, "rows", (Insert("t", ((("id", "1"),),)),)),
        Step(START, "start"),
        Step(SQL, "x", (Raw("BEGIN"),), "s1"),
        Step("resync", "resync", arguments=("t",)),
    )
    text = script(Plan(7, "mysql", "postgresql", (table,), steps))
    assert text.splitlines()[2:] == [
        "-- mysql, the source, session main",
        "CREATE TABLE `t` (`id` INT, PRIMARY KEY (`id`));",
        "INSERT INTO `t` (`id`) VALUES (1);",
        "cdc-pipeline start --until-caught-up",
        "-- mysql, the source, session s1",
        "BEGIN;",
        "cdc-pipeline resync t",
        "cdc-pipeline consume --until-caught-up; cdc-pipeline status",
    ]


def test_what_is_taken_for_told_stands_in_the_documentation() -> None:
    for told in (*documented.LOSSES.values(), *documented.STOPS):
        text = " ".join((PROJECT / told.where).read_text().split())
        assert " ".join(told.sentence.split()) in text, f"{told.where} no longer says: {told.sentence}"
    named = {feature.loss for feature in INVENTORY.values() if feature.loss}
    assert named <= documented.LOSSES.keys()


def test_settings_that_are_tried_are_features() -> None:
    assert decision("mysql", "binlog_row_image") == "tried"
    assert "my_session_binlog_row_image" in INVENTORY
    assert decision("postgresql", "DateStyle", "Client Connection Defaults / Locale and Formatting") == "tried"
    assert decision("postgresql", "geqo", "Query Tuning / Genetic Query Optimizer") not in ("", "tried")
    assert decision("postgresql", "unheard_of", "A new category") == ""
    assert not [name for name in INVENTORY if not re.fullmatch(r"[a-z0-9_]+", name)]
