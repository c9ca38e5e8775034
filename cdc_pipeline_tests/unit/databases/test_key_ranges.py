"""Ranges of a table's key, as SQL."""

from __future__ import annotations

import pytest

from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.databases.key_ranges import KeyRange, can_be_cut, cut, is_same_order, key_columns, within
from cdc_pipeline.databases.mysql.dialect import MySqlDialect
from cdc_pipeline.databases.oracle.dialect import OracleDialect
from cdc_pipeline.databases.postgresql.dialect import PostgreSqlDialect
from cdc_pipeline.model import Column, ColumnType, Kind, TableId, TableShape

INTEGER, TEXT = ColumnType(Kind.INTEGER, 32), ColumnType(Kind.TEXT, 20)


def shape(**types: ColumnType) -> TableShape:
    columns = tuple(Column(name, str(type), type, nullable=False) for name, type in types.items())
    return TableShape(TableId("shop", "stock"), (*columns, Column("note", "text", TEXT)), tuple(types))


def where(dialect: Dialect, table: TableShape, keys: KeyRange) -> str:
    return within(dialect, key_columns(table), keys)


@pytest.mark.parametrize(
    ("keys", "condition"),
    [
        (KeyRange(), ""),
        (KeyRange(None, ("7",)), "`id` <= 7"),
        (KeyRange(("-7",), None), "`id` > -7"),
        (KeyRange(("7",), ("9",)), "`id` > 7 AND `id` <= 9"),
    ],
)
def test_a_range_begins_behind_one_key_and_ends_with_another(keys: KeyRange, condition: str) -> None:
    assert where(MySqlDialect(), shape(id=INTEGER), keys) == condition


def test_a_key_of_several_columns_begins_with_a_bound_on_the_first() -> None:
    """By which a server finds the range in the key's index."""
    table = shape(region=TEXT, id=INTEGER)
    assert where(PostgreSqlDialect(), table, KeyRange(("no'rth", "7"))) == (
        """"region" >= 'no''rth' AND ("region" > 'no''rth' OR ("id" > '7'))"""
    )
    assert where(MySqlDialect(), table, KeyRange(None, ("ä", "7"))) == (
        "`region` <= _utf8mb4 x'c3a4' AND (`region` < _utf8mb4 x'c3a4' OR (`id` <= 7))"
    )


@pytest.mark.parametrize(
    ("dialect", "end"),
    [
        (MySqlDialect(), "ORDER BY t.`id` LIMIT 1 OFFSET 99"),
        (PostgreSqlDialect(), 'ORDER BY t."id" OFFSET 99 ROWS FETCH NEXT 1 ROWS ONLY'),
        (OracleDialect(), 'ORDER BY t."id" OFFSET 99 ROWS FETCH NEXT 1 ROWS ONLY'),
    ],
)
def test_the_end_of_a_range_is_its_last_row(dialect: Dialect, end: str) -> None:
    """By the column's own order, not that of the text which is asked for and may have its name."""
    assert cut(dialect, shape(id=INTEGER), ("7",), 100).endswith(end)


@pytest.mark.parametrize("text", ["1 OR 1 = 1", "1; DROP TABLE stock", "", "'"])
@pytest.mark.parametrize("dialect", [MySqlDialect(), OracleDialect()])
def test_what_is_no_number_becomes_no_sql(dialect: Dialect, text: str) -> None:
    with pytest.raises(ArithmeticError):
        dialect.key_literal(text, INTEGER)


@pytest.mark.parametrize("dialect", [MySqlDialect(), OracleDialect()])
def test_what_are_no_digits_become_no_bytes(dialect: Dialect) -> None:
    assert "00ff" in dialect.key_literal("00FF", ColumnType(Kind.BINARY, 2))
    with pytest.raises(ValueError, match="hexadecimal"):
        dialect.key_literal("0' OR '1", ColumnType(Kind.BINARY, 2))


def test_a_key_is_cut_if_its_texts_say_what_order_it_is_in() -> None:
    assert can_be_cut(shape(id=INTEGER, name=TEXT, at=ColumnType(Kind.INSTANT)))
    assert not can_be_cut(shape())
    assert not can_be_cut(shape(id=INTEGER, kind=ColumnType(Kind.ENUM)))
    assert not can_be_cut(shape(id=ColumnType(Kind.FLOAT, 64)))
    assert not can_be_cut(shape(id=ColumnType(Kind.TEXT, native="mysql:set('a','b')")))


def test_numbers_are_in_the_same_order_everywhere() -> None:
    assert is_same_order(shape(id=INTEGER, part=ColumnType(Kind.DECIMAL, 10, 2)))
    assert not is_same_order(shape(id=INTEGER, name=TEXT))
