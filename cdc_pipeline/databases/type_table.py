"""The type table: what each column type of each database becomes in each other one, and what is lost on the way.

`fate` is asked by step 1 for the user's own columns; `python -m cdc_pipeline.databases.type_table` writes docs/types.md
from the same answers. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.databases.mariadb.dialect import MariaDbDialect
from cdc_pipeline.databases.mysql.dialect import MySqlDialect
from cdc_pipeline.databases.oracle.dialect import OracleDialect
from cdc_pipeline.databases.postgresql.dialect import PostgreSqlDialect
from cdc_pipeline.model import ColumnType, Kind

DIALECTS: dict[str, Dialect] = {
    "mysql": MySqlDialect(),
    "mariadb": MariaDbDialect(),
    "postgresql": PostgreSqlDialect(),
    "oracle": OracleDialect(),
}
TITLES = {"mysql": "MySQL", "mariadb": "MariaDB", "postgresql": "PostgreSQL", "oracle": "Oracle"}
FAMILIES = {"mysql": "mysql", "mariadb": "mysql", "postgresql": "postgresql", "oracle": "oracle"}
_CHARACTERS = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"  # of every text; said once, not in every cell
_EMPTY_IS_NULL = "an empty value is NULL to Oracle"
_IN_TARGET: dict[str, dict[Kind, str]] = {
    "mysql": {Kind.INTERVAL: "as ISO 8601 text", Kind.MAP: "as hstore's text", Kind.INSTANT: "in UTC"},
    "postgresql": {Kind.MAP: "as hstore's text", Kind.GEOMETRY: "as well-known binary (EWKB)", Kind.ENUM: "as text"},
    "oracle": {
        **dict.fromkeys((Kind.TEXT, Kind.ENUM, Kind.BINARY), _EMPTY_IS_NULL),
        **{Kind.BITS: "as text of 0 and 1", Kind.TIME: "as text", Kind.INTERVAL: "as ISO 8601 text"},
        **{Kind.MAP: "as hstore's text", Kind.GEOMETRY: "as well-known binary (EWKB)"},
    },
}
_MOMENTS = (Kind.DATE, Kind.TIMESTAMP, Kind.INSTANT)
_NUMBERS = "tinyint(1) tinyint smallint mediumint int bigint bigint·unsigned decimal(10,2) float double bit(1) bit(64)"
_TEXTS = "char(10) varchar(50) text longtext enum('a','b') set('a','b') binary(16) varbinary(20) blob longblob"
_TIMES = "date time(6) datetime(6) timestamp(6) year"
_SHAPES = "geometry point linestring polygon multipoint multilinestring multipolygon geometrycollection"
# Types as the catalogues write them; `·` stands for a blank.
_SAMPLES = {
    "mysql": f"{_NUMBERS} {_TEXTS} {_TIMES} json {_SHAPES}",
    "mariadb": f"{_NUMBERS} {_TEXTS} {_TIMES} uuid inet4 inet6 {_SHAPES}",
    "postgresql": "boolean smallint integer bigint oid numeric(10,2) numeric money real double·precision character(10) "
    "character·varying(50) text name citext ltree bytea bit(10) bit·varying(10) date time·without·time·zone "
    "time·with·time·zone timestamp·without·time·zone timestamp·with·time·zone interval uuid json jsonb hstore inet "
    "cidr macaddr macaddr8 tsvector tsquery jsonpath xml int4range int8range numrange tsrange tstzrange daterange "
    "int4multirange point line lseg box path polygon circle pg_lsn xid8 integer[] bigint[] text[] "
    "character·varying(5)[] numeric(10,2)[] numeric[] boolean[] double·precision[] date[] "
    "timestamp·with·time·zone[] uuid[] jsonb[] interval[]",
    "oracle": "NUMBER NUMBER(10,2) FLOAT(126) BINARY_FLOAT BINARY_DOUBLE CHAR(10) VARCHAR2(50) NVARCHAR2(50) CLOB "
    "NCLOB RAW(16) BLOB DATE TIMESTAMP(6) TIMESTAMP(6)·WITH·TIME·ZONE TIMESTAMP(6)·WITH·LOCAL·TIME·ZONE "
    "INTERVAL·YEAR(2)·TO·MONTH INTERVAL·DAY(2)·TO·SECOND(6) ROWID XMLTYPE",
}


@dataclass(frozen=True)
class Fate:
    """What becomes of a column. `lost` is what a value loses by design, by copy and by stream alike; `refused` are the
    values that the target's column cannot hold: they are an error that names them."""

    becomes: str
    lost: str = ""
    refused: str = ""

    @property
    def note(self) -> str:
        return "; ".join(filter(None, (self.lost, self.refused and f"refused: {self.refused}")))


def samples(database: str) -> list[str]:
    """One declared type for each row of the table."""
    return [name.replace("·", " ") for name in _SAMPLES[database].split()]


def fate(source: str, target: str, type: ColumnType, *, in_key: bool = False) -> Fate:
    """Of a column of this canonical type, between two databases by their names in a URL."""
    becomes = DIALECTS[target].column_type(type, in_key=in_key)
    same = FAMILIES[source] == FAMILIES[target]
    lost = [_lost_at_source(source, type)]
    if not same:
        lost.append(_lost_in_target(target, type))
    return Fate(becomes, "; ".join(filter(None, lost)), "" if same else _refused(source, target, type))


def _lost_at_source(source: str, type: ColumnType) -> str:
    """What Debezium does not pass on, so the copy leaves it out as well."""
    if source in ("mysql", "mariadb") and type.kind in _MOMENTS:
        return "a date with a zero in it becomes NULL"
    if source == "mysql" and type.kind is Kind.JSON:
        return "a whole double of 10,000,000 or more becomes an integer"
    if type.native == "postgresql:timetz":
        return "kept in UTC"
    if type.kind is Kind.ARRAY:
        of_times = type.element is not None and type.element.kind is Kind.TIME
        return f"counted from 1{', 24:00 becomes 00:00' if of_times else ''}"
    return ""


def _lost_in_target(target: str, type: ColumnType) -> str:
    if type.native_to("postgresql") and type.kind in (Kind.TEXT, Kind.ARRAY):
        return "as PostgreSQL's text"
    return _IN_TARGET[FAMILIES[target]].get(type.kind, "")


def _refused(source: str, target: str, type: ColumnType) -> str:
    """Values that a source may have and this target's column cannot hold."""
    if target == "postgresql":
        return _refused_by_postgresql(source, type)
    if type.kind is Kind.FLOAT and target != "oracle" and source != "mysql":
        return "NaN, infinities"
    if type.kind is Kind.DECIMAL and type.size is None and target in ("mysql", "mariadb"):
        return "more than 35 digits before the point or 30 after it, NaN, infinities"
    if type.kind is Kind.DECIMAL and source == "postgresql":
        return "NaN"
    if type.kind in _MOMENTS and source == "postgresql":
        return "before the year 1, after 9999, infinity"
    return ""


def _refused_by_postgresql(source: str, type: ColumnType) -> str:
    if type.kind is Kind.BOOLEAN:
        return "other than 0 and 1"
    if type.kind is Kind.TIME and source in ("mysql", "mariadb"):
        return "below 0, over 24 hours"
    if type.kind in (Kind.TEXT, Kind.ENUM) and not type.native:
        return "U+0000"
    return ""


def rows(source: str) -> Iterator[tuple[str, ColumnType | None]]:
    """The declared types of a database, with their canonical ones (None: refused in step 1)."""
    for declared in samples(source):
        yield declared, DIALECTS[source].canonical_type(declared)


def markdown() -> str:
    """docs/types.md."""
    return "\n".join([_INTRODUCTION, *(line for source in DIALECTS for line in _section(source))])


def _section(source: str) -> Iterator[str]:
    yield from ("", f"## From {TITLES[source]}", "")
    yield "| type | is a | " + " | ".join(f"in {TITLES[target]}" for target in DIALECTS) + " |"
    yield "|---" * (2 + len(DIALECTS)) + "|"
    for declared, type in rows(source):
        if type is None:
            yield f"| `{declared}` | refused in step 1: {DIALECTS[source].refusal(declared)} |" + " |" * len(DIALECTS)
            continue
        yield (
            f"| `{declared}` | {type} | " + " | ".join(_cell(fate(source, target, type)) for target in DIALECTS) + " |"
        )


def _cell(fate: Fate) -> str:
    return f"`{fate.becomes.replace(_CHARACTERS, '')}`" + (f": {fate.note}" if fate.note else "")


_INTRODUCTION = """\
# What each column type becomes

This page is written by `python -m cdc_pipeline.databases.type_table`, from the same answers that the copy, the stream
and `cdc-pipeline validate` use; `make test` fails when the two differ. A table that exists in the target already keeps
its own types, as long as they can hold the source's values.

- A cell is the type of the column that the copy makes; texts in MySQL and MariaDB are utf8mb4, compared by their
  bytes. What a value loses stands behind it: it is lost by copy and by stream alike.
- *refused* are values that this column cannot hold. Such a value stops the copy of its table, or the stream, with an
  error that names table, key, column and value; the target stays as it was.
- The rows of MySQL, MariaDB and PostgreSQL are proven on real servers, by copy and by stream, in all nine directions
  (`cdc_pipeline_tests/integration/test_types.py`). Those of Oracle never ran on a server; nor did PostgreSQL's `xml`,
  which the tests' server is built without.

What Debezium (3.6.1, for PostgreSQL 3.7.0) does not tell, and so no pipeline behind it can know (all measured):

- MySQL's dates with a zero in them arrive as NULL; in a column that is NOT NULL as its default or as 1970-01-01. The
  copy refuses the latter. A `sql_mode` with `NO_ZERO_DATE` and `NO_ZERO_IN_DATE` keeps them out.
- MySQL's character sets armscii8, big5, dec8, eucjpms, geostd8, hp8, keybcs2, koi8u and swe7 are read wrongly: refused
  in step 1. A few characters of cp866, gb18030, gbk, greek, hebrew, sjis and ujis are read wrongly and put back here;
  what of euckr, latin1, tis620 and ujis cannot be read at all is an error.
- Dates and times inside MySQL's JSON that CAST has made, not text, arrive without their `.000000`.
- A PostgreSQL `timestamp` of the years 294247 to 294276 arrives as infinity, unless it has at most three digits of a
  second; `verify` shows such a row.
- PostgreSQL's arrays of several dimensions arrive as NULLs: the stream stops with an error. In arrays of dates the era
  is dropped, 44 BC becomes 44, and infinity is refused.
- An unchanged long path, and an unchanged long array of any type but integer, bigint, text, varchar, char, json, jsonb,
  date and uuid, arrive as NULL unless the table has `REPLICA IDENTITY FULL`: step 1 asks for it.

MySQL's own parser of JSON may change the 17th digit of a double (8.0.15: one in ten of random doubles). A target column
of type LONGTEXT keeps every digit."""

if __name__ == "__main__":
    print(markdown())
