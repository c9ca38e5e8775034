"""PostgreSQL's SQL. Pure: names and types in, strings out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from cdc_pipeline.condition import Value, moment_of
from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.model import Column, ColumnType, Kind

_DECLARED = re.compile(r"^(?P<name>[a-z0-9_ \"]+?)(?:\((?P<arguments>[\d, -]+)\))?(?P<rest> with(?:out)? time zone)?$")
SALT = "cdc_pipeline.hash_salt"  # a setting of the session
_MONEY_DIGITS = 19  # 64 bits, two of the digits after the point

# Types of the server itself whose text is all there is to know of them: a PostgreSQL target keeps the very type.
_TEXTS = {
    **dict.fromkeys(("inet", "cidr"), 49),
    **{"macaddr": 17, "macaddr8": 23, "name": 63, '"char"': 4, "pg_lsn": 17, "xid8": 20, "xid": 10, "tid": 30},
    **dict.fromkeys(("xml", "tsvector", "tsquery", "jsonpath", "pg_snapshot", "txid_snapshot")),
    **dict.fromkeys(("int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange")),
    **dict.fromkeys(("int4multirange", "int8multirange", "nummultirange", "tsmultirange", "datemultirange")),
    **dict.fromkeys(("tstzmultirange", "point", "line", "lseg", "box", "path", "circle")),
}
# Of arrays of these Debezium passes on every element; and it says so when it leaves out an unchanged long one.
SAFE_ELEMENTS = ("integer", "bigint", "text", "character varying", "character", "json", "jsonb", "date", "uuid")
# Of these too, but an unchanged long one arrives as NULL (measured), so such a table must log whole rows.
_ELEMENTS = (
    *SAFE_ELEMENTS,
    *("smallint", "boolean", "real", "double precision", "bytea", "inet", "cidr", "macaddr", "oid"),
    *("time without time zone", "timestamp without time zone", "timestamp with time zone"),
)
_REFUSED = {
    "bit varying": "Debezium does not tell how many bits a value has; ALTER COLUMN … TYPE text or bytea",
    "polygon": "Debezium 3.7 closes its ring, and does not tell whether it was; ALTER COLUMN … TYPE path USING …::path",
    "numeric[]": "Debezium passes on NULL instead of an array of numbers whose precision is not declared; "
    "ALTER COLUMN … TYPE numeric(p, s)[]",
}


class PostgreSqlDialect(Dialect):
    name = "postgresql"
    longest_identifier = 63
    identifier_unit = "bytes"

    def quote(self, identifier: str) -> str:
        return '"' + identifier.replace('"', '""') + '"'

    def canonical_type(self, declared: str) -> ColumnType | None:
        """`declared` is what format_type() says."""
        if declared.endswith("[]"):
            return self._array(declared)
        match = _DECLARED.match(declared)
        if match is None:
            return None
        numbers = [int(n) for n in (match["arguments"] or "").split(",") if n.strip()]
        name = match["name"] + (match["rest"] or "")
        if name == "numeric":
            return _numeric(numbers)
        if name.partition(" ")[0] == "interval":
            return ColumnType(Kind.INTERVAL)
        if name in _TEXTS:
            return ColumnType(Kind.TEXT, _TEXTS[name], native=f"postgresql:{name}")
        size = numbers[0] if numbers else None
        precision = 6 if size is None else size
        return {
            "boolean": ColumnType(Kind.BOOLEAN),
            "smallint": ColumnType(Kind.INTEGER, 16),
            "integer": ColumnType(Kind.INTEGER, 32),
            "bigint": ColumnType(Kind.INTEGER, 64),
            "oid": ColumnType(Kind.INTEGER, 32, unsigned=True),
            "money": ColumnType(Kind.DECIMAL, _MONEY_DIGITS, 2, native="postgresql:money"),
            "real": ColumnType(Kind.FLOAT, 32),
            "double precision": ColumnType(Kind.FLOAT, 64),
            "character": ColumnType(Kind.TEXT, size or 1, fixed=True),
            "character varying": ColumnType(Kind.TEXT, size),
            "text": ColumnType(Kind.TEXT),
            "citext": ColumnType(Kind.TEXT),
            "ltree": ColumnType(Kind.TEXT),
            "bytea": ColumnType(Kind.BINARY),
            "bit": ColumnType(Kind.BITS, size or 1, fixed=True),
            "date": ColumnType(Kind.DATE),
            "time without time zone": ColumnType(Kind.TIME, precision),
            "time with time zone": ColumnType(Kind.TIME, precision, native="postgresql:timetz"),
            "timestamp without time zone": ColumnType(Kind.TIMESTAMP, precision),
            "timestamp with time zone": ColumnType(Kind.INSTANT, precision),
            "json": ColumnType(Kind.JSON),
            "jsonb": ColumnType(Kind.JSON, fixed=True),
            "uuid": ColumnType(Kind.UUID),
            "hstore": ColumnType(Kind.MAP),
        }.get(name)

    def _array(self, declared: str) -> ColumnType | None:
        name = declared.removesuffix("[]").replace("citext", "text")  # a target need not have the extension
        element = self.canonical_type(name)
        known = re.sub(r"\([\d, ]+\)", "", name) in _ELEMENTS or name.startswith("numeric(")
        return ColumnType(Kind.ARRAY, native=f"postgresql:{name}[]", element=element) if known else None

    def refusal(self, declared: str) -> str:
        if declared.endswith("[]") and declared not in _REFUSED:
            return "Debezium does not pass on arrays of this type; ALTER COLUMN … TYPE text[]"
        return _REFUSED.get(re.sub(r"\(\d+\)$", "", declared)) or super().refusal(declared)

    def column_type(self, type: ColumnType, *, in_key: bool) -> str:
        size = "" if type.size is None else f"({type.size})"
        native = type.native_to("postgresql")
        if native:
            return f"{native}({type.size})" if native == "timetz" else native
        match type.kind:
            case Kind.BOOLEAN:
                return "boolean"
            case Kind.INTEGER:
                return _integer(type)
            case Kind.DECIMAL:
                return "numeric" if type.size is None else f"numeric({type.size}, {type.scale or 0})"
            case Kind.FLOAT:
                return "real" if type.size == 32 else "double precision"
            case Kind.TEXT:
                return "text" if type.size is None else f"{'char' if type.fixed else 'varchar'}{size}"
            case Kind.ENUM | Kind.ARRAY | Kind.MAP:
                return "text"
            case Kind.BINARY | Kind.GEOMETRY:
                return "bytea"
            case Kind.INTERVAL:
                return "interval"
            case Kind.BITS:
                return f"bit{size}"
            case Kind.DATE:
                return "date"
            case Kind.TIME:
                return f"time{size}"
            case Kind.TIMESTAMP:
                return f"timestamp{size}"
            case Kind.INSTANT:
                return f"timestamptz{size}"
            case Kind.JSON:
                return "jsonb" if type.fixed else "json"
            case Kind.UUID:
                return "uuid"

    def read(self, column: Column) -> str:
        name = self.quote(column.name)
        match column.canonical:
            case ColumnType(kind=Kind.BOOLEAN):
                return f"{name}::int"
            case ColumnType(kind=Kind.INSTANT):
                return f"{name} AT TIME ZONE 'UTC'"
            case ColumnType(kind=Kind.FLOAT, size=32):
                # The shortest text of the largest real is too large for MySQL; as a double it has all its digits.
                return f"{name}::float8"
            case ColumnType(kind=Kind.DECIMAL, native=native) if native:
                return f"{name}::numeric"
            case ColumnType(kind=Kind.TIME, native=native) if native:
                return _time_in_utc(name)
            case ColumnType(kind=Kind.ARRAY):
                return _array_text(name, column.canonical)
        return name

    def compare(self, name: str, type: ColumnType) -> str:
        match type.kind:
            case Kind.BOOLEAN:
                return f"{name}::int::text"
            case Kind.DECIMAL if type.size is None:
                return f"trim_scale({name})::text"
            case Kind.DECIMAL:
                return f"{name}::numeric::text"
            case Kind.FLOAT:
                # Plain digits, without an exponent and trailing zeros, in the range where MySQL can write them too.
                # A float4 is compared as the float8 of the same value.
                text = f"{name}::float8::text"
                plain = f"trim_scale(round({text}::numeric, 30))::text"
                special = f"replace({text}, 'e+', 'e')"
                in_range = f"abs({name}::float8) BETWEEN 1e-15 AND 1e30"
                return f"CASE WHEN {name} = 0 THEN '0' WHEN {in_range} THEN {plain} ELSE {special} END"
            case Kind.BINARY | Kind.GEOMETRY:
                return f"encode({name}, 'hex')"
            case Kind.TIMESTAMP:
                return _comparable_moment(name)
            case Kind.INSTANT:
                return _comparable_moment(f"({name} AT TIME ZONE 'UTC')")
            case Kind.TIME if type.native:
                return f"to_char({_time_in_utc(name)}::interval, 'HH24:MI:SS.US')"
            case Kind.TIME:
                return f"CASE WHEN {name} = '24:00' THEN '24:00:00.000000' ELSE to_char({name}, 'HH24:MI:SS.US') END"
            case Kind.TEXT if type.fixed:
                return f"rtrim({name}::text)"
            case Kind.JSON if type.size == 64:
                # As in MySQL's expression: a whole double may have lost its `.0`.
                return f"regexp_replace({name}::text, '([0-9])[.]0([],}}]|$)', '\\1\\2', 'g')"
            case Kind.ARRAY:
                return _array_text(name, type)
            case Kind.TEXT if type.native:
                # The output function's text: a cast would write an inet of one host with its /32.
                return f"CASE WHEN {name} IS NOT NULL THEN format('%s', {name}) END"
            case _:
                return f"{name}::text"

    def operand(self, name: str, type: ColumnType) -> str:
        match type.kind:
            case Kind.TEXT | Kind.ENUM | Kind.UUID:
                return f'({self.compare(name, type)}) COLLATE "C"'
            case _:
                return name

    def literal(self, value: Value, type: ColumnType) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, Decimal):
            return f"({value:f})"
        moment = moment_of(value, type.kind) or ""
        match type.kind:
            case Kind.DATE:
                return f"date '{moment}'"
            case Kind.TIMESTAMP:
                return f"timestamp '{moment}'"
            case Kind.INSTANT:
                return f"timestamptz '{moment}+00'"
        return self.text(value)

    def text(self, value: str) -> str:
        return "'" + value.replace("'", "''") + "'"  # the session has standard_conforming_strings

    def key_text(self, name: str, type: ColumnType) -> str:
        return f"{name}::text"

    def key_literal(self, text: str, type: ColumnType) -> str:
        """Of no type yet: the server reads it as one of the column's."""
        return self.text(text)

    def sha256(self, text: str, *, salted: bool) -> str:
        salt = f"current_setting('{SALT}') || " if salted else ""
        return f"encode(sha256(convert_to({salt}{text}, 'UTF8')), 'hex')"

    def row_hash(self, columns: Sequence[tuple[str, ColumnType]], prefix: str = "") -> str:
        fields = []
        for name, type in columns:
            text = self.compare(prefix + self.quote(name), type)
            fields.append(f"coalesce(length({text}) || ':' || {text}, 'N')")
        # Whatever the encoding of the database.
        return f"encode(sha256(convert_to({' || '.join(fields)}, 'UTF8')), 'hex')"

    def hash_sum(self, row_hash: str) -> str:
        return f"sum(('x0' || left({row_hash}, 15))::bit(64)::bigint)"


def _integer(type: ColumnType) -> str:
    bits = (type.size or 64) + (1 if type.unsigned else 0)
    if bits <= 16:
        return "smallint"
    if bits <= 32:
        return "integer"
    return "bigint" if bits <= 64 else "numeric(20, 0)"


def _numeric(numbers: Sequence[int]) -> ColumnType:
    """The scale may be negative, or larger than the precision."""
    if not numbers:
        return ColumnType(Kind.DECIMAL)
    precision, scale = numbers[0], numbers[1] if len(numbers) > 1 else 0
    return ColumnType(Kind.DECIMAL, max(precision - min(scale, 0), scale), max(scale, 0))


def _array_text(name: str, type: ColumnType) -> str:
    """An array's text, counted from 1: Debezium drops other lower bounds (`[0:1]={5,6}`). It makes 00:00 of a time of
    24:00 in one."""
    text = f"regexp_replace({name}::text, '^\\[[^=]*=', '')"
    return f"replace({text}, '24:00:00', '00:00:00')" if type.element and type.element.kind is Kind.TIME else text


def _time_in_utc(name: str) -> str:
    """Debezium converts to UTC and makes 00:00 of 24:00, as an interval added does; 3.7.0 keeps the 24:00 of UTC."""
    utc = f"({name} AT TIME ZONE 'UTC')::time + interval '0'"
    return f"CASE WHEN {name} = '24:00:00+00'::timetz THEN '24:00'::time ELSE {utc} END"


def _comparable_moment(name: str) -> str:
    usual = f"{name} >= '0001-01-01' AND {name} < '10000-01-01'"
    return f"CASE WHEN {usual} THEN to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US') ELSE {name}::text END"


def may_arrive_as_null(column: Column) -> bool:
    """Whether Debezium says nothing of it when it leaves out the unchanged long value."""
    if column.type is None or column.type.kind is not Kind.ARRAY:
        return column.type is not None and column.type.native == "postgresql:path"
    return re.sub(r"(\([\d, ]+\))?\[\]$", "", column.declared) not in SAFE_ELEMENTS
