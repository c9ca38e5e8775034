"""A topic has the events of one table, whatever the tables are called, and whoever else writes to it."""

from __future__ import annotations

import json
import re

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from cdc_pipeline.errors import TablesStopped, TopicShared, ValidationFailed
from cdc_pipeline.state import TableState
from cdc_pipeline.status import get_unified_status
from cdc_pipeline.validation import validate
from cdc_pipeline_tests.scenario import MakeScenario, Scenario, quote
from cdc_pipeline_tests.streaming import started

SOURCES = [("mysql", "postgresql"), ("postgresql", "mysql"), ("mariadb", "postgresql")]
# What Debezium's lists split, trim, and match whatever its case; what Connect replaces; what Kafka does not have.
HOSTILE = [
    "a,Pay", "A,pay", "semi;colon", " blank", "t\ttab", "${env:HOME}", "a\\,b", "br{a}ce", "(?i)x", "a|b", "star*",
    "it's", 'do"uble', "per%cent", "größe", "表示", "new\nline", "dollar$", "plus+", "[set]", "^caret",
]  # fmt: skip
ASTRAL = ["😀 a", "b😀"]  # two UTF-16 units each; MySQL has no such names
BESIDE = ["a", "Pay", "pay", "b", "star", "x", "blank"]  # what nobody chose, and careless lists would capture


def every_topic(shop: Scenario) -> set[str]:
    """Whoever made it."""
    return set(AdminClient({"bootstrap.servers": str(shop.stack.kafka)}).list_topics(timeout=30).topics)


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), SOURCES)
def test_the_stream_finds_every_table_whatever_it_is_called(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    hostile = [*HOSTILE, *(ASTRAL if source == "postgresql" else [])]
    targets = {name: "t_{table}" if name not in ASTRAL else f"t_{len(name)}" for name in hostile}
    named = {name: quote(source, name) for name in [*hostile, *BESIDE]}
    shop.run("source", *(f"CREATE TABLE {table} (id INT PRIMARY KEY, n INT)" for table in named.values()))
    rules = [{re.sub(r"[*?[$]", r"[\g<0>]", name): {"target": targets[name]}} for name in hostile]
    replication = started(shop, tables=json.dumps(rules, ensure_ascii=False))
    assert {table.source.name for table in replication.tables} == set(hostile)
    shop.run("source", *(f"INSERT INTO {table} VALUES (1, 1)" for table in named.values()))
    shop.run("source", *(f"UPDATE {table} SET n = 2" for table in named.values()))
    replication.consume(until_caught_up=True)
    tables = {name: quote(target, targets[name].replace("{table}", name)) for name in hostile}
    rows = {name: shop.rows("target", f"SELECT id, n FROM {table}") for name, table in tables.items()}
    assert rows == {name: [(1, 2)] for name in hostile}
    topics = {topic for topic in every_topic(shop) if topic.startswith(replication.config.topic_prefix)}
    of_tables = {table.topic for table in replication.tables}
    assert topics - of_tables <= set(replication.config.own_topics), "a table that nobody chose has reached Kafka"


@pytest.mark.parametrize(("source", "target"), SOURCES)
def test_tables_that_would_share_a_topic_are_refused(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    names = ["user$roles", "user_roles", "user.roles", "表", "é", "fine"]
    shop.run("source", *(f"CREATE TABLE {quote(source, name)} (id INT PRIMARY KEY)" for name in names))
    rules = json.dumps([{name: {"target": f"t{n}"}} for n, name in enumerate(names)])
    problems = {check.name: check.problem for check in validate(shop.replication(tables=rules).parts).problems}
    assert problems.keys() == {f"source table {shop.schema}.{name} topic" for name in names[:-1]}
    message = problems[f"source table {shop.schema}.user$roles topic"]
    assert f"with {shop.schema}.user_roles, {shop.schema}.user.roles." in message
    assert "Rename a table in the source, or leave one out." in message


def test_two_schemas_cannot_have_one_topic_either(scenario: MakeScenario) -> None:
    shop = scenario("postgresql", "mysql")
    for schema, table in (('"a.b"', "c"), ("a", '"b.c"')):
        shop.run("source", f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.{table} (id INT PRIMARY KEY)")
    replication = shop.replication(tables='[{"a.b.c": {target: "{schema}_{table}_x"}}]')
    with pytest.raises(ValidationFailed, match=r"Table a\.b\.c would share its topic"):
        replication.check()


def test_a_table_that_comes_later_and_would_share_a_topic_is_kept_out_alone(scenario: MakeScenario) -> None:
    shop = scenario()
    shop.run("source", "CREATE TABLE t_a (id INT PRIMARY KEY)", "INSERT INTO t_a VALUES (1)")
    started(shop, "t*")
    shop.run("source", "CREATE TABLE `t$a` (id INT PRIMARY KEY)", "INSERT INTO `t$a` VALUES (666)")
    shop.run("source", "INSERT INTO t_a VALUES (2)")
    after = shop.replication("t*")
    after.consume(until_caught_up=True)
    assert shop.rows("target", f"SELECT id FROM {shop.target_table('t_a')} ORDER BY 1") == [(1,), (2,)]
    status = get_unified_status(after.parts)
    assert [table["source"] for table in status["tables"]] == [f"{shop.schema}.t_a"]
    assert status["kept_out"].keys() == {f"{shop.schema}.t$a"}
    assert any("t$a is not taken up" in error and "would share its topic" in error for error in status["errors"])
    with pytest.raises(ValidationFailed, match="would share its topic"):
        shop.replication("t*").check()
    shop.run("source", "DROP TABLE `t$a`", "INSERT INTO t_a VALUES (3)")
    shop.replication("t*").consume(until_caught_up=True)
    assert get_unified_status(after.parts)["errors"] == []


def test_tables_that_share_a_topic_since_an_earlier_version_do_not_stream(scenario: MakeScenario) -> None:
    shop = scenario()
    shop.run("source", "CREATE TABLE t_a (id INT PRIMARY KEY)")
    started(shop, "t*")
    shop.run("source", "CREATE TABLE `t$a` (id INT PRIMARY KEY)")
    later = shop.replication("t*")
    for table in later.tables:
        later.parts.state.add_table(table.source, table.target, table.topic)
    with pytest.raises(TopicShared, match=r"t[$_]a would share its topic"):
        later.consume(until_caught_up=True)


@pytest.mark.parametrize(("source", "target"), SOURCES)
def test_an_event_of_another_table_is_never_applied(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    for name in ("mine", "other"):
        shop.run("source", f"CREATE TABLE {name} (id INT PRIMARY KEY, role VARCHAR(20))")
    replication = started(shop, "mine", "other")
    shop.run("source", "INSERT INTO mine VALUES (1, 'user')", "INSERT INTO other VALUES (1, 'user')")
    replication.consume(until_caught_up=True)
    topic = replication.table("mine").topic
    block = {"db": shop.databases["source"], "schema": shop.schema, "table": "other"}
    block |= {"file": "zzz.999999", "pos": 4, "row": 0, "lsn": 2**62, "txId": 2**31, "sequence": "[null,null]"}
    event = {"op": "u", "before": None, "after": {"id": 1, "role": "admin"}, "source": block}
    producer = Producer({"bootstrap.servers": str(shop.stack.kafka)})
    producer.produce(topic, json.dumps(event), json.dumps({"id": 1}))
    producer.flush(30)
    shop.run("source", "UPDATE other SET role = 'guest'")
    with pytest.raises(TablesStopped, match=rf"is of {shop.schema}\.other, not of {shop.schema}\.mine"):
        replication.consume(until_caught_up=True)
    assert shop.rows("target", f"SELECT role FROM {shop.target_table('mine')}") == [("user",)]
    assert shop.rows("target", f"SELECT role FROM {shop.target_table('other')}") == [("guest",)]
    records = replication.parts.state.table_records()
    assert records[replication.table("mine").source].state is TableState.FAILED
