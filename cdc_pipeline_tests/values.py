"""Every column type that step 1 lets pass, with its extremes, and which target refuses which of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Case:
    """A column type and values of it, as SQL literals of its database.

    `values` arrive unchanged in every target. `refused` are those that targets of a family cannot hold: the error
    names them. `lossy` are those that arrive changed, the same by copy and by stream, with the reason.
    """

    declared: str
    values: Sequence[str] = ()
    refused: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lossy: Mapping[str, str] = field(default_factory=dict)

    def values_for(self, target: str) -> list[str]:
        """What this target can hold."""
        others = [value for family, values in self.refused.items() for value in values if family != target]
        mine = set(self.refused.get(target, ()))
        unique = dict.fromkeys([*self.values, *self.lossy, *(value for value in others if value not in mine)])
        return list(unique)


ZERO_DATES = "Debezium sends NULL for a date with a zero in it, so the copy does too"
MYSQL = [
    Case("TINYINT", ["-128", "127"]),
    Case("TINYINT UNSIGNED", ["0", "255"]),
    Case("TINYINT(1)", ["0", "1"], refused={"postgresql": ["2"]}),
    Case("SMALLINT", ["-32768", "32767"]),
    Case("SMALLINT UNSIGNED", ["65535"]),
    Case("MEDIUMINT", ["-8388608", "8388607"]),
    Case("MEDIUMINT UNSIGNED", ["16777215"]),
    Case("INT", ["-2147483648", "2147483647"]),
    Case("INT UNSIGNED", ["4294967295"]),
    Case("INT(5) ZEROFILL", ["42"]),
    Case("BIGINT", ["-9223372036854775808", "9223372036854775807"]),
    Case("BIGINT UNSIGNED", ["18446744073709551615", "9223372036854775808", "1"]),
    Case("DECIMAL(20, 5)", ["-123456789012345.12345", "0.00001", "1"]),
    Case("DECIMAL(65, 0)", ["9" * 65]),
    Case("DECIMAL(65, 30)", ["-1e-30", "9" * 35 + "." + "9" * 30]),
    Case("DECIMAL(5, 2) UNSIGNED", ["999.99"]),
    Case("FLOAT", ["3.14159", "-1.17549e-38", "3.40282e38", "0.1", "16777216"]),
    Case("FLOAT(7, 3)", ["1234.568"]),
    Case("DOUBLE", ["1e300", "-2.2250738585072014e-308", "0.1", "123456789.123456789", "1e-10", "5e15", "5e-324"]),
    Case("DOUBLE(10, 2)", ["1.25"]),
    Case("CHAR(10)", ["'abc'", "''", "'ä€😀'", "'trailing  '"]),
    Case("VARCHAR(50)", ["'tab\\tnewline\\nreturn\\rback\\\\slash'", "'  spaces  '", "'\\\\N'", "'😀'", "'x\\v\\f\\b'"],
         refused={"postgresql": ["'a\\0b'"]}),
    Case("TEXT", ["'text'"]),
    Case("LONGTEXT", ["REPEAT('long 😀 ', 20000)", "''"]),
    Case("VARCHAR(9) CHARACTER SET latin1", ["'ä€ß'"]),
    Case("TEXT CHARACTER SET utf16", ["'ä😀'"]),
    Case("VARCHAR(9) CHARACTER SET sjis", ["'日本'"]),
    Case("VARCHAR(9) CHARACTER SET gbk", ["'中文'"]),
    Case("CHAR(9) CHARACTER SET cp1251", ["'Ж'"]),
    Case("CHAR(9) CHARACTER SET koi8r", ["'Ж'"]),
    Case("BINARY(6)", ["x'00ff00'", "x'616263646566'"]),
    Case("VARBINARY(20)", ["x''", "x'005c0a09ff'"]),
    Case("BLOB", ["x'5c4e'", "REPEAT(x'00ff', 5000)"]),
    Case("LONGBLOB", ["x'00'"]),
    Case("BIT(1)", ["b'0'", "b'1'"]),
    Case("BIT(10)", ["b'1111100000'", "b'1'"]),
    Case("BIT(64)", ["b'1" + "0" * 62 + "1'"]),
    Case("DATE", ["'0001-01-01'", "'1582-10-10'", "'1969-12-31'", "'9999-12-31'"],
         lossy=dict.fromkeys(["'0000-00-00'", "'2024-00-10'", "'2024-10-00'", "'0000-01-01'"], ZERO_DATES)),
    Case("TIME", ["'00:00:00'", "'23:59:59'"], refused={"postgresql": ["'-12:34:56'", "'838:59:59'", "'-838:59:59'"]}),
    Case("TIME(6)", ["'12:34:56.000001'"], refused={"postgresql": ["'-00:00:00.000001'"]}),
    Case("DATETIME", ["'1000-01-01 00:00:00'", "'2024-02-29 23:59:59'", "'2024-03-31 02:30:00'"],
         lossy=dict.fromkeys(["'0000-00-00 00:00:00'", "'2024-00-10 01:02:03'"], ZERO_DATES)),
    Case("DATETIME(3)", ["'1969-12-31 23:59:59.999'", "'2024-01-01 00:00:00.001'"]),
    Case("DATETIME(6)", ["'1969-12-31 23:59:59.999999'", "'9999-12-31 23:59:59.999999'"]),
    Case("TIMESTAMP NULL", ["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'2024-10-27 02:30:00'"],
         lossy={"'0000-00-00 00:00:00'": ZERO_DATES}),
    Case("TIMESTAMP(6) NULL", ["'2024-01-01 00:00:00.000001'"]),
    Case("YEAR", ["1901", "2155", "0"]),
    Case("ENUM('a', 'it''s', 'ü)')", ["'a'", "'it''s'", "'ü)'"]),
    Case("SET('x', 'y')", ["''", "'x,y'"]),
    Case("GEOMETRY", ["ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('LINESTRING(0 0, 1.5 -2)', 3857)",
                      "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1), LINESTRING(0 0, 1 1))')"]),
    Case("POINT", ["ST_GeomFromText('POINT(1.5 -2e20)')", "ST_GeomFromText('POINT(48.1 11.6)', 4326)"]),
    Case("LINESTRING", ["ST_GeomFromText('LINESTRING(0 0, 1 1)')"]),
    Case("MULTIPOINT", ["ST_GeomFromText('MULTIPOINT(0 0, 1 1)')"]),
    Case("MULTILINESTRING", ["ST_GeomFromText('MULTILINESTRING((0 0, 1 1), (2 2, 3 3))')"]),
    Case("MULTIPOLYGON", ["ST_GeomFromText('MULTIPOLYGON(((0 0, 0 1, 1 1, 0 0)))')"]),
    Case("GEOMETRYCOLLECTION", ["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1))')"]),
    Case("POLYGON", ["ST_GeomFromText('POLYGON((0 0, 0 1, 1 1, 0 0))')"]),
    Case("JSON", ['\'{"b": [1, 2.5, null], "a": "ä😀\\\\n"}\'', "'[]'", "'\"text\"'", "'null'", "'100.0'",
                  '\'{"id": 18446744073709551615, "small": 1e-7, "e": "1e20, 5.0", "big": 1e25}\'',
                  "'[0.1, 1234567.5, 12345678.5, 1234567890123456.8, -0.0000001]'"],
         lossy={"'12345678.0'": "a whole double of 10,000,000 or more becomes an integer: Debezium prints it as one"}),
]  # fmt: skip
POSTGRESQL = [
    Case("boolean", ["true", "false"]),
    Case("smallint", ["-32768", "32767"]),
    Case("integer", ["-2147483648", "2147483647"]),
    Case("bigint", ["-9223372036854775808", "9223372036854775807"]),
    Case("oid", ["4294967295"]),
    Case("numeric(20, 5)", ["-123456789012345.12345", "0.00001"], refused={"mysql": ["'NaN'"]}),
    Case("numeric(5, -2)", ["12300", "-100"]),
    Case("numeric(3, 5)", ["0.00123"]),
    Case("numeric", ["123.4500", "-0.000000001", "0"],
         refused={"mysql": ["'NaN'", "'Infinity'", "'-Infinity'", "1e40", "1e-31"]}),
    Case("money", ["'-1234.56'", "'92233720368547758.07'"]),
    Case("real", ["3.14159", "1e-30", "16777216", "'-0'"], refused={"mysql": ["'NaN'", "'Infinity'", "'-Infinity'"]}),
    Case("double precision", ["1e300", "0.1", "123456789.123456789", "1e-10"],
         refused={"mysql": ["'NaN'", "'Infinity'", "'-Infinity'"]}),
    Case("char(10)", ["'abc'", "''"]),
    Case("varchar(50)", ["E'tab\\tnewline\\nreturn\\rback\\\\slash'", "'  spaces  '", "'\\N'", "'😀'",
                         "E'x\\v\\f\\b'"]),
    Case("text", ["repeat('long 😀 ', 20000)", "''"]),
    Case("name", ["'a name'"]),
    Case('"char"', ["'x'"]),
    Case("citext", ["'AbC'"]),
    Case("ltree", ["'a.b.c'"]),
    Case("mood", ["'it''s ok'", "'ü'"]),
    Case("bytea", ["'\\x'", "'\\x005c0a09ff'"]),
    Case("bit(1)", ["B'0'", "B'1'"]),
    Case("bit(10)", ["B'1111100000'"]),
    Case("date", ["'0001-01-01'", "'1582-10-10'", "'9999-12-31'"],
         refused={"mysql": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'10000-01-01'", "'5874897-12-31'"]}),
    Case("time", ["'00:00:00'", "'23:59:59.999999'", "'24:00:00'"]),
    Case("time(0)", ["'12:34:56'"]),
    Case("timetz", ["'10:00:00+00'", "'24:00:00+00'"], lossy=dict.fromkeys(
        ["'12:34:56.789+02'", "'00:30:00+02'", "'23:59:59.999999-08'", "'24:00:00-08'", "'22:00:00-02'"],
        "kept in UTC, as Debezium sends it")),
    Case("timestamp", ["'1969-12-31 23:59:59.999999'", "'2024-03-31 02:30:00'", "'9999-12-31 23:59:59.999999'"],
         refused={"mysql": ["'infinity'", "'-infinity'", "'0044-03-15 01:02:03.000001 BC'", "'10000-01-01'"]}),
    Case("timestamp(3)", ["'1969-12-31 23:59:59.999'"],
         refused={"mysql": ["'infinity'", "'-infinity'", "'0044-03-15 01:02:03.5 BC'"]}),
    Case("timestamptz", ["'2024-10-27 02:30:00.000001+02'", "'1969-12-31 23:59:59+00'", "'2100-01-01 00:00:00+00'"],
         refused={"mysql": ["'infinity'", "'-infinity'", "'0044-03-15 01:02:03+00 BC'", "'294276-12-31 23:59:59+00'"]}),
    Case("interval", ["'1 year 2 mons 3 days 04:05:06.789'", "'-1 year -2 mons +3 days -04:05:06'", "'0'", "'1 day'",
                      "'100:00:00'", "'-0.5 seconds'", "'178000000 years'", "'1 mon -1 sec'", "'00:00:59.999999'"]),
    Case("interval second(3)", ["'1.2345'"]),
    Case("uuid", ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    Case("json", ['\'{"b": 1.50,  "a": "ä😀", "b": 1e400}\'']),
    Case("jsonb", ['\'{"b": 1.50, "a": [1e2, null, 1e30, 1.000]}\'']),
    Case("hstore", ["'a=>1, bb=>NULL, \"x y\"=>\"q\\\"\\\\ä\"'", "''"]),
    Case("inet", ["'192.168.0.1/24'", "'10.0.0.1'", "'::1'", "'2001:db8::/32'"]),
    Case("cidr", ["'192.168.0.0/24'", "'10.0.0.1'"]),
    Case("macaddr", ["'08:00:2b:01:02:03'"]),
    Case("macaddr8", ["'08:00:2b:01:02:03:04:05'"]),
    Case("tsvector", ["'a fat cat:3A'"]),
    Case("tsquery", ["'fat & rat'"]),
    Case("jsonpath", ["'$.a[*]'"]),
    Case("int4range", ["'[1,5)'", "'empty'", "'(,5)'"]),
    Case("int8range", ["'[1,9223372036854775807)'"]),
    Case("numrange", ["'[1.50,5.0]'"]),
    Case("tsrange", ["'[2024-01-01 00:00,2024-01-02 00:00)'"]),
    Case("tstzrange", ["'[2024-01-01 00:00+02,2024-01-02 00:00:00.5+02)'"]),
    Case("daterange", ["'[2024-01-01,2024-01-05]'"]),
    Case("int4multirange", ["'{[1,5),[7,8)}'", "'{}'"]),
    Case("tstzmultirange", ["'{[2024-01-01 00:00+02,2024-01-02 00:00+02)}'"]),
    Case("point", ["'(1.5,-2e20)'", "'(0,1e-7)'"]),
    Case("line", ["'{1,2,3}'", "'{0,-1,1e-7}'"]),
    Case("lseg", ["'[(1,2),(3,4.25)]'", "'[(NaN,-0),(1,-Infinity)]'"]),
    Case("box", ["'(3,4),(1,2)'", "'(1,4),(3,2)'", "'(NaN,1),(Infinity,2)'"]),
    Case("path", ["'((1,2),(3,4))'", "'[(1,2),(3e15,4)]'", "'((1,2),(3,4),(1,2))'", "'[(1,2)]'", "'((-0,1e-320))'",
                  "('[' || repeat('(0.1,123456789012345678),', 5000) || '(1,1)]')::path"]),
    Case("circle", ["'<(1,2),3>'", "'<(NaN,-0.1),Infinity>'"]),
    Case("pg_lsn", ["'16/B374D848'"]),
    Case("xid8", ["'18446744073709551615'"]),
    Case("positive", ["5"]),
    Case("price", ["1.5"]),
    Case("pair", ["'(1,\"x y\")'"]),
    Case("integer[]", ["'{1,NULL,3}'", "'{}'"], lossy={"'[0:1]={5,6}'": "counted from 1: Debezium drops lower bounds"}),
    Case("bigint[]", ["'{9223372036854775807}'"]),
    Case("text[]", ["ARRAY['a', 'b c', 'x\"y', 'NULL', NULL, '', 'ü,{}\\', E'\\t']"]),
    Case("varchar(5)[]", ["'{ab}'"]),
    Case("char(3)[]", ["'{ab}'"]),
    Case("numeric(10, 2)[]", ["'{1.50,-2.25}'"]),
    Case("boolean[]", ["'{t,f,NULL}'"]),
    Case("smallint[]", ["'{-1}'"]),
    Case("real[]", ["'{0.1,NaN,16777216,1e-5,0.0001,123456,1234567}'"]),
    Case("double precision[]", ["'{0.1,1e20,-Infinity,1e15,123456789012345,1e-5,0.0001,-0}'"]),
    Case("date[]", ["'{2024-01-01}'"]),
    Case("time[]", ["'{12:34:56.5,00:00:00}'"],
         lossy={"'{24:00:00,NULL}'": "24:00 in an array arrives as 00:00"}),
    Case("timestamp[]", ["'{2024-01-01 00:00:00.5,infinity}'"]),
    Case("timestamptz[]", ["'{2024-01-01 00:00:00.5+02,infinity}'"]),
    Case("uuid[]", ["'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"]),
    Case("json[]", ["ARRAY['{\"a\": 1}'::json]"]),
    Case("jsonb[]", ["ARRAY['{\"a\": 1}'::jsonb]"]),
    Case("bytea[]", ["ARRAY['\\x00ff'::bytea]"]),
    Case("inet[]", ["'{10.0.0.1,10.0.0.0/8}'"]),
    Case("mood[]", ["'{sad,ü,\"it''s ok\"}'"]),
    Case("citext[]", ["'{Ab}'"]),
    Case("oid[]", ["'{4294967295}'"]),
]  # fmt: skip
POSTGRESQL_SET_UP = [
    "CREATE EXTENSION IF NOT EXISTS hstore",
    "CREATE EXTENSION IF NOT EXISTS citext",
    "CREATE EXTENSION IF NOT EXISTS ltree",
    "CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'ü')",
    "CREATE TYPE pair AS (a integer, b text)",
    "CREATE DOMAIN positive AS integer CHECK (value > 0)",
    "CREATE DOMAIN price AS numeric(10, 2)",
]
ZERO_TIMESTAMP = "'0000-00-00 00:00:00'"


def _as_mariadb(case: Case) -> Case:
    """Debezium tells the zero of MariaDB's TIMESTAMP as second 0, which no TIMESTAMP of MySQL's family can hold."""
    if not case.declared.startswith("TIMESTAMP") or ZERO_TIMESTAMP not in case.lossy:
        return case
    return replace(case, lossy={}, refused={"mysql": [ZERO_TIMESTAMP]})


CASES = {"mysql": MYSQL, "mariadb": list(map(_as_mariadb, MYSQL)), "postgresql": POSTGRESQL}
SET_UP: dict[str, list[str]] = {"mysql": [], "mariadb": [], "postgresql": POSTGRESQL_SET_UP}
FAMILY = {"mysql": "mysql", "mariadb": "mysql", "postgresql": "postgresql"}


def refused(source: str, target: str) -> Iterator[tuple[str, str]]:
    """Every (declared type, literal) that this target cannot hold."""
    for case in CASES[source]:
        for value in case.refused.get(FAMILY[target], ()):
            yield case.declared, value
