"""Events that cannot be applied are set aside, later ones of the same row behind them, and everything else goes on."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from cdc_pipeline.errors import TablesStopped
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import Desired, TableState
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import applied, cdc_pipeline
from cdc_pipeline_tests.waiting import wait_until

MakeScenario = Callable[..., Scenario]
DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql")]


def start(shop: Scenario, **replaced: str) -> Replication:
    """`people` with a target that gets narrower behind our back, and `other`."""
    shop.run(
        "source",
        "CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(40), n INT)",
        "CREATE TABLE other (id INT PRIMARY KEY)",
    )
    replication = shop.replication("people", "other", **replaced)
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    shop.run("target", f"ALTER TABLE {shop.target_table('people')} {narrowed(shop, 5)}")
    return replication


def narrowed(shop: Scenario, length: int) -> str:
    postgresql = shop.kinds["target"] == "postgresql"
    return f"ALTER COLUMN name TYPE VARCHAR({length})" if postgresql else f"MODIFY name VARCHAR({length})"


def people(shop: Scenario, role: str) -> list[tuple[object, ...]]:
    table = "people" if role == "source" else shop.target_table("people")
    return shop.rows(role, f"SELECT id, name, n FROM {table} ORDER BY id")


def widen(shop: Scenario) -> None:
    shop.run("target", f"ALTER TABLE {shop.target_table('people')} {narrowed(shop, 40)}")


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_an_event_that_cannot_be_applied_is_set_aside_and_its_row_waits(
    scenario: MakeScenario, source: str, target: str
) -> None:
    shop = scenario(source, target)
    replication = start(shop)
    shop.run("source", "INSERT INTO people SELECT 1, 'ann', 1", "INSERT INTO people VALUES (2, 'maximilian', 1)")
    shop.run("source", *(f"INSERT INTO people VALUES ({n}, 'x', 0)" for n in range(10, 40)))
    shop.run(
        "source", "UPDATE people SET name = 'maximilian II', n = 2 WHERE id = 2", "UPDATE people SET n = 3 WHERE id = 1"
    )
    shop.run("source", "INSERT INTO people VALUES (3, 'bartholomew', 1)", "INSERT INTO other VALUES (1)")
    progress = replication.consume(until_caught_up=True)
    assert progress.set_aside == 3
    assert [row for row in people(shop, "target") if row[0] != 2] == [
        r for r in people(shop, "source") if r[0] not in (2, 3)
    ]
    assert (2,) not in [row[:1] for row in people(shop, "target")]
    items = replication.set_aside("people")
    assert [json.loads(item.row_key)["id"] for item in items] == [2, 2, 3]
    assert "name" in items[0].error
    assert "maximilian" in items[0].error
    assert "waits" in items[1].error
    assert json.loads(items[1].value or "")["after"]["name"] == "maximilian II"
    shop.assert_equal(replication_of(shop, "other"))


def replication_of(shop: Scenario, *tables: str) -> Replication:
    return shop.replication(*tables)


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_retry_applies_in_order_beside_a_running_consumer(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    replication = start(shop)
    shop.run("source", "INSERT INTO people VALUES (2, 'maximilian', 1)", "UPDATE people SET n = 2 WHERE id = 2")
    with cdc_pipeline(shop, "consume") as consumer:
        wait_until(lambda: len(replication.set_aside()) == 2, "set aside")
        with cdc_pipeline(shop, "quarantine", "list", "--json") as listed:
            output, _ = listed.communicate(timeout=60)
        assert listed.returncode == 1
        assert [event["source"].split(".")[1] for event in json.loads(output)["events"]] == ["people", "people"]
        with cdc_pipeline(shop, "quarantine", "retry") as early:
            output, _ = early.communicate(timeout=60)
        assert early.returncode == 1
        assert "0 events applied, 2 stay" in output
        widen(shop)
        with cdc_pipeline(shop, "quarantine", "retry", "--table", "people") as retried:
            output, _ = retried.communicate(timeout=60)
        assert retried.returncode == 0, output
        assert people(shop, "target") == [(2, "maximilian", 2)]
        shop.run("source", "UPDATE people SET n = 3 WHERE id = 2")
        wait_until(lambda: people(shop, "target") == [(2, "maximilian", 3)], "going on with the row")
        consumer.terminate()
        assert consumer.wait(30) == 0
    shop.assert_equal(replication)


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_a_row_that_changes_its_key_waits_under_both(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    replication = start(shop)
    shop.run("source", "INSERT INTO people VALUES (2, 'maximilian', 1)")
    replication.consume(until_caught_up=True)
    shop.run("source", "UPDATE people SET id = 5, n = 2 WHERE id = 2", "UPDATE people SET n = 3 WHERE id = 5")
    shop.run("source", "INSERT INTO people VALUES (2, 'ann', 1)", "INSERT INTO people VALUES (3, 'bob', 1)")
    replication.consume(until_caught_up=True)
    assert people(shop, "target") == [(3, "bob", 1)]
    assert {item.row_key for item in replication.set_aside()} == {'{"id": 2}'}
    widen(shop)
    assert replication.retry_set_aside("people", '{"id": 2}').left == 0
    shop.assert_equal(replication)
    shop.run("source", "UPDATE people SET n = 4 WHERE id > 1")
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


def test_discarded_events_are_gone_and_the_row_goes_on(scenario: MakeScenario) -> None:
    shop = scenario()
    replication = start(shop)
    shop.run("source", "INSERT INTO people VALUES (2, 'maximilian', 1)", "UPDATE people SET n = 2 WHERE id = 2")
    replication.consume(until_caught_up=True)
    assert people(shop, "target") == []
    assert replication.discard_set_aside("people", '{"id": 2}') == 2
    shop.run("source", "UPDATE people SET name = 'max', n = 7 WHERE id = 2")
    replication.consume(until_caught_up=True)
    assert people(shop, "target") == [(2, "max", 7)]


def test_truncate_makes_what_waits_void(scenario: MakeScenario) -> None:
    shop = scenario()
    replication = start(shop)
    shop.run("source", "INSERT INTO people VALUES (2, 'maximilian', 1)")
    replication.consume(until_caught_up=True)
    shop.run("source", "TRUNCATE TABLE people", "INSERT INTO people VALUES (2, 'max', 1)")
    replication.consume(until_caught_up=True)
    assert replication.set_aside() == []
    assert people(shop, "target") == [(2, "max", 1)]


def test_a_resync_makes_what_waits_void(scenario: MakeScenario) -> None:
    shop = scenario()
    replication = start(shop)
    shop.run("source", "INSERT INTO people VALUES (2, 'maximilian', 1)")
    replication.consume(until_caught_up=True)
    widen(shop)
    assert [result.error for result in replication.copy(["people"], force_resync=True)] == [None]
    assert replication.set_aside() == []
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


def test_too_many_stop_the_table_until_it_is_mended(scenario: MakeScenario) -> None:
    shop = scenario()
    replication = start(shop, quarantine_rows="2")
    shop.run("source", *(f"INSERT INTO people VALUES ({n}, 'maximilian', 1)" for n in range(5)))
    shop.run("source", "INSERT INTO other VALUES (1)")
    with pytest.raises(TablesStopped, match="in quarantine, and more come"):
        replication.consume(until_caught_up=True)
    assert len(replication.set_aside()) == 2
    assert shop.rows("target", f"SELECT count(*) FROM {shop.target_table('other')}") == [(1,)]
    source = replication.table("people").source
    assert replication.parts.state.table_records()[source].state is TableState.FAILED
    widen(shop)
    replication.retry_set_aside()
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


def test_a_table_without_a_key_stops_and_resume_lets_it_go_on(scenario: MakeScenario) -> None:
    """Nothing tells which of its later events have to wait."""
    shop = scenario()
    shop.run(
        "source", "CREATE TABLE people (id INT, name VARCHAR(40), n INT)", "CREATE TABLE other (id INT PRIMARY KEY)"
    )
    replication = shop.replication("people", "other")
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    shop.run("target", f"ALTER TABLE {shop.target_table('people')} {narrowed(shop, 5)}")
    shop.run("source", "INSERT INTO people VALUES (1, 'ann', 1)", "INSERT INTO people VALUES (2, 'maximilian', 1)")
    shop.run("source", "INSERT INTO people VALUES (3, 'bob', 1)", "INSERT INTO other VALUES (1)")
    state, source = replication.parts.state, replication.table("people").source
    with cdc_pipeline(shop, "consume") as consumer:
        wait_until(lambda: state.table_records()[source].state is TableState.FAILED, "stopped")
        assert "maximilian" in state.table_records()[source].error
        wait_until(lambda: applied(replication) == 2, "going on with the others")
        widen(shop)
        replication.set_desired(Desired.RUNNING)
        wait_until(lambda: applied(replication) == 4, "going on")
        assert replication.set_aside() == []
        consumer.terminate()
        assert consumer.wait(30) == 0
    shop.assert_equal(replication)


def test_a_changed_target_stops_its_table_alone(scenario: MakeScenario) -> None:
    shop = scenario()
    replication = start(shop)
    shop.run("target", f"ALTER TABLE {shop.target_table('people')} DROP COLUMN n")
    shop.run("source", "INSERT INTO people VALUES (1, 'ann', 1)", "INSERT INTO other VALUES (1)")
    with pytest.raises(TablesStopped, match=r"people: Target table .* it lacks n"):
        replication.consume(until_caught_up=True)
    assert shop.rows("target", f"SELECT count(*) FROM {shop.target_table('other')}") == [(1,)]
