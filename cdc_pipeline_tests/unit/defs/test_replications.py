"""Definitions load without a server, whatever stands in the files beside them."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from cdc_pipeline.defs.replications import load_definitions

FILE = """
client: 1
database: 2
config: 3
source: {{url: "mysql://cdc@{source}"}}
target: {{url: "postgresql://cdc@{target}", password: "${{PASSWORD}}"}}
kafka: {{bootstrap_servers: "127.0.0.1:1"}}
connect: {{url: "http://127.0.0.1:1"}}
tables: [{tables}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PASSWORD", "very-secret")
    return tmp_path


def write(
    folder: Path, name: str, tables: str, source: str = "127.0.0.1:1/shop", target: str = "127.0.0.1:1/dwh"
) -> None:
    (folder / f"{name}.yaml").write_text(FILE.format(source=source, target=target, tables=tables))


def keys(definitions: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}


def description(definitions: dg.Definitions, *key: str) -> str:
    return definitions.resolve_asset_graph().get(dg.AssetKey(key)).description or ""


def test_one_replication_is_one_group(folder: Path) -> None:
    write(folder, "shop", "users, audit.log, {orders: {target: sales.orders}}")
    definitions = load_definitions(folder)
    assert keys(definitions) == {
        "source/shop/users", "source/shop/audit/log", "source/shop/orders",
        "shop/start_position", "shop/initial_copy", "shop/connector", "shop/stream",
        "target/dwh/shop_users", "target/dwh/shop_log", "target/dwh/sales/orders",
    }  # fmt: skip
    graph = definitions.resolve_asset_graph()
    assert {graph.get(key).group_name for key in graph.get_all_asset_keys()} == {"shop"}
    parents = graph.get(dg.AssetKey(["target", "dwh", "shop_users"])).parent_keys
    assert {key.to_user_string() for key in parents} == {"shop/initial_copy", "shop/stream", "source/shop/users"}
    jobs = {job.name for job in definitions.resolve_all_job_defs()}
    assert {f"shop_{name}" for name in ("start_replication", "initial_copy", "consume", "verify")} <= jobs
    assert {sensor.name for sensor in definitions.sensors or ()} == {
        "shop_keep_consuming",
        "shop_register_when_copied",
        "shop_look_after",
        "shop_tell_of_failures",
        "shop_tell_of_resyncs",
    }
    assert {schedule.name for schedule in definitions.schedules or ()} == {
        "shop_verify_by_the_clock",
        "shop_count_by_the_clock",
    }


def test_a_table_says_where_it_lies_and_whose_it_is(folder: Path) -> None:
    write(folder, "my shop", "users, {orders: {target: sales.orders}}")
    with (folder / "my shop.yaml").open("a") as file:
        file.write('\nowners: ["team:data"]\n')
    graph = load_definitions(folder).resolve_asset_graph()
    orders = graph.get(dg.AssetKey(["target", "dwh", "sales", "orders"]))
    assert orders.metadata["dagster/relation_identifier"] == "dwh.sales.orders"
    assert (list(orders.owners), orders.tags["cdc_pipeline/replication"]) == (["team:data"], "my_shop")
    source = graph.get(dg.AssetKey(["source", "shop", "users"]))
    assert source.metadata["dagster/relation_identifier"] == "shop.users"


def test_no_secret_is_shown(folder: Path) -> None:
    write(folder, "shop", "users")
    graph = load_definitions(folder).resolve_asset_graph()
    assert "very-secret" not in str(
        [(graph.get(key).description, graph.get(key).metadata) for key in graph.get_all_asset_keys()]
    )


def test_what_is_broken_stays_with_its_file(folder: Path) -> None:
    write(folder, "shop", "users")
    write(folder, "shop-two", "users", target="127.0.0.1:1/other")
    write(folder, "shop_two", "users", target="127.0.0.1:1/third")
    write(folder, "zoo", "users")
    (folder / "aaa.yaml").write_text("tables: [")
    definitions = load_definitions(folder)
    assert "shop/initial_copy" in keys(definitions)
    assert "shop_two/initial_copy" in keys(definitions)
    assert "same name" in description(definitions, "shop_two_", "broken")
    assert "already that of replication shop" in description(definitions, "zoo", "broken")
    assert "aaa.yaml" in description(definitions, "aaa", "broken")


def test_a_source_table_of_two_replications_is_one_asset(folder: Path) -> None:
    write(folder, "one", "users")
    write(folder, "two", "users", target="127.0.0.1:1/other")
    assert {key for key in keys(load_definitions(folder)) if key.startswith("source/")} == {"source/shop/users"}


def test_databases_of_one_name_on_two_servers_are_two(folder: Path) -> None:
    write(folder, "one", "users")
    write(folder, "two", "users", source="10.0.0.7:3306/shop", target="127.0.0.1:1/other")
    assert {key for key in keys(load_definitions(folder)) if key.startswith("source/")} == {
        "source/shop_on_127_0_0_1_1/users",
        "source/shop_on_10_0_0_7_3306/users",
    }


def test_tables_may_be_called_as_they_like(folder: Path) -> None:
    write(folder, "shop", "users, sales.orders, sales_orders, 'order details', order-details, größe, grüße, '$x'")
    definitions = load_definitions(folder)
    assert len([key for key in keys(definitions) if key.startswith("source/shop/")]) == 8
    assert "source/shop/sales/orders" in keys(definitions)
    copy = definitions.resolve_assets_def(dg.AssetKey(["shop", "initial_copy"]))
    assert copy.partitions_def
    assert "order details" in copy.partitions_def.get_partition_keys()


def test_no_file_is_no_error(folder: Path) -> None:
    assert keys(load_definitions(folder)) == set()
