"""What MySQL can have of a table's definition, as its SQL. The catalogue is read in catalogue.py."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, text

from cdc_pipeline.databases.database import Database
from cdc_pipeline.databases.definition import (
    Default,
    Definer,
    Definition,
    Expression,
    ForeignKey,
    Index,
    Literal,
    Names,
    Now,
    Part,
    fit,
    portable,
    shortened,
    without_uniqueness,
)
from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.databases.mysql import catalogue
from cdc_pipeline.databases.mysql.catalogue import quoted
from cdc_pipeline.errors import StatementFailed
from cdc_pipeline.model import Column, ColumnType, Kind, TableId, TableShape

INDEX_BYTES = 3072  # of InnoDB's usual row format
_PROBE = "_cdc_pipeline_default"
_COMMENT_OF_TABLE, _COMMENT_OF_COLUMN = 2048, 1024
_OFF_THE_PAGE = re.compile(r"^(?:long|medium|tiny)?(?:text|blob)|^json|^geometry", re.IGNORECASE)
_BINARY_COLLATION = re.compile(r"COLLATE \w+_bin$", re.IGNORECASE)
_NO_PAD = re.compile(r"COLLATE \w+_(?:0900|nopad)_bin$", re.IGNORECASE)


class MySqlDefiner(Definer):
    family = catalogue.FAMILY

    def read(self, database: Database, connection: Connection, shape: TableShape) -> Definition:
        return catalogue.read(database.dialect, connection, shape)

    # -- the table ----------------------------------------------------------------------------------------------

    def create_table(
        self, database: Database, connection: Connection, table: TableId, shape: TableShape, definition: Definition
    ) -> list[str]:
        """One statement, so that a kill leaves no half of it."""
        dialect, notes = database.dialect, []
        types = {c.name: dialect.column_type(c.canonical, in_key=c.name in shape.key) for c in shape.columns}
        additions = {column.name: "" for column in shape.columns}
        for column in shape.columns:
            if column.name in definition.defaults:
                default, note = self._default(connection, column, types[column.name], definition)
                additions[column.name] += default
                notes += [note] if note else []
        number, note = _numbering(shape, types, definition.identities)
        notes += [note] if note else []
        lines = []
        if number:
            additions[number] += " AUTO_INCREMENT"
            if shape.key[:1] != (number,):  # it must come first in some key
                name = self.legal(f"{number}_auto_increment")
                lines.append(f"KEY {dialect.quote(name)} ({dialect.quote(number)})")
        for name in shape.names:
            if definition.comments.get(name):
                comment, note = _comment(definition.comments[name], _COMMENT_OF_COLUMN, f"column {name}")
                additions[name] += f" COMMENT {comment}"
                notes += [note] if note else []
        comment, note = _comment(definition.comment, _COMMENT_OF_TABLE, "the table")
        notes += [note] if note else []
        end = f" COMMENT = {comment}" if definition.comment else ""
        connection.exec_driver_sql(dialect.create_table(table, shape, additions, lines) + end)
        return notes

    def _default(self, connection: Connection, column: Column, type: str, definition: Definition) -> tuple[str, str]:
        """The clause (empty if the server refuses it) and a note."""
        default = definition.defaults[column.name]
        if isinstance(default, Expression) and definition.family != self.family:
            return "", f"default of column {column.name} left out: {default.sql} has no equal in MySQL"
        clause = f" DEFAULT {default_sql(default, column.canonical, type)}"
        try:  # a temporary table commits nothing
            connection.exec_driver_sql(f"CREATE TEMPORARY TABLE `{_PROBE}` (`probe` {type}{clause})")
        except StatementFailed as error:
            return "", f"default of column {column.name} left out: {error}"
        connection.exec_driver_sql(f"DROP TEMPORARY TABLE `{_PROBE}`")
        return clause, ""

    # -- indexes ------------------------------------------------------------------------------------------------

    def plan(self, index: Index, family: str, source: TableShape, target: TableShape) -> tuple[Index | None, str]:
        reason = portable(index, family, self.family, target)
        types = {column.name: column.type for column in target.columns}
        unindexable = [
            part.column
            for part in index.parts
            if part.column and (getattr(types[part.column], "kind", None) in (None, Kind.JSON))
        ] if not reason else []  # fmt: skip
        if reason or unindexable:
            return None, reason or f"MySQL cannot index column {', '.join(unindexable)}"
        if index.method != "btree" or any(part.expression for part in index.parts):
            # Which values an expression makes equal depends on the collation of its columns, which is not the source's.
            why = ["it is over an expression"] if index.method == "btree" else []
            return without_uniqueness(index, why)
        known = {name: type for name, type in types.items() if type}
        if any(known[part.column].kind is Kind.GEOMETRY for part in index.parts):
            return None, "MySQL can index a geometry by a SPATIAL index only"
        parts, cut = fit(index.parts, known, INDEX_BYTES)
        index = replace(index, parts=tuple(_with_length(part, known[part.column]) for part in parts), method="btree")
        why = ["MySQL would compare only the first characters"] if cut else []
        why += ["its check is deferred in the source"] if index.deferrable else []
        before = {column.name: column for column in source.columns}
        after = {column.name: column for column in target.columns}
        why += [
            f"the target's {part.column} takes for equal what the source tells apart"
            for part in index.parts
            if not _tells_apart(part, before[part.column], after[part.column])
        ]
        return without_uniqueness(index, why)

    def create_index(self, database: Database, table: TableId, index: Index, name: str) -> str:
        kind = {"fulltext": "FULLTEXT ", "spatial": "SPATIAL "}.get(index.method, "UNIQUE " if index.unique else "")
        parts = ", ".join(_part(database.dialect, part) for part in index.parts)
        return f"CREATE {kind}INDEX {database.dialect.quote(name)} ON {database.dialect.table(table)} ({parts})"

    def legal(self, name: str) -> str:
        """64 characters of the basic plane, no blank at the end, and no other index is called PRIMARY."""
        plain = "".join("_" if character > "\uffff" or character == "\0" else character for character in name).rstrip()
        return shortened(plain or "_", 64, changed=plain != name or plain.upper() == "PRIMARY")

    def same_name(self, name: str) -> str:
        return name.lower()

    def index_names(self, connection: Connection, table: TableId) -> Names:
        query = (
            "SELECT index_name FROM information_schema.statistics WHERE table_schema = :schema AND table_name = :name"
        )
        return _names(connection, query, table, query)

    # -- foreign keys -------------------------------------------------------------------------------------------

    def constraint_names(self, connection: Connection, table: TableId) -> Names:
        query = "SELECT constraint_name FROM information_schema.table_constraints WHERE table_schema = :schema"
        return _names(connection, f"{query} AND table_name = :name", table, query)

    def create_foreign_key(self, database: Database, table: TableId, key: ForeignKey, name: str) -> str:
        """Enforced against others; our own sessions set foreign_key_checks = 0, because the stream may write a child
        before its parent."""
        dialect = database.dialect
        return (
            f"ALTER TABLE {dialect.table(table)} ADD CONSTRAINT {dialect.quote(name)} "
            f"FOREIGN KEY ({dialect.columns(key.columns)}) "
            f"REFERENCES {dialect.table(key.parent)} ({dialect.columns(key.parent_columns)})"
        )


def default_sql(default: Default, type: ColumnType, declared: str) -> str:
    """The default of a column that MySQL declares so."""
    match default:
        case Expression(sql=sql):
            return f"({sql})"
        case Now() if type.kind is Kind.DATE:
            return "(CURRENT_DATE)"
        case Now(digits=digits, utc=utc):
            if utc or (type.kind is Kind.INSTANT and not declared.startswith("TIMESTAMP")):
                return f"(UTC_TIMESTAMP({digits}))"
            # Of another precision than the column's it is an expression to MySQL.
            moment = f"CURRENT_TIMESTAMP({digits})"
            return moment if f"({digits})" in declared else f"({moment})"
        case Literal(text=value):
            literal = _literal(value, type)
            return f"({literal})" if _OFF_THE_PAGE.match(declared) else literal


def _literal(value: str, type: ColumnType) -> str:
    if type.kind is Kind.BINARY:
        return f"x'{value.removeprefix(chr(92) + 'x')}'"
    return f"b'{value}'" if type.kind is Kind.BITS else quoted(value)


def _comment(comment: str, longest: int, what: str) -> tuple[str, str]:
    note = f"comment of {what} cut to {longest} characters" if len(comment) > longest else ""
    return quoted(comment[:longest]), note


def _numbering(shape: TableShape, types: dict[str, str], identities: Sequence[str]) -> tuple[str, str]:
    """The one column that may be AUTO_INCREMENT, a key's first if there is a choice, and a note on the others."""
    nullable = {column.name for column in shape.columns if column.nullable}
    integer = re.compile(r"^(?:TINY|SMALL|MEDIUM|BIG)?INT(?!\(1\))")
    # In a nullable one a NULL would become a number.
    able = [name for name in identities if integer.match(types[name]) and name not in nullable]
    able.sort(key=lambda name: name not in shape.key[:1])
    left_out = [name for name in identities if name not in able[:1]]
    return (able[0] if able else ""), f"not AUTO_INCREMENT: {', '.join(left_out)}" if left_out else ""


def _tells_apart(part: Part, source: Column, target: Column) -> bool:
    """Whether the target tells all values apart that the source does: most binary collations take 'a' and 'a ' for
    equal (PAD SPACE), as MySQL's newer collations and PostgreSQL do not."""
    kind, native = source.canonical.kind, source.canonical.native
    never_ends_in_blanks = native.startswith("postgresql:") and native not in ("postgresql:name", 'postgresql:"char"')
    if kind not in (Kind.TEXT, Kind.ENUM) or never_ends_in_blanks or source.declared == target.declared:
        return True
    return bool(_NO_PAD.search(target.declared) or (part.pads and _BINARY_COLLATION.search(target.declared)))


def _with_length(part: Part, type: ColumnType) -> Part:
    """A prefix of the whole column is written without a length; a type without a limit needs one."""
    whole = part.length is not None and type.size is not None and part.length >= type.size
    return replace(part, length=None) if whole or type.kind not in (Kind.TEXT, Kind.BINARY) else part


def _part(dialect: Dialect, part: Part) -> str:
    length = "" if part.length is None else f"({part.length})"
    return (f"({part.expression})" if part.expression else dialect.quote(part.column) + length) + (
        " DESC" if part.descending else ""
    )


def _names(connection: Connection, own: str, table: TableId, taken: str) -> Names:
    values = {"schema": table.schema, "name": table.name}
    own_names = {row[0].lower() for row in connection.execute(text(own), values)}
    return Names(own_names, {row[0].lower() for row in connection.execute(text(taken), values)})
