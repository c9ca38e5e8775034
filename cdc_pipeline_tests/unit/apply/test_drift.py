"""Events of a table that has changed since it was copied, and what of them can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from cdc_pipeline.apply.batch import BatchBuilder
from cdc_pipeline.apply.drift import drifted, reads_alike
from cdc_pipeline.apply.images import Missing
from cdc_pipeline.choices import Choices
from cdc_pipeline.databases.definition import Default, Expression, Literal, Now
from cdc_pipeline.databases.mysql.dialect import MySqlDialect
from cdc_pipeline.databases.postgresql.dialect import PostgreSqlDialect
from cdc_pipeline.errors import ColumnsChanged
from cdc_pipeline.model import ChangeEvent, Column, ColumnType, Kind, RowBatch, TableShape
from cdc_pipeline.projection import common, not_common
from cdc_pipeline_tests.unit.apply.test_batch import (
    CREATE,
    DELETE,
    KEYED,
    KEYLESS,
    UNAVAILABLE,
    UPDATE,
    Image,
    event,
    image,
)

NULLS: Mapping[str, Default | None] = {"name": None, "blob": None}


def without(row: Image, *names: str) -> Image:
    return {name: value for name, value in row.items() if name not in names}


def built(*events: ChangeEvent, shape: TableShape = KEYED, fillings: Mapping[str, Default | None] = NULLS) -> RowBatch:
    builder = BatchBuilder(shape, UNAVAILABLE, missing=Missing(lambda: fillings))
    for each in events:
        builder.add(each)
    return builder.build()


def test_a_new_column_is_left_out() -> None:
    batch = built(event(CREATE, after={**image(1), "extra": 5}), event(UPDATE, after={**image(2), "extra": 5}))
    assert batch.rows == [("1", "x", "\\x00"), ("2", "x", "\\x00")]


def test_a_column_that_is_gone_stays_as_it_is_in_a_row_that_changes() -> None:
    batch = built(event(UPDATE, after=without(image(1), "name")))
    assert (batch.rows, batch.partials) == ([], {("id", "blob"): [("1", "\\x00")]})


def test_a_column_that_is_gone_is_null_in_a_new_row_whatever_happens_to_that_later() -> None:
    changed = without(image(1, blob="01"), "name")
    batch = built(event(CREATE, after=without(image(1), "name")), event(UPDATE, after=changed))
    assert batch.rows == [("1", None, "\\x01")]


def test_a_row_that_changed_before_the_column_went_keeps_that_change() -> None:
    batch = built(event(UPDATE, after=image(1, "kept")), event(UPDATE, after=without(image(1, blob="01"), "name")))
    assert batch.rows == [("1", "kept", "\\x01")]


def test_a_row_that_gets_another_key_takes_along_what_is_gone() -> None:
    moved = replace(event(CREATE, after=without(image(2), "name")), moved_from={"id": 1})
    batch = built(replace(event(DELETE, before=image(1)), moves_to={"id": 2}), moved)
    assert batch.partials == {("id", "blob"): [("2", "\\x00")]}
    assert batch.moved == {("2",): ("1",)}


@pytest.mark.parametrize(
    ("default", "kind", "text"),
    [
        (Literal("std"), Kind.TEXT, "std"),
        (Now(6), Kind.INSTANT, "2024-05-06 07:08:09"),
        (Now(6, utc=True), Kind.TIMESTAMP, "2024-05-06 07:08:09"),
    ],
)
def test_a_column_that_must_have_a_value_gets_its_default(default: Default, kind: Kind, text: str) -> None:
    columns = (KEYED.columns[0], Column("name", "", ColumnType(kind, 6)), KEYED.columns[2])
    new = replace(event(CREATE, after=without(image(1), "name")), source={"ts_us": 1_714_979_289_000_000})
    shape = replace(KEYED, columns=columns)
    assert built(new, shape=shape, fillings={"name": default}).rows == [("1", text, "\\x00")]


@pytest.mark.parametrize("fillings", [{}, {"name": Expression("random()")}, {"name": Now(6)}])
def test_without_a_plain_default_the_table_stops(fillings: Mapping[str, Default | None]) -> None:
    with pytest.raises(ColumnsChanged, match=r"gone name; in the target it must have a value.*resync shop\.users"):
        built(event(CREATE, after=without(image(1), "name")), fillings=fillings)


@pytest.mark.parametrize("key", [None, {"name": "x"}, {"id": 1, "name": "x"}])
def test_another_primary_key_stops_the_table(key: Image | None) -> None:
    with pytest.raises(ColumnsChanged, match="its primary key is"):
        built(replace(event(UPDATE, after=image(1)), key=key))


def test_a_row_that_may_move_into_the_filter_without_all_of_its_columns_stops_the_table() -> None:
    shape = replace(KEYED, choices=Choices(where="name = 'x'"))
    with pytest.raises(ColumnsChanged, match="gone blob, and rows may move"):
        built(event(UPDATE, after=without(image(1), "blob")), shape=shape)
    with pytest.raises(ColumnsChanged, match=r"gone name\)"):
        built(event(CREATE, after=without(image(1), "name")), shape=shape)


def test_old_rows_without_a_key_cannot_be_told_by_what_is_gone() -> None:
    new, old = without(image(1), "name"), event(DELETE, before=without(image(1), "name"))
    assert built(event(CREATE, after=new), shape=KEYLESS).rows == [("1", None, "\\x00")]
    with pytest.raises(ColumnsChanged, match="gone name, which old rows are told by"):
        built(old, shape=KEYLESS)


def column(declared: str, mysql: bool) -> Column:
    dialect = MySqlDialect() if mysql else PostgreSqlDialect()
    return Column("c", declared, dialect.canonical_type(declared))


@pytest.mark.parametrize(
    ("copied", "now", "mysql"),
    [
        ("varchar(10)", "varchar(30)", True),
        ("character varying(10)", "text", False),
        ("int", "bigint", True),
        ("int unsigned", "int", True),
        ("decimal(6,2)", "decimal(10,2)", True),
        ("numeric(6,2)", "numeric(6,1)", False),
        ("varchar(20)", "decimal(6,2)", True),
        ("varbinary(10)", "blob", True),
        ("timestamp(6) without time zone", "timestamp(4) without time zone", False),
    ],
)
def test_types_whose_values_are_told_alike(copied: str, now: str, *, mysql: bool) -> None:
    assert reads_alike(column(copied, mysql), column(now, mysql))


@pytest.mark.parametrize(
    ("copied", "now", "mysql"),
    [
        ("bigint", "bigint unsigned", True),  # whose upper half comes as negative numbers
        ("decimal(6,2)", "decimal(8,4)", True),  # would be rounded
        ("numeric(6,2)", "text", False),  # a text of digits would be, too
        ("timestamp(0) without time zone", "timestamp(6) without time zone", False),  # other units, and rounded
        ("timestamp(6) without time zone", "timestamp(3) without time zone", False),  # other units
        ("datetime", "date", True),
        ("date", "datetime", True),
        ("int", "varchar(10)", True),
        ("float", "double", True),
        ("varchar(10)", "blob", True),  # comes in hexadecimal
        ("character(10)", "character varying(10)", False),  # trailing blanks
        ("text", "inet", False),
        ("inet", "text", False),
        ("integer[]", "text[]", False),
    ],
)
def test_types_whose_values_would_be_misread_or_changed(copied: str, now: str, *, mysql: bool) -> None:
    assert not reads_alike(column(copied, mysql), column(now, mysql))


def test_what_the_catalogue_tells_stops_a_table() -> None:
    assert drifted(KEYED, KEYED) is None
    assert drifted(KEYED, replace(KEYED, columns=KEYED.columns[:2])) is None
    assert "its primary key is (name)" in str(drifted(KEYED, replace(KEYED, key=("name",))))
    other = replace(KEYED.columns[1], declared="bytea", type=ColumnType(Kind.BINARY))
    changed = replace(KEYED, columns=(KEYED.columns[0], other))
    assert "name was text and is bytea" in str(drifted(KEYED, changed))
    filtered = replace(KEYED, choices=Choices(where="blob is null"))
    assert "gone blob, which `where` asks" in str(drifted(filtered, replace(KEYED, columns=KEYED.columns[:2])))


def test_what_both_have_and_what_only_one_has() -> None:
    extra = Column("extra", "int", ColumnType(Kind.INTEGER, 32))
    source = replace(KEYED, columns=(*KEYED.columns[:2], extra))
    assert common(KEYED, source).names == ("id", "name")
    assert not_common(KEYED, source) == ("blob", "extra")
    assert not_common(replace(KEYED, choices=Choices(exclude=("extra",))), source) == ("blob",)
    assert not_common(replace(KEYED, choices=Choices(include=("id", "name", "blob"))), source) == ("blob",)
