"""The JSON of a connector, for each of the four databases."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cdc_pipeline.capture.connector import (
    UNAVAILABLE,
    get_connector_config_for_database,
    get_mariadb_connector_config,
    get_mysql_connector_config,
    get_oracle_connector_config,
    get_postgresql_connector_config,
    history_topic,
    offset_partition,
    translate_snapshot_mode,
)
from cdc_pipeline.choices import NOTHING_CHOSEN, Choices
from cdc_pipeline.config import ReplicationConfig, is_reserved
from cdc_pipeline.model import Replicated, TableId

KINDS = {"mysql": "3306", "mariadb": "3306", "postgresql": "5432", "oracle": "1521"}
TABLES = [TableId("shop", "users"), TableId("shop", "order.lines$")]


def replication(kind: str = "mysql", **changed: Any) -> ReplicationConfig:
    values = {
        "name": "shop",
        "client": 2,
        "database": 5,
        "config": 6,
        "source": {"url": f"{kind}://cdc@db.internal/shop", "password": "hunter2"},
        "target": {"url": "postgresql://cdc@dwh/dwh"},
        "kafka": {"bootstrap_servers": "kafka:9092"},
        "connect": {"url": "http://connect:8083"},
        "tables": ["users"],
    }
    return ReplicationConfig.model_validate({**values, **changed})


def json_of(kind: str = "mysql", mode: str = "no_data", **changed: Any) -> dict[str, str]:
    return get_connector_config_for_database(replication(kind, **changed), [replicated(t) for t in TABLES], mode)


def replicated(table: TableId, choices: Choices = NOTHING_CHOSEN) -> Replicated:
    return Replicated(table, TableId("dwh", table.name), f"topic_{table.name}", choices)


@pytest.mark.parametrize(
    ("kind", "builder", "connector_class"),
    [
        ("mysql", get_mysql_connector_config, "io.debezium.connector.mysql.MySqlConnector"),
        ("mariadb", get_mariadb_connector_config, "io.debezium.connector.mariadb.MariaDbConnector"),
        ("postgresql", get_postgresql_connector_config, "io.debezium.connector.postgresql.PostgresConnector"),
        ("oracle", get_oracle_connector_config, "io.debezium.connector.oracle.OracleConnector"),
    ],
)
def test_each_database_has_its_builder(kind: str, builder: Any, connector_class: str) -> None:
    built = json_of(kind)
    assert built == builder(replication(kind), TABLES)
    assert built["connector.class"] == connector_class


@pytest.mark.parametrize("kind", KINDS)
def test_every_connector_has_what_the_promise_rests_on(kind: str) -> None:
    built = json_of(kind)
    assert all(isinstance(value, str) for value in built.values()), "Connect takes texts alone"
    expected = {
        "tasks.max": "1",
        "topic.prefix": "client_2_db_5",
        "snapshot.mode": "no_data",
        "database.hostname": "db.internal",
        "database.port": KINDS[kind],
        "database.user": "cdc",
        "database.password": "hunter2",
        "decimal.handling.mode": "string",
        "time.precision.mode": "adaptive_time_microseconds",
        "binary.handling.mode": "hex",
        "skipped.operations": "none",
        "tombstones.on.delete": "false",
        "key.converter.schemas.enable": "false",
        "value.converter.schemas.enable": "false",
        "key.converter.replace.null.with.default": "false",
        "value.converter.replace.null.with.default": "false",
        "header.converter.replace.null.with.default": "false",
    }
    assert {key: built[key] for key in expected} == expected


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_the_named_tables_are_captured(kind: str) -> None:
    patterns = json_of(kind)["table.include.list"].split(",")
    for table in ("shop.users", "shop.order.lines$"):
        assert sum(listed(pattern, table) for pattern in patterns) == 1
    for other in ("shop.users2", "xshop.users", "shop.order-lines$", "shopxusers", "shop.Users", "SHOP.users"):
        assert not any(listed(pattern, other) for pattern in patterns)


@pytest.mark.parametrize("kind", KINDS)
@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"), min_size=1))
@example("a,Pay", "a")
@example("a\\,b", "b")
@example(" blank ", "blank")
@example("a\n", "a")
@example("${env:HOME}", "/root")
def test_whatever_a_table_is_called_it_alone_is_captured(kind: str, name: str, other: str) -> None:
    tables = [replicated(TableId("shop", name))]
    patterns = get_connector_config_for_database(replication(kind), tables)["table.include.list"].split(",")
    assert [listed(pattern, f"shop.{name}") for pattern in patterns] == [True]
    assert [listed(pattern, f"shop.{other}") for pattern in patterns] == [name == other]
    assert "${" not in patterns[0], "Connect would replace it"


@pytest.mark.parametrize("kind", KINDS)
def test_no_property_of_ours_can_be_set_by_the_owner(kind: str) -> None:
    """Every property that a builder sets is reserved, but those that cost only latency or space."""
    free = {"poll.interval.ms", "database.server.id"}
    ours = {key for key in json_of(kind) if not key.startswith("topic.creation.")}
    assert {key for key in ours if not is_reserved(key)} - free == set()


def test_mysql_keeps_a_schema_history_and_a_server_id_of_its_own() -> None:
    built = json_of("mysql")
    assert built["schema.history.internal.kafka.topic"] == "client_2_db_5.schema_history"
    assert built["schema.history.internal.kafka.topic"] == history_topic(replication())
    assert built["schema.history.internal.kafka.bootstrap.servers"] == "kafka:9092"
    assert built["database.server.id"] != json_of("mysql", client=3)["database.server.id"]
    assert built["bigint.unsigned.handling.mode"] == "long"
    assert built["database.include.list"] == "(?s-i:shop)"


@pytest.mark.parametrize("hiding", [{"exclude": ["x"]}, {"include": ["x"]}, {"hash": ["x"]}, {"mask": {"x": "-"}}])
def test_ddl_that_cannot_be_followed_is_passed_over_unless_columns_are_hidden(hiding: dict[str, Any]) -> None:
    skip = "schema.history.internal.skip.unparseable.ddl"
    assert json_of("mysql")[skip] == "true"
    assert json_of("mysql", tables=[{"users": hiding}])[skip] == "false"


def test_mariadb_has_no_heartbeats_of_both_kinds_at_once() -> None:
    """Debezium would count the server's in the offset, and store it with its own."""
    streaming, rebuilding = json_of("mariadb"), json_of("mariadb", "recovery")
    assert streaming["heartbeat.interval.ms"] == "0"
    assert streaming["provide.transaction.metadata"] == "true"
    assert rebuilding["heartbeat.interval.ms"] == "1000"
    assert rebuilding["connect.keep.alive"] == "false"
    assert int(rebuilding["connect.keep.alive.interval.ms"]) * 0.8 < 1


def test_postgresql_has_slot_and_publication_and_no_schema_history() -> None:
    built = json_of("postgresql")
    assert [key for key in built if key.startswith("schema.history.")] == []
    assert built["slot.name"] == built["publication.name"] == "cdc_pipeline_2_5"
    assert built["publication.autocreate.mode"] == "disabled"
    assert built["offset.mismatch.strategy"] == "trust_offset"
    assert built["plugin.name"] == "pgoutput"
    assert built["database.dbname"] == "shop"
    assert built["unavailable.value.placeholder"] == UNAVAILABLE


def test_postgresql_beats_in_its_log_and_captures_no_messages_of_others() -> None:
    built = json_of("postgresql", heartbeat={"seconds": 7})
    assert built["heartbeat.interval.ms"] == "7000"
    assert "pg_logical_emit_message(true, 'cdc_pipeline'" in built["heartbeat.action.query"]
    assert built["message.prefix.include.list"] == "cdc_pipeline"


@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_the_table_of_the_heartbeat_is_captured_and_not_written(kind: str) -> None:
    built = json_of(kind, heartbeat={"table": "ops.cdc`beat", "seconds": 60})
    assert "heartbeat.action.query" not in built
    assert built["heartbeat.interval.ms"] == json_of(kind)["heartbeat.interval.ms"]
    assert built["table.include.list"].endswith(r",(?s-i:ops\x2ecdc\x60beat)")
    assert built["database.include.list"] == "(?s-i:ops),(?s-i:shop)"


def test_oracle_keeps_a_schema_history() -> None:
    built = json_of("oracle")
    assert built["database.dbname"] == "shop"
    assert built["schema.history.internal.kafka.topic"] == "client_2_db_5.schema_history"
    assert built["unavailable.value.placeholder"] == UNAVAILABLE


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("never", "no_data"),
        ("schema_only", "no_data"),
        ("schema_only_recovery", "recovery"),
        ("no_data", "no_data"),
        ("recovery", "recovery"),
        ("initial", "initial"),
        ("when_needed", "when_needed"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_snapshot_modes_of_earlier_versions_are_understood(kind: str, name: str, meaning: str) -> None:
    assert translate_snapshot_mode(name) == meaning
    assert json_of(kind, mode=name)["snapshot.mode"] == meaning


@pytest.mark.parametrize("kind", KINDS)
def test_the_owners_properties_are_merged_and_change_nothing_else(kind: str) -> None:
    owner = {"max.batch.size": "4096", "poll.interval.ms": "100"}
    assert json_of(kind, connector=owner) == {**json_of(kind), **owner}


@pytest.mark.parametrize("kind", KINDS)
def test_a_reference_stands_in_place_of_the_password(kind: str) -> None:
    reference = "${file:/run/secrets/shop.properties:password}"
    built = json_of(kind, connect={"url": "http://c", "source_password": reference})
    assert built["database.password"] == reference
    assert "hunter2" not in str(built)


@pytest.mark.parametrize(("seen", "address"), [("mysql-1:3307", ("mysql-1", "3307")), ("mysql-1", ("mysql-1", "3306"))])
def test_the_worker_may_see_the_source_elsewhere(seen: str, address: tuple[str, str]) -> None:
    built = json_of(source={"url": "mysql://cdc@localhost:13306/shop", "seen_by_connect_as": seen})
    assert (built["database.hostname"], built["database.port"]) == address


def test_the_worker_may_see_kafka_elsewhere() -> None:
    built = json_of(kafka={"bootstrap_servers": "localhost:1", "seen_by_connect_as": "broker:9092"})
    assert built["schema.history.internal.kafka.bootstrap.servers"] == "broker:9092"


def test_offsets_are_kept_under_the_topic_prefix() -> None:
    assert offset_partition(replication()) == {"server": "client_2_db_5"}


# -- columns that stay away from Kafka ----------------------------------------------------------------------------


def excluded(choices: Choices, column: str, table: TableId = TABLES[1]) -> bool:
    """Whether Debezium leaves the column out: a pattern must match all of its name, whatever its case."""
    tables = [replicated(TABLES[0]), replicated(TABLES[1], choices)]
    text = get_connector_config_for_database(replication(), tables).get("column.exclude.list", "")
    return any(listed(pattern, f"{table}.{column}") for pattern in text.split(",") if pattern)


def listed(pattern: str, name: str) -> bool:
    """As Debezium's lists match: trimmed, all of the name, ignoring case unless the pattern says otherwise."""
    return re.fullmatch(pattern.strip(), name, re.IGNORECASE) is not None


def test_nothing_is_excluded_where_nothing_is_chosen() -> None:
    assert "column.exclude.list" not in json_of()


def test_excluded_columns_are_excluded_and_no_others() -> None:
    chosen = Choices(exclude=("card.number", "odd, name"))
    assert excluded(chosen, "card.number")
    assert excluded(chosen, "odd, name")
    assert not excluded(chosen, "card_number")
    assert not excluded(chosen, "odd")
    assert not excluded(chosen, "card.number", TABLES[0])


def test_what_is_not_included_is_excluded_also_what_comes_later() -> None:
    chosen = Choices(include=("id", "na.me"))
    assert not excluded(chosen, "id")
    assert not excluded(chosen, "na.me")
    assert excluded(chosen, "idx")
    assert excluded(chosen, "nayme")
    assert not excluded(chosen, "card", TABLES[0])


def test_the_producer_takes_events_as_large_as_the_topics_do() -> None:
    kafka = {"bootstrap_servers": "kafka:9092"}
    found = json_of(kafka={**kafka, "largest_event_mb": 50})
    assert found["producer.override.max.request.size"] == str(50 * 1024 * 1024)
    assert found["producer.override.buffer.memory"] == str(50 * 1024 * 1024)
    assert json_of(kafka={**kafka, "largest_event_mb": 8})["producer.override.buffer.memory"] == str(32 * 1024 * 1024)


def test_without_a_limit_of_ours_the_producer_is_left_alone() -> None:
    found = json_of(kafka={"bootstrap_servers": "kafka:9092", "largest_event_mb": None})
    assert [key for key in found if key.startswith("producer.")] == []
