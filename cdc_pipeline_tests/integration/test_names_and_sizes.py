"""Names that need quotes, tables that are wide, rows that are long, and several schemas in one replication."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka.cimpl import NewTopic

from cdc_pipeline.validation import validate
from cdc_pipeline_tests.scenario import Scenario, quote

MakeScenario = Callable[..., Scenario]
DIRECTIONS = [(source, target) for source in ("mysql", "postgresql") for target in ("mysql", "postgresql")]
# A reserved word, mixed case, blanks, quotes, characters of formats and of regular expressions, non-ASCII.
NAMES = ["select", "MixedCase", "two words", "it's", 'a"b', "a`b", "100% {x} %s %(y)s", "größe", "表", "a.b-c$d", "😀"]
WIDE = 300  # columns
LONG = 20_000_000  # bytes of a value


def replicate(made: Scenario, *tables: str, change: list[str], **replaced: str) -> None:
    """By copy what is there, by stream what `change` does."""
    replication = made.replication(*tables, **replaced)
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    made.run("source", *change)
    assert replication.consume(until_caught_up=True).applied > 0
    made.assert_equal(replication)


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_names_that_need_quotes(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    # MySQL's names are of the Basic Multilingual Plane.
    names = [quote(source, name) for name in NAMES if not (source == "mysql" and name == "😀")]
    if target == "mysql" and source == "postgresql":
        names = names[:-1]
    columns = ", ".join(f"{name} VARCHAR(20)" for name in names[1:])
    table = quote(source, "Order 'Items'")
    values = ", ".join(f"'{number}'" for number in range(1, len(names)))
    made.run(
        "source",
        f"CREATE TABLE {table} ({names[0]} INT, {columns}, PRIMARY KEY ({names[0]}, {names[1]}))",
        f"INSERT INTO {table} VALUES (1, {values})",
        f"INSERT INTO {table} VALUES (2, {values})",
    )
    replicate(
        made,
        "Order 'Items'",
        change=[
            f"INSERT INTO {table} VALUES (3, {values})",
            f"UPDATE {table} SET {names[1]} = 'key', {names[-1]} = 'new' WHERE {names[0]} = 1",
            f"DELETE FROM {table} WHERE {names[0]} = 2",
        ],
    )


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_a_table_of_300_columns_and_rows_of_megabytes(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    columns = ", ".join(f"column_{number} INT" for number in range(WIDE - 2))
    text = "LONGTEXT" if source == "mysql" else "TEXT"
    made.run("source", f"CREATE TABLE wide (id INT PRIMARY KEY, {columns}, long_one {text})")
    if source == "postgresql":
        made.run("source", "ALTER TABLE wide ALTER COLUMN long_one SET STORAGE EXTERNAL")
    row = "INSERT INTO wide (id, column_0, column_297, long_one) VALUES ({}, 1, 2, REPEAT('abc\\tä😀', 400000))"
    row = row.replace("\\t", "\t")
    made.run("source", row.format(1))
    replicate(made, "wide", change=[row.format(2), "UPDATE wide SET column_5 = 5 WHERE id = 1"])
    length = made.rows("target", f"SELECT CHAR_LENGTH(long_one) FROM {made.target_table('wide')}")
    assert length == [(2_400_000,)] * 2


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), [("mysql", "postgresql"), ("postgresql", "mysql")])
def test_rows_of_20_megabytes_come_through(scenario: MakeScenario, source: str, target: str) -> None:
    """An UPDATE of MySQL, or of PostgreSQL with the whole row, tells such a row twice, and binary in hexadecimal."""
    made = scenario(source, target)
    long_text, long_binary = ("LONGTEXT", "LONGBLOB") if source == "mysql" else ("TEXT", "BYTEA")
    made.run(
        "source",
        f"CREATE TABLE texts (id INT PRIMARY KEY, n INT, long_one {long_text})",
        f"CREATE TABLE binaries (id INT PRIMARY KEY, n INT, long_one {long_binary})",
    )
    if source == "postgresql":
        made.run("source", *(f"ALTER TABLE {name} REPLICA IDENTITY FULL" for name in ("texts", "binaries")))
    as_binary = "CAST({} AS BINARY)" if source == "mysql" else "CONVERT_TO({}, 'UTF8')"
    text, changed = (f"REPEAT('{each}', {LONG // 10})" for each in ("abcdefghij", "0123456789"))
    binary, changed_binary = (f"REPEAT('{each}', {LONG // 20})" for each in ("abcdefghij", "0123456789"))
    replicate(
        made,
        "texts",
        "binaries",
        change=[
            f"INSERT INTO texts VALUES (1, 1, {text})",
            f"UPDATE texts SET long_one = {changed} WHERE id = 1",
            f"INSERT INTO binaries VALUES (1, 1, {as_binary.format(binary)})",
            f"UPDATE binaries SET n = 2, long_one = {as_binary.format(changed_binary)} WHERE id = 1",
        ],
    )
    for name, size in (("texts", LONG), ("binaries", LONG // 2)):
        length = made.rows("target", f"SELECT OCTET_LENGTH(long_one) FROM {made.target_table(name)}")
        assert length == [(size,)]


def test_a_topic_that_was_there_before_takes_large_events_too(scenario: MakeScenario) -> None:
    made = scenario()
    made.run("source", "CREATE TABLE notes (id INT PRIMARY KEY, long_one LONGTEXT)")
    replication = made.replication("notes")
    broker, topic = replication.parts.broker, replication.table("notes").topic
    with broker._admin() as admin:
        narrow = NewTopic(topic, num_partitions=1, config={"max.message.bytes": "1000000"})
        admin.create_topics([narrow])[topic].result()
    replicate(made, "notes", change=["INSERT INTO notes VALUES (1, REPEAT('x', 3000000))"])


def test_an_owner_may_leave_the_sizes_to_the_cluster(scenario: MakeScenario) -> None:
    made = scenario()
    made.run("source", "CREATE TABLE notes (id INT PRIMARY KEY, long_one LONGTEXT)")
    kafka = f'{{bootstrap_servers: "{made.stack.kafka}", largest_event_mb: null}}'
    replicate(made, "notes", change=["INSERT INTO notes VALUES (1, REPEAT('x', 3000000))"], kafka=kafka)
    replication = made.replication("notes", kafka=kafka)
    config = replication.parts.connect.config(replication.config.connector_name)
    assert [key for key in config if key.startswith("producer.")] == []


def test_schemas_with_tables_of_one_name_become_tables_of_their_own(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "mysql")
    for schema in ("sales", '"Ünder Score"'):
        made.run(
            "source",
            f"CREATE SCHEMA {schema}",
            f"CREATE TABLE {schema}.orders (id INT PRIMARY KEY, n INT)",
            f"INSERT INTO {schema}.orders VALUES (1, {len(schema)})",
        )
    target = '{"*.orders": {target: "{schema}_{table}"}}'
    replication = made.replication("orders", tables=f"[{target}]")
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    made.run("source", "INSERT INTO sales.orders VALUES (2, 2)", 'DELETE FROM "Ünder Score".orders')
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
    assert made.rows("target", "SELECT id, n FROM sales_orders ORDER BY id") == [(1, 5), (2, 2)]
    assert made.rows("target", "SELECT count(*) FROM `Ünder Score_orders`") == [(0,)]


def test_a_name_that_is_too_long_for_the_target_is_refused_with_the_way_out(scenario: MakeScenario) -> None:
    made = scenario("mysql", "postgresql")
    name = "ü" * 32  # 64 bytes: PostgreSQL counts those, and has 63
    made.run(
        "source", f"CREATE TABLE {name} (id INT PRIMARY KEY)", f"CREATE TABLE short (id INT PRIMARY KEY, {name} INT)"
    )
    replication = made.replication("*", tables=f"[{name}: {{target: {name}}}, short]")
    problems = {check.name: check.problem for check in validate(replication.parts).problems}
    assert "set `target:`" in problems[f"target table public.{name}"]
    assert name in problems[f"target table public.{made.target_table('short')}"]


def test_names_that_the_target_cannot_have_are_refused_with_the_way_out(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "mysql")
    made.run("source", *(f'CREATE TABLE "{name}" (id INT PRIMARY KEY)' for name in ("a ", "😀", "fine")))
    made.run("source", 'ALTER TABLE fine ADD "b " INT', 'ALTER TABLE fine ADD "c😀" INT')
    problems = {check.name: check.problem for check in validate(made.replication("*").parts).problems}
    prefix = f"target table {made.databases['target']}.{made.databases['source']}"
    assert problems == {
        f"{prefix}_a ": "its name ends with a blank; set `target:`",
        f"{prefix}_😀": "its name has the character 😀, which is not in the Basic Multilingual Plane; set `target:`",
        f"{prefix}_fine": "its column b  ends with a blank, c😀 has the character 😀, which is not in the Basic "
        "Multilingual Plane; set `rename:`, or leave it out with `exclude:`",
    }
