"""What an application may do to its rows: equal ones, keys that change, values that change places, TRUNCATE in between;
and values that the log leaves out because nobody changed them. Each in one batch, and cut into many."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from cdc_pipeline_tests.scenario import Scenario

MakeScenario = Callable[..., Scenario]
DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql")]
BATCHES = ["5000", "1"]  # all changes in one batch; each in one of its own

Transaction = Sequence[str]


def replicate(made: Scenario, *tables: str, changes: Sequence[Transaction], **replaced: str) -> None:
    """By copy what is there, by stream what the transactions of `changes` do; then both sides are equal."""
    replication = made.replication(*tables, **replaced)
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    with made.engine("source").execution_options(isolation_level="READ COMMITTED").connect() as connection:
        for statements in changes:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))
            connection.commit()
    assert replication.consume(until_caught_up=True).applied > 0
    made.assert_equal(replication)


def delete_one(source: str, where: str) -> str:
    if source == "mysql":
        return f"DELETE FROM bag WHERE {where} LIMIT 1"
    return f"DELETE FROM bag WHERE ctid IN (SELECT ctid FROM bag WHERE {where} LIMIT 1)"


def update_one(source: str, change: str, where: str) -> str:
    if source == "mysql":
        return f"UPDATE bag SET {change} WHERE {where} LIMIT 1"
    return f"UPDATE bag SET {change} WHERE ctid IN (SELECT ctid FROM bag WHERE {where} LIMIT 1)"


@pytest.mark.long
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_rows_of_every_history(scenario: MakeScenario, source: str, target: str, batch: str) -> None:
    made = scenario(source, target)
    made.run(
        "source",
        "CREATE TABLE bag (n INT, label VARCHAR(20))",
        *(["ALTER TABLE bag REPLICA IDENTITY FULL"] if source == "postgresql" else []),
        "INSERT INTO bag VALUES (1, 'a'), (1, 'a'), (1, 'a'), (NULL, NULL), (NULL, NULL), (2, 'b')",
        "CREATE TABLE pairs (a INT, b VARCHAR(10), seat INT UNIQUE, note VARCHAR(20), PRIMARY KEY (b, a))",
        "INSERT INTO pairs VALUES (1, 'x', 1, 'one'), (2, 'x', 2, 'two'), (1, 'y', 3, 'three'), (2, 'y', 4, 'four')",
        "CREATE TABLE emptied (id INT PRIMARY KEY, note VARCHAR(20))",
        "INSERT INTO emptied VALUES (1, 'old'), (2, 'old')",
    )
    changes = [
        [delete_one(source, "n = 1"), "INSERT INTO bag VALUES (1, 'a')", delete_one(source, "n = 1")],
        [delete_one(source, "n IS NULL")],
        [update_one(source, "label = 'c'", "n = 1"), "INSERT INTO bag VALUES (2, 'b'), (2, 'b')"],
        [delete_one(source, "n = 2"), update_one(source, "n = NULL, label = NULL", "n = 2")],
        # Composite keys: changed in a part, in both, and exchanged by way of a third.
        ["UPDATE pairs SET a = 9 WHERE a = 1 AND b = 'x'", "UPDATE pairs SET a = 8, b = 'z' WHERE a = 2 AND b = 'y'"],
        [
            "UPDATE pairs SET a = 7 WHERE a = 9 AND b = 'x'",
            "UPDATE pairs SET a = 9 WHERE a = 2 AND b = 'x'",
            "UPDATE pairs SET a = 2 WHERE a = 7 AND b = 'x'",
        ],
        # The values of a unique column change places.
        [
            "UPDATE pairs SET seat = NULL WHERE seat = 1",
            "UPDATE pairs SET seat = 1 WHERE seat = 2",
            "UPDATE pairs SET seat = 2 WHERE seat IS NULL",
        ],
        # Deleted and made again, in one transaction and in two.
        ["DELETE FROM pairs WHERE seat = 3", "INSERT INTO pairs VALUES (1, 'y', 3, 'again')"],
        ["DELETE FROM pairs WHERE seat = 4"],
        ["INSERT INTO pairs VALUES (8, 'z', 4, 'again')", "DELETE FROM pairs WHERE seat = 3"],
        ["INSERT INTO emptied VALUES (3, 'gone')", "UPDATE emptied SET note = 'gone' WHERE id = 1"],
        ["TRUNCATE TABLE emptied"],
        ["INSERT INTO emptied VALUES (3, 'new'), (1, 'new')", "UPDATE emptied SET id = 4 WHERE id = 3"],
    ]
    replicate(made, "bag", "pairs", "emptied", changes=changes, batch_events=batch)
    assert made.rows("target", f"SELECT id, note FROM {made.target_table('emptied')} ORDER BY id") == [
        (1, "new"),
        (4, "new"),
    ]


LONG = (
    "(SELECT string_agg(md5(i::text || '{}'), '') FROM generate_series(1, 400) i)"  # 12,800 characters, unlike others
)


def long(seed: str) -> str:
    return LONG.format(seed)


COLUMNS = "note TEXT, data BYTEA, doc JSONB, words TEXT[], code INT UNIQUE, label VARCHAR(20)"
IDENTITIES = {  # table: what its columns end with, and what becomes of it
    "by_key": ("id INT PRIMARY KEY", None),
    "by_full": ("id INT PRIMARY KEY", "FULL"),
    "by_index": ("id INT NOT NULL, CONSTRAINT by_index_key PRIMARY KEY (id)", "USING INDEX by_index_key"),
    "without_key": ("id INT", "FULL"),
}


def toast_tables(made: Scenario) -> None:
    for table, (key, identity) in IDENTITIES.items():
        made.run("source", f"CREATE TABLE {table} ({COLUMNS}, {key})")
        for column in ("note", "data", "doc", "words"):
            made.run("source", f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")
        if identity:
            made.run("source", f"ALTER TABLE {table} REPLICA IDENTITY {identity}")
        made.run("source", insert_long(table, 1), insert_long(table, 2), insert_long(table, 3), insert_long(table, 4))


def insert_long(table: str, id: int, code: int | None = None, seed: str = "") -> str:
    text = long(f"{id}{seed}")
    return (
        f"INSERT INTO {table} (id, note, data, doc, words, code, label) SELECT {id}, v, v::bytea, "
        f"jsonb_build_object('v', v), ARRAY[v, 'ß', NULL], {id if code is None else code}, 'first' FROM {text} t(v)"
    )


def toast_changes(table: str) -> list[Transaction]:
    return [
        [f"UPDATE {table} SET label = 'left alone' WHERE id = 1"],
        # An insert and such an update, in one transaction and in two.
        [insert_long(table, 10), f"UPDATE {table} SET label = 'at once' WHERE id = 10"],
        [insert_long(table, 11)],
        [f"UPDATE {table} SET label = 'later' WHERE id = 11"],
        # One long value changes, the others do not; one becomes short, one NULL.
        [f"UPDATE {table} SET note = {long('new')}, doc = '{{}}', data = NULL WHERE id = 2"],
        [f"UPDATE {table} SET label = 'again' WHERE id = 2"],
        # The same key, deleted and made again; then left alone.
        [f"DELETE FROM {table} WHERE id = 3", insert_long(table, 3, seed="again")],
        [f"UPDATE {table} SET label = 'after' WHERE id = 3"],
        # A new key, long values left alone: of a row from the copy, of one that changed before, and on to a third key.
        [f"UPDATE {table} SET id = 20 WHERE id = 4"],
        [f"UPDATE {table} SET label = 'moved' WHERE id = 20"],
        [f"UPDATE {table} SET id = 21, label = 'moves' WHERE id = 11", f"UPDATE {table} SET id = 22 WHERE id = 21"],
        [f"UPDATE {table} SET note = 'short' WHERE id = 22"],
        # Two rows exchange their keys, and the values of a unique column.
        [
            f"UPDATE {table} SET id = 99, code = 99 WHERE id = 1",
            f"UPDATE {table} SET id = 1, code = 1 WHERE id = 2",
            f"UPDATE {table} SET id = 2, code = 2 WHERE id = 99",
        ],
        # A key that is taken again at once by another row.
        [f"UPDATE {table} SET id = 30, code = 30 WHERE id = 3", insert_long(table, 3, seed="third")],
        [f"UPDATE {table} SET code = NULL WHERE id = 10"],
    ]


@pytest.mark.long
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("target", ["mysql", "postgresql"])
def test_long_values_that_an_update_leaves_alone(scenario: MakeScenario, target: str, batch: str) -> None:
    made = scenario("postgresql", target)
    toast_tables(made)
    changes = [step for table in IDENTITIES for step in toast_changes(table)]
    replicate(made, *IDENTITIES, changes=changes, batch_events=batch)
    for table in IDENTITIES:
        rows = made.rows("target", f"SELECT id, CHAR_LENGTH(note) FROM {made.target_table(table)} ORDER BY id")
        assert rows == [(1, 12800), (2, 12800), (3, 12800), (10, 12800), (20, 12800), (22, 5), (30, 12800)], table
