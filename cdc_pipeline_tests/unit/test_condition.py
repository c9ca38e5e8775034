"""`where`: what it takes, where it says it stops, and SQL's three-valued logic."""

from __future__ import annotations

import re

import pytest

from cdc_pipeline.condition import Texts, compiled, condition_problems, parse
from cdc_pipeline.databases.condition_sql import render
from cdc_pipeline.databases.mysql.dialect import MySqlDialect
from cdc_pipeline.databases.oracle.dialect import OracleDialect
from cdc_pipeline.databases.postgresql.dialect import PostgreSqlDialect
from cdc_pipeline.model import Column, ColumnType, Kind

COLUMNS = {
    name: Column(name, str(type), type)
    for name, type in {
        "n": ColumnType(Kind.INTEGER, 32),
        "d": ColumnType(Kind.DECIMAL, 10, 2),
        "t": ColumnType(Kind.TEXT, 20),
        "f": ColumnType(Kind.TEXT, 5, fixed=True),
        "b": ColumnType(Kind.BOOLEAN),
        "day": ColumnType(Kind.DATE),
        "at": ColumnType(Kind.TIMESTAMP, 6),
        "zoned": ColumnType(Kind.INSTANT, 6),
        "x": ColumnType(Kind.FLOAT, 64),
        "j": ColumnType(Kind.JSON),
        "set": ColumnType(Kind.TEXT, native="mysql:set('a')"),
        "a": ColumnType(Kind.ARRAY),
    }.items()
}
TYPES = {name: column.canonical for name, column in COLUMNS.items()}


def answer(condition: str, **texts: str | None) -> bool | None:
    row: Texts = texts
    return compiled(parse(condition), TYPES)(row)


@pytest.mark.parametrize(
    ("condition", "texts", "expected"),
    [
        ("n = 1", {"n": "1"}, True),
        ("n <> 1", {"n": "1"}, False),
        ("n != 1", {"n": "2"}, True),
        ("n < 10", {"n": "9"}, True),
        ("n > 1.5", {"n": "2"}, True),
        ("d = 1.5", {"d": "1.50"}, True),
        ("d < -1", {"d": "-1.01"}, True),
        ("d > 100", {"d": "NaN"}, True),
        ("d < 100", {"d": "-Infinity"}, True),
        ("t = 'de'", {"t": "DE"}, False),
        ("t = 'a'", {"t": "a "}, False),
        ("f = 'a'", {"f": "a    "}, True),
        ("t = 'it''s'", {"t": "it's"}, True),
        ("t in ('a', 'b')", {"t": "b"}, True),
        ("t not in ('a', 'b')", {"t": "b"}, False),
        ("b = true", {"b": "1"}, True),
        ("b in (FALSE)", {"b": "0"}, True),
        ("day >= '2024-02-29'", {"day": "2024-02-29"}, True),
        ("day < '0001-01-01'", {"day": "0044-03-15 BC"}, True),
        ("day > '9999-12-31'", {"day": "10000-01-01"}, True),
        ("day > '9999-12-31'", {"day": "infinity"}, True),
        ("day < '0001-01-01'", {"day": "-infinity"}, True),
        ("at = '2024-01-01'", {"at": "2024-01-01 00:00:00"}, True),
        ("at = '2024-01-01 00:00:00.5'", {"at": "2024-01-01 00:00:00.500000"}, True),
        ("at > '2024-01-01 00:00:00.5'", {"at": "2024-01-01 00:00:00.51"}, True),
        ("zoned <= '2024-01-01 12:00:00'", {"zoned": "2024-01-01 12:00:00"}, True),
        ("x is null", {"x": None}, True),
        ("x is not null", {"x": None}, False),
        ("n = 1", {"n": None}, None),
        ("n in (1, 2)", {"n": None}, None),
        ("not n = 1", {"n": None}, None),
        ("n = 1 and t = 'a'", {"n": None, "t": "b"}, False),
        ("n = 1 and t = 'a'", {"n": None, "t": "a"}, None),
        ("n = 1 or t = 'a'", {"n": None, "t": "a"}, True),
        ("n = 1 or t = 'a'", {"n": None, "t": "b"}, None),
        ("not n = 1 and t = 'a' or b = true", {"n": "1", "t": "a", "b": "1"}, True),
        ("not (n = 1 and t = 'a' or b = true)", {"n": "1", "t": "a", "b": "0"}, False),
        ("n = 1 and t = 'a'", {"n": "2"}, False),  # whatever the value that is unavailable
        ("n = 1 and t is null", {"n": "1"}, None),
        ('"n" = 1', {"n": "1"}, True),
    ],
)
def test_it_answers_as_sql_does(condition: str, texts: dict[str, str | None], expected: bool | None) -> None:
    assert condition_problems(parse(condition), COLUMNS) == []
    assert answer(condition, **texts) is expected


@pytest.mark.parametrize(
    ("condition", "character"),
    [
        ("", 1), ("n", 2), ("n =", 4), ("n = 'a", 5), ("n = 1 n", 7), ("n = 1 and", 10), ("(n = 1", 7), ("n = 1)", 6),
        ("n in ()", 7), ("n in (1", 8), ("n is 1", 3), ("n ~ 1", 3), ("and = 1", 1), ("n = m", 5), ("n = 1e3", 5),
        ("n = 1; drop table x", 6), ("n = 1 -- x", 7), ("t = 'a\0'", 5), ("n like 'x'", 3), ("1 = n", 1),
        ("n = " + "1" * 39, 5), ("not " * 50 + "n = 1", 161),
    ],
)  # fmt: skip
def test_it_says_where_it_stops_being_a_condition(condition: str, character: int) -> None:
    with pytest.raises(ValueError, match=rf"^at character {character} \("):
        parse(condition)


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("m = 1", "there is no column m"),
        ("x = 1", "x is float.*only IS"),
        ("j = 'a'", "j is json.*only IS"),
        ("set = 'a'", "only IS"),
        ("a is null", "of which nothing can be asked"),
        ("n = 'a'", "compared with a number, not with a"),
        ("t = 1", "compared with a 'text'"),
        ("b = 1", "compared with true or false"),
        ("n = true", "compared with a number"),
        ("t < 'a'", "no order"),
        ("b > false", "no order"),
        ("day = '2024-02-30'", "no such moment"),
        ("day = '2024-02-28 10:00:00'", "no such moment"),
        ("at = 'yesterday'", "no such moment"),
    ],
)
def test_what_the_two_ways_might_answer_differently_is_refused(condition: str, problem: str) -> None:
    (found,) = condition_problems(parse(condition), COLUMNS)
    assert re.search(problem, found)


def test_texts_are_never_read_as_sql() -> None:
    tree = parse("t = 'x'' OR ''1''=''1' AND day = '2024-01-01'")
    assert render(PostgreSqlDialect(), tree, COLUMNS) == (
        "((\"t\"::text) COLLATE \"C\" = 'x'' OR ''1''=''1') AND (\"day\" = date '2024-01-01')"
    )
    assert b"x' OR '1'='1".hex().upper() in render(MySqlDialect(), tree, COLUMNS)
    assert render(OracleDialect(), tree, COLUMNS) == ("(\"t\" = 'x'' OR ''1''=''1') AND (\"day\" = DATE '2024-01-01')")
