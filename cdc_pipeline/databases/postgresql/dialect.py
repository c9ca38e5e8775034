"""PostgreSQL's SQL. Pure: names and types in, strings out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cdc_pipeline.databases.base import Dialect
from cdc_pipeline.model import Column, ColumnType, Kind

_DECLARED = re.compile(r"^(?P<name>[a-z0-9_ ]+?)(?:\((?P<arguments>[\d, -]+)\))?(?P<rest> with(?:out)? time zone)?$")


class PostgreSqlDialect(Dialect):
    name = "postgresql"
    longest_identifier = 63

    def quote(self, identifier: str) -> str:
        return '"' + identifier.replace('"', '""') + '"'

    def canonical_type(self, declared: str) -> ColumnType | None:
        """`declared` is what format_type() says."""
        match = _DECLARED.match(declared)
        if match is None:
            return None
        numbers = [int(n) for n in (match["arguments"] or "").split(",") if n.strip()]
        size = numbers[0] if numbers else None
        name = match["name"] + (match["rest"] or "")
        precision = 6 if size is None else size
        return {
            "boolean": ColumnType(Kind.BOOLEAN),
            "smallint": ColumnType(Kind.INTEGER, 16),
            "integer": ColumnType(Kind.INTEGER, 32),
            "bigint": ColumnType(Kind.INTEGER, 64),
            "numeric": ColumnType(Kind.DECIMAL, size, numbers[1] if len(numbers) > 1 else size and 0),
            "real": ColumnType(Kind.FLOAT, 32),
            "double precision": ColumnType(Kind.FLOAT, 64),
            "character": ColumnType(Kind.TEXT, size or 1, fixed=True),
            "character varying": ColumnType(Kind.TEXT, size),
            "text": ColumnType(Kind.TEXT),
            "citext": ColumnType(Kind.TEXT),
            "bytea": ColumnType(Kind.BINARY),
            "bit": ColumnType(Kind.BITS, size or 1, fixed=True),
            "date": ColumnType(Kind.DATE),
            "time without time zone": ColumnType(Kind.TIME, precision),
            "timestamp without time zone": ColumnType(Kind.TIMESTAMP, precision),
            "timestamp with time zone": ColumnType(Kind.INSTANT, precision),
            "json": ColumnType(Kind.JSON),
            "jsonb": ColumnType(Kind.JSON, fixed=True),
            "uuid": ColumnType(Kind.UUID),
        }.get(name)

    def column_type(self, type: ColumnType, *, in_key: bool) -> str:
        size = "" if type.size is None else f"({type.size})"
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
            case Kind.ENUM:
                return "text"
            case Kind.BINARY:
                return "bytea"
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
        match column.canonical.kind:
            case Kind.BOOLEAN:
                return f"{name}::int"
            case Kind.INSTANT:
                return f"{name} AT TIME ZONE 'UTC'"
        return name

    def compare(self, name: str, type: ColumnType) -> str:
        match type.kind:
            case Kind.BOOLEAN:
                return f"{name}::int::text"
            case Kind.DECIMAL if type.size is None:
                return f"trim_scale({name})::text"
            case Kind.FLOAT:
                # Plain digits, without an exponent and trailing zeros, in the range where MySQL can write them too.
                # A float4 is compared as the float8 of the same value.
                text = f"{name}::float8::text"
                plain = f"trim_scale(round({text}::numeric, 30))::text"
                special = f"replace({text}, 'e+', 'e')"
                in_range = f"abs({name}::float8) BETWEEN 1e-15 AND 1e30"
                return f"CASE WHEN {name} = 0 THEN '0' WHEN {in_range} THEN {plain} ELSE {special} END"
            case Kind.BINARY:
                return f"encode({name}, 'hex')"
            case Kind.TIMESTAMP:
                return f"to_char({name}, 'YYYY-MM-DD HH24:MI:SS.US')"
            case Kind.INSTANT:
                return f"to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
            case Kind.TIME:
                return f"to_char({name}, 'HH24:MI:SS.US')"
            case Kind.TEXT if type.fixed:
                return f"rtrim({name}::text)"
            case _:
                return f"{name}::text"

    def row_hash(self, columns: Sequence[tuple[str, ColumnType]], prefix: str = "") -> str:
        fields = []
        for name, type in columns:
            text = self.compare(prefix + self.quote(name), type)
            fields.append(f"coalesce(length({text}) || ':' || {text}, 'N')")
        return f"md5({' || '.join(fields)})"

    def hash_sum(self, row_hash: str) -> str:
        return f"sum(('x0' || left({row_hash}, 15))::bit(64)::bigint)"


def _integer(type: ColumnType) -> str:
    bits = (type.size or 64) + (1 if type.unsigned else 0)
    if bits <= 16:
        return "smallint"
    if bits <= 32:
        return "integer"
    return "bigint" if bits <= 64 else "numeric(20, 0)"
