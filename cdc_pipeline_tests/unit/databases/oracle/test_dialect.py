"""Oracle's SQL as text. That Oracle takes it was never tried; that its grammar does, test_sql.py tells."""

from __future__ import annotations

import re

import pytest

from cdc_pipeline.databases.oracle.dialect import OracleDialect
from cdc_pipeline.databases.postgresql.dialect import PostgreSqlDialect
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.model import Column, ColumnType, Kind, TableId, TableShape

ORACLE = OracleDialect()


@pytest.mark.parametrize(
    ("declared", "type"),
    [
        ("NUMBER", ColumnType(Kind.DECIMAL)),
        ("NUMBER(10,2)", ColumnType(Kind.DECIMAL, 10, 2)),
        ("NUMBER(10,0)", ColumnType(Kind.DECIMAL, 10, 0)),
        ("NUMBER(*,0)", ColumnType(Kind.DECIMAL, 38, 0)),
        ("NUMBER(5,-2)", ColumnType(Kind.INTEGER, 64)),
        ("NUMBER(30,-5)", ColumnType(Kind.DECIMAL, 35, 0)),
        ("NUMBER(2,5)", ColumnType(Kind.DECIMAL, 5, 5)),
        ("FLOAT(126)", ColumnType(Kind.DECIMAL)),
        ("BINARY_FLOAT", ColumnType(Kind.FLOAT, 32)),
        ("BINARY_DOUBLE", ColumnType(Kind.FLOAT, 64)),
        ("VARCHAR2(20 CHAR)", ColumnType(Kind.TEXT, 20)),
        ("VARCHAR2(20 BYTE)", ColumnType(Kind.TEXT, 20)),
        ("NVARCHAR2(20)", ColumnType(Kind.TEXT, 20)),
        ("CHAR(3 CHAR)", ColumnType(Kind.TEXT, 3, fixed=True)),
        ("NCHAR(3)", ColumnType(Kind.TEXT, 3, fixed=True)),
        ("CLOB", ColumnType(Kind.TEXT)),
        ("NCLOB", ColumnType(Kind.TEXT)),
        ("RAW(16)", ColumnType(Kind.BINARY, 16)),
        ("BLOB", ColumnType(Kind.BINARY)),
        ("DATE", ColumnType(Kind.TIMESTAMP, 0, native="oracle:date")),
        ("TIMESTAMP(3)", ColumnType(Kind.TIMESTAMP, 3)),
        ("TIMESTAMP(6) WITH TIME ZONE", ColumnType(Kind.INSTANT, 6, native="oracle:timestamp with time zone")),
        ("TIMESTAMP(0) WITH LOCAL TIME ZONE",
         ColumnType(Kind.INSTANT, 0, native="oracle:timestamp with local time zone")),
        ("INTERVAL YEAR(2) TO MONTH", ColumnType(Kind.INTERVAL, native="oracle:interval year to month")),
        ("INTERVAL DAY(2) TO SECOND(6)", ColumnType(Kind.INTERVAL, native="oracle:interval day to second")),
        ("ROWID", ColumnType(Kind.TEXT, 18)),
    ],
)  # fmt: skip
def test_types_of_oracles_catalogue(declared: str, type: ColumnType) -> None:
    assert ORACLE.canonical_type(declared) == type


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ("TIMESTAMP(9)", "6 digits of a second"),
        ("TIMESTAMP(7) WITH TIME ZONE", "6 digits of a second"),
        ("INTERVAL DAY(2) TO SECOND(9)", "6 digits of a second"),
        ("LONG", "CLOB"),
        ("LONG RAW", "BLOB"),
        ("BFILE", "does not capture"),
        ("UROWID", "does not capture"),
        ("VECTOR", "does not capture"),
        ("BOOLEAN", r"NUMBER\(1\)"),
        ("JSON", "IS JSON"),
        ("XMLTYPE", "same text"),
        ("SDO_GEOMETRY", "no mapping"),
        ("ADDRESS_T", "no mapping"),
    ],
)
def test_a_type_that_cannot_be_replicated_is_refused_with_its_reason(declared: str, reason: str) -> None:
    assert ORACLE.canonical_type(declared) is None
    assert re.search(reason, ORACLE.refusal(declared))


@pytest.mark.parametrize("declared", [
    "NUMBER", "NUMBER(10, 2)", "DATE", "TIMESTAMP(3)", "TIMESTAMP(6) WITH TIME ZONE", "BLOB", "CLOB", "RAW(16)",
    "TIMESTAMP(3) WITH LOCAL TIME ZONE", "INTERVAL YEAR(9) TO MONTH", "INTERVAL DAY(9) TO SECOND(6)", "BINARY_FLOAT",
    "VARCHAR2(20 CHAR)",
])  # fmt: skip
def test_an_oracle_target_keeps_oracles_own_type(declared: str) -> None:
    type = ORACLE.canonical_type(declared)
    assert type is not None
    assert ORACLE.column_type(type, in_key=False) == declared


EVERY_TYPE = [
    ColumnType(Kind.BOOLEAN),
    *(ColumnType(Kind.INTEGER, bits, unsigned=unsigned) for bits in (8, 16, 24, 32, 64) for unsigned in (False, True)),
    ColumnType(Kind.DECIMAL),
    ColumnType(Kind.DECIMAL, 10, 2),
    ColumnType(Kind.DECIMAL, 38, 38),
    ColumnType(Kind.FLOAT, 32),
    ColumnType(Kind.FLOAT, 64),
    ColumnType(Kind.TEXT),
    ColumnType(Kind.TEXT, 10),
    ColumnType(Kind.TEXT, 20_000),
    ColumnType(Kind.ENUM),
    ColumnType(Kind.BINARY),
    ColumnType(Kind.BINARY, 16),
    ColumnType(Kind.BINARY, 3000),
    ColumnType(Kind.BITS, 64),
    ColumnType(Kind.DATE),
    *(ColumnType(kind, digits) for kind in (Kind.TIME, Kind.TIMESTAMP, Kind.INSTANT) for digits in (0, 3, 6)),
    ColumnType(Kind.JSON),
    ColumnType(Kind.JSON, 64, fixed=True),
    ColumnType(Kind.UUID),
    ColumnType(Kind.INTERVAL),
    ColumnType(Kind.GEOMETRY),
    ColumnType(Kind.MAP),
    ColumnType(Kind.ARRAY, native="postgresql:integer[]", element=ColumnType(Kind.INTEGER, 32)),
    *(ORACLE.canonical_type(declared) or ColumnType(Kind.TEXT) for declared in (
        "DATE", "TIMESTAMP(6) WITH TIME ZONE", "TIMESTAMP(6) WITH LOCAL TIME ZONE", "INTERVAL YEAR(2) TO MONTH",
        "INTERVAL DAY(2) TO SECOND(6)", "ROWID", "NUMBER(5,-2)")),
]  # fmt: skip


def test_every_kind_is_among_them() -> None:
    assert {type.kind for type in EVERY_TYPE} == set(Kind)


@pytest.mark.parametrize("type", EVERY_TYPE, ids=str)
def test_every_kind_has_a_column_that_can_be_made_read_and_compared(type: ColumnType) -> None:
    made = ORACLE.column_type(type, in_key=False)
    assert ORACLE.canonical_type(made.lower()) is not None, made
    assert '"a%b"' in ORACLE.read(Column("a%b", "?", type))
    assert '"a%b"' in ORACLE.row_hash([("a%b", type)])


@pytest.mark.parametrize("type", [type for type in EVERY_TYPE if type.kind is not Kind.GEOMETRY], ids=str)
def test_a_column_of_a_key_can_be_indexed(type: ColumnType) -> None:
    assert not ORACLE.column_type(type, in_key=True).endswith("LOB")


def test_names_are_quoted_and_what_cannot_be_is_refused() -> None:
    assert ORACLE.table(TableId("SALES", "order %")) == '"SALES"."order %"'
    with pytest.raises(CdcPipelineError, match="no double quote"):
        ORACLE.quote('a"b')


def test_a_text_may_be_null_where_another_databases_may_be_empty() -> None:
    shape = TableShape(
        TableId("shop", "items"),
        (
            Column("code", "varchar(5)", ColumnType(Kind.TEXT, 5), nullable=False),
            Column("name", "varchar(9)", ColumnType(Kind.TEXT, 9), nullable=False),
            Column("price", "int", ColumnType(Kind.INTEGER, 32), nullable=False),
        ),
        ("code",),
    )
    assert ORACLE.create_table(TableId("DWH", "items"), shape) == (
        'CREATE TABLE "DWH"."items" (\n'
        '  "code" VARCHAR2(5 CHAR) NOT NULL,\n'
        '  "name" VARCHAR2(9 CHAR),\n'
        '  "price" NUMBER(10) NOT NULL,\n'
        '  PRIMARY KEY ("code")\n'
        ")"
    )


def test_a_decimal_is_compared_with_as_many_digits_as_its_declaration_has() -> None:
    """As PostgreSQL and MySQL write it: 1.50 of a numeric(10, 2), 0.5 without a declared scale."""
    assert ORACLE.compare("x", ColumnType(Kind.DECIMAL, 5, 2)) == "TO_CHAR(x, 'FM990.00')"
    assert ORACLE.compare("x", ColumnType(Kind.DECIMAL, 5, 0)) == "TO_CHAR(x, 'FM99990')"
    assert ORACLE.compare("x", ColumnType(Kind.DECIMAL, 2, 2)) == "TO_CHAR(x, 'FM0.00')"
    assert ORACLE.compare("x", ColumnType(Kind.DECIMAL)) == "REGEXP_REPLACE(TO_CHAR(x, 'TM9'), '^(-?)[.]', '\\10.')"


def test_a_short_row_is_hashed_by_the_server_alone_and_a_long_one_needs_a_package() -> None:
    short = [("a", ColumnType(Kind.TEXT, 20)), ("b", ColumnType(Kind.BINARY, 16))]
    assert re.fullmatch(r"LOWER\(RAWTOHEX\(STANDARD_HASH\(.*, 'SHA256'\)\)\)", ORACLE.row_hash(short))
    for column in (ColumnType(Kind.TEXT), ColumnType(Kind.BINARY), ColumnType(Kind.TEXT, 950)):
        assert "DBMS_CRYPTO" in ORACLE.row_hash([*short, ("c", column), ("d", ColumnType(Kind.TEXT, 50))])


@pytest.mark.parametrize("declared", ["TIMESTAMP(6)", "DATE", "TIMESTAMP(6) WITH TIME ZONE"])
def test_postgresql_gets_a_column_for_every_moment(declared: str) -> None:
    type = ORACLE.canonical_type(declared)
    assert type is not None
    assert PostgreSqlDialect().column_type(type, in_key=False).startswith("timestamp")
