"""The shrinker finds the few parts of a plan that fail, whatever surrounds them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from cdc_pipeline_tests.fuzz.features import Steering
from cdc_pipeline_tests.fuzz.plan import SQL, START, Clause, Column, Delete, Insert, Plan, Raw, Step, Table, Update
from cdc_pipeline_tests.fuzz.planning import make
from cdc_pipeline_tests.fuzz.shrink import reduced, shrink, without_column, without_table


def test_of_many_items_those_that_are_needed_are_left_in_their_order() -> None:
    chooser = random.Random(1)
    for _ in range(200):
        items = list(range(chooser.randint(0, 40)))
        needed = set(chooser.sample(items, chooser.randint(0, min(4, len(items)))))

        def holds(chosen: Sequence[int], needed: set[int] = needed) -> bool:
            return needed <= set(chosen)

        assert reduced(items, holds) == sorted(needed)


def test_either_of_two_is_enough_and_one_is_left() -> None:
    assert len(reduced(range(20), lambda chosen: 3 in chosen or 15 in chosen)) == 1


def test_nothing_goes_where_all_is_needed() -> None:
    assert reduced([1, 2, 3], lambda chosen: len(chosen) == 3) == [1, 2, 3]


def _fails(plan: Plan) -> bool:
    """A NULL written behind the start into a column that has a default."""
    defaults = {(table.name, column.name) for table in plan.tables for column in table.columns if column.default}
    started = False
    for step in plan.steps:
        started = started or step.does == START
        for statement in step.statements:
            pairs = [p for row in statement.rows for p in row] if isinstance(statement, Insert) else ()
            if started and any((statement.tables[0], name) in defaults and text == "NULL" for name, text in pairs):
                return True
    return False


def test_a_plan_of_a_seed_is_shrunk_to_one_insert_of_one_row() -> None:
    steering = Steering(only=frozenset({"null_beside_default", "interleaved", "name_comma"}))
    found = next(plan for plan in (make(seed, steering) for seed in range(100)) if _fails(plan))
    small = shrink(found, _fails)
    assert _fails(small)
    assert len(small.tables) == 1
    assert [step.does for step in small.steps] == [START, SQL]
    (insert,) = small.steps[1].statements
    assert isinstance(insert, Insert)
    assert len(insert.rows) == 1
    assert small.prelude == small.file == ()
    assert len(small.tables[0].columns) <= len(small.tables[0].key) + 1


def test_no_plan_is_tried_twice_and_one_that_does_not_fail_smaller_stays() -> None:
    plan = make(3, Steering())
    tried: list[Plan] = []

    def never(candidate: Plan) -> bool:
        tried.append(candidate)
        return False

    assert shrink(plan, never) == plan
    assert len(tried) == len(set(tried)) > 10


def test_what_names_a_table_or_a_column_goes_with_it() -> None:
    parent = Table("p", (Column("id", "INT"), Column("v", "INT")), ("id",))
    child = Table(
        "c", (Column("id", "INT"), Column("p", "INT")), ("id",), (Clause("FOREIGN KEY («0»)", ("p",), ("p",)),)
    )
    steps = (
        Step(
            SQL,
            "x",
            (
                Insert("p", ((("id", "1"), ("v", "2")),)),
                Update("p", (("v", "3"),), (("id", "1"),)),
                Update("p", (("id", "3"),), (("v", "1"), ("id", "1"))),
                Raw("ALTER TABLE «0» DROP COLUMN v", ("p",), ("p",), ("v",)),
                Raw("SELECT 1"),
            ),
        ),
        Step(START, "start"),
        Step("resync", "y", arguments=("c",)),
        Step(SQL, "z", (Delete("c", (("p", "1"),)),)),
    )
    plan = Plan(1, "mysql", "postgresql", (parent, child), steps)
    without = without_table(plan, "p")
    assert without.tables == ()
    assert [step.does for step in without.steps] == [SQL, START]
    assert without.steps[0].statements == (Raw("SELECT 1"),)
    lean = without_column(plan, parent, "v")
    assert lean.steps[0].statements == (
        Insert("p", ((("id", "1"),),)),
        Update("p", (("id", "3"),), (("id", "1"),)),
        Raw("SELECT 1"),
    )
    assert lean.tables[1].clauses == child.clauses
    assert without_column(plan, child, "p").tables[1].clauses == ()
