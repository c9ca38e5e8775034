"""The whole pipeline into the Oracle target: PostgreSQL, copy, connector, stream, verify; on H2 in place of Oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cdc_pipeline import parts
from cdc_pipeline.config import Endpoint
from cdc_pipeline.databases import open_target
from cdc_pipeline.databases.oracle import reader
from cdc_pipeline.databases.target import Target
from cdc_pipeline_tests.integration.oracle.h2 import H2Target
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.workload import TABLES, create_tables, wait_for_transactions, writing


@pytest.fixture
def in_place_of_oracle(server: H2Target, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL under which the pipeline finds H2. Ask for it before `scenario`, which is removed through it."""

    def opened(endpoint: Endpoint) -> Target:
        return H2Target(endpoint.resolve()) if endpoint.kind == "oracle" else open_target(endpoint)

    monkeypatch.setattr(parts, "open_target", opened)
    monkeypatch.setattr(reader, "batches", lambda connection, sql, _: [connection.exec_driver_sql(sql).all()])
    yield server.url.set(drivername="oracle").render_as_string(hide_password=False)
    with server.connect() as connection, connection.begin():
        for table in server.tables_here(connection):
            connection.exec_driver_sql(f"DROP TABLE {server.dialect.table(table)}")


@pytest.mark.timeout(180)
def test_every_write_arrives_once_whenever_it_was_written(
    in_place_of_oracle: str, scenario: Callable[..., Scenario]
) -> None:
    shop = scenario("postgresql", "postgresql")
    create_tables(shop, rows=100)
    replication = shop.replication(*TABLES, target=f'{{url: "{in_place_of_oracle}"}}')
    replication.prepare()  # without step 1, whose questions only Oracle answers
    with writing(shop, writers=2) as writers:
        wait_for_transactions(writers, 10)
        assert [result.error for result in replication.copy() if result.error] == []
        wait_for_transactions(writers, 10)
        replication.register()
        wait_for_transactions(writers, 10)
    assert replication.consume(until_caught_up=True).applied > 0
    shop.assert_equal(replication)
    assert [result.outcome for result in replication.copy(force_resync=True)] == ["reloaded", "reloaded"]
    shop.run("source", "TRUNCATE TABLE journal", "INSERT INTO journal VALUES (1, 2.00, 'after')")
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
