"""Values that nobody chose (hypothesis), servers and sessions in other time zones, databases in other encodings: what
the copy writes and what the stream writes of the same value is the same."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import NullPool, create_engine

from cdc_pipeline_tests.scenario import Scenario

MakeScenario = Callable[..., Scenario]
STREAMED = 1000

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
SINGLES = st.floats(width=32, allow_nan=False, allow_infinity=False, allow_subnormal=False)
# What a person may do to a JSON document; MySQL's parser changes the last digit of some doubles when it reads them, so
# their numbers are decimals of few digits here (test_json_text.py has all doubles).
DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | TEXTS
    | st.integers(-9999, 9999).map(lambda n: n / 8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
).map(json.dumps)
MOMENTS = st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)).map(str)
COMMON: list[tuple[str, st.SearchStrategy[Any]]] = [
    ("INTEGER", st.integers(-(2**31), 2**31 - 1)),
    ("BIGINT", st.integers(-(2**63), 2**63 - 1)),
    ("NUMERIC(30, 10)", st.decimals(-(10**19), 10**19, places=10).map(str)),
    ("VARCHAR(50)", TEXTS),
    ("TEXT", TEXTS),
    ("DATE", st.dates(dt.date(1000, 1, 1)).map(str)),
    ("TIME(6)", st.times().map(str)),
    ("TIMESTAMP(6)", MOMENTS),
]
COLUMNS: dict[str, list[tuple[str, st.SearchStrategy[Any]]]] = {
    "mysql": [
        *COMMON[:-1],
        ("DATETIME(6)", MOMENTS),
        ("BIGINT UNSIGNED", st.integers(0, 2**64 - 1)),
        ("FLOAT", SINGLES),
        ("DOUBLE", DOUBLES),
        ("VARBINARY(50)", st.binary(max_size=50)),
        ("JSON", DOCUMENTS),
        ("TIMESTAMP(3) NULL", st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2037, 1, 1)).map(str)),
    ],
    "postgresql": [
        *COMMON,
        ("real", SINGLES.filter(lambda value: value == 0 or abs(value) > 1e-37)),
        ("double precision", DOUBLES.filter(lambda value: value == 0 or 1e-300 < abs(value) < 1e300)),
        ("bytea", st.binary(max_size=50)),
        ("timestamptz", st.datetimes(dt.datetime(1000, 1, 2), dt.datetime(9999, 12, 30)).map(lambda t: f"{t}+05:30")),
        ("text[]", st.lists(TEXTS | st.none()).filter(lambda texts: not texts or any(t is not None for t in texts))),
        ("jsonb", DOCUMENTS.filter(lambda text: "\\u0000" not in text)),
        ("uuid", st.uuids().map(str)),
    ],
}


def rows_of(columns: Sequence[tuple[str, st.SearchStrategy[Any]]]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    return st.lists(st.tuples(*(strategy | st.none() for _, strategy in columns)), min_size=30, max_size=60)


@pytest.mark.parametrize(("source", "target"), [("mysql", "postgresql"), ("postgresql", "mysql")])
def test_whatever_the_values_are_both_ways_write_the_same(scenario: MakeScenario, source: str, target: str) -> None:
    columns = COLUMNS[source]

    @settings(
        max_examples=2,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
        phases=[Phase.generate],
        print_blob=True,
    )
    @given(rows_of(columns))
    def check(rows: list[tuple[Any, ...]]) -> None:
        made = scenario(source, target)
        declared = ", ".join(f"c{number} {name}" for number, (name, _) in enumerate(columns))
        made.run("source", f"CREATE TABLE anything (id INT PRIMARY KEY, {declared})")
        copy_and_stream(made, rows)

    check()


def insert(made: Scenario, rows: Sequence[tuple[Any, ...]], first_id: int) -> None:
    with made.engine("source").connect() as connection:
        for number, row in enumerate(rows, first_id):
            places = ", ".join(["%s"] * (len(row) + 1))
            connection.exec_driver_sql(f"INSERT INTO anything VALUES ({places})", (number, *row))


@pytest.mark.alone
def copy_and_stream(made: Scenario, rows: Sequence[tuple[Any, ...]]) -> None:
    insert(made, rows, 0)
    replication = made.replication("anything")
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    insert(made, rows, STREAMED)
    replication.register()
    assert replication.consume(until_caught_up=True).inserted == len(rows)
    result = made.rows("target", f"SELECT * FROM {made.target_table('anything')} ORDER BY id")
    values = [[bytes(v) if isinstance(v, memoryview) else v for v in row[1:]] for row in result]
    assert values[: len(rows)] == values[len(rows) :]
    made.assert_equal(replication)


@pytest.mark.alone
def test_servers_and_sessions_in_other_time_zones_change_no_value(scenario: MakeScenario) -> None:
    """An instant stays the same moment, a timestamp without a zone the same numbers."""
    made = scenario("mysql", "postgresql")
    made.run("target", f"ALTER DATABASE {made.databases['target']} SET timezone = 'Asia/Kolkata'")
    made.run("source", "CREATE TABLE anything (id INT PRIMARY KEY, i TIMESTAMP NULL, d DATETIME, t TIME)")
    before = made.rows("source", "SELECT @@GLOBAL.time_zone")[0][0]
    made.run("source", "SET GLOBAL time_zone = '-05:00'")
    try:
        # New sessions are in New York's winter now: 07:00 of theirs is noon in UTC.
        copy_and_stream(made, [("2024-01-31 07:00:00", "2024-01-31 07:00:00", "07:00:00")])
    finally:
        made.run("source", f"SET GLOBAL time_zone = '{before}'")
    query = f"SELECT i AT TIME ZONE 'UTC', d, t FROM {made.target_table('anything')}"
    assert set(made.rows("target", query)) == {
        (dt.datetime(2024, 1, 31, 12), dt.datetime(2024, 1, 31, 7), dt.time(7)),
    }


def test_a_server_with_an_sql_mode_of_its_own_changes_no_value(scenario: MakeScenario) -> None:
    """In which a backslash is one, double quotes are for names, and a CHAR has its padding."""
    made = scenario("mysql", "postgresql")
    made.run("source", "CREATE TABLE anything (id INT PRIMARY KEY, c CHAR(9), t TEXT, b VARBINARY(9), n INT, d DATE)")
    before = made.rows("source", "SELECT @@GLOBAL.sql_mode")[0][0]
    made.run("source", "SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES'")
    rows = [("short", "a\\b\n\tc", b"\\N\x00", None, None), (None, None, None, 7, "2024-01-31")]
    try:
        copy_and_stream(made, rows)
    finally:
        made.run("source", f"SET GLOBAL sql_mode = '{before}'")
    query = f"SELECT c, t, b, n, d FROM {made.target_table('anything')} WHERE id < {STREAMED} ORDER BY id"
    found = [(c, t, None if b is None else bytes(b), n, d) for c, t, b, n, d in made.rows("target", query)]
    assert found == [rows[0], (None, None, None, 7, dt.date(2024, 1, 31))]


def test_a_postgresql_source_in_another_zone_and_encoding_changes_no_value(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "mysql")
    database = made.databases["source"]
    elsewhere = made.engine("source").url.set(database="postgres")
    with create_engine(elsewhere, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {database}")
        connection.exec_driver_sql(
            f"CREATE DATABASE {database} ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0"
        )
        connection.exec_driver_sql(f"ALTER DATABASE {database} SET timezone = 'America/New_York'")
    made.run("source", "CREATE TABLE anything (id INT PRIMARY KEY, i timestamptz, t timestamp, z timetz, n text)")
    copy_and_stream(made, [("2024-01-31 07:00", "2024-01-31 07:00", "07:00", "äöüß ½")])
    query = f"SELECT i, t, z, n FROM {made.target_table('anything')}"
    noon, seven = dt.datetime(2024, 1, 31, 12), dt.datetime(2024, 1, 31, 7)
    expected_zone = made.rows("target", f"SELECT z FROM {made.target_table('anything')} LIMIT 1")[0][0]
    assert set(made.rows("target", query)) == {(noon, seven, expected_zone, "äöüß ½")}
    assert expected_zone in (dt.timedelta(hours=11), dt.timedelta(hours=12))  # by the season in which the test runs
