"""What MariaDB's types are, where MySQL's are other ones."""

from __future__ import annotations

import pytest

from cdc_pipeline.databases.mariadb.dialect import MariaDbDialect
from cdc_pipeline.model import Column, ColumnType, Kind

DIALECT = MariaDbDialect()


@pytest.mark.parametrize(
    ("declared", "way_out"),
    [
        ("uuid", "CHAR(36)"),
        ("inet4", "VARCHAR(15)"),
        ("inet6", "VARCHAR(45)"),
        ("text /*M!100301 COMPRESSED*/ CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "without COMPRESSED"),
    ],
)
def test_a_type_that_debezium_garbles_is_refused_with_its_way_out(declared: str, way_out: str) -> None:
    assert DIALECT.canonical_type(declared) is None
    assert way_out in DIALECT.refusal(declared)


def test_a_label_called_compressed_is_a_label() -> None:
    kind = DIALECT.canonical_type("enum('compressed','x') CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    assert kind is not None
    assert kind.kind is Kind.ENUM


def test_json_is_the_text_that_it_is_here() -> None:
    assert DIALECT.canonical_type("longtext") == ColumnType(Kind.TEXT)
    for json in (ColumnType(Kind.JSON), ColumnType(Kind.JSON, 64, fixed=True)):
        assert DIALECT.column_type(json, in_key=False).startswith("LONGTEXT")


def test_a_collection_of_shapes_has_the_older_name() -> None:
    shapes = ColumnType(Kind.GEOMETRY, native="mysql:geomcollection")
    assert DIALECT.column_type(shapes, in_key=False) == "GEOMETRYCOLLECTION"


def test_the_zero_of_a_timestamp_is_read_as_debezium_tells_it() -> None:
    moment = Column("at", "timestamp", ColumnType(Kind.INSTANT, 0, native="mysql:timestamp"))
    assert "'1970-01-01 00:00:00'" in DIALECT.read(moment)
    assert "NULL" in DIALECT.read(Column("at", "datetime", ColumnType(Kind.TIMESTAMP, 0)))
