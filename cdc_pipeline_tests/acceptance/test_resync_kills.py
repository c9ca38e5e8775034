"""A re-sync is killed at each of its steps: what was served is still served, the consumer goes on, and the next one
leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cdc_pipeline.state import TableState
from cdc_pipeline_tests.halting import killed
from cdc_pipeline_tests.resyncing import EVERYTHING, both_directions, create_tables, leftovers, resynced
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import started

MakeScenario = Callable[..., Scenario]

REPLACERS = {
    "postgresql": ("cdc_pipeline.databases.postgresql.replacer", "PostgreSqlReplacer"),
    "mysql": ("cdc_pipeline.databases.mysql.replacer", "MySqlReplacer"),
}


def steps(target: str) -> Iterator[tuple[str, str, str, str]]:
    yield "cdc_pipeline.copying.resync", "", "transfer", "before"
    yield "cdc_pipeline.copying.resync", "", "complete", "before"
    yield "cdc_pipeline.copying.resync", "Resync", "_replace", "before"
    if target == "mysql":
        yield "cdc_pipeline.swaps", "", "announce", "after"
    yield *REPLACERS[target], "swap", "after"  # PostgreSQL: not committed; MySQL: renamed, and not written down
    yield "cdc_pipeline.copying.resync", "Resync", "_drop_leftovers", "before"


@pytest.mark.deep
@both_directions
@pytest.mark.timeout(900)
def test_a_resync_killed_anywhere_leaves_the_table_serving(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    create_tables(made)
    replication = started(made, "stock", "loose")
    state, stock = replication.parts.state, replication.table("stock").source
    query = f"SELECT count(*), sum(id) FROM {made.target_table('stock')}"

    def check_after(step: tuple[str, ...], number: int) -> None:
        with killed(made, *step):
            assert made.rows("target", query) == [EVERYTHING], step
            assert len(leftovers(made)) <= 1, step  # those of the one before are gone
            made.run("source", f"UPDATE stock SET note = 'step {number}' WHERE id < {10 * number}")
            replication.consume(until_caught_up=True)
            made.assert_equal(replication)
            assert state.table_records()[stock].swap == "", step

    for number, step in enumerate(steps(target), 1):
        check_after(step, number)
    assert state.table_records()[stock].state is TableState.STREAMING
    table = made.target_table("stock")
    if target == "postgresql":
        made.run("target", f"CREATE VIEW halls AS SELECT hall, count(*) AS n FROM {table} GROUP BY hall")
    else:
        made.run("target", f"CREATE TRIGGER halls BEFORE INSERT ON {table} FOR EACH ROW SET NEW.hall = NEW.hall")
    for number, step in enumerate([("cdc_pipeline.swaps", "", "announce", "after"),
                                   (*REPLACERS[target], "replace_rows", "after")], 10):  # fmt: skip
        check_after(step, number)
    assert state.table_records()[stock].state is TableState.RESYNCING
    # Without force: that it was killed says that a re-sync was wanted.
    replication.prepare()
    (result,) = replication.copy(["stock"])
    assert result.outcome == "reloaded"
    assert "in place" in result.method
    resynced(made, "stock", "loose")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
    assert leftovers(made) == []
