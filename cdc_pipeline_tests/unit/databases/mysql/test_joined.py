"""Which columns of a MySQL table the server hands out as one field of COPY text."""

from __future__ import annotations

import pytest

from cdc_pipeline.databases.key_ranges import WHOLE_TABLE
from cdc_pipeline.databases.mysql.dialect import MySqlDialect, joinable, select_joined
from cdc_pipeline.model import Column, TableId, TableShape

DIALECT = MySqlDialect()


def column(name: str, declared: str) -> Column:
    return Column(name, declared, DIALECT.canonical_type(declared))


@pytest.mark.parametrize(
    ("declared", "is_joined"),
    [
        ("bigint", True), ("decimal(65,30)", True), ("datetime(6)", True), ("varchar(16383)", True), ("char(4)", True),
        ("text", True), ("tinytext", True), ("enum('a','b')", True), ("set('a','b')", True), ("binary(16)", True),
        ("varbinary(65000)", True), ("blob", True), ("mediumtext", False), ("longtext", False), ("longblob", False),
        ("json", False), ("geometry", False), ("point", False),
    ],
)  # fmt: skip
def test_what_may_be_long_has_a_field_of_its_own(declared: str, is_joined: bool) -> None:
    assert bool(joinable([column("c", declared)])) is is_joined


def test_together_they_stay_far_below_what_a_function_may_give() -> None:
    columns = [column(f"c{n}", "text") for n in range(20)] + [column("id", "int")]
    assert [found.name for found in joinable(columns)] == ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "id"]


def test_texts_are_escaped_as_bytes_and_everything_else_is_as_it_is() -> None:
    columns = (column("id", "int"), column("note", "text"), column("bytes", "blob"), column("document", "json"))
    shape = TableShape(TableId("shop", "t"), columns, ("id",))
    sql = select_joined(DIALECT, shape, columns[:3], WHOLE_TABLE)
    note = "CAST(CONVERT(`note` USING utf8mb4) AS BINARY)"
    for character, escape in (("5C", "5C5C"), ("09", "5C74"), ("0A", "5C6E"), ("0D", "5C72")):
        note = f"REPLACE({note}, X'{character}', X'{escape}')"
    assert sql == (
        "SELECT CONCAT_WS('\\t', IFNULL(`id`, '\\\\N'), "
        f"IFNULL({note}, '\\\\N'), "
        "IFNULL(CONCAT('\\\\', CONCAT('\\\\x', LOWER(HEX(`bytes`)))), '\\\\N')), `document` FROM `shop`.`t`"
    )
