"""Types of columns, and values of them: those of the tests' own list, and hostile ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from cdc_pipeline_tests.fuzz.draft import Values
from cdc_pipeline_tests.fuzz.features import LIKE_MYSQL, MYSQL, POSTGRESQL, Feature, add
from cdc_pipeline_tests.fuzz.maker import Maker
from cdc_pipeline_tests.fuzz.plan import Column, Raw
from cdc_pipeline_tests.values import CASES, FAMILY, Case

_BASE = {"INT", "VARCHAR(50)", "TEXT", "DECIMAL(20, 5)", "DATETIME(6)", "integer", "varchar(50)", "text", "timestamp"}
_LONGEST = 2000
_PREFIX = {"mysql": "my", "postgresql": "pg"}


# What must be there before a PostgreSQL table can have the type.
_SET_UP = {
    "hstore": "CREATE EXTENSION IF NOT EXISTS hstore",
    "citext": "CREATE EXTENSION IF NOT EXISTS citext",
    "ltree": "CREATE EXTENSION IF NOT EXISTS ltree",
    "mood": "CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'ü')",
    "pair": "CREATE TYPE pair AS (a integer, b text)",
    "positive": "CREATE DOMAIN positive AS integer CHECK (value > 0)",
    "price": "CREATE DOMAIN price AS numeric(10, 2)",
    "numbers_domain": "CREATE DOMAIN numbers_domain AS integer[]",
}


def _require(maker: Maker, feature: str, declared: str) -> None:
    if declared == "hostile_domain":
        maker.require(feature, _SET_UP["hostile"], "CREATE DOMAIN hostile_domain AS hostile")
    words = re.findall("[a-z_]+", declared) if maker.source == POSTGRESQL else []
    maker.require(feature, *(_SET_UP[word] for word in words if word in _SET_UP))


def _slug(declared: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", declared.lower().replace("[]", " array").replace("-", "m")).strip("_")[:40]


def _of_case(case: Case, name: str) -> Callable[[Maker, str], Values]:
    def make(maker: Maker, column: str) -> Values:
        _require(maker, name, case.declared)
        literals = [each for each in case.values_for(FAMILY[maker.target]) if len(each) < _LONGEST]
        return Values(Column(column, case.declared, name), literals or ["NULL"])

    return make


for _family, _sources in (("mysql", LIKE_MYSQL), ("postgresql", (POSTGRESQL,))):
    for _case in CASES[_family]:
        _name = f"{_PREFIX[_family]}_{_slug(_case.declared)}"
        add(Feature(_name, "type", _of_case(_case, _name), 6, _sources, base=_case.declared in _BASE))


def _type(name: str, declared: str, literals: Sequence[str], **values: Any) -> None:
    def make(maker: Maker, column: str) -> Values:
        _require(maker, name, declared)
        return Values(Column(column, declared, name), literals)

    add(Feature(name, "type", make, **{"weight": 6, **values}))


_MY: dict[str, Any] = {"sources": LIKE_MYSQL}
_PG: dict[str, Any] = {"sources": (POSTGRESQL,)}

# -- labels -----------------------------------------------------------------------------------------------------------

_LABELS = ["c,d", "it's", 'say "x"', "b\\c", " x", "(y)", "1", "NULL", "ü😀", "{e}", "\t", "a=b", "%s"]


def _sql(text: str, family: str) -> str:
    escaped = text.replace("'", "''")
    return "'" + (escaped.replace("\\", "\\\\").replace("\t", "\\t") if family == MYSQL else escaped) + "'"


_ENUM = ", ".join(_sql(label, MYSQL) for label in _LABELS)
_PLAIN = [label for label in _LABELS if label not in ("c,d", "b\\c")]
_SET_UP["hostile"] = f"CREATE TYPE hostile AS ENUM ({', '.join(_sql(label, POSTGRESQL) for label in _LABELS)})"
_type(
    "my_enum_labels",
    f"ENUM({_ENUM})",
    [_sql(each, MYSQL) for each in _LABELS],
    **_MY,
    known="a comma in a label arrives with a backslash",
)
_type(
    "my_enum_plain_labels",
    f"ENUM({', '.join(_sql(each, MYSQL) for each in _PLAIN)})",
    [_sql(each, MYSQL) for each in _PLAIN],
    **_MY,
)
_type("my_enum_empty_label", "ENUM('', 'a')", ["''", "'a'"], **_MY)
_type("my_enum_numbers", "ENUM('2', '1', '0')", ["'2'", "'1'", "'0'", "1"], **_MY)
_type("my_enum_padded", "ENUM('a', 'b') CHARACTER SET latin1", ["'a '", "'B'"], **_MY)
_type("my_set_labels", "SET('it''s', 'b\\\\c', ' x', '(y)', 'ü')", ["'b\\\\c,it''s'", "' x,(y)'", "'ü'", "''"], **_MY)
_type("pg_enum_labels", "hostile", [_sql(each, POSTGRESQL) for each in _LABELS], **_PG)
_type(
    "pg_enum_array_labels",
    "hostile[]",
    ["ARRAY['c,d', 'it''s']::hostile[]", "ARRAY['NULL', NULL]::hostile[]", "ARRAY['{e}', 'b\\c']::hostile[]", "'{}'"],
    **_PG,
    known="an array of an enumeration with the label NULL arrives as NULL",
)

# -- texts ------------------------------------------------------------------------------------------------------------

MARKERS = [
    "'__cdc_pipeline_unavailable_7f1c9d2e__'",
    "'__debezium_unavailable_value'",
    "'NULL'",
    "'null'",
    "'\\\\N'",
    "'\\\\.'",
    "'\\\\x00'",
    "'{}'",
    "'${file:/etc/hostname}'",
    "'%s %(x)s {0} :x ?'",
    "'1970-01-01'",
    "'a\tb\nc\rd'",
    "'\x01\x7f'",
    "'\u2028\u00a0\ufeff'",
]
_PG_MARKERS = [each.replace("\\\\", "\\") for each in MARKERS]
_MARKS = "the text by which the stream knows values that were not logged"
_type("my_markers", "VARCHAR(100)", MARKERS, **_MY)
_type("pg_markers", "text", _PG_MARKERS[1:], **_PG)
_type("pg_own_marker", "text", _PG_MARKERS[:1], **_PG, known=_MARKS)
_type("my_padded_text", "VARCHAR(20)", ["'a'", "'a '", "'a  '", "' a'", "'A'", "''", "' '"], **_MY)
_type("pg_padded_text", "varchar(20)", ["'a'", "'a '", "'a  '", "' a'", "'A'", "''", "' '"], **_PG)
_type("my_text_ascii", "VARCHAR(20) CHARACTER SET ascii", ["'abc'", "''"], **_MY)
_type("my_text_ucs2", "VARCHAR(20) CHARACTER SET ucs2", ["'ä'", "'中'"], **_MY)
_type("my_text_utf32", "VARCHAR(20) CHARACTER SET utf32", ["'😀'", "'ä'"], **_MY)
_type("my_text_utf8mb3", "VARCHAR(20) CHARACTER SET utf8", ["'中'", "'ä'"], **_MY)
_type("my_latin1_c1", "VARCHAR(20) CHARACTER SET latin1", ["x'80'", "x'8d'", "x'9d81'", "'€'"], **_MY)
_type("my_tinytext", "TINYTEXT", ["'t'", "REPEAT('ü', 127)"], **_MY)
_type("my_mediumtext", "MEDIUMTEXT", ["'m'", "REPEAT('m ', 9000)"], **_MY)
_type("my_varbinary_text", "VARBINARY(30)", ["'NULL'", "x'80ff00'", "''", "'\\\\N'"], **_MY)
_type("my_tinyblob", "TINYBLOB", ["x'00ff'"], **_MY)
_type("pg_collated", 'text COLLATE "C"', ["'ä'", "'z'", "'Z'"], **_PG)
_type("pg_compressed", "text COMPRESSION pglz", ["repeat('x', 9000)", "'short'"], **_PG)

# -- numbers ----------------------------------------------------------------------------------------------------------

_type("my_boolean_two", "TINYINT(1)", ["2", "-1", "0"], sources=LIKE_MYSQL, targets=LIKE_MYSQL)
_type("my_zerofill", "DECIMAL(8, 2) ZEROFILL", ["1.5", "0"], **_MY)
_type("my_negative_zero", "DOUBLE", ["-0e0", "0", "1.7976931348623157e308", "4.9e-324"], **_MY)
_type("my_float_digits", "FLOAT", ["0.3", "123456.78", "1e-45", "16777217", "3.402823e38"], **_MY)
_type("my_bit_8", "BIT(8)", ["b'0'", "b'11111111'", "b'1'"], **_MY)
_type("my_serial_like", "BIGINT UNSIGNED", ["9223372036854775807", "9223372036854775808", "0"], **_MY)
_type("pg_numeric_scale", "numeric", ["1.0", "1.00", "1", "0.000", "-0.10", "100000000000000000000.0001"], **_PG)
_type("pg_numeric_wide", "numeric(1000, 500)", ["1e400", "1e-400"], sources=(POSTGRESQL,), targets=(POSTGRESQL,))
_type(
    "pg_nan",
    "double precision",
    ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'"],
    sources=(POSTGRESQL,),
    targets=(POSTGRESQL,),
)
_type("pg_numeric_nan", "numeric", ["'NaN'", "'Infinity'", "1e100"], sources=(POSTGRESQL,), targets=(POSTGRESQL,))
_type("pg_money_negative", "money", ["'-0.01'", "'0'"], **_PG)

# -- times ------------------------------------------------------------------------------------------------------------

_type("my_datetime_1", "DATETIME(1)", ["'2024-02-29 23:59:59.9'", "'0001-01-01 00:00:00'"], **_MY)
_type("my_timestamp_dst", "TIMESTAMP NULL", ["'2024-03-31 01:30:00'", "'2024-10-27 00:30:00'"], **_MY)
_type(
    "my_timestamp_first", "TIMESTAMP(6) NULL", ["'1970-01-01 00:00:01.000001'", "'2038-01-19 03:14:07.999999'"], **_MY
)
_type(
    "my_time_wide",
    "TIME(6)",
    ["'-838:59:59'", "'838:59:59'", "'-00:00:00.000001'"],
    sources=LIKE_MYSQL,
    targets=LIKE_MYSQL,
)


def _lax_dates(name: str, declared: str, literals: Sequence[str], mode: str) -> None:
    """Dates that only a session takes that is told to."""

    def make(maker: Maker, column: str) -> Values:
        maker.rows.insert(0, maker.sql(name, Raw(f"SET SESSION sql_mode = '{mode}'")))
        return Values(Column(column, declared, name), literals)

    add(Feature(name, "type", make, 6, LIKE_MYSQL))


_lax_dates("my_zero_dates", "DATE", ["'0000-00-00'", "'2024-00-00'", "'2024-02-00'", "'2024-02-29'"], "")
_lax_dates("my_zero_datetimes", "DATETIME(3)", ["'0000-00-00 00:00:00'", "'2024-00-10 01:02:03.5'"], "")
_lax_dates("my_invalid_dates", "DATE", ["'2023-02-31'", "'2024-02-29'"], "ALLOW_INVALID_DATES")
_type(
    "pg_date_era",
    "date",
    ["'0044-03-15 BC'", "'infinity'", "'-infinity'", "'5874897-12-31'"],
    sources=(POSTGRESQL,),
    targets=(POSTGRESQL,),
)
_type(
    "pg_timestamp_era",
    "timestamp",
    ["'0044-03-15 01:02:03.5 BC'", "'infinity'", "'294276-12-31 23:59:59.999999'"],
    sources=(POSTGRESQL,),
    targets=(POSTGRESQL,),
)
_type("pg_timestamptz_old", "timestamptz", ["'1883-11-18 12:00:00-05'", "'0001-01-01 00:00:00+00'"], **_PG)
_type(
    "pg_interval_mixed",
    "interval",
    ["'-1 year 1 day'", "'1 mon -1 day +02:03:00'", "'-00:00:00.000001'", "'1 year -13 mons'"],
    **_PG,
)
_type("pg_time_24", "time(3)", ["'24:00:00'", "'23:59:59.9999'"], **_PG)

# -- documents and the rest -------------------------------------------------------------------------------------------

_type(
    "my_json_opaque",
    "JSON",
    ["JSON_OBJECT('b', CAST('xyz' AS BINARY))"],
    **_MY,
    known="a binary in JSON loses its prefix",
)
_type(
    "my_json_times",
    "JSON",
    ["JSON_OBJECT('d', CAST('2024-01-01' AS DATE), 't', CAST('2024-01-01 01:02:03' AS DATETIME(6)))"],
    **_MY,
)
_type(
    "my_json_numbers",
    "JSON",
    [
        "JSON_OBJECT('n', CAST(1 AS DECIMAL(10, 2)), 'u', 18446744073709551615)",
        '\'{"x": 1e3, "y": -0.0, "z": 0.1}\'',
        "'[1.0, 1, true, null, \"1\"]'",
    ],
    **_MY,
)
_type(
    "my_json_texts",
    "JSON",
    ["'\"\\\\u0000\"'", '\'{"": "", "a\\\\"b": "\\\\\\\\"}\'', "'\"null\"'", "'null'"],
    sources=LIKE_MYSQL,
    targets=LIKE_MYSQL,
)
_type("my_point_srid", "POINT SRID 4326", ["ST_GeomFromText('POINT(1 2)', 4326)"], sources=(MYSQL,))
_type("pg_json_null", "jsonb", ["'null'", "'\"null\"'", "'{}'", "'[null]'", "'1e-7'", "'{\"\": 1}'"], **_PG)
_type("pg_json_kept", "json", ["'null'", '\' { "a" : 1 , "a" : 2 } \'', "'\"\\u0041\"'"], **_PG)
_type("pg_dimensions", "integer[]", ["'{{1,2},{3,4}}'", "'{}'"], **_PG)
_type(
    "pg_text_array_hostile",
    "text[]",
    ["ARRAY['NULL', NULL, '', ' ', 'a,b', '{}', '\"', '\\']", "'{}'", "ARRAY[NULL]::text[]"],
    **_PG,
)
_type("pg_composite_null", "pair", ["'(1,)'", "'(,x)'", "'(,)'", "'(1,\"a,b\")'"], **_PG)
_type(
    "pg_domain_enum",
    "hostile_domain",
    ["'it''s'", "'c,d'"],
    **_PG,
    known="a domain over an enumeration ends the connector",
)
_type("pg_domain_array", "numbers_domain", ["'{1,2}'", "'{NULL}'"], **_PG)
_type("pg_varbit", "bit varying(10)", ["B'101'", "B''"], **_PG)
_type("pg_interval_array", "interval[]", ["'{1 day}'"], **_PG)
_type("pg_numeric_array", "numeric[]", ["'{1.5}'"], **_PG)
_type("pg_regclass", "regclass", ["'pg_class'"], **_PG)
_type("pg_snapshot", "pg_snapshot", ["'10:20:10,14'"], **_PG)
_type("pg_oidvector", "oidvector", ["'1 2'"], **_PG)
_type("pg_range_hostile", "numrange", ["'empty'", "'(,)'", "'[1.0,2.00]'"], **_PG)
