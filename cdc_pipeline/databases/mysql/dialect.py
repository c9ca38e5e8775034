"""MySQL's SQL. Pure: names and types in, strings out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from cdc_pipeline.condition import Value, moment_of
from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.databases.key_ranges import KeyRange, KeySet
from cdc_pipeline.databases.mysql.charsets import GARBLED, charset_of
from cdc_pipeline.model import Change, Column, ColumnType, Kind, TableId, TableShape

_DECLARED = re.compile(r"^(?P<name>[a-z]+)(?:\((?P<arguments>[^)]*)\))?(?P<rest>.*)$", re.DOTALL)
_LABELS = re.compile(r"^(?:enum|set)\((?P<all>(?:'(?:[^']|'')*',?)*)\)", re.IGNORECASE)
_INTEGERS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "integer": 32, "bigint": 64}
_INTEGER_NAMES = {8: "TINYINT", 16: "SMALLINT", 24: "MEDIUMINT", 32: "INT", 64: "BIGINT"}
_TEXTS = ("tinytext", "text", "mediumtext", "longtext")
_BLOBS = ("tinyblob", "blob", "mediumblob", "longblob")
_SHORT = {"tinytext": 255, "tinyblob": 255, "text": 0xFFFF // 4, "blob": 0xFFFF // 2}  # characters, and bytes
_LONGEST_NUMBER = 100  # characters, of what is no text: a DECIMAL has 67, a BIT 64
_JOINED_BYTES = 1 << 20
_LONGEST_INLINE = 4000  # characters: a row may take 65,535 bytes in all, so longer texts go off the page
_GEOMETRIES = ("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon")
_COLLECTIONS = ("geometrycollection", "geomcollection")
_HAS_SRID = 0x20  # in the fourth byte of the type
SALT = "@cdc_pipeline_hash_salt"
_KEY_CHARACTERS = 255  # an index takes 3,072 bytes, four a character; several columns share them


class MySqlDialect(Dialect):
    name = "mysql"
    longest_identifier = 64

    def name_problem(self, identifier: str) -> str:
        """Source: the manual, "Schema Object Names"."""
        if identifier.endswith(" "):
            return "ends with a blank"
        foreign = next((character for character in identifier if character > "\uffff"), None)
        if foreign is not None:
            return f"has the character {foreign}, which is not in the Basic Multilingual Plane"
        return super().name_problem(identifier)

    def quote(self, identifier: str) -> str:
        return "`" + identifier.replace("`", "``") + "`"

    def canonical_type(self, declared: str) -> ColumnType | None:
        labels = _LABELS.match(declared)
        match = _DECLARED.match(declared.lower())
        if match is None:
            return None
        name, rest = match["name"], match["rest"]
        if charset_of(declared) in GARBLED:
            return None
        numbers = [int(n) for n in re.findall(r"\d+", match["arguments"] or "")] if not labels else []
        size = numbers[0] if numbers else None
        if name == "tinyint" and size == 1 and "unsigned" not in rest:
            return ColumnType(Kind.BOOLEAN)
        if name in _INTEGERS:
            return ColumnType(Kind.INTEGER, _INTEGERS[name], unsigned="unsigned" in rest)
        if name in _TEXTS:
            return ColumnType(Kind.TEXT)
        if name in _BLOBS:
            return ColumnType(Kind.BINARY)
        if labels:
            return ColumnType(Kind.ENUM if name == "enum" else Kind.TEXT, native=f"mysql:{name}({labels['all']})")
        if name in _GEOMETRIES or name in _COLLECTIONS:
            return ColumnType(Kind.GEOMETRY, native="" if name == "geometry" else f"mysql:{name}")
        return {
            "decimal": ColumnType(Kind.DECIMAL, size, numbers[1] if len(numbers) > 1 else 0),
            "float": ColumnType(Kind.FLOAT, 32),
            "double": ColumnType(Kind.FLOAT, 64),
            "char": ColumnType(Kind.TEXT, size),
            "varchar": ColumnType(Kind.TEXT, size),
            "binary": ColumnType(Kind.BINARY, size, fixed=True),
            "varbinary": ColumnType(Kind.BINARY, size),
            "bit": ColumnType(Kind.BITS, size or 1, fixed=True),
            "date": ColumnType(Kind.DATE),
            "time": ColumnType(Kind.TIME, size or 0),
            "datetime": ColumnType(Kind.TIMESTAMP, size or 0),
            "timestamp": ColumnType(Kind.INSTANT, size or 0, native="mysql:timestamp"),
            "year": ColumnType(Kind.INTEGER, 16, native="mysql:year"),
            "json": ColumnType(Kind.JSON, 64, fixed=True),
        }.get(name)

    def refusal(self, declared: str) -> str:
        charset = charset_of(declared)
        if charset in GARBLED:
            return (
                f"Debezium decodes the character set {charset} wrongly; ALTER TABLE … CONVERT TO CHARACTER SET utf8mb4"
            )
        return super().refusal(declared)

    def column_type(self, type: ColumnType, *, in_key: bool) -> str:
        native = type.native_to("mysql")
        if native:
            return self._native(native, type)
        match type.kind:
            case Kind.BOOLEAN:
                return "TINYINT(1)"
            case Kind.INTEGER:
                return _INTEGER_NAMES[type.size or 64] + (" UNSIGNED" if type.unsigned else "")
            case Kind.DECIMAL:
                return f"DECIMAL({min(type.size or 65, 65)}, {min(30 if type.size is None else type.scale or 0, 30)})"
            case Kind.FLOAT:
                return "FLOAT" if type.size == 32 else "DOUBLE"
            case Kind.TEXT | Kind.ENUM:
                return self._text(type, in_key) + " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            case Kind.BINARY:
                if type.size is not None and type.size <= _LONGEST_INLINE:
                    return f"{'BINARY' if type.fixed and type.size <= 255 else 'VARBINARY'}({type.size})"
                return f"VARBINARY({_KEY_CHARACTERS})" if in_key else "LONGBLOB"
            case Kind.BITS:
                return f"BIT({type.size or 64})"
            case Kind.DATE:
                return "DATE"
            case Kind.TIME:
                return f"TIME({6 if type.size is None else type.size})"
            case Kind.TIMESTAMP | Kind.INSTANT:
                # DATETIME, in UTC, for instants too: TIMESTAMP ends in 2038.
                return f"DATETIME({6 if type.size is None else type.size})"
            case Kind.JSON if type.size == 64:
                return "JSON"
            case Kind.JSON:
                # Not JSON: that type rewrites numbers and the order of keys, so the text would not be the source's.
                return "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            case Kind.UUID:
                return "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin"
            case Kind.INTERVAL:
                return "VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin"
            case Kind.GEOMETRY:
                return "GEOMETRY"
            case Kind.ARRAY | Kind.MAP:
                return self._text(ColumnType(Kind.TEXT), in_key) + " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

    @staticmethod
    def _native(name: str, type: ColumnType) -> str:
        if name == "timestamp":
            return f"TIMESTAMP({type.size or 0})"
        if type.kind in (Kind.TEXT, Kind.ENUM):
            return name + " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        return name.upper()

    def _text(self, type: ColumnType, in_key: bool) -> str:
        if type.size is None or type.size > _LONGEST_INLINE:
            return f"VARCHAR({_KEY_CHARACTERS})" if in_key else "LONGTEXT"
        return f"{'CHAR' if type.fixed and type.size <= 255 else 'VARCHAR'}({type.size})"

    def read(self, column: Column) -> str:
        name = self.quote(column.name)
        match column.canonical:
            case ColumnType(kind=Kind.BINARY):
                return f"CONCAT('\\\\x', LOWER(HEX({name})))"
            case ColumnType(kind=Kind.BITS, size=size):
                return f"LPAD(BIN({name}), {size}, '0')"
            case ColumnType(kind=Kind.FLOAT, size=32):
                # The text of a FLOAT has six digits; as a DOUBLE it has all that make the same number again.
                return f"{name} + 0e0"
            case ColumnType(kind=Kind.DATE | Kind.TIMESTAMP | Kind.INSTANT):
                return _without_zeros(name)
            case ColumnType(kind=Kind.GEOMETRY):
                return f"CONCAT('\\\\x', LOWER({_ewkb(name)}))"
        return name

    def compare(self, name: str, type: ColumnType) -> str:
        match type.kind:
            case Kind.BOOLEAN | Kind.INTEGER:
                return f"CAST({name} + 0 AS CHAR)"
            case Kind.DECIMAL:
                if type.size is not None:
                    return f"CAST({name} AS CHAR)"
                return f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM CAST({name} AS CHAR)))"
            case Kind.FLOAT:
                # Plain digits, without exponent and trailing zeros; below 1e-15 the server itself writes an exponent.
                # The sign comes apart: MySQL 9.7 leaves digits out of a sum's text that is longer than 22 characters.
                sign = f"IF({name} < 0, '-', '')"
                text = (
                    f"CONCAT({sign}, CAST(ABS({name}) + 0e0 AS CHAR))" if type.size == 32 else f"CAST({name} AS CHAR)"
                )
                plain = f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM CAST(CAST({text} AS DECIMAL(65, 30)) AS CHAR)))"
                return f"IF({name} = 0, '0', IF(ABS({name}) BETWEEN 1e-15 AND 1e30, {plain}, {text}))"
            case Kind.BINARY:
                return f"LOWER(HEX({name}))"
            case Kind.BITS:
                return f"LPAD(BIN({name}), {type.size}, '0')"
            case Kind.GEOMETRY:
                return f"LOWER({_ewkb(name)})"
            case Kind.DATE:
                return f"DATE_FORMAT({_without_zeros(name)}, '%Y-%m-%d')"
            case Kind.TIMESTAMP | Kind.INSTANT:
                return f"DATE_FORMAT({_without_zeros(name)}, '%Y-%m-%d %H:%i:%s.%f')"
            case Kind.JSON if type.size == 64:
                # A whole double may have lost its `.0` on the way (json_text.py).
                return f"REGEXP_REPLACE(CONVERT({name} USING utf8mb4), '([0-9])[.]0([],}}]|$)', '$1$2')"
            case Kind.TIME:
                return f"TIME_FORMAT({name}, '%H:%i:%s.%f')"
            case Kind.TEXT if type.fixed:
                return f"RTRIM(CONVERT({name} USING utf8mb4))"
            case _:
                return f"CONVERT({name} USING utf8mb4)"

    def operand(self, name: str, type: ColumnType) -> str:
        match type.kind:
            case Kind.INTEGER | Kind.DECIMAL | Kind.BOOLEAN:
                return name
            case Kind.DATE | Kind.TIMESTAMP | Kind.INSTANT:
                return self.compare(name, type)  # of one length, from the year 1 to 9999: in order as texts too
            case _:
                # Not CAST(… AS BINARY) = x'…': two of these joined by AND are never true (measured, 8.0.15).
                return f"HEX({self.compare(name, type)})"

    def literal(self, value: Value, type: ColumnType) -> str:
        if isinstance(value, bool):
            return str(int(value))
        if isinstance(value, Decimal):
            return f"{value:f}"
        moment = moment_of(value, type.kind) if type.kind in (Kind.DATE, Kind.TIMESTAMP, Kind.INSTANT) else None
        return f"'{value.encode().hex().upper()}'" if moment is None else f"'{moment}'"

    def text(self, value: str) -> str:
        return f"CONVERT(x'{value.encode().hex()}' USING utf8mb4)"

    def key_literal(self, text: str, type: ColumnType) -> str:
        """A text of which the column's collation decides, not its own."""
        match type.kind:
            case Kind.INTEGER | Kind.DECIMAL:
                return f"{Decimal(text):f}"
            case Kind.BINARY:
                return f"x'{bytes.fromhex(text).hex()}'"
        return f"_utf8mb4 x'{text.encode().hex()}'"

    def nth(self, number: int) -> str:
        return f"LIMIT 1 OFFSET {number - 1}"

    def sha256(self, text: str, *, salted: bool) -> str:
        """Without a salt that it shall have, NULL, which a NOT NULL column refuses: never the bare hash."""
        hashed = f"CAST(CONVERT({text} USING utf8mb4) AS BINARY)"
        return f"SHA2({f'CONCAT(CAST({SALT} AS BINARY), {hashed})' if salted else hashed}, 256)"

    def row_hash(self, columns: Sequence[tuple[str, ColumnType]], prefix: str = "") -> str:
        fields = []
        for name, type in columns:
            text = self.compare(prefix + self.quote(name), type)
            fields.append(f"IFNULL(CONCAT(CHAR_LENGTH({text}), ':', {text}), 'N')")
        return f"SHA2(CONCAT({', '.join(fields)}), 256)"

    def hash_sum(self, row_hash: str) -> str:
        return f"SUM(CAST(CONV(LEFT({row_hash}, 15), 16, 10) AS UNSIGNED))"


def load_data(dialect: Dialect, table: TableId, columns: Sequence[tuple[str, ColumnType]], file: str) -> str:
    """LOAD DATA of COPY text; what the text is not the value of goes through a user variable."""
    names, settings = [], []
    for number, (name, type) in enumerate(columns):
        expression = {
            Kind.BINARY: "UNHEX(SUBSTR(@v{n}, 3))",
            Kind.GEOMETRY: f"UNHEX({_internal_geometry('@v{n}')})",
            Kind.BITS: "CAST(CONV(@v{n}, 2, 10) AS UNSIGNED)",
        }.get(type.kind)
        names.append(f"@v{number}" if expression else dialect.quote(name))
        if expression:
            settings.append(f"{dialect.quote(name)} = {expression.format(n=number)}")
    return (
        f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE {dialect.table(table)} CHARACTER SET utf8mb4 "
        f"FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' ({', '.join(names)})"
        + (f" SET {', '.join(settings)}" if settings else "")
    )


def select_joined(dialect: Dialect, shape: TableShape, joined: Sequence[Column], keys: KeyRange | KeySet) -> str:
    """`dialect.select`, but the first columns, `joined`, are one field of COPY text."""
    texts = ", ".join(f"IFNULL({_copy_text(dialect, column)}, '\\\\N')" for column in joined)
    fields = [f"CONCAT_WS('\\t', {texts})"] if joined else []
    fields += [dialect.field(column) for column in shape.columns[len(joined) :]]
    return f"SELECT {', '.join(fields)} FROM {dialect.table(shape.table)}{dialect.where(shape, keys)}"


def _copy_text(dialect: Dialect, column: Column) -> str:
    """The canonical text, escaped. As bytes: in a text REPLACE looks for characters, in half as much time again."""
    text = dialect.field(column)
    if column.canonical.kind is Kind.BINARY and column.change is Change.NONE:
        return f"CONCAT('\\\\', {text})"  # its one backslash is the first character
    if column.canonical.kind not in (Kind.TEXT, Kind.ENUM, Kind.BINARY):
        return text
    escaped = f"CAST(CONVERT({text} USING utf8mb4) AS BINARY)"
    for character, escape in (("5C", "5C5C"), ("09", "5C74"), ("0A", "5C6E"), ("0D", "5C72")):
        escaped = f"REPLACE({escaped}, X'{character}', X'{escape}')"
    return escaped


def joinable(columns: Sequence[Column]) -> list[Column]:
    """Those whose escaped texts the server can hand out as one: in all they stay far below what it lets a function
    give (`max_allowed_packet`, 4 MiB and more by default), and the stream spells none of their values otherwise."""
    sizes = {column.name: size for column in columns if (size := _longest_copy_text(column)) is not None}
    room = _JOINED_BYTES
    for name in sorted(sizes, key=sizes.__getitem__):  # as many as can be
        room -= sizes[name]
        if room < 0:
            del sizes[name]
    return [column for column in columns if column.name in sizes]


def _longest_copy_text(column: Column) -> int | None:
    """In bytes; None without a limit that counts."""
    source, type = column.source, column.source.canonical
    name = source.declared.lower().partition("(")[0].partition(" ")[0]
    if name in ("enum", "set"):
        characters: int | None = len(source.declared)
    elif type.kind in (Kind.TEXT, Kind.BINARY):
        characters = _SHORT.get(name, type.size)
    else:
        characters = None if type.kind in (Kind.JSON, Kind.GEOMETRY) else _LONGEST_NUMBER
    # Four bytes a character at most; escapes, or the two digits of a byte, double that.
    return None if characters is None else 8 * (characters + len(column.text))


def _without_zeros(name: str) -> str:
    """Debezium sends NULL for a date with a zero in it, so a copy has to do the same."""
    return f"IF(YEAR({name}) = 0 OR MONTH({name}) = 0 OR DAYOFMONTH({name}) = 0, NULL, {name})"


def _ewkb(name: str) -> str:
    """The hexadecimal digits of a geometry as PostGIS writes it. MySQL keeps four bytes of SRID before the well-known
    binary, always little-endian; PostGIS has them behind the type, where a flag tells of them."""
    digits = f"HEX({name})"
    flagged = f"HEX(CONV(SUBSTR({digits}, 17, 2), 16, 10) | {_HAS_SRID})"
    with_srid = f"CONCAT(SUBSTR({digits}, 9, 8), {flagged}, LEFT({digits}, 8), SUBSTR({digits}, 19))"
    return f"IF(LEFT({digits}, 8) = '00000000', SUBSTR({digits}, 9), {with_srid})"


def _internal_geometry(text: str) -> str:
    """The other way round, from the canonical text."""
    flags = f"CONV(SUBSTR({text}, 11, 2), 16, 10)"
    plain = f"LPAD(HEX({flags} & ~{_HAS_SRID}), 2, '0')"
    with_srid = f"CONCAT(SUBSTR({text}, 13, 8), SUBSTR({text}, 3, 8), {plain}, SUBSTR({text}, 21))"
    return f"IF({flags} & {_HAS_SRID}, {with_srid}, CONCAT('00000000', SUBSTR({text}, 3)))"
