"""What another database can have of a definition: names, lengths, defaults, uniqueness. Pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_pipeline.databases.definition import (
    Definer,
    Expression,
    Index,
    Literal,
    Now,
    Part,
    candidates,
    fit,
    shortened,
)
from cdc_pipeline.databases.mysql import definition as mysql
from cdc_pipeline.databases.mysql.catalogue import quoted as mysql_quoted
from cdc_pipeline.databases.postgresql import catalogue as postgresql_catalogue
from cdc_pipeline.databases.postgresql import definition as postgresql
from cdc_pipeline.model import Column, ColumnType, Kind, TableId, TableShape

MYSQL, POSTGRESQL = mysql.MySqlDefiner(), postgresql.PostgreSqlDefiner()
DEFINERS = [pytest.param(MYSQL, id="mysql"), pytest.param(POSTGRESQL, id="postgresql")]

INTEGER = ColumnType(Kind.INTEGER, 32)
LONG = ColumnType(Kind.TEXT)


def text(size: int) -> ColumnType:
    return ColumnType(Kind.TEXT, size)


# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definer", "name", "legal"),
    [
        (MYSQL, "n" * 64, "n" * 64),
        (POSTGRESQL, "n" * 63, "n" * 63),
        (MYSQL, 'Größe `x` "y"', 'Größe `x` "y"'),
        (POSTGRESQL, 'Größe `x` "y"', 'Größe `x` "y"'),
        (POSTGRESQL, "ends in a blank ", "ends in a blank "),
    ],
)
def test_a_legal_name_stays(definer: Definer, name: str, legal: str) -> None:
    assert definer.legal(name) == legal


@pytest.mark.parametrize("name", ["n" * 65, "ends in a blank ", "smile😀", "PRIMARY", "primary", " ", ""])
def test_what_mysql_cannot_call_an_index_gets_another_name(name: str) -> None:
    legal = MYSQL.legal(name)
    assert legal != name
    assert 0 < len(legal) <= 64
    assert legal == legal.rstrip()
    assert max(legal) <= "\uffff"


@pytest.mark.parametrize("name", ["n" * 64, "ä" * 32, "😀" * 16])
def test_a_name_of_postgresql_has_63_bytes(name: str) -> None:
    legal = POSTGRESQL.legal(name)
    assert legal != name
    assert len(legal.encode()) <= 63


@given(st.text(min_size=1, max_size=100), st.text(min_size=1, max_size=100))
def test_different_names_stay_different(one: str, other: str) -> None:
    def in_bytes(name: str) -> int:
        return len(name.encode(errors="surrogatepass"))

    if one != other and in_bytes(one) == len(one) and in_bytes(other) == len(other):
        assert shortened(one, 63, in_bytes) != shortened(other, 63, in_bytes)


def test_a_name_is_given_to_one_thing_only() -> None:
    names = ["n", "N", "t_n"]
    in_mysql = [list(candidates(name, "t", names, MYSQL)) for name in names]
    flat = [name.lower() for possible in in_mysql for name in possible]
    assert len(flat) == len(set(flat))
    assert in_mysql[0][0] == "n"
    assert "N" in list(candidates("N", "t", names, POSTGRESQL))
    assert "t_n" not in list(candidates("n", "t", names, POSTGRESQL))


# -- lengths ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("types", "lengths", "cut"),
    [
        ((INTEGER, text(100)), (None, None), False),
        ((text(700), text(68)), (None, None), False),  # 3,072 bytes
        ((text(700), text(69)), (699, None), True),
        ((LONG,), (768,), True),
        ((LONG, INTEGER), (758, None), True),
        ((LONG, LONG), (384, 384), True),
        ((text(10), LONG), (None, 758), True),
    ],
)
def test_short_columns_stay_whole_and_long_ones_share_the_room(
    types: tuple[ColumnType, ...], lengths: tuple[int | None, ...], cut: bool
) -> None:
    parts = [Part(f"c{number}") for number in range(len(types))]
    fitted, is_cut = fit(parts, {f"c{number}": type for number, type in enumerate(types)}, 3072)
    assert tuple(part.length for part in fitted) == lengths
    assert is_cut == cut


def test_the_source_s_own_prefix_is_no_cut() -> None:
    fitted, cut = fit([Part("c", length=20)], {"c": LONG}, 3072)
    assert (fitted[0].length, cut) == (20, False)


@given(
    st.lists(
        st.sampled_from(
            [INTEGER, LONG, text(5), text(255), text(2000), ColumnType(Kind.BINARY), ColumnType(Kind.ENUM)]
        ),
        min_size=1,
        max_size=16,
    )
)
def test_an_entry_never_takes_more_than_there_is(types: list[ColumnType]) -> None:
    parts = [Part(f"c{number}") for number in range(len(types))]
    by_name = {f"c{number}": type for number, type in enumerate(types)}
    fitted, cut = fit(parts, by_name, 2600)
    again, cut_again = fit(fitted, by_name, 2600)
    assert again == fitted
    assert not cut_again
    assert cut == (fitted != tuple(parts))


# -- indexes ------------------------------------------------------------------------------------------------------


def shape(*columns: Column) -> TableShape:
    return TableShape(TableId("s", "t"), columns)


PLAIN = Column("c", "character varying(20)", text(20))
IN_MYSQL = Column("c", "varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", text(20))
UNIQUE = Index("u", (Part("c"),), unique=True)


@pytest.mark.parametrize(
    ("part", "declared", "stays"),
    [
        (Part("c"), "utf8mb4_bin", False),
        (Part("c", pads=True), "utf8mb4_bin", True),
        (Part("c"), "utf8mb4_0900_bin", True),
        (Part("c"), "utf8mb4_nopad_bin", True),
        (Part("c", pads=True), "utf8mb4_general_ci", False),  # a table of somebody else's
    ],
)
def test_a_unique_text_stays_unique_where_the_target_tells_as_much_apart(
    part: Part, declared: str, stays: bool
) -> None:
    target = shape(Column("c", f"varchar(20) CHARACTER SET utf8mb4 COLLATE {declared}", text(20)))
    planned, note = MYSQL.plan(Index("u", (part,), unique=True), "postgresql", shape(PLAIN), target)
    assert planned is not None
    assert planned.unique == stays
    assert bool(note) != stays


def test_a_unique_number_stays_unique() -> None:
    number = shape(Column("c", "integer", INTEGER))
    for definer, family in ((MYSQL, "postgresql"), (POSTGRESQL, "mysql")):
        assert definer.plan(UNIQUE, family, number, number) == (UNIQUE, "")


def test_an_index_over_json_is_left_out() -> None:
    json = shape(Column("c", "json", ColumnType(Kind.JSON, 64, fixed=True)))
    for definer in (MYSQL, POSTGRESQL):
        planned, note = definer.plan(UNIQUE, "another", json, json)
        assert planned is None
        assert "cannot index column c" in note


def test_an_index_over_a_column_that_the_target_lacks_is_left_out() -> None:
    planned, note = MYSQL.plan(UNIQUE, "postgresql", shape(PLAIN), shape())
    assert (planned, note) == (None, "the target has no column c")


def test_a_database_without_a_definer_gets_none() -> None:
    assert Definer().plan(UNIQUE, "mysql", shape(PLAIN), shape(PLAIN))[0] is None


# -- defaults -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("default", "type", "declared", "sql"),
    [
        (Literal("it's \\"), text(10), "VARCHAR(10)", "'it''s \\\\'"),
        (Literal("x"), LONG, "LONGTEXT CHARACTER SET utf8mb4", "('x')"),
        (Literal("\\x00ff"), ColumnType(Kind.BINARY, 5), "VARBINARY(5)", "x'00ff'"),
        (Literal("101"), ColumnType(Kind.BITS, 3), "BIT(3)", "b'101'"),
        (Now(3), ColumnType(Kind.TIMESTAMP, 3), "DATETIME(3)", "CURRENT_TIMESTAMP(3)"),
        (Now(0), ColumnType(Kind.TIMESTAMP, 3), "DATETIME(3)", "(CURRENT_TIMESTAMP(0))"),
        (Now(6), ColumnType(Kind.INSTANT, 6), "DATETIME(6)", "(UTC_TIMESTAMP(6))"),
        (Now(6), ColumnType(Kind.INSTANT, 6), "TIMESTAMP(6)", "CURRENT_TIMESTAMP(6)"),
        (Now(6, utc=True), ColumnType(Kind.TIMESTAMP, 6), "DATETIME(6)", "(UTC_TIMESTAMP(6))"),
        (Now(0), ColumnType(Kind.DATE), "DATE", "(CURRENT_DATE)"),
        (Expression("uuid()"), text(36), "CHAR(36)", "(uuid())"),
    ],
)
def test_defaults_of_mysql(default: Literal | Now | Expression, type: ColumnType, declared: str, sql: str) -> None:
    assert mysql.default_sql(default, type, declared) == sql


@pytest.mark.parametrize(
    ("default", "type", "sql"),
    [
        (Literal("it's \\"), text(10), "'it''s \\'"),
        (Now(3), ColumnType(Kind.TIMESTAMP, 3), "CURRENT_TIMESTAMP(3)"),
        (Now(3, utc=True), ColumnType(Kind.TIMESTAMP, 3), "timezone('utc', CURRENT_TIMESTAMP(3))"),
        (Now(3, utc=True), ColumnType(Kind.INSTANT, 3), "CURRENT_TIMESTAMP(3)"),
        (Now(0), ColumnType(Kind.DATE), "CURRENT_DATE"),
        (Expression("gen_random_uuid()"), ColumnType(Kind.UUID), "gen_random_uuid()"),
    ],
)
def test_defaults_of_postgresql(default: Literal | Now | Expression, type: ColumnType, sql: str) -> None:
    assert postgresql.default_sql(default, type) == sql


@given(st.text())
def test_no_text_ends_its_own_quotes(value: str) -> None:
    inside = mysql_quoted(value)[1:-1].replace("\\\\", "").replace("''", "")
    assert "'" not in inside
    assert "\\" not in inside
    assert "'" not in postgresql.quoted(value)[1:-1].replace("''", "")


@pytest.mark.parametrize(
    ("sql", "type", "moment"),
    [
        ("now()", ColumnType(Kind.INSTANT, 6), Now(6)),
        ("CURRENT_TIMESTAMP(3)", ColumnType(Kind.INSTANT, 6), Now(3)),
        ("CURRENT_TIMESTAMP", ColumnType(Kind.TIMESTAMP, 0), Now(0)),
        ("timezone('utc'::text, now())", ColumnType(Kind.TIMESTAMP, 6), Now(6, utc=True)),
        ("(now() AT TIME ZONE 'utc'::text)", ColumnType(Kind.TIMESTAMP, 6), Now(6, utc=True)),
        ("CURRENT_DATE", ColumnType(Kind.DATE), Now(0)),
        ("(now() + '1 day'::interval)", ColumnType(Kind.INSTANT, 6), None),
        ("now()", text(10), None),
    ],
)
def test_what_postgresql_calls_now(sql: str, type: ColumnType, moment: Now | None) -> None:
    assert postgresql_catalogue._moment(sql, type) == moment


def test_only_one_column_numbers_itself_in_mysql_and_none_that_may_be_null() -> None:
    columns = [Column(name, "bigint", INTEGER, nullable=name == "maybe") for name in ("maybe", "other", "id")]
    table = TableShape(TableId("s", "t"), tuple(columns), ("id",))
    types = dict.fromkeys(table.names, "BIGINT")
    chosen, note = mysql._numbering(table, types, ("maybe", "other", "id"))
    assert chosen == "id"
    assert note == "not AUTO_INCREMENT: maybe, other"
