"""A connector that restarts amid a transaction tells every row of it, also those that share a place in the log."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import MakeScenario, Scenario
from cdc_pipeline_tests.streaming import started
from cdc_pipeline_tests.waiting import wait_until

ROWS = 20_000
ROUNDS = 2
TABLES = ("with_key", "without_key")


def copy_in(shop: Scenario, table: str, first: int) -> None:
    """One COPY, of whose rows those of one heap page share one LSN."""
    lines = "".join(f"{number}\trow {number}\n" for number in range(first, first + ROWS))
    with closing(shop.engine("source").raw_connection()) as connection, closing(connection.cursor()) as cursor:
        cursor.copy_expert(f"COPY {table} FROM STDIN", io.StringIO(lines))  # type: ignore[attr-defined]
        connection.commit()


@contextmanager
def restarted_amid(replication: Replication, table: str) -> Iterator[None]:
    """The connector's task is restarted when some of what the block writes has come to Kafka, and once more later."""
    connect, name, topic = replication.parts.connect, replication.config.connector_name, replication.table(table).topic

    def come() -> int:
        return sum(replication.parts.broker.ends([topic]).values())

    before = come()
    yield
    for part in (ROWS // 50, ROWS // 3):
        wait_until(lambda part=part: come() >= before + part, "telling the rows")
        connect._call("POST", f"/connectors/{name}/restart?includeTasks=true&onlyFailed=false")
    connect.wait_running(name)


@pytest.mark.deep
def test_a_connector_that_restarts_amid_a_copy_loses_no_row(scenario: MakeScenario) -> None:
    shop = scenario("postgresql", "postgresql")
    shop.run(
        "source",
        "CREATE TABLE with_key (id INT PRIMARY KEY, t TEXT)",
        "CREATE TABLE without_key (id INT, t TEXT)",
        "ALTER TABLE without_key REPLICA IDENTITY FULL",
    )
    replication = started(shop, *TABLES)
    for number in range(ROUNDS):
        for table in TABLES:
            with restarted_amid(replication, table):
                copy_in(shop, table, number * ROWS)
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
