"""What a table is beyond its columns and its key, and what of that another database can have.

A `Definer` reads it from one database's catalogue and writes it as that database's SQL. What cannot be carried over
is left out and named in a note: it never fails a copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from cdc_pipeline.model import ColumnType, Kind, TableId, TableShape

if TYPE_CHECKING:
    from cdc_pipeline.databases.database import Database

WIDEST_CHARACTER = 4  # bytes of UTF-8
_ENUM_BYTES = 64 * WIDEST_CHARACTER
_OTHER_BYTES = 40  # a decimal of 65 digits and anything smaller


@dataclass(frozen=True)
class Literal:
    """A default that is one value, in its canonical text."""

    text: str


@dataclass(frozen=True)
class Now:
    """The time (or the day, for a DATE) at which a row is written: to so many digits of a second, `utc` whatever the
    session's zone is."""

    digits: int
    utc: bool = False


@dataclass(frozen=True)
class Expression:
    """Any other default, as its database writes it."""

    sql: str


Default = Literal | Now | Expression


@dataclass(frozen=True)
class Generated:
    """A generated column whose value no event carries: whoever wants the column computes it anew."""

    declared: str
    expression: str
    stored: bool


@dataclass(frozen=True)
class Part:
    """One column, or expression, of an index. `length` is how many characters (or bytes) of it are indexed. `pads`:
    texts that differ only in trailing blanks are equal to it."""

    column: str = ""
    expression: str = ""
    length: int | None = None
    descending: bool = False
    pads: bool = False


@dataclass(frozen=True)
class Index:
    """A secondary index. `native` is what follows the table's name in its own family's CREATE INDEX. `peculiar` says
    why no other family can have it, `lost` what another one goes without, `impossible` why no target can have it."""

    name: str
    parts: tuple[Part, ...]
    unique: bool = False
    method: str = "btree"
    native: str = ""
    peculiar: str = ""
    lost: str = ""
    impossible: str = ""
    deferrable: bool = False


@dataclass(frozen=True)
class ForeignKey:
    """`unlogged` names the action (CASCADE, SET NULL) by which the source changes rows without logging them."""

    name: str
    columns: tuple[str, ...]
    parent: TableId
    parent_columns: tuple[str, ...]
    unlogged: str = ""


@dataclass(frozen=True)
class Definition:
    """What a table has besides its shape. `family` is whose expressions these are."""

    family: str = ""
    defaults: Mapping[str, Default] = field(default_factory=dict)
    identities: tuple[str, ...] = ()  # columns that number their rows by themselves
    generated: Mapping[str, Generated] = field(default_factory=dict)  # those that no event carries
    computed: tuple[str, ...] = ()  # all generated columns
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    comments: Mapping[str, str] = field(default_factory=dict)  # of columns
    comment: str = ""
    notes: tuple[str, ...] = ()  # what of it is not carried over, because the table's owner chose so


@dataclass(frozen=True)
class Names:
    """Identifiers in use: of one table's own indexes (or constraints), and of everything they must differ from."""

    own: Collection[str]
    taken: Collection[str]


class Definer:
    """Reads and writes definitions of one family of databases. This one knows nothing, and carries nothing over."""

    family = ""

    def read(self, database: Database, connection: Connection, shape: TableShape) -> Definition:
        return Definition()

    def create_table(
        self, database: Database, connection: Connection, table: TableId, shape: TableShape, definition: Definition
    ) -> list[str]:
        """Make a table of that shape with all but its indexes and foreign keys. Returns notes. It is either made
        with everything or not at all, so that nobody has to find out what a killed one lacks."""
        connection.exec_driver_sql(database.dialect.create_table(table, shape))
        return []

    def plan(self, index: Index, family: str, source: TableShape, target: TableShape) -> tuple[Index | None, str]:
        """The index as this database can have it (None: not at all), and a note on what differs."""
        return None, "this database gets no indexes yet"

    def legal(self, name: str) -> str:
        """The name, shortened and freed of what an identifier may not hold here."""
        return name

    def same_name(self, name: str) -> str:
        """What two names have in common that this database takes for one."""
        return name

    def index_names(self, connection: Connection, table: TableId) -> Names:
        return Names((), ())

    def create_index(self, database: Database, table: TableId, index: Index, name: str) -> str:
        return ""

    def constraint_names(self, connection: Connection, table: TableId) -> Names:
        return Names((), ())

    def create_foreign_key(self, database: Database, table: TableId, key: ForeignKey, name: str) -> str:
        """Without actions: what the source's cascades change arrives as events of its own. Empty if this database can
        have none that the stream, which applies table by table, would not violate half-way."""
        return ""

    def sequences(self, connection: Connection, table: TableId, columns: Sequence[str]) -> dict[str, str]:
        """The sequences that number these columns and do not follow rows which come with a number."""
        return {}

    def advance(self, connection: Connection, sequence: str, number: int) -> None:
        """The sequence's next value is past this number."""

    def highest(self, database: Database, connection: Connection, table: TableId, column: str) -> int | None:
        quoted = database.dialect.quote(column)
        sql = f"SELECT max({quoted}) FROM {database.dialect.table(table)}"
        found = connection.exec_driver_sql(sql).scalar()
        return None if found is None else int(found)


# -- names --------------------------------------------------------------------------------------------------------


def shortened(name: str, longest: int, length: Callable[[str], int] = len, *, changed: bool = False) -> str:
    """A name that fits: cut, with a hash of the whole one where anything is lost (or `changed` says so already)."""
    if length(name) <= longest and not changed:
        return name
    tail = "_" + hashlib.sha256(name.encode()).hexdigest()[:8]
    while length(name) > longest - len(tail):
        name = name[:-1]
    return name + tail


def candidates(name: str, table: str, names: Sequence[str], definer: Definer) -> Iterator[str]:
    """Names for one of a table's things (all of which are called `names`), best first: its own; the table's in front of
    it; with a hash. None of them is ever given to another of these things, so that a name tells what is made."""
    own = {other: definer.same_name(definer.legal(other)) for other in names}
    if next(other for other in names if own[other] == own[name]) == name:
        yield definer.legal(name)
    prefixed = definer.legal(f"{table}_{name}")
    if definer.same_name(prefixed) not in own.values():
        yield prefixed
    tail = hashlib.sha256(f"{table}\0{name}".encode()).hexdigest()[:8]
    yield definer.legal(f"{tail}_{name}")


# -- indexes ------------------------------------------------------------------------------------------------------


def bytes_of(type: ColumnType) -> int | None:
    """How many bytes an index entry takes at most; None without a limit."""
    if type.kind is Kind.TEXT:
        return None if type.size is None else type.size * WIDEST_CHARACTER
    if type.kind is Kind.ENUM:
        return _ENUM_BYTES
    if type.kind is Kind.BINARY:
        return type.size
    return None if type.kind in (Kind.JSON, Kind.GEOMETRY, Kind.ARRAY, Kind.MAP) else _OTHER_BYTES


def fit(parts: Sequence[Part], types: Mapping[str, ColumnType], most: int) -> tuple[tuple[Part, ...], bool]:
    """The parts with lengths under which an entry takes at most so many bytes, and whether that cuts values which the
    source's index holds whole. Short columns stay whole; the long ones share the room."""
    needs: list[int | None] = []
    for part in parts:
        type = types[part.column]
        needs.append(bytes_of(type) if part.length is None else part.length * _width(type))
    room, open_parts = most, len(parts)
    granted: list[int] = [0] * len(parts)
    for number in sorted(range(len(parts)), key=lambda n: needs[n] or most + 1):
        granted[number] = min(room // open_parts, needs[number] or most)
        room, open_parts = room - granted[number], open_parts - 1
    fitted, cut = [], False
    for part, need, grant in zip(parts, needs, granted, strict=True):
        if need is None or grant < need:
            cut = True
            fitted.append(replace(part, length=grant // _width(types[part.column])))
        else:
            fitted.append(part)
    return tuple(fitted), cut


def _width(type: ColumnType) -> int:
    return 1 if type.kind is Kind.BINARY else WIDEST_CHARACTER


def portable(index: Index, family: str, to: str, target: TableShape) -> str:
    """Why a database of the family `to` cannot have an index of `family`; empty if it may."""
    if index.impossible:
        return index.impossible
    if family != to and index.peculiar:
        return index.peculiar
    missing = [part.column for part in index.parts if part.column and part.column not in target.names]
    return f"the target has no column {', '.join(missing)}" if missing and not index.native else ""


def without_uniqueness(index: Index, why: Sequence[str]) -> tuple[Index, str]:
    """The index, not unique if there is a reason, and a note of all that differs."""
    notes = [index.lost] if index.lost else []
    if index.unique and why:
        notes.append(f"is not unique in the target: {'; '.join(why)}")
        index = replace(index, unique=False)
    return index, "; ".join(notes)
