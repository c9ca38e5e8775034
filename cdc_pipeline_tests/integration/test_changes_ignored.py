"""With the policy `ignore` the stream goes on into tables as they were copied; where it could only guess, it stops."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from cdc_pipeline.alterations import look_for_changes
from cdc_pipeline.errors import DefinitionChanged, TablesStopped
from cdc_pipeline.replication import Replication, start_replication
from cdc_pipeline.state import TableState
from cdc_pipeline.validation import validate
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import cdc_pipeline
from cdc_pipeline_tests.waiting import wait_until

MakeScenario = Callable[..., Scenario]
DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql")]
COLUMNS = "(id INT PRIMARY KEY, name VARCHAR(10) NOT NULL, price DECIMAL(6, 2), code VARCHAR(9) DEFAULT 'std' NOT NULL)"
ROWS = "(1, 'one', 1.25, 'a'), (2, 'two', 2.50, 'b'), (3, 'three', NULL, 'c')"
WIDER = {"mysql": "MODIFY name VARCHAR(30) NOT NULL", "postgresql": "ALTER COLUMN name TYPE VARCHAR(30)"}


def start(shop: Scenario, *names: str, columns: str = COLUMNS, rows: str = ROWS) -> Replication:
    for name in names:
        shop.run("source", f"CREATE TABLE {name} {columns}", f"INSERT INTO {name} VALUES {rows}")
    return begin(ignoring(shop, *names))


def ignoring(shop: Scenario, *names: str, **replaced: str) -> Replication:
    return shop.replication(*names, schema_changes="ignore", **replaced)


def begin(replication: Replication) -> Replication:
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    return replication


def target_rows(shop: Scenario, name: str, columns: str = "*") -> list[tuple[object, ...]]:
    return [
        tuple(str(value) if value is not None else None for value in row)
        for row in shop.rows("target", f"SELECT {columns} FROM {shop.target_table(name)} ORDER BY id")
    ]


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_columns_added_dropped_renamed_and_widened(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    names = ("added", "dropped", "renamed", "widened", "no_default")
    replication = start(shop, *names)
    update = "UPDATE {} SET name = 'new' WHERE id = 1"
    for name, alteration, row in (
        ("added", "ADD COLUMN extra INT DEFAULT 5", "(4, 'four', 4, 'd', 7)"),
        ("dropped", "DROP COLUMN price", "(4, 'four', 'd')"),
        ("renamed", "RENAME COLUMN price TO amount", "(4, 'four', 4, 'd')"),
        ("widened", WIDER[source], "(4, 'more than ten', 4, 'd'), (5, 'five', 5, 'e')"),
        ("no_default", "DROP COLUMN code", "(4, 'four', 4)"),
    ):
        shop.run("source", update.format(name).replace("new", "before"), f"ALTER TABLE {name} {alteration}")
        shop.run("source", update.format(name), f"INSERT INTO {name} VALUES {row}", f"DELETE FROM {name} WHERE id = 2")
        shop.run("source", f"UPDATE {name} SET id = 30 WHERE id = 3")
    replication.consume(until_caught_up=True)
    old = [("1", "new", "1.25", "a"), ("4", "four", "4.00", "d"), ("30", "three", None, "c")]
    assert target_rows(shop, "added") == old
    assert target_rows(shop, "dropped") == [old[0], ("4", "four", None, "d"), old[2]]
    assert target_rows(shop, "renamed") == [old[0], ("4", "four", None, "d"), old[2]]
    assert target_rows(shop, "no_default") == [old[0], ("4", "four", "4.00", "std"), old[2]]
    assert target_rows(shop, "widened") == [old[0], ("5", "five", "5.00", "e"), old[2]]
    (item,) = replication.set_aside()  # the target's column does not take it
    assert item.table.name == "widened"
    assert replication.discard_set_aside() == 1
    told = {c.table.name: (c.equal, c.left_out) for c in shop.compare(ignoring(shop, *names))}
    assert told == {
        "added": (True, ("extra",)),
        "dropped": (True, ("price",)),
        "renamed": (True, ("price", "amount")),
        "no_default": (True, ("code",)),
        "widened": (False, ()),
    }


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_what_is_told_after_a_restart_and_what_a_resync_takes_over(
    scenario: MakeScenario, source: str, target: str
) -> None:
    shop = scenario(source, target)
    start(shop, "changed")
    shop.run("source", "ALTER TABLE changed DROP COLUMN price", "ALTER TABLE changed ADD COLUMN extra INT DEFAULT 5")
    shop.run("source", "INSERT INTO changed (id, name) VALUES (4, 'four')")
    success, message = start_replication(ignoring(shop, "changed").config, until_caught_up=True)
    assert success, message
    assert target_rows(shop, "changed")[3] == ("4", "four", None, "std")
    with cdc_pipeline(shop, "verify", "--json") as process:
        output, _ = process.communicate(timeout=60)
    assert json.loads(output)["tables"][0]["left_out"] == ["price", "extra"]
    assert process.returncode == 0
    with cdc_pipeline(shop, "verify") as process:
        output, _ = process.communicate(timeout=60)
    assert "without price, extra" in " ".join(output.split())
    after = ignoring(shop, "changed")
    assert [result.error for result in after.copy(["changed"], force_resync=True)] == [None]
    shop.run("source", "INSERT INTO changed VALUES (5, 'five', 'e', 9)")
    after.consume(until_caught_up=True)
    assert [(c.equal, c.left_out) for c in shop.compare(after)] == [(True, ())]
    assert target_rows(shop, "changed", "id, name, code, extra")[4] == ("5", "five", "e", "9")


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_new_tables_are_passed_over_and_dropped_ones_stay_as_they_are(
    scenario: MakeScenario, source: str, target: str
) -> None:
    shop = scenario(source, target)
    shop.run("source", f"CREATE TABLE t_first {COLUMNS}", f"INSERT INTO t_first VALUES {ROWS}")
    shop.run("source", f"CREATE TABLE t_second {COLUMNS}", f"CREATE TABLE plain {COLUMNS}")
    replication = begin(ignoring(shop, "t_*", "plain"))
    state = replication.parts.state
    shop.run("source", f"CREATE TABLE t_new {COLUMNS}", "DROP TABLE t_first", "DROP TABLE plain")
    shop.run("source", f"INSERT INTO t_second VALUES {ROWS}")
    after = ignoring(shop, "t_*", "plain")
    assert after.register()["connector"] == "RUNNING"
    with cdc_pipeline(shop, "consume") as consumer:
        count = f"SELECT count(*) FROM {shop.target_table('t_second')}"
        wait_until(lambda: shop.rows("target", count) == [(3,)], "applied")
        changes = look_for_changes(after.parts)
        assert (changes.changed, changes.new, changes.gone) == (set(), set(), {})
        consumer.terminate()
        assert consumer.wait(30) == 0
    assert {table.name: record.state for table, record in state.table_records().items()} == {
        "t_first": TableState.COPIED,
        "t_second": TableState.STREAMING,
        "plain": TableState.COPIED,
    }
    assert len(target_rows(shop, "t_first")) == 3
    assert validate(after.parts).problems == []


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_what_could_only_be_guessed_stops_its_table_alone(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    columns = "(id INT, other INT NOT NULL, at TIMESTAMP(0) NULL, PRIMARY KEY (id))"
    replication = start(shop, "keyed", "finer", "fine", columns=columns, rows="(1, 1, NULL)")
    column = "at" if source == "postgresql" else "`at`"
    finer = f"ALTER COLUMN {column} TYPE TIMESTAMP(6)" if source == "postgresql" else f"MODIFY {column} TIMESTAMP(6)"
    no_key = "DROP CONSTRAINT keyed_pkey" if source == "postgresql" else "DROP PRIMARY KEY"
    shop.run("source", f"ALTER TABLE keyed {no_key}", "ALTER TABLE keyed ADD PRIMARY KEY (id, other)")
    shop.run("source", "INSERT INTO keyed VALUES (1, 2, NULL)", f"ALTER TABLE finer {finer}")
    shop.run("source", "INSERT INTO fine VALUES (2, 2, NULL)")
    shop.run("source", "INSERT INTO finer VALUES (2, 2, '2024-05-06 07:08:09.123456')")
    with pytest.raises(TablesStopped) as stopped:
        replication.consume(until_caught_up=True)
    assert "keyed have changed (its primary key is (id, other))" in str(stopped.value)
    assert "finer have changed (at was timestamp" in str(stopped.value)
    assert target_rows(shop, "keyed", "id, other") == target_rows(shop, "finer", "id, other") == [("1", "1")]
    assert target_rows(shop, "fine", "id, other") == [("1", "1"), ("2", "2")]
    assert [r.error for r in replication.copy(["keyed", "finer"], force_resync=True)] == [None, None]
    after = ignoring(shop, "keyed", "finer", "fine")
    after.consume(until_caught_up=True)
    shop.assert_equal(after)


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_a_table_without_a_key_goes_on_until_old_rows_cannot_be_told(
    scenario: MakeScenario, source: str, target: str
) -> None:
    shop = scenario(source, target)
    full = ["ALTER TABLE bag REPLICA IDENTITY FULL"] if source == "postgresql" else []
    shop.run("source", "CREATE TABLE bag (id INT, price DECIMAL(6, 2), note VARCHAR(10))", *full)
    shop.run("source", "INSERT INTO bag VALUES (1, 1.25, 'a'), (2, 2.50, 'b')")
    replication = begin(ignoring(shop, "bag"))
    shop.run("source", "ALTER TABLE bag ADD COLUMN extra INT", "UPDATE bag SET extra = 7, note = 'c' WHERE id = 1")
    shop.run("source", "DELETE FROM bag WHERE id = 2", "ALTER TABLE bag DROP COLUMN price")
    shop.run("source", "INSERT INTO bag VALUES (3, 'd', 1)")
    replication.consume(until_caught_up=True)
    assert target_rows(shop, "bag") == [("1", "1.25", "c"), ("3", None, "d")]
    shop.run("source", "UPDATE bag SET note = 'e' WHERE id = 1")
    with pytest.raises(TablesStopped, match="gone price, which old rows are told by"):
        replication.consume(until_caught_up=True)


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_the_log_from_before_an_alteration_is_not_read_by_the_table_of_after_it(
    scenario: MakeScenario, source: str, target: str
) -> None:
    """MySQL's log is read by the definitions of the day the connector begins; PostgreSQL's tells them itself."""
    shop = scenario(source, target)
    shop.run("source", f"CREATE TABLE changed {COLUMNS}", f"INSERT INTO changed VALUES {ROWS}")
    replication = ignoring(shop, "changed")
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    shop.run("source", "UPDATE changed SET name = 'before' WHERE id = 1", "ALTER TABLE changed DROP COLUMN price")
    if source == "mysql":
        with pytest.raises(DefinitionChanged):
            replication.register()
        return
    replication.register()
    shop.run("source", "INSERT INTO changed VALUES (4, 'four', 'd')")
    replication.consume(until_caught_up=True)
    assert target_rows(shop, "changed")[0] == ("1", "before", "1.25", "a")
    assert target_rows(shop, "changed")[3] == ("4", "four", None, "d")
