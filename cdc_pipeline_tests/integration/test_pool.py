"""Sessions that serve again within one copy: as new, alive, and gone at its end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from dagster._core.errors import DagsterExecutionInterruptedError
from pydantic import SecretStr
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import Pool

from cdc_pipeline.config import Endpoint
from cdc_pipeline.databases import open_source
from cdc_pipeline.databases.source import Source
from cdc_pipeline.errors import AccessDenied, CdcPipelineError, DatabaseUnavailable
from cdc_pipeline.model import TableId
from cdc_pipeline_tests.scenario import Scenario

pytestmark = pytest.mark.servers

Make = Callable[..., Scenario]
KINDS = ["mysql", "mariadb", "postgresql"]
SALT = "pepper"
ID = {
    "mysql": "SELECT connection_id()",
    "mariadb": "SELECT connection_id()",
    "postgresql": "SELECT pg_backend_pid()",
}
KILL = {"mysql": "KILL {}", "mariadb": "KILL {}", "postgresql": "SELECT pg_terminate_backend({})"}
SETTINGS = {
    "mysql": "SHOW SESSION VARIABLES",
    "mariadb": "SHOW SESSION VARIABLES",
    "postgresql": "SELECT name, setting FROM pg_settings",
}
TOLD_SALT = {
    "mysql": "SELECT @cdc_pipeline_hash_salt",
    "mariadb": "SELECT @cdc_pipeline_hash_salt",
    "postgresql": "SELECT current_setting('cdc_pipeline.hash_salt')",
}
OF_THE_MOMENT = {"timestamp", "rand_seed1", "rand_seed2", "pseudo_thread_id", "statement_id"}
IN_MYSQL = [
    "SET NAMES latin1",
    "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET SESSION lock_wait_timeout = 1, time_zone = '+03:00', sql_mode = '', foreign_key_checks = 1, autocommit = 1",
    "SET @cdc_pipeline_hash_salt = 'another', @left = 1",
    "CREATE TEMPORARY TABLE scratch (id INT)",
    "START TRANSACTION",
    "INSERT INTO items VALUES (2)",
]
SPOIL = {
    "mysql": IN_MYSQL,
    "mariadb": IN_MYSQL,
    "postgresql": [
        "SET lock_timeout = '1s'",
        "SET TimeZone = 'Asia/Tokyo'",
        "SET default_transaction_read_only = on",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET client_encoding = 'LATIN1'",
        "SET cdc_pipeline.hash_salt = 'another'",
        "SELECT pg_advisory_lock(4711)",
        "CREATE TEMPORARY TABLE scratch (id INT)",
        "COMMIT",
        "BEGIN READ WRITE",
        "INSERT INTO items VALUES (2)",
    ],
}


@pytest.fixture(params=KINDS)
def shop(request: pytest.FixtureRequest, scenario: Make) -> Scenario:
    made = scenario(request.param, "postgresql")
    made.run("source", "CREATE TABLE items (id INT PRIMARY KEY)", "INSERT INTO items VALUES (1)")
    return made


def source_of(shop: Scenario, **url: Any) -> Source:
    address = make_url(shop.urls["source"]).set(**url).render_as_string(hide_password=False)
    source = open_source(Endpoint(url=SecretStr(address), seen_by_connect_as=None))
    source.hash_salt = SALT
    return source


def one(connection: Connection, query: str) -> Any:
    return connection.exec_driver_sql(query).scalar()


def settings(connection: Connection, kind: str) -> dict[str, Any]:
    found = {row[0]: row[1] for row in connection.exec_driver_sql(SETTINGS[kind])}
    return {name: value for name, value in found.items() if name not in OF_THE_MOMENT and "gtid" not in name}


def test_a_session_that_serves_again_is_as_new(shop: Scenario) -> None:
    source, kind = source_of(shop), shop.kinds["source"]
    with source.connect() as connection:
        expected = settings(connection, kind)
    with source.pooled():
        with source.connect() as connection:
            session = one(connection, ID[kind])
            assert settings(connection, kind) == expected
            for statement in SPOIL[kind]:
                connection.exec_driver_sql(statement)
            assert settings(connection, kind) != expected
        with source.connect() as connection:
            assert one(connection, ID[kind]) == session
            assert settings(connection, kind) == expected
            assert one(connection, TOLD_SALT[kind]) == SALT
            assert one(connection, "SELECT count(*) FROM items") == 1
            connection.exec_driver_sql("INSERT INTO items VALUES (3)")  # in a transaction, which ends with the session
        assert shop.rows("source", "SELECT id FROM items") == [(1,)]
        with source.connect() as connection, pytest.raises(CdcPipelineError, match="scratch"):
            connection.exec_driver_sql("SELECT * FROM scratch")


def test_what_reads_only_or_from_one_snapshot_does_so_for_itself(scenario: Make) -> None:
    shop = scenario("postgresql", "postgresql")
    shop.run("source", "CREATE TABLE items (id INT PRIMARY KEY)")
    source = source_of(shop)
    shape = source.shape(TableId(shop.schema, "items"))
    assert shape is not None
    with source.pooled():
        with source.snapshot(shape):
            pass
        with source.connect() as connection:
            assert one(connection, "SHOW transaction_isolation") == "read committed"
            connection.exec_driver_sql("INSERT INTO items VALUES (1)")
            connection.commit()
    assert shop.rows("source", "SELECT id FROM items") == [(1,)]


@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_a_lock_ends_when_its_session_goes_back(scenario: Make, kind: str) -> None:
    shop = scenario(kind, "postgresql")
    shop.run("source", "CREATE TABLE items (id INT PRIMARY KEY)")
    source = source_of(shop)
    with source.pooled():
        with source.connect() as connection:
            connection.exec_driver_sql("LOCK TABLES items READ")
        shop.run("source", "SET lock_wait_timeout = 1", "INSERT INTO items VALUES (1)")


@pytest.mark.parametrize("amid", [False, True], ids=["whole", "amid its rows"])
def test_a_reader_goes_back_unless_it_is_amid_its_rows(scenario: Make, amid: bool) -> None:
    shop = scenario("mysql", "postgresql")
    shop.run("source", "CREATE TABLE items (id INT PRIMARY KEY)", "INSERT INTO items VALUES (1), (2)")
    source = source_of(shop)
    shape = source.shape(TableId(shop.schema, "items"))
    assert shape is not None

    class Full(Exception):
        pass

    class Sink:
        def write(self, _: bytes) -> None:
            if amid:
                raise Full

    def read() -> Any:
        with source.snapshot(shape) as snapshot:
            session = snapshot.reader.connection.thread_id()  # type: ignore[attr-defined]
            try:
                snapshot.copy_to(shape, Sink())  # type: ignore[arg-type]
            except Full:
                assert amid
            return session

    with source.pooled():
        first = read()
        with source.connect() as one_session, source.connect() as another:
            rows = [c.exec_driver_sql("SELECT connection_id(), 'é'").one() for c in (one_session, another)]
        assert all(text == "é" for _, text in rows)  # it decodes again
        assert (first in [session for session, _ in rows]) is not amid


def test_a_session_that_the_server_has_ended_is_replaced(shop: Scenario) -> None:
    source, kind = source_of(shop), shop.kinds["source"]
    with source.pooled():
        with source.connect() as connection:
            session = one(connection, ID[kind])
        shop.run("source", KILL[kind].format(session))
        with source.connect() as connection:
            assert one(connection, ID[kind]) != session
            assert one(connection, TOLD_SALT[kind]) == SALT


def test_of_a_session_that_has_died_in_use_nothing_is_logged(shop: Scenario, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever used it knows by then; and SQLAlchemy would log it with its traceback."""
    source, kind = source_of(shop), shop.kinds["source"]
    with source.pooled():
        with closing(source.engine.raw_connection()) as used, closing(used.cursor()) as cursor:
            cursor.execute(ID[kind])
            ((session,),) = cursor.fetchall()
            shop.run("source", KILL[kind].format(session))
        with source.connect() as connection:
            assert one(connection, ID[kind]) != session
    assert caplog.records == []


def test_what_cannot_be_reached_is_said_as_ever(shop: Scenario) -> None:
    wrong, away = source_of(shop, username="nobody", password="s3cret"), source_of(shop, port=1)
    with wrong.pooled(), pytest.raises(AccessDenied) as denied:
        wrong.connect()
    assert "s3cret" not in str(denied.value)
    with away.pooled(), pytest.raises(DatabaseUnavailable):
        away.connect()


@pytest.mark.parametrize("end", [KeyboardInterrupt, DagsterExecutionInterruptedError])
def test_what_ends_the_program_is_no_error_of_the_database(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch, end: type[BaseException]
) -> None:
    """Ctrl-C and a terminated run arrive wherever the program is, in mid-statement too."""
    source = source_of(shop)

    def interrupted(*_: object) -> None:
        raise end

    with source.connect() as connection:
        monkeypatch.setattr(connection.dialect, "do_execute_no_params", interrupted)
        with pytest.raises(end):
            connection.exec_driver_sql("SELECT 1")


@contextmanager
def opened() -> Iterator[list[Any]]:
    """The connections that are opened meanwhile, by this process."""
    connections: list[Any] = []

    def note(connection: Any, _: Any) -> None:
        connections.append(connection)

    event.listen(Pool, "connect", note)
    try:
        yield connections
    finally:
        event.remove(Pool, "connect", note)


SESSIONS = {
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE db = '{}' AND id <> connection_id()",
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()",
}


def sessions(shop: Scenario, role: str) -> int:
    return shop.rows(role, SESSIONS[shop.kinds[role]].format(shop.databases[role]))[0][0]


@pytest.mark.parametrize(("source", "target"), [("mysql", "postgresql"), ("postgresql", "mysql")])
def test_a_copy_of_more_tables_opens_no_more_connections_and_leaves_none(
    scenario: Make, source: str, target: str
) -> None:
    counts = []
    for tables in (2, 6):
        shop = scenario(source, target)
        for number in range(tables):
            shop.run("source", f"CREATE TABLE t{number} (id INT PRIMARY KEY)", f"INSERT INTO t{number} VALUES (1)")
        replication = shop.replication("t*", parallel_tables="1")
        replication.check()
        replication.prepare()
        with opened() as connections:
            copying = replication.copy()
            first = next(copying)
            assert sessions(shop, "source")
            assert sessions(shop, "target")
            rest = list(copying)
        assert [result.error for result in (first, *rest)] == [None] * tables
        counts.append(len(connections))
        shop.assert_equal(replication)
        deadline = time.monotonic() + 30
        while any(sessions(shop, role) for role in ("source", "target")):
            assert time.monotonic() < deadline
    assert counts[0] == counts[1]


def test_a_small_table_is_asked_about_but_once(scenario: Make) -> None:
    """What 200 of them take is not their rows. Each session is made as new, and to MySQL the keys of one table are a
    look at those of its whole schema."""
    shop, tables, statements = scenario("mysql", "postgresql"), 5, Counter[str]()
    for number in range(tables):
        shop.run("source", f"CREATE TABLE t{number} (id INT PRIMARY KEY)", f"INSERT INTO t{number} VALUES (1)")
    replication = shop.replication("t*")
    replication.check()
    replication.prepare()

    def note_session(*_: Any) -> None:
        statements["session"] += 1

    def note_statement(_c: Any, _u: Any, statement: str, *_: Any) -> None:
        words = statement.lower()
        about = ("key_column_usage", "format_type", "from information_schema.columns", "count(*)")
        statements.update(part for part in about if part in words)

    event.listen(Pool, "checkout", note_session)
    event.listen(Engine, "before_cursor_execute", note_statement)
    try:
        assert [result.error for result in replication.copy()] == [None] * tables
    finally:
        event.remove(Pool, "checkout", note_session)
        event.remove(Engine, "before_cursor_execute", note_statement)
    assert statements["key_column_usage"] == 0
    assert statements["format_type"] == tables  # the target's shape
    assert statements["from information_schema.columns"] == 2 * tables  # the source's, and its definition
    assert statements["count(*)"] == tables  # the source's: a table that was just made has no rows
    assert statements["session"] <= 12 * tables
    shop.assert_equal(replication)
