"""What is fetched becomes canonical text, and canonical text what is bound: exactly, or not at all."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import oracledb
import pytest

from cdc_pipeline.databases.oracle import reader
from cdc_pipeline.databases.oracle.binds import bind, insert
from cdc_pipeline.databases.oracle.dialect import OracleDialect
from cdc_pipeline.model import Column, ColumnType, Kind, TableId

ORACLE = OracleDialect()


def column(declared: str, *, nullable: bool = True) -> Column:
    return Column("C", declared, ORACLE.canonical_type(declared), nullable)


@pytest.mark.parametrize(
    ("declared", "fetched", "text"),
    [
        ("NUMBER", "123", "123"),
        ("NUMBER", "-0.5", "-0.5"),
        ("NUMBER", ".5", "0.5"),
        ("NUMBER", "1E+125", "1" + "0" * 125),
        ("NUMBER", "1E-130", "0." + "0" * 129 + "1"),
        ("NUMBER", "9" * 40, "9" * 40),
        ("NUMBER(5,-2)", "12300", "12300"),
        ("BINARY_DOUBLE", 0.1, "0.1"),
        ("BINARY_DOUBLE", 1e300, "1e+300"),
        ("BINARY_DOUBLE", float("nan"), "NaN"),
        ("BINARY_FLOAT", float("-inf"), "-Infinity"),
        ("VARCHAR2(9 CHAR)", "a\tb", "a\tb"),
        ("RAW(4)", b"\x00\xff", "\\x00ff"),
        ("BLOB", b"\\N", "\\x5c4e"),
        ("DATE", "2024-02-29 23:59:59", "2024-02-29 23:59:59"),
        ("CLOB", None, None),
    ],
)
def test_what_is_fetched_is_rendered_exactly(declared: str, fetched: Any, text: str | None) -> None:
    assert reader.renderer(column(declared))(fetched) == text


@pytest.mark.parametrize(("declared", "fetched"), [("CLOB", ""), ("BLOB", b"")])
def test_an_empty_lob_is_null_where_it_may_be_as_in_the_stream(declared: str, fetched: Any) -> None:
    assert reader.renderer(column(declared))(fetched) is None
    assert reader.renderer(column(declared, nullable=False))(fetched) in ("", "\\x")


@pytest.mark.parametrize(
    ("type", "wanted"),
    [
        (oracledb.DB_TYPE_NUMBER, str),
        (oracledb.DB_TYPE_CLOB, oracledb.DB_TYPE_LONG),
        (oracledb.DB_TYPE_NCLOB, oracledb.DB_TYPE_LONG_NVARCHAR),
        (oracledb.DB_TYPE_BLOB, oracledb.DB_TYPE_LONG_RAW),
        (oracledb.DB_TYPE_BINARY_DOUBLE, None),
        (oracledb.DB_TYPE_VARCHAR, None),
    ],
)
def test_numbers_are_fetched_as_text_and_lobs_without_locators(type: Any, wanted: Any) -> None:
    cursor = SimpleNamespace(arraysize=7, var=lambda kind, arraysize: (kind, arraysize))
    assert reader.exact_types(cursor, SimpleNamespace(type_code=type)) == (None if wanted is None else (wanted, 7))


@pytest.mark.parametrize(
    ("type", "text", "bound"),
    [
        (ColumnType(Kind.INTEGER, 64), "-1", "-1"),
        (ColumnType(Kind.DECIMAL, 10, 2), "1.50", "1.50"),
        (ColumnType(Kind.DECIMAL), "1" + "0" * 100, "1" + "0" * 100),
        (ColumnType(Kind.FLOAT, 64), "1e300", 1e300),
        (ColumnType(Kind.FLOAT, 64), "-Infinity", float("-inf")),
        (ColumnType(Kind.TEXT, 5), "ä\t", "ä\t"),
        (ColumnType(Kind.BINARY, 5), "\\x00ff", b"\x00\xff"),
        (ColumnType(Kind.GEOMETRY), "\\x01", b"\x01"),
        (ColumnType(Kind.BOOLEAN), "1", "1"),
        (ColumnType(Kind.BITS, 4), "0101", "0101"),
        (ColumnType(Kind.DATE), "2024-02-29", "2024-02-29"),
        (ColumnType(Kind.DATE), "0044-03-15 BC", "-0044-03-15"),
        (ColumnType(Kind.TIMESTAMP, 6), "2024-02-29 23:59:59", "2024-02-29 23:59:59.000000"),
        (ColumnType(Kind.TIMESTAMP, 6), "2024-02-29 23:59:59.5", "2024-02-29 23:59:59.5"),
        (ColumnType(Kind.INSTANT, 6), "0044-03-15 00:00:00 BC", "-0044-03-15 00:00:00.000000 +00:00"),
        (ORACLE.canonical_type("INTERVAL DAY(2) TO SECOND(6)"), "P-1DT-2H-0.5S", "-P1DT2H0.5S"),
        (ORACLE.canonical_type("INTERVAL DAY(2) TO SECOND(6)"), "PT0S", "P0D"),
        (ORACLE.canonical_type("INTERVAL YEAR(2) TO MONTH"), "P1Y2M", "P1Y2M"),
        (ORACLE.canonical_type("INTERVAL YEAR(2) TO MONTH"), "PT0S", "P0Y"),
        (ColumnType(Kind.INTERVAL), "P1Y2DT3S", "P1Y2DT3S"),
        (ColumnType(Kind.JSON), '{"a": 1}', '{"a": 1}'),
    ],
    ids=str,
)
def test_a_canonical_text_is_bound_as_the_value_that_it_is(type: ColumnType, text: str, bound: Any) -> None:
    assert bind("c", type).convert(text) == bound


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1" * 39, "0." + "1" * 39])
def test_a_number_that_oracle_would_round_is_refused(text: str) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        bind("c", ColumnType(Kind.DECIMAL)).convert(text)


def test_38_digits_are_not_rounded() -> None:
    text = "9" * 37 + ".9"
    assert Decimal(bind("c", ColumnType(Kind.DECIMAL)).convert(text)) == Decimal(text)


def test_values_are_bound_and_names_are_quoted() -> None:
    columns = [bind("id", ColumnType(Kind.INTEGER, 32)), bind("at %", ColumnType(Kind.TIMESTAMP, 6))]
    assert insert(TableId("DWH", "t"), columns) == (
        'INSERT INTO "DWH"."t" ("id", "at %") VALUES (:1, TO_TIMESTAMP(:2, \'SYYYY-MM-DD HH24:MI:SS.FF6\'))'
    )


@pytest.mark.parametrize(
    ("type", "size"),
    [
        (ColumnType(Kind.TEXT), oracledb.DB_TYPE_LONG),
        (ColumnType(Kind.TEXT, 10), oracledb.DB_TYPE_VARCHAR),
        (ColumnType(Kind.BINARY), oracledb.DB_TYPE_LONG_RAW),
        (ColumnType(Kind.BINARY, 16), oracledb.DB_TYPE_RAW),
        (ColumnType(Kind.FLOAT, 32), oracledb.DB_TYPE_BINARY_DOUBLE),
    ],
)
def test_a_column_that_may_be_long_is_bound_as_such(type: ColumnType, size: Any) -> None:
    assert bind("c", type).size is size
