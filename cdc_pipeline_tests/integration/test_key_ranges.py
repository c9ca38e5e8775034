"""A large table is copied in ranges of its key: every row once, from one snapshot; and a killed copy goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection

from cdc_pipeline.copying import ranges
from cdc_pipeline.copying.ranges import Note, RangedTransfer
from cdc_pipeline.databases.key_ranges import KeyRange
from cdc_pipeline.databases.source import Snapshot
from cdc_pipeline.errors import CopyOvertaken
from cdc_pipeline.model import TableId
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import TableState
from cdc_pipeline.status import get_unified_status
from cdc_pipeline_tests.halting import killed
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.workload import Writer, running, wait_for_transactions

MakeScenario = Callable[..., Scenario]
SETTINGS = {"range_rows": "400", "parallel_ranges": "3"}
DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql"), ("mariadb", "postgresql")]
every_direction = pytest.mark.parametrize(("source", "target"), DIRECTIONS)
ROWS = 3000
AFTER_ONE_RANGE = ("cdc_pipeline.copying.ranges", "RangedTransfer", "_copy_once", "after")

# Each with a value for every number. Most numbers' keys lie close together, a few far away.
KEYS: dict[str, tuple[dict[str, str], Callable[[int], str]]] = {
    "integers": ({"id": "BIGINT"}, lambda n: str(n if n % 100 else n * 10**12)),
    "negative": ({"id": "INT"}, lambda n: str(n - ROWS // 2)),
    "decimals": ({"id": "DECIMAL(20, 4)"}, lambda n: f"{n}.{n % 10:04d}"),
    "texts": ({"id": "VARCHAR(40)"}, lambda n: f"'{'aAäz'[n % 4]} it''s\\_{n % 7} {n}'"),
    "bytes": ({"id": "BINARY(16)"}, lambda n: f"x'{n:032x}'"),
    "moments": ({"id": "TIMESTAMP(6)"}, lambda n: f"'2024-01-{1 + n % 28:02d} 10:11:12.{n:06d}'"),
    "two": ({"region": "VARCHAR(10)", "id": "INT"}, lambda n: f"'{'north' if n % 9 else 'south'}', {n}"),
    "three": ({"a": "INT", "b": "VARCHAR(5)", "c": "INT"}, lambda n: f"{n % 3}, '{n % 5}', {n}"),
}


def create(made: Scenario, table: str, columns: dict[str, str], value: Callable[[int], str], rows: int = ROWS) -> None:
    fields = ", ".join(f"{name} {type}" for name, type in columns.items())
    if made.kinds["source"] == "postgresql":
        fields = fields.replace("BINARY(16)", "BYTEA").replace("TIMESTAMP", "TIMESTAMPTZ")
    # Statistics would come at some moment or other.
    options = " WITH (autovacuum_enabled = false)" if made.kinds["source"] == "postgresql" else ""
    key = ", ".join(columns)
    made.run("source", f"CREATE TABLE {table} ({fields}, note VARCHAR(20), PRIMARY KEY ({key})){options}")
    values = ", ".join(f"({value(n)}, 'note {n}')" for n in range(1, rows + 1))
    if made.kinds["source"] == "postgresql":
        values = values.replace("x'", "'\\x")
    made.run("source", f"INSERT INTO {table} VALUES {values}")


def prepared(made: Scenario, *tables: str, **settings: str) -> Replication:
    replication = made.replication(*tables, **{**SETTINGS, **settings})
    replication.check()
    replication.prepare()
    return replication


def copied(replication: Replication) -> None:
    assert [str(result.error) for result in replication.copy() if result.error] == []


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[KeyRange, int]]]:
    """The ranges that were loaded, with their rows, by table."""
    found: dict[str, list[tuple[KeyRange, int]]] = {}
    transfer = ranges.transfer

    def watched(snapshot: Snapshot, shape: Any, *arguments: Any) -> Any:
        done = transfer(snapshot, shape, *arguments)
        found.setdefault(shape.table.name, []).append((arguments[-1], done.rows))
        return done

    monkeypatch.setattr(ranges, "transfer", watched)
    return found


@every_direction
def test_keys_of_every_kind_are_cut_into_equal_ranges(
    scenario: MakeScenario, loaded: dict[str, list[tuple[KeyRange, int]]], source: str, target: str
) -> None:
    made = scenario(source, target)
    for table, (columns, value) in KEYS.items():
        create(made, table, columns, value)
    replication = prepared(made, *KEYS)
    copied(replication)
    made.assert_equal(replication)
    for table in KEYS:
        sizes = [rows for _, rows in loaded[table]]
        assert sum(sizes) == ROWS, table
        # Of a heap in no order that is known, each range is a walk through the table: there is one for each reader.
        is_scattered = source == "postgresql" and table in ("texts", "bytes", "two")
        assert max(sizes) == (1000 if is_scattered else 250), f"{table}: one range has the work: {sizes}"
    records = replication.parts.state.table_records().values()
    assert {record.copying for record in records} == {""}
    assert all(record.phases.keys() == {"read", "write", "index"} for record in records)


def test_the_statistics_tell_whether_a_heap_is_in_the_order_of_its_key(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "mysql")
    create(made, "orderly", {"id": "UUID"}, lambda n: f"'{n:032x}'")
    create(made, "scattered", {"id": "INT"}, lambda n: str(n * 7919 % 3001))
    source, tables = made.replication("orderly", "scattered").parts.source, ("orderly", "scattered")
    shapes = {table: source.shape(TableId("public", table)) for table in tables}
    unknown = [source.is_scattered(shape) for shape in shapes.values() if shape]
    assert unknown == [True, False], "by the type alone"
    made.run("source", "ANALYZE orderly", "ANALYZE scattered")
    assert [source.is_scattered(shape) for shape in shapes.values() if shape] == [False, True]


class Mover(Writer):
    """Each transaction takes from one row and gives to another one far away."""

    def _transaction(self, connection: Connection) -> None:
        one = self.random.randrange(1, ROWS // 2)
        connection.exec_driver_sql(f"UPDATE accounts SET balance = balance - 1 WHERE id = {one}")
        connection.exec_driver_sql(f"UPDATE accounts SET balance = balance + 1 WHERE id = {one + ROWS // 2}")
        connection.commit()
        self.transactions += 1


@every_direction
def test_all_ranges_are_of_one_snapshot(scenario: MakeScenario, source: str, target: str) -> None:
    """The sum is the same after each transaction, and in no two halves of different ones."""
    made = scenario(source, target)
    create(made, "accounts", {"id": "INT"}, str)
    made.run("source", "ALTER TABLE accounts ADD balance INT NOT NULL DEFAULT 100")
    replication = prepared(made, "accounts")

    with running([Mover(made, number) for number in range(2)]) as movers:
        wait_for_transactions(movers, more=5)
        copied(replication)
        table = made.target_table("accounts")
        assert made.rows("target", f"SELECT count(*), sum(balance) FROM {table}") == [(ROWS, 100 * ROWS)]
        replication.register()
        wait_for_transactions(movers, more=5)
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)


def killed_after_one_range(made: Scenario) -> None:
    with killed(made, *AFTER_ONE_RANGE, command=("copy", "stock")):
        return


@pytest.mark.parametrize(("source", "target"), DIRECTIONS[:2])
def test_a_killed_copy_goes_on(
    scenario: MakeScenario,
    loaded: dict[str, list[tuple[KeyRange, int]]],
    caplog: pytest.LogCaptureFixture,
    source: str,
    target: str,
) -> None:
    caplog.set_level(logging.INFO, "cdc_pipeline")
    made = scenario(source, target)
    create(made, "stock", {"id": "INT"}, str)
    prepared(made, "stock", parallel_ranges="1")
    killed_after_one_range(made)
    replication = prepared(made, "stock")
    record = replication.parts.state.table_records()[replication.table("stock").source]
    note = Note.of(record)
    assert record.state is TableState.COPYING
    assert note is not None
    assert len(note.done) == 1
    (told,) = get_unified_status(replication.parts)["tables"]
    assert told["rows_copied"] == note.total.rows
    copied(replication)
    (told,) = get_unified_status(replication.parts)["tables"]
    assert told["rows_copied"] == ROWS
    assert told["copy_phases"].keys() == {"read", "write", "index"}
    assert "goes on with a copy that was killed" in caplog.text
    assert sum(rows for _, rows in loaded["stock"]) == ROWS - note.total.rows
    made.assert_equal(replication)
    replication.register()
    made.run("source", "UPDATE stock SET note = 'changed' WHERE id % 2 = 0", "DELETE FROM stock WHERE id % 9 = 0")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)


class Killed(BaseException):
    """Nothing of ours handles it, as nothing handles a kill."""


def killed_after(ranges_done: int, replication: Replication) -> None:
    copy_once, calls = RangedTransfer._copy_once, []

    def until_then(self: RangedTransfer, *arguments: Any) -> None:
        if len(calls) == ranges_done:
            raise Killed
        calls.append(arguments)
        copy_once(self, *arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RangedTransfer, "_copy_once", until_then)
        with pytest.raises(Killed):
            list(replication.copy())


@every_direction
def test_of_a_killed_copy_what_has_changed_is_copied_again(
    scenario: MakeScenario,
    loaded: dict[str, list[tuple[KeyRange, int]]],
    caplog: pytest.LogCaptureFixture,
    source: str,
    target: str,
) -> None:
    """Three of four ranges were there; two of them have changed, and so has what was not there yet."""
    caplog.set_level(logging.INFO, "cdc_pipeline")
    made = scenario(source, target)
    create(made, "stock", {"id": "INT"}, str)
    killed_after(3, prepared(made, "stock", parallel_ranges="1"))
    made.run(
        "source",
        "UPDATE stock SET note = 'changed' WHERE id <= 10",
        "DELETE FROM stock WHERE id BETWEEN 800 AND 820",
        f"INSERT INTO stock VALUES ({ROWS + 1}, 'new')",
    )
    loaded.clear()
    replication = prepared(made, "stock")
    copied(replication)
    assert "goes on with a copy that was killed: 1 ranges with 750 rows are there, 2 have changed" in caplog.text
    assert sum(rows for _, rows in loaded["stock"]) == ROWS - 21 + 1 - 750
    made.assert_equal(replication)
    replication.register()
    made.run("source", "UPDATE stock SET note = 'later' WHERE id % 2 = 0")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)


@pytest.mark.parametrize(
    ("source", "target", "where", "change", "reason"),
    [
        ("mysql", "postgresql", "target", "DELETE FROM {target} WHERE note = 'note 1'",
         "has 2249 rows, and 2250 were copied"),
        ("postgresql", "mysql", "source", "UPDATE stock SET note = 'changed' WHERE note = 'note 1'",
         "another place in the target's order"),
        ("mariadb", "postgresql", "source", "ALTER TABLE stock ADD more INT", "has changed"),
    ],
)  # fmt: skip
def test_a_killed_copy_starts_again_where_nothing_proves_what_is_there(
    scenario: MakeScenario,
    caplog: pytest.LogCaptureFixture,
    source: str,
    target: str,
    where: str,
    change: str,
    reason: str,
) -> None:
    caplog.set_level(logging.INFO, "cdc_pipeline")
    made = scenario(source, target)
    create(made, "stock", {"id": "VARCHAR(8)"}, lambda n: f"'{n:08d}'")
    made.run("source", *(["ANALYZE stock"] if source == "postgresql" else []))
    killed_after(3, prepared(made, "stock", parallel_ranges="1"))
    made.run(where, change.format(target=made.target_table("stock")))
    if "ALTER" in change:
        made.run("target", f"DROP TABLE {made.target_table('stock')}")
    replication = prepared(made, "stock")
    copied(replication)
    assert "starts again" in caplog.text
    assert reason in caplog.text
    made.assert_equal(replication)


def sessions_killed(made: Scenario) -> None:
    """Of the target, all that others have in this database."""
    database = made.databases["target"]
    if made.kinds["target"] == "postgresql":
        made.run("target", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                 f"WHERE datname = '{database}' AND pid <> pg_backend_pid()")  # fmt: skip
        return
    query = "SELECT id FROM information_schema.processlist "
    for (id,) in made.rows("target", f"{query} WHERE db = '{database}' AND id <> connection_id()"):
        made.run("target", f"KILL {id}")


@pytest.mark.parametrize(("source", "target"), DIRECTIONS[:2])
def test_a_target_that_goes_away_and_comes_back_costs_a_range(
    scenario: MakeScenario,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    source: str,
    target: str,
) -> None:
    """The source changes in between: what is copied afterwards is of the snapshot that was held."""
    caplog.set_level(logging.INFO, "cdc_pipeline")
    made = scenario(source, target)
    create(made, "stock", {"id": "INT"}, str)
    replication = prepared(made, "stock")
    note_copying, noted = replication.parts.state.note_copying, []

    def note(connection: Connection, *arguments: Any) -> None:
        noted.append(arguments)
        if len(noted) == 3:
            made.run("source", "UPDATE stock SET note = 'changed'", "DELETE FROM stock WHERE id > 2900")
            sessions_killed(made)
        note_copying(connection, *arguments)

    monkeypatch.setattr(replication.parts.state, "note_copying", note)
    copied(replication)
    assert "is copied again, from the same snapshot" in caplog.text
    rows = made.rows("target", f"SELECT count(*), count(DISTINCT id) FROM {made.target_table('stock')}")
    assert rows == [(ROWS, ROWS)]
    replication.register()
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)


def test_of_two_copies_one_gives_way(scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock that keeps the second away is lost with its connection. What the first then does is rolled back."""
    made = scenario("mysql", "postgresql")
    create(made, "stock", {"id": "INT"}, str)
    first, second = prepared(made, "stock"), prepared(made, "stock")
    copy_once, calls = RangedTransfer._copy_once, []

    def overtaken(self: RangedTransfer, *arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            sessions_killed(made)
            copied(second)
        copy_once(self, *arguments)

    monkeypatch.setattr(RangedTransfer, "_copy_once", overtaken)
    errors: Sequence[Exception | None] = [result.error for result in first.copy()]
    assert [type(error) for error in errors] == [CopyOvertaken]
    monkeypatch.undo()
    made.assert_equal(second)


@pytest.mark.parametrize(("source", "target"), DIRECTIONS[:2])
def test_a_resync_is_copied_in_ranges_too(
    scenario: MakeScenario, loaded: dict[str, list[tuple[KeyRange, int]]], source: str, target: str
) -> None:
    made = scenario(source, target)
    create(made, "stock", {"id": "INT"}, str)
    replication = prepared(made, "stock")
    copied(replication)
    replication.register()
    loaded.clear()
    made.run("target", f"UPDATE {made.target_table('stock')} SET note = 'wrong' WHERE id % 3 = 0")
    made.run("source", "UPDATE stock SET note = 'changed' WHERE id % 2 = 0")
    (result,) = replication.copy(force_resync=True)
    assert result.error is None
    assert sum(rows for _, rows in loaded["stock"]) == ROWS
    assert len(loaded["stock"]) > 8
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)


def test_a_table_that_others_may_read_is_replaced_at_once(
    scenario: MakeScenario, loaded: dict[str, list[tuple[KeyRange, int]]]
) -> None:
    """Rows in the target that a force replaces, and of which nothing is known: a copy that fails leaves them."""
    made = scenario("mysql", "postgresql")
    create(made, "stock", {"id": "INT"}, str)
    replication = prepared(made, "stock")
    copied(replication)
    loaded.clear()
    with replication.parts.target.connect() as connection:
        stock = replication.table("stock").source
        replication.parts.state.move_table(connection, stock, TableState.COPYING, watermark=None)
        connection.commit()
    copied(replication)
    assert loaded == {}, "one transaction"
    made.assert_equal(replication)
