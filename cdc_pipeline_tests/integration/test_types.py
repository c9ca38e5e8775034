"""One value, two ways: the same rows, once by the copy and once by the stream, are equal to the source's and to each
other's, for every column type, with its extremes, in every direction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from cdc_pipeline.databases.mysql.charsets import GARBLED
from cdc_pipeline.model import TableId
from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.values import CASES, FAMILY, SET_UP, refused

MakeScenario = Callable[..., Scenario]
DATABASES = ("mysql", "mariadb", "postgresql")
DIRECTIONS = [(source, target) for source in DATABASES for target in DATABASES]
BY_DAY = [("mysql", "postgresql"), ("mariadb", "postgresql"), ("postgresql", "mysql"), ("postgresql", "postgresql")]
every_direction = pytest.mark.parametrize(
    ("source", "target"),
    [pytest.param(*ends, marks=() if ends in BY_DAY else pytest.mark.deep) for ends in DIRECTIONS],
)
REPORT = Path(__file__).parents[2] / "build" / "types.md"
STREAMED = 1000  # row n comes by the copy, row 1000 + n of the same literal by the stream
ANY_DATE_MODE = "STRICT_ALL_TABLES"  # MySQL's default refuses zero dates; older applications have them


Outcomes = dict[tuple[str, str], dict[tuple[str, str], str]]  # of a direction's types and values


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Outcomes]:
    """What the tests of this module have seen; at the end a page of it, REPORT."""
    seen: Outcomes = {}
    yield seen
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text("\n".join(report(seen)) + "\n")


def report(seen: Outcomes) -> Iterator[str]:
    yield "# Every type, every direction: what became of each value, by copy and by stream"
    for (source, target), cells in sorted(seen.items()):
        yield from ("", f"## {source} to {target}", "", "| type | value | outcome |", "|---|---|---|")
        for (declared, value), outcome in sorted(cells.items()):
            fields = (f"`{declared}`", f"`{value if len(value) < 80 else value[:80] + '…'}`", outcome)
            yield "| " + " | ".join(text.replace("|", "\\|").replace("\n", " ") for text in fields) + " |"


def make_everything(made: Scenario, source: str) -> None:
    """One table with a column of every type."""
    columns = ", ".join(f"c{number} {case.declared}" for number, case in enumerate(CASES[source]))
    made.run("source", *SET_UP[source], f"CREATE TABLE everything (id INT PRIMARY KEY, {columns})")
    if source == "postgresql":  # which arrays other than the commonest ask for
        made.run("source", "ALTER TABLE everything REPLICA IDENTITY FULL")


def insert(made: Scenario, source: str, target: str, first_id: int) -> int:
    """One row for every value, NULL in all other columns, and one of NULLs alone. Returns how many."""
    statements = [f"INSERT INTO everything (id) VALUES ({first_id})"]
    for column, case in enumerate(CASES[source]):
        for value in case.values_for(FAMILY[target]):
            row_id = first_id + len(statements)
            statements.append(f"INSERT INTO everything (id, c{column}) VALUES ({row_id}, {value})")
    run_with_zero_dates(made, source, statements)
    return len(statements)


def run_with_zero_dates(made: Scenario, source: str, statements: Sequence[str]) -> None:
    with made.engine("source").connect() as connection:
        if source != "postgresql":
            connection.exec_driver_sql(f"SET SESSION sql_mode = '{ANY_DATE_MODE}', time_zone = '+00:00'")
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))


@every_direction
def test_copy_and_stream_write_the_same_values(
    scenario: MakeScenario, outcomes: Outcomes, source: str, target: str
) -> None:
    made = scenario(source, target)
    make_everything(made, source)
    copied = insert(made, source, target, 0)
    replication = made.replication("everything")
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    made.assert_equal(replication)
    insert(made, source, target, STREAMED)
    replication.register()
    progress = replication.consume(until_caught_up=True)
    assert progress.inserted == copied
    made.assert_equal(replication)
    by_copy, by_stream = rows_by_way(made, source)
    assert len(by_copy) == copied
    assert by_copy == by_stream
    cells = outcomes.setdefault((source, target), {})
    for case in CASES[source]:
        for value in case.values_for(FAMILY[target]):
            cells[case.declared, value] = f"lossy by design: {case.lossy[value]}" if value in case.lossy else "equal"


def rows_by_way(made: Scenario, source: str) -> tuple[list[list[Any]], list[list[Any]]]:
    """The target's rows without their ids: those that came by the copy, and those that came by the stream."""
    kind = made.kinds["target"]
    names = [f"c{number}" for number in range(len(CASES[source]))]
    as_text = "CAST({} AS text)" if kind == "postgresql" else "HEX({})"
    fields = ", ".join(as_text.format(name) for name in names)
    rows = made.rows("target", f"SELECT id, {fields} FROM {made.target_table('everything')} ORDER BY id")
    copied = [list(row[1:]) for row in rows if row[0] < STREAMED]
    return copied, [list(row[1:]) for row in rows if row[0] >= STREAMED]


@every_direction
def test_a_value_that_the_target_cannot_hold_fails_the_copy_and_names_it(
    scenario: MakeScenario, outcomes: Outcomes, source: str, target: str
) -> None:
    """Table, column, key and value: and the target stays as it was."""
    cases = list(refused(source, target))
    if not cases:
        assert source == target or FAMILY[source] == FAMILY[target]
        return
    made = scenario(source, target)
    made.run("source", *SET_UP[source])
    for number, (declared, value) in enumerate(cases):
        make = f"CREATE TABLE t{number} (id INT PRIMARY KEY, odd_one {declared})"
        run_with_zero_dates(made, source, [make, f"INSERT INTO t{number} VALUES (1, NULL), (77, {value}), (78, NULL)"])
    replication: Replication = made.replication("t*")
    replication.prepare()
    for result in replication.copy():
        declared, value = cases[int(result.table.source.name.removeprefix("t"))]
        assert result.error is not None, (declared, value)
        for part in (str(result.table.source), "odd_one", "77"):
            assert part in str(result.error), (declared, value, part, str(result.error))
        assert made.rows("target", f"SELECT count(*) FROM {made.target_table(result.table.source.name)}") == [(0,)]
        reason = str(result.error).replace(str(made.number), "…")
        outcomes.setdefault((source, target), {})[declared, value] = f"refused: {reason}"


@pytest.mark.parametrize(
    ("source", "target", "declared", "value"),
    [
        ("mysql", "postgresql", "TIME", "'-12:34:56'"),
        ("postgresql", "mysql", "date", "'infinity'"),
        ("postgresql", "mariadb", "double precision", "'NaN'"),
    ],
)
def test_a_value_that_the_target_cannot_hold_is_set_aside_and_named(
    scenario: MakeScenario, source: str, target: str, declared: str, value: str
) -> None:
    made = scenario(source, target)
    made.run("source", f"CREATE TABLE shifts (id INT PRIMARY KEY, odd_one {declared})")
    replication = made.replication("shifts")
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    made.run("source", "INSERT INTO shifts VALUES (1, NULL)", f"INSERT INTO shifts VALUES (77, {value})")
    assert replication.consume(until_caught_up=True).set_aside == 1
    (item,) = replication.set_aside()
    assert item.table == TableId(made.schema, "shifts")
    assert "77" in item.row_key
    assert "odd_one" in item.error
    assert (77,) not in made.rows("target", f"SELECT id FROM {made.target_table('shifts')}")


def test_every_character_of_every_character_set_arrives(scenario: MakeScenario) -> None:
    """Of all that step 1 lets pass: it refuses those that Debezium decodes wrongly."""
    made = scenario("mysql", "postgresql")
    characters = [chr(code) for code in (*range(1, 0xD800), *range(0xE000, 0xFFFD), 0xFFFE, 0xFFFF)]
    made.run("source", "CREATE TABLE letters (n INT PRIMARY KEY, c VARCHAR(1) CHARACTER SET utf8mb4)")
    with made.engine("source").connect() as connection:
        for start in range(0, len(characters), 5000):
            rows = list(enumerate(characters[start : start + 5000], start))
            places = ", ".join(["(%s, %s)"] * len(rows))
            values = tuple(value for row in rows for value in row)
            connection.exec_driver_sql(f"INSERT INTO letters VALUES {places}", values)
    query = "SELECT character_set_name FROM information_schema.character_sets ORDER BY 1"
    names = [name for (name,) in made.rows("source", query) if name not in ("binary", *GARBLED)]
    columns = ", ".join(f"`{name}` LONGTEXT CHARACTER SET {name}" for name in names)
    made.run("source", f"CREATE TABLE texts (id INT PRIMARY KEY, {columns})")
    # What Debezium cannot read is an error; unit/apply/test_values.py has that.
    korean = [number for number, character in enumerate(characters) if can_encode(character, "euc_kr")]
    legible = {
        "latin1": "n NOT IN (0x80, 0x8c, 0x8e, 0x8f, 0x9c)",  # one less than the code: undefined in Windows-1252
        "tis620": "n NOT BETWEEN 0x7f AND 0x9e",  # control characters
        "ujis": "c NOT BETWEEN '\ue000' AND '\uf8ff' COLLATE utf8mb4_bin",  # private use
        "euckr": f"n IN ({', '.join(map(str, korean))})",
    }
    replication = made.replication("texts")
    for row_id in (1, 2):
        for name in names:
            representable = f"CONVERT(CONVERT(c USING {name}) USING utf8mb4) = BINARY c AND {legible.get(name, 1)}"
            text = f"SELECT GROUP_CONCAT(c ORDER BY n SEPARATOR '') FROM letters WHERE {representable}"
            made.run(
                "source",
                "SET SESSION group_concat_max_len = 10000000",
                f"INSERT INTO texts (id, `{name}`) VALUES ({row_id}, ({text})) "
                f"ON DUPLICATE KEY UPDATE `{name}` = ({text})",
            )
        if row_id == 1:
            replication.prepare()
            assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    replication.consume(until_caught_up=True)
    fields = ", ".join(f'"{name}"' for name in names)
    by_copy, by_stream = made.rows("target", f"SELECT {fields} FROM {made.target_table('texts')} ORDER BY id")
    source = made.rows("source", "SELECT " + ", ".join(f"`{name}`" for name in names) + " FROM texts WHERE id = 1")
    wrong = {
        name: [(one, other) for one, other in zip(sent, came, strict=False) if one != other][:9]
        for name, sent, copied, came in zip(names, source[0], by_copy, by_stream, strict=True)
        if not sent == copied == came
    }
    assert wrong == {}
    assert min(len(text) for text in by_copy) > 100


def can_encode(character: str, codec: str) -> bool:
    try:
        return len(character.encode(codec)) <= 2  # more are Python's own way to spell what the set does not have
    except UnicodeEncodeError:
        return False
