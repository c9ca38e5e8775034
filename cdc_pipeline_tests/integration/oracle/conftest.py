"""An H2 server for the tests of this folder, and tables in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cdc_pipeline.model import TableId, TableShape
from cdc_pipeline_tests.integration.oracle.h2 import USER, H2Target, h2

MakeTable = Callable[[TableShape], TableId]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[H2Target]:
    with h2(tmp_path_factory.mktemp("h2")) as target:
        yield target


@pytest.fixture
def make_table(server: H2Target) -> Iterator[MakeTable]:
    made: list[TableId] = []

    def make(shape: TableShape) -> TableId:
        table = TableId(USER, f"shop_items{len(made)}")
        with server.connect() as connection, connection.begin():
            server.definer.create_table(
                server, connection, table, shape, server.definer.read(server, connection, shape)
            )
        made.append(table)
        return table

    yield make
    with server.connect() as connection, connection.begin():
        for table in made:
            connection.exec_driver_sql(f"DROP TABLE {server.dialect.table(table)}")
