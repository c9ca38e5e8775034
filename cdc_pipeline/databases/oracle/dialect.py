"""Oracle's SQL. Pure: names and types in, strings out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from cdc_pipeline.condition import Value, moment_of
from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.databases.oracle.texts import are_long, comparable, is_long, readable
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.model import Column, ColumnType, Kind, TableId, TableShape

FINEST = 6  # digits of a second: no other database has more, and Debezium's nanoseconds end in the year 2262
MOST_DIGITS = 38  # of a NUMBER with a precision; without one it rounds silently at 39 or 40
_INTEGERS_FROM_DEBEZIUM = 18  # up to so many digits a NUMBER of a scale below zero comes as a whole number
_LONGEST_VARCHAR2 = 1000  # characters of four bytes
_LONGEST_RAW = 2000
_KEY_CHARACTERS = 255
_SHA256 = 4  # as DBMS_CRYPTO counts its hashes
_DIGITS = {8: 3, 16: 5, 24: 8, 32: 10, 64: 19}

_DECLARED = re.compile(r"^(?P<name>[a-z_][a-z0-9_]*)(?P<rest>.*)$", re.DOTALL)
_UNSUPPORTED = "Debezium's Oracle connector does not capture it"
_REFUSED = {
    "bfile": _UNSUPPORTED,
    "boolean": f"{_UNSUPPORTED}; NUMBER(1) it does",
    "json": "Debezium captures it only under GoldenGate's licence and setting; CLOB with IS JSON it does",
    "long": f"{_UNSUPPORTED}; ALTER TABLE … MODIFY (… CLOB)",
    "long raw": f"{_UNSUPPORTED}; ALTER TABLE … MODIFY (… BLOB)",
    "urowid": _UNSUPPORTED,
    "vector": _UNSUPPORTED,
    "xmltype": "the copy and Debezium do not give the same text of it; CLOB they do",
    "timestamp": f"no other database keeps more than {FINEST} digits of a second; ALTER TABLE … MODIFY",
    "interval": f"no other database keeps more than {FINEST} digits of a second; ALTER TABLE … MODIFY",
}


class OracleDialect(Dialect):
    name = "oracle"
    longest_identifier = 128
    identifier_unit = "bytes"

    def quote(self, identifier: str) -> str:
        if '"' in identifier or "\0" in identifier:
            raise CdcPipelineError(reason=f"Oracle allows no double quote in a name: {identifier}")
        return f'"{identifier}"'

    def canonical_type(self, declared: str) -> ColumnType | None:
        """`declared` as `database.declared_type` writes it from the catalogue."""
        match = _DECLARED.match(declared.lower())
        if match is None:
            return None
        name, rest = match["name"], match["rest"]
        numbers = [None if n == "*" else int(n) for n in re.findall(r"-?\d+|\*", rest)]
        size = numbers[0] if numbers else None
        if name == "number":
            return _number(numbers)
        if name == "timestamp":
            return _timestamp(6 if size is None else size, rest)
        if name == "interval":
            return _interval(rest)
        if rest.strip() and not numbers:  # LONG RAW
            return None
        return {
            "float": ColumnType(Kind.DECIMAL),  # counted in binary digits, and a NUMBER all the same
            "binary_float": ColumnType(Kind.FLOAT, 32),
            "binary_double": ColumnType(Kind.FLOAT, 64),
            "varchar2": ColumnType(Kind.TEXT, size),
            "nvarchar2": ColumnType(Kind.TEXT, size),
            "char": ColumnType(Kind.TEXT, size or 1, fixed=True),
            "nchar": ColumnType(Kind.TEXT, size or 1, fixed=True),
            "clob": ColumnType(Kind.TEXT),
            "nclob": ColumnType(Kind.TEXT),
            "raw": ColumnType(Kind.BINARY, size),
            "blob": ColumnType(Kind.BINARY),
            "date": ColumnType(Kind.TIMESTAMP, 0, native="oracle:date"),
            "rowid": ColumnType(Kind.TEXT, 18),
        }.get(name)

    def refusal(self, declared: str) -> str:
        lowered = declared.lower()
        name = lowered if lowered == "long raw" else re.split(r"[ (]", lowered, maxsplit=1)[0]
        return _REFUSED.get(name) or super().refusal(declared)

    def column_type(self, type: ColumnType, *, in_key: bool) -> str:
        native = type.native_to("oracle")
        if native:
            return _native(native, type.size)
        match type.kind:
            case Kind.BOOLEAN:
                return "NUMBER(1)"
            case Kind.INTEGER:
                return f"NUMBER({_DIGITS[type.size or 64] + (type.unsigned and type.size == 64)})"
            case Kind.DECIMAL:
                sized = type.size is not None and type.size <= MOST_DIGITS
                return f"NUMBER({type.size}, {type.scale or 0})" if sized else "NUMBER"
            case Kind.FLOAT:
                return "BINARY_FLOAT" if type.size == 32 else "BINARY_DOUBLE"
            case Kind.BINARY:
                short = type.size is not None and 0 < type.size <= _LONGEST_RAW
                return f"RAW({type.size if short else _KEY_CHARACTERS})" if short or in_key else "BLOB"
            case Kind.GEOMETRY:
                return "BLOB"
            case Kind.DATE:
                return "DATE"
            case Kind.TIMESTAMP:
                return f"TIMESTAMP({FINEST if type.size is None else type.size})"
            case Kind.INSTANT:
                return f"TIMESTAMP({FINEST if type.size is None else type.size}) WITH TIME ZONE"
            case _:
                return self._text(type, in_key)

    def _text(self, type: ColumnType, in_key: bool) -> str:
        """Also for kinds that Oracle has no type for: they keep their canonical text."""
        longest = {Kind.TEXT: type.size, Kind.BITS: type.size or 64, Kind.TIME: 20, Kind.UUID: 36, Kind.INTERVAL: 64,
                   Kind.ENUM: _KEY_CHARACTERS}.get(type.kind)  # fmt: skip
        if longest and longest <= _LONGEST_VARCHAR2:
            return f"VARCHAR2({longest} CHAR)"
        return f"VARCHAR2({_KEY_CHARACTERS} CHAR)" if in_key else "CLOB"

    def is_text(self, type: ColumnType) -> bool:
        """Whether its column takes text, to which Oracle's '' is NULL."""
        return self.column_type(type, in_key=False).startswith(("VARCHAR2", "CLOB", "RAW", "BLOB"))

    def create_table(
        self, table: TableId, shape: TableShape, additions: Mapping[str, str] | None = None, keys: Sequence[str] = ()
    ) -> str:
        """A NOT NULL text of another database may be '', which Oracle takes for NULL: such a column may be NULL."""
        columns = tuple(
            replace(column, nullable=True)
            if self.is_text(column.canonical) and column.name not in shape.key
            else column
            for column in shape.columns
        )
        return super().create_table(table, replace(shape, columns=columns), additions, keys)

    def read(self, column: Column) -> str:
        return readable(self.quote(column.name), column.canonical)

    def compare(self, name: str, type: ColumnType) -> str:
        return comparable(name, type)

    def operand(self, name: str, type: ColumnType) -> str:
        """NLS_COMP is BINARY, so a VARCHAR2 is compared by its bytes; a CHAR without its blanks."""
        if type.kind in (Kind.TEXT, Kind.ENUM, Kind.UUID):
            return f"RTRIM({name})" if type.fixed else name
        return f"SYS_EXTRACT_UTC({name})" if type.kind is Kind.INSTANT else name

    def literal(self, value: Value, type: ColumnType) -> str:
        if isinstance(value, bool):
            return str(int(value))
        if isinstance(value, Decimal):
            return f"{value:f}"
        moment = moment_of(value, type.kind) if type.kind in (Kind.DATE, Kind.TIMESTAMP, Kind.INSTANT) else None
        if moment is None:
            return self.text(value)
        return f"{'DATE' if type.kind is Kind.DATE else 'TIMESTAMP'} '{moment}'"

    def text(self, value: str) -> str:
        return "'" + value.replace("'", "''") + "'"

    def key_literal(self, text: str, type: ColumnType) -> str:
        match type.kind:
            case Kind.INTEGER | Kind.DECIMAL:
                return f"{Decimal(text):f}"
            case Kind.BINARY:
                return f"HEXTORAW('{bytes.fromhex(text).hex()}')"
            case Kind.DATE | Kind.TIMESTAMP | Kind.INSTANT:
                return self.literal(text, type)
        return self.text(text)

    def sha256(self, text: str, *, salted: bool) -> str:
        """Never salted: config refuses it, as each place that a session has for a salt shows it to others."""
        return f"LOWER(RAWTOHEX(STANDARD_HASH(UTL_I18N.STRING_TO_RAW({text}, 'AL32UTF8'), 'SHA256')))"

    def row_hash(self, columns: Sequence[tuple[str, ColumnType]], prefix: str = "") -> str:
        """Of a long row this takes DBMS_CRYPTO, and a hash in place of each BLOB: good for rows of one database.
        `OracleDatabase` computes the hash of the contract itself then."""
        fields = [(prefix + self.quote(name), type) for name, type in columns]
        if not are_long([type for _, type in columns]):
            texts = " || ".join(_field(comparable(name, type)) for name, type in fields)
            return f"LOWER(RAWTOHEX(STANDARD_HASH({texts}, 'SHA256')))"
        texts = " || ".join(_long_field(name, type) for name, type in fields)
        return f"LOWER(RAWTOHEX(DBMS_CRYPTO.HASH({texts}, {_SHA256})))"

    def one_of(self, expression: str, texts: Sequence[str]) -> str:
        """Before 23ai a list has 1000 expressions at most (ORA-01795)."""
        parts = (texts[first : first + 1000] for first in range(0, len(texts), 1000))
        return " OR ".join(super(OracleDialect, self).one_of(expression, part) for part in parts)

    def hash_sum(self, row_hash: str) -> str:
        return f"SUM(TO_NUMBER(SUBSTR({row_hash}, 1, 15), 'XXXXXXXXXXXXXXX'))"


def _field(text: str) -> str:
    return f"CASE WHEN {text} IS NULL THEN 'N' ELSE LENGTH({text}) || ':' || {text} END"


def _long_field(name: str, type: ColumnType) -> str:
    text = comparable(name, type)
    if is_long(type) and type.kind in (Kind.BINARY, Kind.GEOMETRY):
        text = f"RAWTOHEX(DBMS_CRYPTO.HASH({name}, {_SHA256}))"
        return f"TO_CLOB(CASE WHEN {name} IS NULL THEN 'N' ELSE {text} END)"
    # Both branches are CLOBs: Oracle does not mix them with VARCHAR2 in one CASE.
    return f"CASE WHEN {text} IS NULL THEN TO_CLOB('N') ELSE TO_CLOB(LENGTH({text}) || ':') || {text} END"


def _number(numbers: Sequence[int | None]) -> ColumnType:
    """The scale may be negative, or larger than the precision. `NUMBER(*, 0)` is INTEGER, of 38 digits."""
    if not numbers:
        return ColumnType(Kind.DECIMAL)
    precision, scale = numbers[0] or MOST_DIGITS, (numbers[1] or 0) if len(numbers) > 1 else 0
    if scale < 0 and precision - scale <= _INTEGERS_FROM_DEBEZIUM:
        return ColumnType(Kind.INTEGER, 64)
    return ColumnType(Kind.DECIMAL, max(precision - min(scale, 0), scale), max(scale, 0))


def _timestamp(digits: int, rest: str) -> ColumnType | None:
    if digits > FINEST:
        return None
    if "time zone" not in rest:
        return ColumnType(Kind.TIMESTAMP, digits)
    local = "local " if "local" in rest else ""
    return ColumnType(Kind.INSTANT, digits, native=f"oracle:timestamp with {local}time zone")


def _interval(rest: str) -> ColumnType | None:
    if "month" in rest:
        return ColumnType(Kind.INTERVAL, native="oracle:interval year to month")
    digits = re.search(r"second\s*\((\d+)\)", rest)
    if digits and int(digits[1]) > FINEST:
        return None
    return ColumnType(Kind.INTERVAL, native="oracle:interval day to second")


def _native(native: str, size: int | None) -> str:
    """The source's own type; an interval with all the digits there are."""
    if native.startswith("timestamp"):
        return f"TIMESTAMP({size}){native.removeprefix('timestamp').upper()}"
    return {
        "interval year to month": "INTERVAL YEAR(9) TO MONTH",
        "interval day to second": f"INTERVAL DAY(9) TO SECOND({FINEST})",
    }.get(native, native.upper())
