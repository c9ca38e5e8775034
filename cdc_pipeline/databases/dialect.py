"""SQL text of one database, names and types in. Pure: nothing here has a connection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from cdc_pipeline.choices import DELETED_AT, NOTHING_CHOSEN, Change
from cdc_pipeline.condition import Value, parse
from cdc_pipeline.databases.condition_sql import render
from cdc_pipeline.databases.key_ranges import WHOLE_TABLE, KeyRange, KeySet, key_columns, within
from cdc_pipeline.model import Column, ColumnType, TableId, TableShape
from cdc_pipeline.projection import filter_columns, source_columns


class Dialect(ABC):
    """SQL strings of one database. Stateless; every identifier is escaped by `quote`."""

    name: str
    longest_identifier: int
    identifier_unit = "characters"

    @abstractmethod
    def quote(self, identifier: str) -> str: ...

    def name_problem(self, identifier: str) -> str:
        """Why the server cannot have, or would cut off, a table or column of this name; empty if it can."""
        length = len(identifier) if self.identifier_unit == "characters" else len(identifier.encode())
        longest = self.longest_identifier
        return f"is longer than {longest} {self.identifier_unit}" if length > longest else ""

    @abstractmethod
    def canonical_type(self, declared: str) -> ColumnType | None:
        """The canonical type of a column that its catalogue declares so; None if there is no mapping yet."""

    def refusal(self, declared: str) -> str:
        """Why a type has no canonical one, and the way out."""
        return "it has no mapping"

    @abstractmethod
    def column_type(self, type: ColumnType, *, in_key: bool) -> str:
        """How a column of this canonical type is declared; a key's column must be indexable."""

    @abstractmethod
    def read(self, column: Column) -> str:
        """The expression that yields the column's canonical text in the copy's SELECT list."""

    @abstractmethod
    def compare(self, name: str, type: ColumnType) -> str:
        """The expression that yields a text which is equal, on every database, for equal values of this type."""

    @abstractmethod
    def row_hash(self, columns: Sequence[tuple[str, ColumnType]], prefix: str = "") -> str:
        """The expression for the SHA-256 (64 hexadecimal digits) of a row's compare texts, NULLs and lengths told."""

    def one_of(self, expression: str, texts: Sequence[str]) -> str:
        """The condition that an expression is one of these texts."""
        return f"{expression} IN ({', '.join(map(self.text, texts))})"

    @abstractmethod
    def hash_sum(self, row_hash: str) -> str:
        """The aggregate that adds up the first 60 bits of these hashes: independent of the order of rows."""

    def table(self, table: TableId) -> str:
        """The qualified name; a session's temporary table has no schema."""
        if not table.schema:
            return self.quote(table.name)
        return f"{self.quote(table.schema)}.{self.quote(table.name)}"

    def columns(self, names: Sequence[str], prefix: str = "") -> str:
        return ", ".join(prefix + self.quote(name) for name in names)

    def create_table(
        self, table: TableId, shape: TableShape, additions: Mapping[str, str] | None = None, keys: Sequence[str] = ()
    ) -> str:
        """`additions` are what follows a column's type, `keys` further lines of the statement."""
        lines = []
        for column in shape.columns:
            type_text = self.column_type(column.canonical, in_key=column.name in shape.key)
            addition = (additions or {}).get(column.name, "")
            lines.append(f"{self.quote(column.name)} {type_text}{'' if column.nullable else ' NOT NULL'}{addition}")
        if shape.key:
            lines.append(f"PRIMARY KEY ({self.columns(shape.key)})")
        lines += keys
        return f"CREATE TABLE {self.table(table)} (\n  " + ",\n  ".join(lines) + "\n)"

    # -- what an owner chooses ----------------------------------------------------------------------------------

    @abstractmethod
    def operand(self, name: str, type: ColumnType) -> str:
        """The expression of a column that a `where` compares: with these literals, and blind to collations."""

    @abstractmethod
    def literal(self, value: Value, type: ColumnType) -> str:
        """A `where`'s literal, to be compared with an operand of this type."""

    @abstractmethod
    def text(self, value: str) -> str:
        """Any text as a literal."""

    @abstractmethod
    def sha256(self, text: str, *, salted: bool) -> str:
        """The expression for the SHA-256 (hexadecimal digits) of a text, in UTF-8, behind the session's salt."""

    def where(self, shape: TableShape, keys: KeyRange | KeySet = WHOLE_TABLE) -> str:
        """` WHERE …` of the source's rows that are replicated, and in this range; empty if all are."""
        chosen = render(self, parse(shape.choices.where), filter_columns(shape)) if shape.choices.where else ""
        both = [f"({condition})" for condition in (chosen, within(self, key_columns(shape), keys)) if condition]
        return f" WHERE {' AND '.join(both)}" if both else ""

    def select(self, shape: TableShape, keys: KeyRange | KeySet = WHOLE_TABLE, at: str = "") -> str:
        """The canonical texts of what is replicated; `at` follows the table's name."""
        fields = ", ".join(self.field(column) for column in shape.columns)
        return f"SELECT {fields} FROM {self.table(shape.table)}{at}{self.where(shape, keys)}"

    # -- ranges of the key --------------------------------------------------------------------------------------

    def key_text(self, name: str, type: ColumnType) -> str:
        """The expression of a key's value, as a text that `key_literal` makes the same value of again."""
        return self.compare(name, type)

    @abstractmethod
    def key_literal(self, text: str, type: ColumnType) -> str:
        """A key's value, to be compared with its column in that one's own order."""

    def nth(self, number: int) -> str:
        """What follows a query's ORDER BY for nothing but its row of this number, counted from 1."""
        return f"OFFSET {number - 1} ROWS FETCH NEXT 1 ROWS ONLY"

    def field(self, column: Column) -> str:
        """The expression of a column's canonical text, as its owner wants it."""
        return self._changed(column) or self.read(column.source)

    def replicated(self, shape: TableShape) -> str:
        """The source's side of a comparison: its table, or a query that gives what is replicated of it under the names
        that it has in the target."""
        if shape.choices == NOTHING_CHOSEN:
            return self.table(shape.table)
        columns = source_columns(shape)
        fields = (f"{self._changed(c) or self.quote(c.source.name)} AS {self.quote(c.name)}" for c in columns)
        return f"(SELECT {', '.join(fields)} FROM {self.table(shape.table)}{self.where(shape)}) cdc_replicated"

    def undeleted(self, table: TableId, shape: TableShape) -> str:
        """The target's side of it: where deletes are soft, the rows that the source has too."""
        if not shape.choices.soft_delete:
            return self.table(table)
        rows = f"SELECT {self.columns([c.name for c in source_columns(shape)])} FROM {self.table(table)}"
        return f"({rows} WHERE {self.quote(DELETED_AT)} IS NULL) cdc_undeleted"

    def _changed(self, column: Column) -> str:
        """The expression of a column whose value is not the source's; empty if it is."""
        name = self.quote(column.source.name)
        if column.change is Change.HASH:
            source = column.source.canonical
            hashed = self.sha256(self.compare(name, source), salted=bool(column.text))
            return f"CASE WHEN {self.read(column.source)} IS NULL THEN NULL ELSE {hashed} END"
        if column.change is Change.MASK:
            return f"CASE WHEN {name} IS NULL THEN NULL ELSE {self.text(column.text)} END"
        return "NULL" if column.change is Change.DELETED_AT else ""
