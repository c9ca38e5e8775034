"""Rows that differ are mended, and no others, while changes flow."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdc_pipeline.apply.repair import Repairer
from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import flowing, start_streaming
from cdc_pipeline_tests.workload import TABLES

MakeScenario = Callable[..., Scenario]
every_direction = pytest.mark.parametrize(
    ("source", "target"), [("mysql", "postgresql"), ("postgresql", "mysql"), ("mariadb", "postgresql")]
)


def copied(made: Scenario, options: str = "") -> Replication:
    """Of the one table `things`."""
    replication = made.replication("things") if not options else made.replication(tables=f"[{{things: {options}}}]")
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    return replication


@pytest.mark.long
@every_direction
def test_what_differs_is_mended_while_changes_flow(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    replication = start_streaming(made)
    accounts, journal = (made.target_table(table) for table in TABLES)
    with flowing(made, replication):
        # Of both kinds: accounts that are written to all the time, and those from 400 on, which nobody writes.
        made.run(
            "target",
            f"DELETE FROM {accounts} WHERE id IN (1, 2, 401)",
            f"UPDATE {accounts} SET owner = 'wrong' WHERE id IN (3, 402, 403)",
            f"INSERT INTO {accounts} VALUES (-1, 'extra', 0, NULL), (-2, 'extra', 0, NULL)",
            f"INSERT INTO {journal} VALUES (99, 1.00, 'extra')",
        )
        told = {c.table.name: c for c in replication.verify(repair=True)}
        mended = told["accounts"]
        assert mended.equal or mended.undecided, mended  # those that are written to may not have settled
        assert mended.mended == mended.missing + mended.extra + mended.different >= 5
        unkeyed = told["journal"]
        assert not unkeyed.equal
        assert (unkeyed.extra, unkeyed.mended) == (1, 0)
        assert unkeyed.advice.startswith("it has no primary key, so its rows are not mended one by one: re-sync ")
    made.run("target", f"DELETE FROM {journal} WHERE account = 99")
    replication.consume(until_caught_up=True)
    list(replication.verify(repair=True))
    made.assert_equal(replication)


BINARY = {"mysql": "VARBINARY(20)", "mariadb": "VARBINARY(20)", "postgresql": "BYTEA"}
ROWS = [
    ("a\tb", "2024-02-29", "1.50", None, "x\\y"),
    ("A'B", "2024-02-29", "1.50", b"", None),
    ("Ü", "0044-03-15", "-1.00", None, "é\n"),
    ("ü", "0044-03-15", "2.00", b"\0\\\n\xff", "n"),
]


@every_direction
def test_keys_of_texts_and_days(scenario: MakeScenario, source: str, target: str) -> None:
    """Two of the keys are one to a server that does not tell capital letters."""
    made = scenario(source, target)
    exact = "" if source == "postgresql" else " COLLATE utf8mb4_bin"
    made.run(
        "source",
        f"CREATE TABLE things (code VARCHAR(20){exact} NOT NULL, day DATE NOT NULL, price DECIMAL(10, 2), "
        f"data {BINARY[source]}, note TEXT, PRIMARY KEY (code, day))",
    )
    with made.engine("source").connect() as connection:
        for row in ROWS:
            connection.exec_driver_sql("INSERT INTO things VALUES (%s, %s, %s, %s, %s)", row)
    replication = copied(made)
    things = made.target_table("things")
    made.run("target", f"DELETE FROM {things} WHERE price = 2", f"UPDATE {things} SET note = 'wrong'")
    made.run("target", f"INSERT INTO {things} VALUES ('more', '2024-02-29', 1, NULL, NULL)")
    (told,) = replication.verify(repair=True)
    assert (told.equal, told.mended, told.missing, told.extra, told.different) == (True, 5, 1, 1, 3)
    made.assert_equal(replication)


def test_a_row_that_came_or_went_meanwhile(scenario: MakeScenario) -> None:
    """What the caller saw is not so any more: each row gets what the source has now."""
    made = scenario()
    made.run("source", "CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(20))")
    made.run("source", *[f"INSERT INTO things VALUES ({number}, 'n{number}')" for number in range(20)])
    replication = copied(made)
    made.run("target", f"UPDATE {made.target_table('things')} SET name = 'wrong'")
    made.run("source", "DELETE FROM things WHERE id IN (3, 17)")
    (table,) = replication.tables
    (shape,) = replication.parts.shapes([table]).values()
    parts = replication.parts
    repairer = Repairer(parts.source, parts.target, parts.state)
    # 3 and 17 are said to be there, and 5 not to be.
    assert repairer.mend(table, shape, {(str(n),): n != 5 for n in range(20)}) == 20
    made.assert_equal(replication)


def test_where_deletes_are_soft_a_row_too_many_is_marked(scenario: MakeScenario) -> None:
    made = scenario()
    made.run("source", "CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(20))")
    made.run("source", "INSERT INTO things VALUES (1, 'a'), (2, 'b')")
    replication = copied(made, "{delete: soft}")
    things = made.target_table("things")
    made.run("target", f"INSERT INTO {things} (id, name) VALUES (3, 'extra')", f"DELETE FROM {things} WHERE id = 1")
    (told,) = replication.verify(repair=True)
    assert (told.equal, told.mended) == (True, 2)
    rows = made.rows("target", f"SELECT id, name, _deleted_at IS NULL FROM {things} ORDER BY id")
    assert [tuple(map(str, row)) for row in rows] == [("1", "a", "True"), ("2", "b", "True"), ("3", "extra", "False")]


def test_only_what_is_asked_for_is_mended(scenario: MakeScenario) -> None:
    made = scenario()
    made.run("source", "CREATE TABLE things (id INT PRIMARY KEY, name VARCHAR(20))")
    made.run("source", "INSERT INTO things VALUES (1, 'a')")
    replication = copied(made)
    made.run("target", f"UPDATE {made.target_table('things')} SET name = 'wrong'")
    (told,) = replication.verify()
    assert (told.equal, told.different, told.mended) == (False, 1, 0)
    assert made.rows("target", f"SELECT name FROM {made.target_table('things')}") == [("wrong",)]
