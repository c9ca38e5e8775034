"""A server gets no file of this machine but the one that a statement of ours sends, whatever it asks for."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pydantic import SecretStr

from cdc_pipeline.config import Endpoint, load_replication
from cdc_pipeline.databases import open_source, open_target
from cdc_pipeline.databases.mysql.reader import RawReader
from cdc_pipeline.databases.mysql.session import OFFERED
from cdc_pipeline.errors import CdcPipelineError, FileDemanded
from cdc_pipeline.model import ColumnType, Kind, TableId
from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.rogue import Demand, RogueServer, rogue_server

FILE = """
client: 1
database: 2
config: 3
source: {{url: "{source}"}}
target: {{url: "{target}"}}
kafka: {{bootstrap_servers: "127.0.0.1:1"}}
connect: {{url: "http://127.0.0.1:1"}}
tables: [users]
"""
ROWS = b"1\tanna\n2\tbob\n"
COLUMNS = [("id", ColumnType(Kind.INTEGER)), ("name", ColumnType(Kind.TEXT))]


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "secret"
    path.write_text("nobody may have this")
    return str(path)


def endpoint(server: RogueServer) -> Endpoint:
    return Endpoint(url=SecretStr(server.url), seen_by_connect_as=None)


def beginning(start: str, name: str) -> Demand:
    """The demand for this file at a statement that begins so."""
    return lambda sql: name if sql.startswith(start) else None


def load(server: RogueServer, rows: BytesIO, *more: str) -> int:
    """Load rows in one session, then run these statements in it."""
    with open_target(endpoint(server)).connect() as connection:
        loaded = open_target(endpoint(server)).load(connection, TableId("shop", "users"), COLUMNS, rows)
        for sql in more:
            connection.exec_driver_sql(sql)
        return loaded


@pytest.mark.parametrize("opened", [open_source, open_target])
@pytest.mark.parametrize("statement", ["SET time_zone", "SELECT 42"])
def test_a_session_gives_nothing_at_any_statement(
    secret: str, opened: Callable[[Endpoint], object], statement: str
) -> None:
    with rogue_server(beginning(statement, secret)) as server:
        database = opened(endpoint(server))
        with pytest.raises(FileDemanded) as told, database.connect() as connection:  # type: ignore[attr-defined]
            connection.exec_driver_sql("SELECT 42")
        assert (server.demands, server.got) == (1, [])
    assert f"{database.display} demands the file '{secret}' of this machine" in str(told.value)  # type: ignore[attr-defined]
    assert "secret@" not in str(told.value)


def test_a_copys_reader_gives_nothing(secret: str) -> None:
    with rogue_server(beginning("SELECT id", secret)) as server:
        source, file = open_source(endpoint(server)), BytesIO()
        reader = RawReader(source.engine)
        with pytest.raises(FileDemanded), source.explained():
            reader.copy_to("SELECT id FROM users", [None], file)
        reader.close()
        assert (server.demands, server.got, file.getvalue()) == (1, [], b"")


@pytest.mark.parametrize("role", ["source", "target"])
def test_validation_gives_nothing_and_names_the_server(tmp_path: Path, secret: str, role: str) -> None:
    other = {"source": "postgresql://cdc@127.0.0.1:1/dwh", "target": "postgresql://cdc@127.0.0.1:1/dwh"}
    # The driver takes any answer to its SET NAMES.
    with rogue_server(lambda sql: None if sql.startswith("SET NAMES") else secret) as server:
        path = tmp_path / "shop.yaml"
        path.write_text(FILE.format(**{**other, role: server.url}))
        with pytest.raises(CdcPipelineError, match="demands the file") as told:
            Replication(load_replication(path)).check()
    assert server.demands
    assert server.got == []
    assert server.url.replace("secret", "***") in str(told.value)


def test_a_load_sends_its_rows_and_no_others(secret: str) -> None:
    with rogue_server(beginning("LOAD DATA", OFFERED)) as server:
        load(server, BytesIO(ROWS * 10_000))
        assert b"".join(server.got) == ROWS * 10_000
    with rogue_server(beginning("LOAD DATA", secret)) as server:
        rows = BytesIO(ROWS)
        with pytest.raises(FileDemanded):
            load(server, rows)
        assert (server.demands, server.got, rows.tell()) == (1, [], 0)


@pytest.mark.parametrize("name", ["secret", OFFERED])
def test_a_session_that_has_loaded_gives_nothing_more(secret: str, name: str) -> None:
    demanded = secret if name == "secret" else name
    with rogue_server(lambda sql: {"LOAD": OFFERED, "DO 1": demanded}.get(sql[:4])) as server:
        with pytest.raises(FileDemanded):
            load(server, BytesIO(ROWS), "DO 1")
        assert (server.demands, server.got) == (2, [ROWS])
