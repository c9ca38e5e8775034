"""Verification proves equality while changes flow, and names what differs without reading the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cdc_pipeline.databases.database import Database
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import cdc_pipeline, flowing, start_streaming
from cdc_pipeline_tests.waiting import wait_until
from cdc_pipeline_tests.workload import TABLES

MakeScenario = Callable[..., Scenario]
every_direction = pytest.mark.parametrize(
    ("source", "target"), [("mysql", "postgresql"), ("postgresql", "mysql"), ("mariadb", "postgresql")]
)


@pytest.mark.long
@every_direction
def test_while_changes_flow_lag_is_no_difference_and_a_difference_is_one(
    scenario: MakeScenario, source: str, target: str
) -> None:
    made = scenario(source, target)
    replication = start_streaming(made)
    accounts, journal = (made.target_table(table) for table in TABLES)
    with flowing(made, replication):
        for comparison in replication.verify():
            assert (comparison.missing, comparison.extra, comparison.different) == (0, 0, 0), comparison
        # Rows that nobody writes: the accounts from 400 on, and entries that are nobody's.
        made.run(
            "target",
            f"DELETE FROM {accounts} WHERE id = 401",
            f"UPDATE {accounts} SET owner = 'wrong' WHERE id IN (402, 403)",
            f"INSERT INTO {accounts} VALUES (-1, 'extra', 0, NULL)",
            f"INSERT INTO {journal} VALUES (99, 1.00, 'extra'), (99, 1.00, 'extra')",
        )
        told = {c.table.name: c for c in replication.verify()}
        assert not any(comparison.equal for comparison in told.values())
        found = told["accounts"]
        assert (found.missing, found.extra, found.different) == (1, 1, 2), found
        assert found.samples == ("-1", "401", "402", "403")
        assert (told["journal"].missing, told["journal"].extra) == (0, 2), told["journal"]
    made.run("target", f"DELETE FROM {accounts} WHERE id = -1", f"DELETE FROM {journal} WHERE account = 99")
    made.run("source", "UPDATE accounts SET note = 'again' WHERE id BETWEEN 401 AND 403")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)


@every_direction
def test_of_a_table_with_a_few_wrong_rows_few_are_read(
    scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch, source: str, target: str
) -> None:
    made, rows = scenario(source, target), 20_000
    made.run("source", "CREATE TABLE stock (id INT, name VARCHAR(20), PRIMARY KEY (name, id))")
    for start in range(0, rows, 5000):
        values = ", ".join(f"({n}, 'Ä {n % 7}')" for n in range(start, start + 5000))
        made.run("source", f"INSERT INTO stock VALUES {values}")
    replication = made.replication("stock")
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    made.run("target", f"UPDATE {made.target_table('stock')} SET id = -id WHERE id IN (5, 7777, 12345)")
    row_hashes, read = Database.row_hashes, []

    def counted(self: Database, *arguments: Any) -> Iterator[Any]:
        for row in row_hashes(self, *arguments):
            read.append(row)
            yield row

    monkeypatch.setattr(Database, "row_hashes", counted)
    (comparison,) = replication.verify()
    assert (comparison.missing, comparison.extra, comparison.different) == (3, 3, 0)
    assert len(read) < rows / 10


def test_what_cannot_be_settled_says_why(scenario: MakeScenario) -> None:
    """The consumer ends while rows wait to be looked at again."""
    made = scenario()
    replication = start_streaming(made)
    with cdc_pipeline(made, "consume") as consumer:
        wait_until(lambda: replication.parts.state.consumer() is not None, "consuming")
        made.run("target", f"DELETE FROM {made.target_table('accounts')} WHERE id = 401")
        wait = replication._wait_for_stream

        def ended() -> None:
            consumer.terminate()
            consumer.wait()
            made.run("source", "UPDATE accounts SET note = 'late' WHERE id = 1")
            wait()

        replication._wait_for_stream = ended  # type: ignore[method-assign]
        with pytest.raises(CdcPipelineError, match="consumer ended"):
            list(replication.verify())
