"""A NULL beside a default stays NULL, in every kind of column, by copy and by stream, with a key and without one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cdc_pipeline_tests.scenario import MakeScenario, Scenario
from cdc_pipeline_tests.streaming import started

DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql"), ("mariadb", "postgresql"), ("postgresql", "postgresql")]
# Of each kind of value, a type with a constant default.
COMMON = {
    "an_integer": "INT DEFAULT 7",
    "a_big_one": "BIGINT DEFAULT -7",
    "a_decimal": "DECIMAL(6, 2) DEFAULT 1.25",
    "a_float": "DOUBLE PRECISION DEFAULT 0.5",
    "a_text": "VARCHAR(20) DEFAULT 'seven'",
    "an_empty_text": "VARCHAR(20) DEFAULT ''",
    "a_date": "DATE DEFAULT '2024-02-29'",
    "a_time": "TIME DEFAULT '07:08:09'",
    "a_moment": "TIMESTAMP NULL DEFAULT '2024-02-29 07:08:09'",
}
OF_DATABASE = {
    "mysql": {
        "an_enum": "ENUM('a', 'b') DEFAULT 'b'",
        "a_set": "SET('a', 'b') DEFAULT 'a,b'",
        "bits": "BIT(3) DEFAULT b'101'",
        "binary_ones": "VARBINARY(4) DEFAULT 'ab'",
        "a_datetime": "DATETIME(3) DEFAULT '2024-02-29 07:08:09.123'",
        "a_year": "YEAR DEFAULT 2024",
        "now": "TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6)",
        "unsigned_one": "BIGINT UNSIGNED DEFAULT 18446744073709551615",
    },
    "postgresql": {
        "a_boolean": "BOOLEAN DEFAULT TRUE",
        "a_uuid": "UUID DEFAULT '00000000-0000-4000-8000-000000000001'",
        "a_json": "JSONB DEFAULT '{}'",
        "bytes": "BYTEA DEFAULT '\\x6162'",
        "an_instant": "TIMESTAMPTZ DEFAULT now()",
        "a_list": "INT[] DEFAULT '{1,2}'",
        "an_interval": "INTERVAL DEFAULT '1 day'",
        "serial_one": "INT DEFAULT nextval('numbers')",
    },
}
TABLES = ("with_key", "without_key")


def made_of(shop: Scenario) -> Iterator[str]:
    """The statements that make both tables with a row of NULLs and a row of defaults each."""
    source = "postgresql" if shop.kinds["source"] == "postgresql" else "mysql"
    columns = {**COMMON, **OF_DATABASE[source]}
    fields = ", ".join(f"{name} {declared}" for name, declared in columns.items())
    if source == "postgresql":
        yield "CREATE SEQUENCE numbers"
    yield f"CREATE TABLE with_key (id INT PRIMARY KEY, {fields})"
    yield f"CREATE TABLE without_key (id INT, {fields})"
    if source == "postgresql":
        yield "ALTER TABLE without_key REPLICA IDENTITY FULL"


def columns_of(shop: Scenario) -> list[str]:
    of_database = OF_DATABASE["postgresql" if shop.kinds["source"] == "postgresql" else "mysql"]
    return [*COMMON, *of_database]


def nulls(shop: Scenario, number: int) -> list[str]:
    names = columns_of(shop)
    values = ", ".join("NULL" for _ in names)
    return [f"INSERT INTO {table} (id, {', '.join(names)}) VALUES ({number}, {values})" for table in TABLES]


def values_of(shop: Scenario, role: str, table: str) -> dict[Any, list[bool]]:
    """Of each row, which of its values are NULL."""
    name = table if role == "source" else shop.target_table(table)
    names = ", ".join(columns_of(shop))
    return {row[0]: [v is None for v in row[1:]] for row in shop.rows(role, f"SELECT id, {names} FROM {name}")}


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_a_null_beside_a_default_stays_null(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    shop.run("source", *made_of(shop), *nulls(shop, 1), *(f"INSERT INTO {table} (id) VALUES (2)" for table in TABLES))
    replication = started(shop, *TABLES)
    to_null = ", ".join(f"{name} = NULL" for name in columns_of(shop))
    shop.run(
        "source",
        *nulls(shop, 3),
        *nulls(shop, 4),
        *(f"INSERT INTO {table} (id) VALUES (5)" for table in TABLES),
        *(f"UPDATE {table} SET {to_null} WHERE id = 2" for table in TABLES),
        # What the row was before tells which row of a table without a key it is.
        *(f"UPDATE {table} SET an_integer = 8 WHERE id = 3" for table in TABLES),
        *(f"DELETE FROM {table} WHERE id = 4" for table in TABLES),
    )
    replication.consume(until_caught_up=True)
    for table in TABLES:
        found = values_of(shop, "target", table)
        assert found == values_of(shop, "source", table)
        assert all(found[1])
        assert all(found[2])
        assert found.keys() == {1, 2, 3, 5}
    assert replication.set_aside() == []
    shop.assert_equal(replication)
