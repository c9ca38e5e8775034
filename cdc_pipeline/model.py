"""The nouns that everyone shares. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Protocol

from cdc_pipeline.choices import NOTHING_CHOSEN, Change, Choices


@dataclass(frozen=True, order=True)
class TableId:
    """A table of one database: `schema` is a MySQL database, a PostgreSQL or an Oracle schema."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


class Kind(StrEnum):
    """What a value is, whatever the database: the canonical column types.

    Each has one canonical text, which the copy reads out of every source, the stream makes of every event, and
    every target can load:

    ============== ===========================================================
    BOOLEAN        `0` or `1`
    INTEGER        decimal digits, a leading minus
    DECIMAL        plain decimal digits, as many after the point as the source sends
    FLOAT          the shortest text that reads back as the same number
    TEXT, ENUM     the characters, UTF-8
    BINARY         `\\x` and lower-case hexadecimal digits
    BITS           `0` and `1`, most significant first
    DATE           `YYYY-MM-DD`
    TIME           `[-]HH:MM:SS[.ffffff]`
    TIMESTAMP      `YYYY-MM-DD HH:MM:SS[.ffffff]`, of no zone
    INSTANT        the same, in UTC
    JSON           JSON text
    UUID           lower-case, with hyphens
    INTERVAL       ISO 8601, `P1Y2M3DT4H5M6.7S`, without parts that are zero
    GEOMETRY       well-known binary as BINARY is written; one with an SRID as PostGIS extends it (EWKB)
    ARRAY          PostgreSQL's `{1,NULL,"a b"}`
    MAP            PostgreSQL's hstore, `"a"=>"1", "b"=>NULL`
    ============== ===========================================================
    """

    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    TEXT = "text"
    ENUM = "enum"
    BINARY = "binary"
    BITS = "bits"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    INSTANT = "instant"
    JSON = "json"
    UUID = "uuid"
    INTERVAL = "interval"
    GEOMETRY = "geometry"
    ARRAY = "array"
    MAP = "map"


@dataclass(frozen=True)
class ColumnType:
    """A canonical type. `size` is bits for INTEGER, FLOAT and BITS, digits for DECIMAL, characters for TEXT,
    bytes for BINARY, digits of a second for TIME, TIMESTAMP and INSTANT; None means unlimited (or the most
    there is). A `fixed` TEXT, BINARY or BITS has always this length; a `fixed` JSON is rewritten into its database's
    own form, with numbers of `size` bits (MySQL) or any (jsonb), where another keeps the text as it came.

    `native` is the source's own type (`postgresql:inet`, `mysql:year`): a target of that family keeps the very type,
    others what the rest says. `element` is the type of an ARRAY's elements."""

    kind: Kind
    size: int | None = None
    scale: int | None = None
    unsigned: bool = False
    fixed: bool = False
    native: str = ""
    element: ColumnType | None = None

    def native_to(self, family: str) -> str:
        """The source's own type, if it is one of this family of databases; else empty."""
        mine, _, name = self.native.partition(":")
        return name if mine == family else ""

    def can_hold(self, other: ColumnType) -> bool:
        """Whether every value of `other` fits in a column of this type, unchanged."""
        if self == other or (self.native and self.native == other.native):
            return True
        if self.native and self.kind in _HAS_RULES_OF_ITS_OWN:
            return False
        if self.kind != other.kind and not (self.kind == Kind.TEXT and other.kind == Kind.ENUM):
            return self._can_hold_as_another_kind(other)
        if self.kind == Kind.JSON:
            return self.fixed == other.fixed and self.size in (None, other.size)
        if self.fixed and not (other.fixed and (self.kind == Kind.TEXT or self.size == other.size)):
            return False  # a fixed length pads what is shorter, and a text's own trailing blanks are lost in it
        if self.kind == Kind.INTEGER:
            return _signed_bits(self) >= _signed_bits(other) and (not self.unsigned or other.unsigned)
        if self.kind == Kind.DECIMAL and None not in (self.size, other.size):
            mine, theirs = (self.size or 0) - (self.scale or 0), (other.size or 0) - (other.scale or 0)
            return mine >= theirs and (self.scale or 0) >= (other.scale or 0)
        return self.size is None or (other.size is not None and self.size >= other.size)

    def _can_hold_as_another_kind(self, other: ColumnType) -> bool:
        if self.kind == Kind.INTEGER:
            return other.kind == Kind.BOOLEAN
        if self.kind == Kind.TIMESTAMP and other.kind == Kind.INSTANT:  # kept in UTC
            return self.size is None or (other.size is not None and self.size >= other.size)
        if self.kind == Kind.BINARY:
            return other.kind == Kind.GEOMETRY and self.size is None
        if self.kind != Kind.TEXT:
            return False
        longest = _TEXTS_OF_OTHER_KINDS.get(other.kind, 0)
        return longest != 0 and (self.size is None or (longest is not None and longest <= self.size))

    def __str__(self) -> str:
        if self.element:
            return f"array of {self.element}"
        size = "" if self.size is None else f"({self.size}{'' if self.scale is None else f', {self.scale}'})"
        return f"{'unsigned ' if self.unsigned else ''}{self.kind}{size}"


# A native type of these kinds takes nothing but its own values: an ENUM its labels, inet its addresses.
_HAS_RULES_OF_ITS_OWN = (Kind.TEXT, Kind.ENUM, Kind.INTEGER, Kind.GEOMETRY, Kind.ARRAY, Kind.MAP)
# The longest text of a kind that a TEXT column can keep as well; None: there is no longest.
_TEXTS_OF_OTHER_KINDS = {Kind.UUID: 36, Kind.INTERVAL: 64, Kind.JSON: None, Kind.ARRAY: None, Kind.MAP: None}


def _signed_bits(integer: ColumnType) -> int:
    return (integer.size or 64) + (1 if integer.unsigned else 0)


@dataclass(frozen=True)
class Column:
    """One column: its name, the type as its database writes it, and the canonical one (None: no mapping yet).

    Of a table whose owner chose something: name and type are the target's, `origin` is the source's column where it
    is another one, and `change` says what becomes of the values; `text` is the mask, or what tells the hash's salt
    from other salts."""

    name: str
    declared: str
    type: ColumnType | None
    nullable: bool = True
    has_default: bool = False
    origin: Column | None = None
    change: Change = Change.NONE
    text: str = ""

    @property
    def source(self) -> Column:
        return self.origin or self

    @property
    def canonical(self) -> ColumnType:
        if self.type is None:
            raise TypeError(f"column {self.name} ({self.declared}) has no canonical type: step 1 must refuse it")
        return self.type


@dataclass(frozen=True)
class TableShape:
    """A table as its catalogue describes it. `key` is the primary key's columns in order, empty without one.

    Of a source table that is to be replicated: as the target shall have it, by its owner's `choices` (projection.py).
    """

    table: TableId
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    choices: Choices = NOTHING_CHOSEN

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def key_columns(self) -> list[Column]:
        """In the key's order."""
        columns = {column.name: column for column in self.columns}
        return [columns[name] for name in self.key]

    @property
    def fingerprint(self) -> str:
        """Changes if and only if a column of the source that is replicated, the key or the owner's choices do."""
        columns = [[c.source.name, c.source.declared, c.nullable] for c in self.columns]
        chosen = [asdict(self.choices)] if self.choices != NOTHING_CHOSEN else []
        return json.dumps([*columns, list(self.key), *chosen])

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    @lru_cache(maxsize=4096)  # a copy of many tables reads the records of all of them for each
    def from_json(cls, text: str) -> TableShape:
        data = json.loads(text)
        columns = tuple(_column_from_json(column) for column in data["columns"])
        choices = {name: _as_tuple(value) for name, value in data.get("choices", {}).items()}
        return cls(TableId(**data["table"]), columns, tuple(data["key"]), Choices(**choices))


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(each) for each in value) if isinstance(value, list) else value


def _column_from_json(data: Mapping[str, Any]) -> Column:
    origin = data.get("origin")
    return Column(**{
        **data,
        "type": _type_from_json(data["type"]),
        "origin": _column_from_json(origin) if origin else None,
        "change": Change(data.get("change", "")),
    })  # fmt: skip


def _type_from_json(data: Mapping[str, Any] | None) -> ColumnType | None:
    if data is None:
        return None
    return ColumnType(**{**data, "kind": Kind(data["kind"]), "element": _type_from_json(data.get("element"))})


@dataclass(frozen=True)
class Replicated:
    """One table on its way: where it comes from, where it goes, and the topic in between."""

    source: TableId
    target: TableId
    topic: str
    choices: Choices = NOTHING_CHOSEN

    def is_called(self, name: str) -> bool:
        """Whether a person means it by this name of the source's table, with or without its schema."""
        return name in (self.source.name, str(self.source))


class Watermark(Protocol):
    """The set of source transactions that a snapshot holds (design: mechanism 1)."""

    def holds(self, source: Mapping[str, Any]) -> bool:
        """Whether the event with this Debezium `source` block belongs to the snapshot already."""
        ...

    def to_text(self) -> str: ...


class Trail(Protocol):
    """How far the events of one topic have come in the source's own order. Connectors and topics may tell a part of it
    again (Debezium after a crash, a topic that was played back); the trail knows those events."""

    def repeats(self, operation: Operation, source: Mapping[str, Any], order: int = 0) -> bool:
        """Whether this event has come before; if not, it is the last one now. `source` is Debezium's block, `order` the
        event's number among those of its table in the transaction, 0 where the connector does not tell it."""
        ...

    def to_text(self) -> str | None: ...


@dataclass(frozen=True)
class Position:
    """A place in a source's log, as the Debezium connector of that source keeps it in its offsets.

    MySQL: `file`, `pos` and `gtids`; PostgreSQL: `lsn` (decimal); Oracle: `scn`.
    """

    offset: Mapping[str, Any]

    def to_text(self) -> str:
        return json.dumps(self.offset, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Position:
        return cls(json.loads(text))


class Operation(StrEnum):
    """Debezium's `op`: what happened to the row."""

    CREATE = "c"
    READ = "r"
    UPDATE = "u"
    DELETE = "d"
    TRUNCATE = "t"


@dataclass(slots=True)  # one for each event: to make a frozen one takes four times as long
class ChangeEvent:
    """One change of one row, as Debezium tells it. Nobody changes it.

    `before` and `after` map column names to Debezium's JSON values; `key` does so for the primary key's columns
    (None for a table without one). `source` is Debezium's source block, with the transaction's identity. `order` is the
    event's number among those of its table in the transaction, 0 where the connector does not tell it.

    A changed primary key comes as two events, one after the other: a DELETE that says which key the row `moves_to`,
    and a CREATE that says which one it `moved_from`.
    """

    topic: str
    partition: int
    offset: int
    operation: Operation
    key: Mapping[str, Any] | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    source: Mapping[str, Any]
    order: int = 0
    moves_to: Mapping[str, Any] | None = None
    moved_from: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Check:
    """One thing that step 1 looked at. `problem` is empty if all is well, else it says what is wrong and the
    way out."""

    name: str
    problem: str = ""

    @property
    def ok(self) -> bool:
        return not self.problem


@dataclass(frozen=True)
class Comparison:
    """Source and target of one table, side by side."""

    table: TableId
    target: TableId
    source_rows: int
    target_rows: int
    source_checksum: str
    target_checksum: str
    missing: int = 0  # rows of the source that the target lacks
    extra: int = 0
    different: int = 0
    samples: tuple[str, ...] = ()  # keys of some of them
    undecided: int = 0  # rows that the source changed whenever they were looked at
    unread: int = 0  # rows among which there are more that differ, too many to be read
    no_row_differs: bool = False  # what made the checksums differ was on its way, or equal values spelled otherwise
    left_out: tuple[str, ...] = ()  # columns that only one side has, where changes of the source are ignored
    mended: int = 0  # of the rows that differed: so many were made equal
    advice: str = ""  # where they could not be mended: why, and what to do instead

    @property
    def equal(self) -> bool:
        same = (self.source_rows, self.source_checksum) == (self.target_rows, self.target_checksum)
        return same or self.no_row_differs


@dataclass(frozen=True)
class RowCount:
    """How many rows source and target of one table have; `settled` where the target's number lies between two of the
    source, from before and after the stream has passed."""

    table: TableId
    source_rows: int
    target_rows: int
    settled: bool = False

    @property
    def equal(self) -> bool:
        return self.settled or self.source_rows == self.target_rows


Row = tuple[str | None, ...]


@dataclass
class RowBatch:
    """What is to become of one table: the net effect of a run of events, in canonical texts.

    With a primary key: `deletes` are keys to remove; `rows` are whole rows, in the order of the table's columns,
    that replace whatever has their key; `partials` maps a tuple of column names to rows of just these columns
    (key included) that change existing rows. Every key occurs once in the whole batch. A partial row whose key is in
    `moved` has its other values from the row that had that other key before the batch.

    Without a primary key: `rows` are added, and of each row in `removed` so many equal ones are taken away.

    `truncate` empties the table before all that.

    Where deletes are soft, a deleted row is a row, or a partial one, with its DELETED_AT; what changes a row in part
    leaves alone one that is marked. `truncated_at` marks, before all that, whatever is not.
    """

    shape: TableShape
    truncate: bool = False
    truncated_at: str | None = None
    rows: list[Row] = field(default_factory=list)
    deletes: list[Row] = field(default_factory=list)
    partials: dict[tuple[str, ...], list[Row]] = field(default_factory=dict)
    removed: dict[Row, int] = field(default_factory=dict)
    moved: dict[Row, Row] = field(default_factory=dict)  # key -> the key that the row had before


def problems(checks: Iterable[Check]) -> list[Check]:
    return [check for check in checks if not check.ok]
