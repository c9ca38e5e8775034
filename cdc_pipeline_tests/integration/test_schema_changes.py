"""A table that changes in the source while it streams ends equal, whatever the change is; others never wait for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdc_pipeline.errors import TablesStopped
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import TableState
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import applied, cdc_pipeline, start_streaming
from cdc_pipeline_tests.waiting import wait_until
from cdc_pipeline_tests.workload import TABLES, wait_for_transactions, writing

MakeScenario = Callable[..., Scenario]
DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql")]
COLUMNS = "(id INT PRIMARY KEY, name VARCHAR(10) NOT NULL, price DECIMAL(6, 2), at TIMESTAMP(0) NULL)"
# What is altered, and a row that only the altered table can have.
CHANGES = {
    "added": ("ADD COLUMN extra INT DEFAULT 5", "(100, 'new', 1.00, NULL, 7)"),
    "added_with_a_moment": ("ADD COLUMN extra TIMESTAMP(3) NULL DEFAULT CURRENT_TIMESTAMP(3)", None),
    "dropped": ("DROP COLUMN price", "(100, 'new', NULL)"),
    "renamed": ("RENAME COLUMN price TO amount", "(100, 'new', 1.00, NULL)"),
    "dropped_and_added": ("DROP COLUMN price, ADD COLUMN cost DECIMAL(6, 2)", "(100, 'new', NULL, 3.00)"),
}
OF_DATABASE = {
    "mysql": {
        "widened": ("MODIFY name VARCHAR(30) NOT NULL", "(100, 'longer than ten', 1.00, NULL)"),
        "nullable": ("MODIFY name VARCHAR(10) NULL", "(100, NULL, 1.00, NULL)"),
        "another_type": ("MODIFY price VARCHAR(20)", "(100, 'new', 'three', NULL)"),
        "finer": ("MODIFY at TIMESTAMP(6) NULL", "(100, 'new', 1.00, '2024-05-06 07:08:09.123456')"),
    },
    "postgresql": {
        "widened": ("ALTER COLUMN name TYPE VARCHAR(30)", "(100, 'longer than ten', 1.00, NULL)"),
        "nullable": ("ALTER COLUMN name DROP NOT NULL", "(100, NULL, 1.00, NULL)"),
        "another_type": ("ALTER COLUMN price TYPE VARCHAR(20)", "(100, 'new', 'three', NULL)"),
        "finer": ("ALTER COLUMN at TYPE TIMESTAMP(6)", "(100, 'new', 1.00, '2024-05-06 07:08:09.123456')"),
    },
}


def start(shop: Scenario, names: list[str], **replaced: str) -> Replication:
    for name in names:
        rows = "(1, 'one', 1.25, '2024-01-02 03:04:05'), (2, 'two', NULL, NULL)"
        shop.run("source", f"CREATE TABLE {name} {COLUMNS}", f"INSERT INTO {name} VALUES {rows}")
    replication = shop.replication(*names, **replaced)
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    return replication


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_whatever_changes_the_target_ends_equal(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    changes = {**CHANGES, **OF_DATABASE[source]}
    replication = start(shop, list(changes))
    for name, (alteration, row) in changes.items():
        shop.run("source", f"UPDATE {name} SET name = 'before' WHERE id = 1", f"ALTER TABLE {name} {alteration}")
        if row is not None:
            shop.run("source", f"INSERT INTO {name} VALUES {row}")
        shop.run("source", f"UPDATE {name} SET name = 'after' WHERE id = 2")
    replication.consume(until_caught_up=True)
    after = shop.replication(*changes)
    shop.assert_equal(after)
    assert after.set_aside() == []
    targets = after.parts.target.shapes([table.target for table in after.tables])
    for table in after.tables:
        assert targets[table.target].names == after.parts.source.shapes([table.source])[table.source].names
    for name in changes:
        shop.run("source", f"UPDATE {name} SET name = 'last' WHERE id = 1")
    assert after.consume(until_caught_up=True).updated == len(changes)
    shop.assert_equal(after)


def test_alterations_under_load_lose_nothing(scenario: MakeScenario) -> None:
    shop = scenario()
    replication = start_streaming(shop)
    with cdc_pipeline(shop, "consume") as consumer, writing(shop) as writers:
        wait_until(lambda: applied(replication) > 20, "applying")
        longer = "ALTER TABLE accounts MODIFY note LONGTEXT"
        shop.run("source", "ALTER TABLE journal MODIFY label VARCHAR(50)", longer)
        wait_for_transactions(writers, 10)
        shop.run("source", "ALTER TABLE accounts MODIFY balance DECIMAL(14, 3)")
        wait_until(lambda: fingerprints(replication)[0] == fingerprints(replication)[1], "synced again")
        wait_for_transactions(writers, 10)
        consumer.terminate()
        assert consumer.wait(30) == 0
    after = shop.replication(*TABLES)
    after.consume(until_caught_up=True)
    shop.assert_equal(after)


def fingerprints(replication: Replication) -> tuple[list[str], list[str]]:
    """Of the source's tables, and of what was copied of them."""
    records = replication.parts.state.table_records()
    shapes = replication.parts.source.shapes(list(records))
    copied = [record.shape.fingerprint for record in records.values() if record.shape]
    return [shapes[table].fingerprint for table in records], copied


def test_with_the_policy_stop_the_table_stops_alone(scenario: MakeScenario) -> None:
    shop = scenario()
    replication = start(shop, ["changed", "other"], schema_changes="stop")
    shop.run("source", "ALTER TABLE changed ADD COLUMN extra INT", "INSERT INTO changed VALUES (3, 'x', 1, NULL, 1)")
    shop.run("source", "INSERT INTO other VALUES (3, 'x', 1, NULL)")
    with pytest.raises(TablesStopped, match=r"cdc-pipeline resync .*changed"):
        replication.consume(until_caught_up=True)
    assert shop.rows("target", f"SELECT count(*) FROM {shop.target_table('other')}") == [(3,)]
    assert [r.error for r in replication.copy(["changed"], force_resync=True)] == [None]
    replication.consume(until_caught_up=True)
    shop.assert_equal(shop.replication("changed", "other"))


@pytest.mark.parametrize("source", ["mysql", "mariadb"])
def test_a_table_of_somebody_else_that_is_altered_while_ours_are_copied_ends_nothing(
    scenario: MakeScenario, source: str
) -> None:
    """Debezium reads all definitions as they are when it begins, and then in the log how they came to be so."""
    shop = scenario(source, "postgresql")
    shop.run("source", f"CREATE TABLE ours {COLUMNS}", f"CREATE TABLE theirs {COLUMNS}")
    replication = shop.replication("ours")
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    shop.run("source", "ALTER TABLE theirs CHANGE COLUMN price amount DECIMAL(6, 2)")
    shop.run("source", "INSERT INTO ours VALUES (1, 'one', 1.25, NULL)")
    replication.register()
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


@pytest.mark.parametrize("policy", ["evolve", "stop", "ignore"])
def test_a_table_that_came_while_no_consumer_ran_keeps_none_from_running(scenario: MakeScenario, policy: str) -> None:
    """Its topic is made when it is copied, so there is none to subscribe to."""
    shop = scenario()
    shop.run("source", f"CREATE TABLE t_first {COLUMNS}")
    before = shop.replication("t_*", schema_changes=policy)
    before.prepare()
    assert [result.error for result in before.copy() if result.error] == []
    before.register()
    row = "VALUES (1, 'one', 1.25, NULL)"
    shop.run("source", f"CREATE TABLE t_new {COLUMNS}", f"INSERT INTO t_first {row}", f"INSERT INTO t_new {row}")
    replication = shop.replication("t_*", schema_changes=policy)
    assert replication.consume(until_caught_up=True).stopped == {}
    copied = {record.source.name for record in replication.parts.state.table_records().values()}
    assert copied == ({"t_first", "t_new"} if policy == "evolve" else {"t_first"})
    shop.assert_equal(replication if policy == "evolve" else shop.replication("t_first"))


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_new_tables_that_match_are_copied_and_dropped_ones_stop_alone(
    scenario: MakeScenario, source: str, target: str
) -> None:
    shop = scenario(source, target)
    shop.run("source", f"CREATE TABLE t_first {COLUMNS}", f"CREATE TABLE t_second {COLUMNS}")
    replication = shop.replication("t_*")
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    state = replication.parts.state
    with cdc_pipeline(shop, "consume") as consumer:
        shop.run("source", f"CREATE TABLE t_new {COLUMNS}", "INSERT INTO t_new VALUES (1, 'one', 1.25, NULL)")
        new, dropped = (type(replication.tables[0].source)(shop.schema, name) for name in ("t_new", "t_first"))
        wait_until(lambda: getattr(state.table_records().get(new), "state", "") == TableState.STREAMING, "streamed")
        shop.run("source", "INSERT INTO t_new VALUES (2, 'two', NULL, NULL)", "DROP TABLE t_first")
        shop.run("source", "INSERT INTO t_second VALUES (1, 'one', 1.25, NULL)")
        wait_until(lambda: state.table_records()[dropped].state is TableState.FAILED, "stopped")
        assert "is gone from the source" in state.table_records()[dropped].error
        after = shop.replication("t_*")
        count = f"SELECT count(*) FROM {shop.target_table('t_new')}"
        wait_until(lambda: shop.rows("target", count) == [(2,)], "applied")
        count = f"SELECT count(*) FROM {shop.target_table('t_second')}"
        wait_until(lambda: shop.rows("target", count) == [(1,)], "applied")
        consumer.terminate()
        assert consumer.wait(30) == 0
    shop.assert_equal(after)
