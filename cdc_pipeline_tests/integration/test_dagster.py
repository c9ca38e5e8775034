"""The Dagster layer, each job in this process, against the real servers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cdc_pipeline.apply.progress import PHASES
from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline.defs.replications import load_definitions, replication_definitions
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import Desired, TableState
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import wait_until_caught_up

TABLES = ("notes", "orders", "users")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


class Shop:
    """Three tables of MySQL on their way to PostgreSQL, and the Dagster jobs that move them."""

    def __init__(self, scenario: Scenario, instance: dg.DagsterInstance) -> None:
        self.scenario = scenario
        self.instance = instance
        for number, table in enumerate(TABLES, 1):
            scenario.run("source", f"CREATE TABLE {table} (id INT PRIMARY KEY, text VARCHAR(100))")
            rows = ", ".join(f"({n}, 'row {n}')" for n in range(10 * number))
            scenario.run("source", f"INSERT INTO {table} VALUES {rows}")
        self.config = scenario.config(*TABLES)
        self.lineage = Lineage.of(self.config)
        self.definitions = replication_definitions(self.lineage)
        self.replication = Replication(self.config)

    def run(self, job: str, *, config: dict[str, Any] | None = None, **options: Any) -> dg.ExecuteInProcessResult:
        definition = self.definitions.resolve_job_def(f"{self.lineage.name}_{job}")
        return definition.execute_in_process(
            instance=self.instance, raise_on_error=False, run_config={"ops": config or {}}, **options
        )

    def copy(self, first: str = TABLES[0], last: str = TABLES[-1], **choices: bool) -> dg.ExecuteInProcessResult:
        span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
        return self.run("initial_copy", tags=span, config={f"{self.lineage.name}__initial_copy": {"config": choices}})

    def consume(self) -> dg.ExecuteInProcessResult:
        """The job, until everything written before is applied; then its owner wants it to stop."""

        def stop_when_caught_up() -> None:
            try:
                wait_until_caught_up(self.replication)
            finally:
                self.replication.set_desired(Desired.STOPPED)

        with ThreadPoolExecutor(1) as owner:
            stopped = owner.submit(stop_when_caught_up)
            result = self.run("consume")
            stopped.result()
        return result

    def copies(self) -> dict[str | None, dict[str, Any]]:
        """The latest metadata of each table's partition of the initial copy."""
        events = self.instance.fetch_materializations(self.lineage.initial_copy, limit=100).records
        latest: dict[str | None, dict[str, Any]] = {}
        for record in events:
            told = record.asset_materialization
            assert told is not None
            latest.setdefault(told.partition, {name: value.value for name, value in told.metadata.items()})
        return latest

    def latest(self, key: dg.AssetKey) -> dict[str, Any]:
        event = self.instance.get_latest_materialization_event(key)
        assert event is not None
        assert event.asset_materialization is not None
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}

    def target_key(self, table: str) -> dg.AssetKey:
        return dg.AssetKey(["target", self.scenario.databases["target"], self.scenario.target_table(table)])

    def target_rows(self, table: str) -> int:
        return self.scenario.rows("target", f"SELECT count(*) FROM {self.scenario.target_table(table)}")[0][0]


@pytest.fixture
def shop(scenario: Any, instance: dg.DagsterInstance) -> Shop:
    return Shop(scenario("mysql", "postgresql"), instance)


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    return next(e.step_failure_data.error.message for e in result.all_events if e.is_step_failure)  # type: ignore


def test_one_run_copies_its_partitions_and_says_what_it_did(shop: Shop) -> None:
    assert shop.copy("notes", "orders").success

    copies = shop.copies()
    assert set(copies) == {"notes", "orders"}
    assert copies["orders"]["outcome"] == "copied"
    assert copies["orders"]["rows"] == copies["orders"]["source_rows"] == 20
    assert copies["orders"]["dagster/partition_row_count"] == 20
    assert copies["orders"]["forced"] is False
    assert copies["orders"]["bytes"] > 0
    assert copies["orders"]["rows_per_second"] > 0
    assert copies["orders"]["watermark"] == record_of(shop, "orders").watermark
    landed = shop.latest(shop.target_key("orders"))
    assert landed["dagster/row_count"] == 20
    assert [column.type for column in landed["dagster/column_schema"].columns] == ["integer", "character varying(100)"]
    (origin,) = landed["dagster/column_lineage"].deps_by_column["text"]
    source = next(table for table in shop.lineage.tables if table.source.name == "orders")
    assert (origin.asset_key, origin.column_name) == (shop.lineage.source_key(source), "text")
    (seen,) = shop.instance.fetch_observations(origin.asset_key, limit=1).records
    assert seen.asset_observation is not None
    columns = seen.asset_observation.metadata["dagster/column_schema"].value.columns  # type: ignore[union-attr]
    assert [(column.name, column.constraints.other) for column in columns] == [("id", ["primary key"]), ("text", [])]
    assert set(shop.latest(shop.lineage.start_position)["position"]) >= {"file", "pos"}
    assert record_of(shop, "users").state is TableState.PENDING


def record_of(shop: Shop, table: str) -> Any:
    records = shop.replication.parts.state.table_records()
    return next(record for record in records.values() if record.source.name == table)


def test_a_second_copy_skips_and_force_resync_reloads(shop: Shop) -> None:
    assert shop.copy().success
    shop.scenario.run("target", f"DELETE FROM {shop.scenario.target_table('users')} WHERE id = 7")

    assert shop.copy().success
    assert {table: told["outcome"] for table, told in shop.copies().items()} == dict.fromkeys(TABLES, "skipped")
    assert shop.target_rows("users") == 29

    assert shop.copy("users", "users", force_resync=True).success
    assert shop.copies()["users"]["outcome"] == "reloaded"
    assert shop.copies()["users"]["forced"] is True
    assert shop.copies()["notes"]["outcome"] == "skipped"
    assert shop.target_rows("users") == 30


def test_a_failing_table_leaves_the_others(shop: Shop) -> None:
    refuses = f"CREATE TABLE {shop.scenario.target_table('orders')} (id int PRIMARY KEY CHECK (id < 5), text text)"
    shop.scenario.run("target", refuses)

    result = shop.copy()

    assert not result.success
    assert "1 of 3 tables failed: orders" in failure_of(result)
    assert set(shop.copies()) == {"notes", "users"}
    assert shop.target_rows("users") == 30


def test_a_failed_check_is_shown_in_its_own_words(shop: Shop) -> None:
    strange = f"CREATE TABLE {shop.scenario.target_table('orders')} (id int PRIMARY KEY, other int NOT NULL)"
    shop.scenario.run("target", strange)

    result = shop.copy()

    assert not result.success
    assert "check(s) failed" in failure_of(result)
    assert shop.copies() == {}


def test_from_the_four_steps_to_a_verified_target(shop: Shop) -> None:
    assert shop.run("start_replication").success
    assert set(shop.copies()) == set(TABLES)
    connector = shop.latest(shop.lineage.connector)
    assert (connector["state"], connector["mode"]) == ("RUNNING", "no_data")
    assert [task["state"] for task in connector["tasks"]] == ["RUNNING"]
    assert connector["config"]["database.password"] == "****"
    assert connector["in Kafka Connect"].endswith(f"/connectors/{shop.config.connector_name}")

    shop.scenario.run("source", "INSERT INTO users VALUES (100, 'new')", "DELETE FROM notes")
    assert shop.consume().success
    shop.scenario.assert_equal(shop.replication)
    beat = shop.latest(shop.lineage.stream)
    assert (beat["inserted"], beat["deleted"]) == (1, 10)
    assert beat["group"].startswith("cdc_consumer_")
    spent = {phase: beat[f"{phase}_seconds"] for phase in PHASES}
    assert spent["poll"] > 0
    assert min(spent.values()) >= 0
    told = shop.latest(shop.target_key("users"))
    assert (told["change"], told["inserted"], told["deleted"]) == ("stream", 1, 0)
    assert shop.latest(shop.target_key("orders"))["change"] == "initial copy: copied"

    assert shop.run("verify").success
    shop.scenario.run("target", f"UPDATE {shop.scenario.target_table('users')} SET text = 'x' WHERE id = 100")
    result = shop.run("verify")
    assert not result.success
    assert f"differ: {shop.scenario.schema}.users" in failure_of(result)
    checks = {e.asset_key.path[-1]: e for e in result.get_asset_check_evaluations()}
    assert [name for name, check in checks.items() if not check.passed] == [shop.scenario.target_table("users")]
    assert checks[shop.scenario.target_table("users")].metadata["different"].value == 1

    assert shop.run("register_connector").success  # once more changes nothing
    assert shop.latest(shop.lineage.connector)["state"] == "RUNNING"


def test_a_broken_file_takes_down_only_itself(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    broken = shop.scenario.folder / "broken-one.yaml"
    broken.write_text(Path(shop.scenario.folder, f"{shop.scenario.name}.yaml").read_text() + "colour: red\n")
    try:
        definitions = load_definitions(shop.scenario.folder)
    finally:
        broken.unlink()

    graph = definitions.resolve_asset_graph()
    assert shop.lineage.initial_copy in graph.get_all_asset_keys()
    key = dg.AssetKey(["broken_one", "broken"])
    assert "colour: unknown key" in (graph.get(key).description or "")
    assert "colour: unknown key" in caplog.text
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=shop.instance, asset_selection=[key], raise_on_error=False
    )
    assert "colour: unknown key" in failure_of(result)


def test_patterns_are_looked_up_and_an_unreachable_source_is_no_obstacle(shop: Shop) -> None:
    found = Lineage.of(shop.scenario.config("*s"))
    assert found.partitions.get_partition_keys() == ["notes", "orders", "users"]

    unreachable = shop.scenario.config("users", "o*", source='{url: "mysql://nobody@127.0.0.1:1/shop"}')
    lineage = Lineage.of(unreachable)
    shop.scenario.write(*TABLES)
    assert lineage.partitions.get_partition_keys() == ["users"]
    assert "cannot be reached" in lineage.note
    replication_definitions(lineage).resolve_asset_graph()


def test_events_in_quarantine_are_listed_retried_and_discarded(shop: Shop) -> None:
    assert shop.run("start_replication").success
    notes = shop.scenario.target_table("notes")
    shop.scenario.run("target", f"ALTER TABLE {notes} ALTER COLUMN text TYPE VARCHAR(8)")
    shop.scenario.run("source", *(f"INSERT INTO notes VALUES ({n}, 'longer than that')" for n in (100, 101)))
    shop.replication.consume(until_caught_up=True)

    def quarantine(**config: Any) -> dict[str, Any]:
        assert shop.run("quarantine", config={f"{shop.lineage.name}_set_aside": {"config": config}}).success
        record = shop.instance.fetch_observations(shop.lineage.stream, limit=1).records[0]
        assert record.asset_observation is not None
        return {name: value.value for name, value in record.asset_observation.metadata.items()}

    listed = quarantine()
    assert listed["set_aside"] == 2
    events = listed["events in quarantine"].records
    assert [record.data["row"] for record in events] == ['{"id": 100}', '{"id": 101}']
    assert "longer than that" in events[0].data["error"]
    assert quarantine(action="DISCARD", row='{"id": 100}') == {"discarded": 1, "set_aside": 0}
    assert quarantine(action="RETRY") | {"events in quarantine": None} == {
        "applied": 0, "stay": 1, "set_aside": 1, "events in quarantine": None,
    }  # fmt: skip
    shop.scenario.run("target", f"ALTER TABLE {notes} ALTER COLUMN text TYPE VARCHAR(80)")
    assert quarantine(action="RETRY", table="notes") == {"applied": 1, "stay": 0, "set_aside": 0}
    assert shop.scenario.rows("target", f"SELECT id FROM {notes} WHERE id >= 100") == [(101,)]
