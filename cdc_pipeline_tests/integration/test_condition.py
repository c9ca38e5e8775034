"""A `where` gives the same rows in the source's SQL and in Python, whatever the rows and whatever is asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from cdc_pipeline.condition import compiled, condition_problems, parse
from cdc_pipeline.databases.condition_sql import render
from cdc_pipeline.databases.source import Source
from cdc_pipeline.model import TableShape
from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import Scenario

ASKED = {
    "mysql": "id INT PRIMARY KEY, n BIGINT, u BIGINT UNSIGNED, d DECIMAL(12, 3), t VARCHAR(20) COLLATE "
    "utf8mb4_general_ci, l VARCHAR(20) CHARACTER SET latin1, c CHAR(5), b TINYINT(1), day DATE, at DATETIME(6), "
    "zoned TIMESTAMP(6) NULL, e ENUM('a', 'B')",
    "postgresql": "id INT PRIMARY KEY, n bigint, u numeric(20, 0), d numeric(12, 3), t varchar(20), l text, c char(5), "
    "b boolean, day date, at timestamp, zoned timestamptz, e uuid",
}
NUMBERS = ["0", "1", "-1", "100", "99.5", "-0.001", "9223372036854775807", "12345678901234567890", "1.500"]
TEXTS = ["", "a", "A", "a ", " a", "ä", "b'c", "\\", "%", "ß", "ss", "x\ty"]
DAYS = ["1000-01-01", "1999-12-31", "2024-02-29"]
MOMENTS = [*DAYS, "2024-02-29 00:00:00.000001", "2024-02-29 12:30:00.5", "2037-01-01"]
VALUES = {
    "n": ["0", "1", "-1", "100", "9223372036854775807"],
    "u": ["0", "1", "100", "12345678901234567890"],
    "d": ["0", "1", "99.5", "-0.001", "1.500", "999999999.999"],
    "t": TEXTS,
    "l": TEXTS,
    "c": ["", "a", "A", "a b", "ä"],
    "b": ["0", "1"],
    "day": DAYS,
    "at": MOMENTS,
    "zoned": MOMENTS[1:],
}
EXOTIC = {"day": ["infinity", "-infinity", "0044-03-15 BC", "12345-01-01"], "d": ["NaN"], "at": ["infinity"]}
UUIDS = ["00000000-0000-0000-0000-00000000000a", "ffffffff-ffff-ffff-ffff-ffffffffffff"]


def literal(column: str, kind: str) -> st.SearchStrategy[str]:
    if column in ("n", "u", "d"):
        return st.sampled_from(NUMBERS)
    if column == "b":
        return st.sampled_from(["true", "false"])
    if column == "e":
        texts = ["a", "A", "B"] if kind == "mysql" else UUIDS
    else:
        texts = {"day": VALUES["day"], "at": MOMENTS, "zoned": MOMENTS}.get(column, TEXTS)
    return st.sampled_from(texts).map(_quoted)


def _quoted(text: str) -> str:
    if "." in text and text[0].isdigit():
        head, _, fraction = text.partition(".")
        text = f"{head}.{fraction.ljust(6, '0')}"
    return "'" + text.replace("'", "''") + "'"


@st.composite
def leaf(draw: st.DrawFn, kind: str) -> str:
    column = draw(st.sampled_from([*VALUES, "e"]))
    ordered = column not in ("t", "l", "c", "b", "e")
    form = draw(st.sampled_from(["compare", "in", "null"]))
    if form == "null":
        return f"{column} is {draw(st.sampled_from(['', 'not ']))}null"
    if form == "in":
        values = draw(st.lists(literal(column, kind), min_size=1, max_size=3))
        return f"{column} {draw(st.sampled_from(['', 'not ']))}in ({', '.join(values)})"
    operators = ["=", "<>", "<", "<=", ">", ">="] if ordered else ["=", "<>"]
    return f"{column} {draw(st.sampled_from(operators))} {draw(literal(column, kind))}"


def conditions(kind: str) -> st.SearchStrategy[str]:
    return st.recursive(
        leaf(kind),
        lambda inner: st.one_of(
            inner.map(lambda text: f"not ({text})"),
            st.tuples(inner, inner).map(lambda two: f"({two[0]}) and ({two[1]})"),
            st.tuples(inner, inner).map(lambda two: f"({two[0]}) or ({two[1]})"),
        ),
        max_leaves=5,
    )


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_sql_and_python_agree(scenario: Callable[..., Scenario], kind: str) -> None:
    made = scenario(kind, "postgresql" if kind == "mysql" else "mysql")
    made.run("source", f"CREATE TABLE asked ({ASKED[kind]})")
    replication: Replication = made.replication("asked")
    source = replication.parts.source
    shape = source.shapes([replication.tables[0].source])[replication.tables[0].source]
    columns = {column.name: column for column in shape.columns}
    types = {name: column.canonical for name, column in columns.items()}
    fill(made, kind)
    with source.connect() as connection:
        texts = canonical(connection, source, shape)

        @settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(condition=conditions(kind))
        def agree(condition: str) -> None:
            tree = parse(condition)
            assert condition_problems(tree, columns) == []
            where = render(source.dialect, tree, columns)
            sql = f"SELECT id FROM {source.dialect.table(shape.table)} WHERE {where}"
            by_sql = {str(row[0]) for row in connection.exec_driver_sql(sql)}
            ask = compiled(tree, types)
            by_python = {row["id"] for row in texts if ask(row)}
            assert by_python == by_sql, condition

        agree()


def fill(made: Scenario, kind: str) -> None:
    """Every value of every column once, the other columns turning past each other, and NULLs."""
    values = {name: [*texts, *(EXOTIC.get(name, []) if kind == "postgresql" else []), None]
              for name, texts in VALUES.items()}  # fmt: skip
    values["e"] = [*(["a", "B"] if kind == "mysql" else UUIDS), None]
    with made.engine("source").connect() as connection:
        for id in range(60):
            row = [texts[(id * (place + 1)) % len(texts)] for place, texts in enumerate(values.values())]
            marks = ", ".join("%s" for _ in row)
            connection.exec_driver_sql(
                f"INSERT INTO asked (id, {', '.join(values)}) VALUES ({id}, {marks})", tuple(row)
            )


def canonical(connection: Connection, source: Source, shape: TableShape) -> list[dict[str, str | None]]:
    """The rows' canonical texts, by the expressions that the copy reads."""
    fields = [source.dialect.read(column) for column in shape.columns]
    form = "CASE WHEN {0} IS NOT NULL THEN format('%s', {0}) END"
    form = "CAST({} AS CHAR)" if source.dialect.name == "mysql" else form
    select = f"SELECT {', '.join(map(form.format, fields))} FROM {source.dialect.table(shape.table)}"
    rows = connection.exec_driver_sql(select).all()
    return [dict(zip(shape.names, (None if v is None else str(v) for v in row), strict=True)) for row in rows]
