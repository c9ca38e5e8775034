"""SQL of both dialects: names that cannot break out of their quotes, and types that come back as they went."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.databases.mysql.dialect import MySqlDialect, load_data
from cdc_pipeline.databases.postgresql.dialect import PostgreSqlDialect
from cdc_pipeline.model import Column, ColumnType, Kind, TableId, TableShape

MYSQL, POSTGRESQL = MySqlDialect(), PostgreSqlDialect()
DIALECTS = [pytest.param(MYSQL, id="mysql"), pytest.param(POSTGRESQL, id="postgresql")]

# How PostgreSQL's catalogue (format_type) spells what CREATE TABLE may write shorter.
CATALOGUE = {"varchar": "character varying", "char": "character", "timestamptz": "timestamp with time zone",
             "timestamp": "timestamp without time zone", "time": "time without time zone"}  # fmt: skip


def as_catalogue(dialect: Dialect, declared: str) -> str:
    if dialect is MYSQL:
        return declared.lower()
    name, bracket, size = declared.partition("(")
    words, _, zone = CATALOGUE.get(name, name).partition(" with")
    return f"{words}{bracket}{size.replace(', ', ',')}" + (f" with{zone}" if zone else "")


# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "name", "quoted"),
    [
        (MYSQL, "users", "`users`"),
        (MYSQL, "a`b", "`a``b`"),
        (MYSQL, 'a"b', '`a"b`'),
        (MYSQL, "100%", "`100%`"),
        (MYSQL, "größe", "`größe`"),
        (POSTGRESQL, "users", '"users"'),
        (POSTGRESQL, 'a"b', '"a""b"'),
        (POSTGRESQL, "a`b", '"a`b"'),
        (POSTGRESQL, "100%", '"100%"'),
        (POSTGRESQL, "größe", '"größe"'),
        (POSTGRESQL, "Users; DROP TABLE x", '"Users; DROP TABLE x"'),
    ],
)
def test_a_name_is_quoted(dialect: Dialect, name: str, quoted: str) -> None:
    assert dialect.quote(name) == quoted


@pytest.mark.parametrize("dialect", DIALECTS)
@given(name=st.text(alphabet="a`\"%'\\;ß ", min_size=1))
def test_no_name_ends_its_own_quotes(dialect: Dialect, name: str) -> None:
    quoted = dialect.quote(name)
    quote = quoted[0]
    assert quoted[-1] == quote
    assert quoted[1:-1].replace(quote * 2, "").count(quote) == 0
    assert quoted[1:-1].replace(quote * 2, quote) == name


def test_a_temporary_table_has_no_schema() -> None:
    assert POSTGRESQL.table(TableId("", "_stage")) == '"_stage"'
    assert POSTGRESQL.table(TableId("s", "t")) == '"s"."t"'


# -- statements ---------------------------------------------------------------------------------------------------

ORDERS = TableShape(
    TableId("shop", "orders"),
    (
        Column("id", "bigint unsigned", ColumnType(Kind.INTEGER, 64, unsigned=True), nullable=False),
        Column("co`de", "varchar(20)", ColumnType(Kind.TEXT, 20), nullable=False),
        Column('no"te %', "text", ColumnType(Kind.TEXT)),
    ),
    ("id", "co`de"),
)


def test_a_table_of_mysql_is_made_with_its_key() -> None:
    assert MYSQL.create_table(TableId("dwh", "orders"), ORDERS) == (
        "CREATE TABLE `dwh`.`orders` (\n"
        "  `id` BIGINT UNSIGNED NOT NULL,\n"
        "  `co``de` VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,\n"
        '  `no"te %` LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,\n'
        "  PRIMARY KEY (`id`, `co``de`)\n"
        ")"
    )


def test_a_table_of_postgresql_is_made_with_its_key() -> None:
    assert POSTGRESQL.create_table(TableId("dwh", "orders"), ORDERS) == (
        'CREATE TABLE "dwh"."orders" (\n'
        '  "id" numeric(20, 0) NOT NULL,\n'
        '  "co`de" varchar(20) NOT NULL,\n'
        '  "no""te %" text,\n'
        '  PRIMARY KEY ("id", "co`de")\n'
        ")"
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_table_without_a_key_is_made_without_one(dialect: Dialect) -> None:
    shape = TableShape(ORDERS.table, ORDERS.columns[:1])
    assert "PRIMARY KEY" not in dialect.create_table(shape.table, shape)


@pytest.mark.parametrize("kind", [Kind.TEXT, Kind.JSON, Kind.BINARY])
def test_a_key_of_mysql_is_short_enough_for_an_index(kind: Kind) -> None:
    unlimited = MYSQL.column_type(ColumnType(kind), in_key=False)
    assert unlimited.startswith("LONG")
    if kind is not Kind.JSON:  # no database has a JSON key
        assert MYSQL.column_type(ColumnType(kind), in_key=True).startswith(("VARCHAR(255)", "VARBINARY(255)"))


def test_the_select_list_reads_each_column_in_its_canonical_text() -> None:
    columns = (
        Column("a", "int", ColumnType(Kind.INTEGER, 32)),
        Column("b", "blob", ColumnType(Kind.BINARY)),
        Column("c", "bit(4)", ColumnType(Kind.BITS, 4, fixed=True)),
        Column("d", "float", ColumnType(Kind.FLOAT, 32)),
    )
    assert MYSQL.select(TableShape(TableId("s", "t"), columns)) == (
        "SELECT `a`, CONCAT('\\\\x', LOWER(HEX(`b`))), LPAD(BIN(`c`), 4, '0'), `d` + 0e0 FROM `s`.`t`"
    )
    columns = (
        Column("a", "boolean", ColumnType(Kind.BOOLEAN)),
        Column("b", "timestamp with time zone", ColumnType(Kind.INSTANT, 6)),
        Column("c", "text", ColumnType(Kind.TEXT)),
    )
    assert POSTGRESQL.select(TableShape(TableId("s", "t"), columns)) == (
        'SELECT "a"::int, "b" AT TIME ZONE \'UTC\', "c" FROM "s"."t"'
    )


def test_load_data_converts_what_the_text_is_not_the_value_of() -> None:
    columns = [
        ("id", ColumnType(Kind.INTEGER, 32)), ("da`ta", ColumnType(Kind.BINARY)), ("flags", ColumnType(Kind.BITS, 4)),
    ]  # fmt: skip
    assert load_data(MYSQL, TableId("s", "t"), columns, "/dev/fd/9") == (
        "LOAD DATA LOCAL INFILE '/dev/fd/9' INTO TABLE `s`.`t` CHARACTER SET utf8mb4 "
        r"FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' (`id`, @v1, @v2)"
        " SET `da``ta` = UNHEX(SUBSTR(@v1, 3)), `flags` = CAST(CONV(@v2, 2, 10) AS UNSIGNED)"
    )


# -- types --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "type"),
    [
        ("tinyint(1)", ColumnType(Kind.BOOLEAN)),
        ("tinyint(1) unsigned", ColumnType(Kind.INTEGER, 8, unsigned=True)),
        ("tinyint(4)", ColumnType(Kind.INTEGER, 8)),
        ("int", ColumnType(Kind.INTEGER, 32)),
        ("int(10) unsigned zerofill", ColumnType(Kind.INTEGER, 32, unsigned=True)),
        ("bigint(20) unsigned", ColumnType(Kind.INTEGER, 64, unsigned=True)),
        ("decimal(10,2)", ColumnType(Kind.DECIMAL, 10, 2)),
        ("float", ColumnType(Kind.FLOAT, 32)),
        ("varchar(20)", ColumnType(Kind.TEXT, 20)),
        ("longtext", ColumnType(Kind.TEXT)),
        ("enum('a','b(1)')", ColumnType(Kind.ENUM, native="mysql:enum('a','b(1)')")),
        ("set('it''s',')')", ColumnType(Kind.TEXT, native="mysql:set('it''s',')')")),
        ("binary(16)", ColumnType(Kind.BINARY, 16, fixed=True)),
        ("bit(1)", ColumnType(Kind.BITS, 1, fixed=True)),
        ("time(3)", ColumnType(Kind.TIME, 3)),
        ("datetime", ColumnType(Kind.TIMESTAMP, 0)),
        ("timestamp(6)", ColumnType(Kind.INSTANT, 6, native="mysql:timestamp")),
        ("year", ColumnType(Kind.INTEGER, 16, native="mysql:year")),
        ("json", ColumnType(Kind.JSON, 64, fixed=True)),
        ("point", ColumnType(Kind.GEOMETRY, native="mysql:point")),
        ("varchar(9) CHARACTER SET koi8u COLLATE koi8u_general_ci", None),
        ("varchar(9) CHARACTER SET koi8r COLLATE koi8r_general_ci", ColumnType(Kind.TEXT, 9)),
    ],
)
def test_types_of_mysqls_catalogue(declared: str, type: ColumnType | None) -> None:
    assert MYSQL.canonical_type(declared) == type


@pytest.mark.parametrize(
    ("declared", "type"),
    [
        ("boolean", ColumnType(Kind.BOOLEAN)),
        ("integer", ColumnType(Kind.INTEGER, 32)),
        ("numeric", ColumnType(Kind.DECIMAL)),
        ("numeric(10,2)", ColumnType(Kind.DECIMAL, 10, 2)),
        ("double precision", ColumnType(Kind.FLOAT, 64)),
        ("character(3)", ColumnType(Kind.TEXT, 3, fixed=True)),
        ("character varying", ColumnType(Kind.TEXT)),
        ("character varying(9)", ColumnType(Kind.TEXT, 9)),
        ("bit(4)", ColumnType(Kind.BITS, 4, fixed=True)),
        ("timestamp without time zone", ColumnType(Kind.TIMESTAMP, 6)),
        ("timestamp(3) without time zone", ColumnType(Kind.TIMESTAMP, 3)),
        ("timestamp with time zone", ColumnType(Kind.INSTANT, 6)),
        ("time(0) without time zone", ColumnType(Kind.TIME, 0)),
        ("jsonb", ColumnType(Kind.JSON, fixed=True)),
        ("json", ColumnType(Kind.JSON)),
        ("uuid", ColumnType(Kind.UUID)),
        ("numeric(5,-2)", ColumnType(Kind.DECIMAL, 7, 0)),
        ("numeric(3,5)", ColumnType(Kind.DECIMAL, 5, 5)),
        ("money", ColumnType(Kind.DECIMAL, 19, 2, native="postgresql:money")),
        ("time(3) with time zone", ColumnType(Kind.TIME, 3, native="postgresql:timetz")),
        ("interval day to second(3)", ColumnType(Kind.INTERVAL)),
        ("inet", ColumnType(Kind.TEXT, 49, native="postgresql:inet")),
        ("point", ColumnType(Kind.TEXT, native="postgresql:point")),
        ('"char"', ColumnType(Kind.TEXT, 4, native='postgresql:"char"')),
        ("hstore", ColumnType(Kind.MAP)),
        (
            "character varying(5)[]",
            ColumnType(Kind.ARRAY, native="postgresql:character varying(5)[]", element=ColumnType(Kind.TEXT, 5)),
        ),
        ("numeric[]", None),
        ("interval[]", None),
        ("bit varying(5)", None),
        ("my.type", None),
    ],
)
def test_types_of_postgresqls_catalogue(declared: str, type: ColumnType | None) -> None:
    assert POSTGRESQL.canonical_type(declared) == type


EVERY_TYPE = [
    ColumnType(Kind.BOOLEAN),
    *(ColumnType(Kind.INTEGER, bits, unsigned=unsigned) for bits in (8, 16, 24, 32, 64) for unsigned in (False, True)),
    ColumnType(Kind.DECIMAL, 10, 2),
    ColumnType(Kind.DECIMAL, 65, 30),
    ColumnType(Kind.FLOAT, 32),
    ColumnType(Kind.FLOAT, 64),
    ColumnType(Kind.TEXT),
    ColumnType(Kind.TEXT, 10),
    ColumnType(Kind.TEXT, 9, fixed=True),
    ColumnType(Kind.TEXT, 20_000),
    ColumnType(Kind.ENUM),
    ColumnType(Kind.BINARY),
    ColumnType(Kind.BINARY, 16, fixed=True),
    ColumnType(Kind.BINARY, 300),
    ColumnType(Kind.BITS, 1, fixed=True),
    ColumnType(Kind.BITS, 64, fixed=True),
    ColumnType(Kind.DATE),
    *(ColumnType(kind, digits) for kind in (Kind.TIME, Kind.TIMESTAMP, Kind.INSTANT) for digits in (0, 3, 6)),
    ColumnType(Kind.JSON),
    ColumnType(Kind.UUID),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("type", EVERY_TYPE, ids=str)
def test_a_column_made_for_a_type_is_found_fit_for_it_afterwards(dialect: Dialect, type: ColumnType) -> None:
    """Else a second `start` would refuse the target table that the first one made."""
    catalogued = dialect.canonical_type(as_catalogue(dialect, dialect.column_type(type, in_key=False)))
    assert catalogued is not None
    if catalogued.kind == type.kind or catalogued.kind is Kind.TEXT:
        assert catalogued.can_hold(type)
    else:  # spelt with another kind: an unsigned BIGINT as numeric(20), an instant as DATETIME
        wider = {Kind.INTEGER: Kind.DECIMAL, Kind.INSTANT: Kind.TIMESTAMP}
        assert catalogued.kind is wider[type.kind]
        assert (catalogued.size or 0) >= (20 if type.kind is Kind.INTEGER else type.size or 0)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("type", EVERY_TYPE, ids=str)
def test_every_type_can_be_read_and_compared(dialect: Dialect, type: ColumnType) -> None:
    column = Column("a%b", "?", type)
    quoted = dialect.quote("a%b")
    assert quoted in dialect.read(column)
    assert quoted in dialect.row_hash([("a%b", type)])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_rows_are_hashed_by_a_function_that_every_server_has(dialect: Dialect) -> None:
    """MySQL has neither MD5() nor SHA1() from 9.6 on, and PostgreSQL's md5() fails where FIPS is on."""
    for columns in (
        [("a", ColumnType(Kind.INTEGER, 32))],
        [("a", ColumnType(Kind.TEXT)), ("b", ColumnType(Kind.BINARY))],
    ):
        assert not re.search("md5|sha1", dialect.row_hash(columns), re.IGNORECASE)
