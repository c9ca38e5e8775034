"""The shared nouns: what a column can hold, and shapes that survive a trip through the state tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_pipeline.model import (
    Check,
    Column,
    ColumnType,
    Comparison,
    Kind,
    Position,
    TableId,
    TableShape,
    problems,
)


def t(kind: Kind, size: int | None = None, scale: int | None = None, native: str = "", **flags: bool) -> ColumnType:
    return ColumnType(kind, size, scale, flags.get("unsigned", False), flags.get("fixed", False), native)


HOLDS = [
    (t(Kind.INTEGER, 32), t(Kind.INTEGER, 32)),
    (t(Kind.INTEGER, 64), t(Kind.INTEGER, 32)),
    (t(Kind.INTEGER, 64), t(Kind.INTEGER, 32, unsigned=True)),
    (t(Kind.INTEGER, 16), t(Kind.INTEGER, 8, unsigned=True)),
    (t(Kind.INTEGER, 64, unsigned=True), t(Kind.INTEGER, 64, unsigned=True)),
    (t(Kind.DECIMAL, 12, 2), t(Kind.DECIMAL, 10, 2)),
    (t(Kind.DECIMAL, 12, 4), t(Kind.DECIMAL, 10, 2)),
    (t(Kind.DECIMAL), t(Kind.DECIMAL, 65, 30)),
    (t(Kind.FLOAT, 64), t(Kind.FLOAT, 32)),
    (t(Kind.TEXT), t(Kind.TEXT, 10)),
    (t(Kind.TEXT, 10), t(Kind.TEXT, 10)),
    (t(Kind.TEXT), t(Kind.ENUM)),
    (t(Kind.TEXT, 10), t(Kind.TEXT, 10, fixed=True)),
    (t(Kind.TEXT, 10, fixed=True), t(Kind.TEXT, 8, fixed=True)),
    (t(Kind.TEXT), t(Kind.JSON)),
    (t(Kind.TEXT), t(Kind.JSON, 64, fixed=True)),
    (t(Kind.TEXT, 64), t(Kind.INTERVAL)),
    (t(Kind.TEXT), t(Kind.TEXT, 49, native="postgresql:inet")),
    (t(Kind.TEXT, 49, native="postgresql:inet"), t(Kind.TEXT, 49, native="postgresql:inet")),
    (t(Kind.BINARY), t(Kind.GEOMETRY)),
    (t(Kind.GEOMETRY), t(Kind.GEOMETRY, native="mysql:point")),
    (t(Kind.INTEGER, 16), t(Kind.BOOLEAN)),
    (t(Kind.JSON, fixed=True), t(Kind.JSON, 64, fixed=True)),
    (t(Kind.TEXT, 36), t(Kind.UUID)),
    (t(Kind.BINARY), t(Kind.BINARY, 16)),
    (t(Kind.BINARY, 20), t(Kind.BINARY, 16, fixed=True)),
    (t(Kind.BINARY, 16, fixed=True), t(Kind.BINARY, 16, fixed=True)),
    (t(Kind.BITS, 8, fixed=True), t(Kind.BITS, 8, fixed=True)),
    (t(Kind.TIMESTAMP, 6), t(Kind.TIMESTAMP, 3)),
    (t(Kind.TIMESTAMP, 6), t(Kind.INSTANT, 6)),
    (t(Kind.TIMESTAMP), t(Kind.INSTANT)),
    (t(Kind.DATE), t(Kind.DATE)),
    (t(Kind.UUID), t(Kind.UUID)),
]
DOES_NOT_HOLD = [
    (t(Kind.INTEGER, 16), t(Kind.INTEGER, 32)),
    (t(Kind.INTEGER, 32), t(Kind.INTEGER, 32, unsigned=True)),
    (t(Kind.INTEGER, 64, unsigned=True), t(Kind.INTEGER, 32)),  # has no negative numbers
    (t(Kind.INTEGER, 64), t(Kind.INTEGER, 64, unsigned=True)),
    (t(Kind.DECIMAL, 10, 2), t(Kind.DECIMAL, 12, 2)),
    (t(Kind.DECIMAL, 12, 1), t(Kind.DECIMAL, 10, 2)),
    (t(Kind.DECIMAL, 10, 4), t(Kind.DECIMAL, 10, 2)),  # fewer digits before the point
    (t(Kind.DECIMAL, 10, 2), t(Kind.DECIMAL)),
    (t(Kind.FLOAT, 32), t(Kind.FLOAT, 64)),
    (t(Kind.TEXT, 9), t(Kind.TEXT, 10)),
    (t(Kind.TEXT, 255), t(Kind.TEXT)),
    (t(Kind.TEXT, 255), t(Kind.JSON)),
    (t(Kind.JSON, 64, fixed=True), t(Kind.JSON, fixed=True)),
    (t(Kind.JSON, fixed=True), t(Kind.JSON)),
    (t(Kind.TEXT, 35), t(Kind.UUID)),
    (t(Kind.TEXT, 10, fixed=True), t(Kind.TEXT, 10)),  # a fixed length loses trailing blanks
    (t(Kind.BINARY, 16), t(Kind.BINARY, 17)),
    (t(Kind.BINARY, 16, fixed=True), t(Kind.BINARY, 16)),  # a fixed length adds zero bytes
    (t(Kind.BINARY, 20, fixed=True), t(Kind.BINARY, 16, fixed=True)),
    (t(Kind.BITS, 10, fixed=True), t(Kind.BITS, 8, fixed=True)),  # PostgreSQL's bit(10) takes exactly ten
    (t(Kind.TIMESTAMP, 3), t(Kind.TIMESTAMP, 6)),
    (t(Kind.TIMESTAMP, 3), t(Kind.INSTANT, 6)),
    (t(Kind.INSTANT, 6), t(Kind.TIMESTAMP, 6)),  # of no zone: which instant would it be?
    (t(Kind.DATE), t(Kind.TIMESTAMP, 0)),
    (t(Kind.INTEGER, 64), t(Kind.DECIMAL, 10, 0)),
    (t(Kind.JSON), t(Kind.TEXT)),
    (t(Kind.TEXT, 63), t(Kind.INTERVAL)),
    (t(Kind.TEXT, 49, native="postgresql:inet"), t(Kind.TEXT, 10)),
    (t(Kind.ENUM, native="mysql:enum('a')"), t(Kind.ENUM, native="mysql:enum('a','b')")),
    (t(Kind.INTEGER, 16, native="mysql:year"), t(Kind.INTEGER, 8)),
    (t(Kind.GEOMETRY, native="mysql:point"), t(Kind.GEOMETRY)),
    (t(Kind.ARRAY, native="postgresql:text[]"), t(Kind.TEXT)),
    (t(Kind.UUID), t(Kind.TEXT, 36)),
    (t(Kind.BOOLEAN), t(Kind.INTEGER, 8)),
]


@pytest.mark.parametrize(("column", "value"), HOLDS, ids=str)
def test_a_column_that_is_as_wide_can_hold_every_value(column: ColumnType, value: ColumnType) -> None:
    assert column.can_hold(value)


@pytest.mark.parametrize(("column", "value"), DOES_NOT_HOLD, ids=str)
def test_a_column_that_would_change_or_refuse_a_value_cannot_hold_it(column: ColumnType, value: ColumnType) -> None:
    assert not column.can_hold(value)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_type_can_hold_itself(kind: Kind) -> None:
    assert ColumnType(kind).can_hold(ColumnType(kind))


def integers() -> st.SearchStrategy[ColumnType]:
    return st.builds(ColumnType, st.just(Kind.INTEGER), st.sampled_from([8, 16, 24, 32, 64]), unsigned=st.booleans())


def range_of(integer: ColumnType) -> tuple[int, int]:
    bits = integer.size or 64
    return (0, 2**bits - 1) if integer.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@given(integers(), integers())
def test_integers_hold_one_another_exactly_as_their_ranges_do(column: ColumnType, value: ColumnType) -> None:
    (low, high), (least, most) = range_of(column), range_of(value)
    assert column.can_hold(value) == (low <= least and most <= high)


def test_types_read_well_in_a_message() -> None:
    assert str(t(Kind.DECIMAL, 10, 2)) == "decimal(10, 2)"
    assert str(t(Kind.INTEGER, 64, unsigned=True)) == "unsigned integer(64)"
    assert str(t(Kind.TEXT)) == "text"


names = st.text(min_size=1, max_size=20)
types = st.builds(
    ColumnType,
    st.sampled_from(Kind),
    st.none() | st.integers(0, 1000),
    st.none() | st.integers(0, 30),
    unsigned=st.booleans(),
    fixed=st.booleans(),
)
columns = st.builds(Column, names, names, st.none() | types, st.booleans(), st.booleans())
shapes = st.builds(
    TableShape, st.builds(TableId, names, names), st.lists(columns, max_size=5).map(tuple), st.lists(names).map(tuple)
)


@given(shapes)
def test_a_shape_survives_the_state_tables(shape: TableShape) -> None:
    assert TableShape.from_json(shape.to_json()) == shape


USERS = TableShape(
    TableId("shop", "users"),
    (Column("id", "int", t(Kind.INTEGER, 32), nullable=False), Column("name", "varchar(9)", t(Kind.TEXT, 9))),
    ("id",),
)


def test_the_fingerprint_changes_with_every_change_of_a_column_or_the_key() -> None:
    identity, name = USERS.columns
    changed = [
        replace(USERS, key=()),
        replace(USERS, columns=(identity,)),
        replace(USERS, columns=(name, identity)),
        replace(USERS, columns=(identity, replace(name, name="nick"))),
        replace(USERS, columns=(identity, replace(name, declared="varchar(10)"))),
        replace(USERS, columns=(identity, replace(name, nullable=False))),
    ]
    fingerprints = {shape.fingerprint for shape in [USERS, *changed]}
    assert len(fingerprints) == len(changed) + 1


def test_the_fingerprint_ignores_what_does_not_matter() -> None:
    identity, name = USERS.columns
    assert replace(USERS, columns=(identity, replace(name, has_default=True))).fingerprint == USERS.fingerprint


def test_a_column_without_a_mapping_never_gets_past_step_1() -> None:
    with pytest.raises(TypeError, match=r"column p \(point\).*step 1"):
        _ = Column("p", "point", None).canonical


def test_a_position_survives_the_state_tables() -> None:
    position = Position({"file": "binlog.000003", "pos": 157, "gtids": "a:1-5"})
    assert Position.from_text(position.to_text()) == position


def test_two_tables_are_equal_if_rows_and_checksums_are() -> None:
    table = TableId("shop", "users")
    assert Comparison(table, table, 2, 2, "ab", "ab").equal
    assert not Comparison(table, table, 2, 3, "ab", "ab").equal
    assert not Comparison(table, table, 2, 2, "ab", "ac").equal


def test_problems_are_the_checks_that_failed() -> None:
    bad = Check("wal_level", "is replica")
    assert problems([Check("fine"), bad]) == [bad]
