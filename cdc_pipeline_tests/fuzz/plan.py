"""What a seed gives: tables and steps as data. Nothing here chooses, runs or judges anything.

Names are written unquoted, values as literals of the source's SQL. `SOURCE` and `TARGET` in a raw statement stand for
the quoted names of the two databases, `RUN` for a number that no other run has: only a run knows them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

SOURCE, TARGET, RUN = "⟨source⟩", "⟨target⟩", "⟨run⟩"
SQL = "sql"
START = "start"
LOGINS = "own_logins"


@dataclass(frozen=True)
class Column:
    """`declared` is its type and all that follows; `type` the feature that its values come from."""

    name: str
    declared: str
    type: str = ""
    nullable: bool = True
    written: bool = True  # whether an INSERT may give it a value: not, where the server makes it
    default: bool = False


@dataclass(frozen=True)
class Clause:
    """A part of a CREATE TABLE, or a statement after it, that falls when one of its columns does. Columns in `sql` are
    written as `«0»`, `«1»`; the table as `«table»`."""

    sql: str
    columns: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # other tables


@dataclass(frozen=True)
class Table:
    """A table that is there before the start. `key` are the columns of its primary key."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    clauses: tuple[Clause, ...] = ()  # inside the parentheses
    options: str = ""  # behind them
    after: tuple[Clause, ...] = ()
    features: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


Pairs = tuple[tuple[str, str], ...]  # a column's name and a literal


@dataclass(frozen=True)
class Insert:
    table: str
    rows: tuple[Pairs, ...]
    verb: str = "INSERT"
    tail: str = ""

    @property
    def tables(self) -> tuple[str, ...]:
        return (self.table,)


@dataclass(frozen=True)
class Update:
    """`where` are columns and the literals that they equal; `more` is a further condition as it stands."""

    table: str
    sets: Pairs
    where: Pairs = ()

    @property
    def tables(self) -> tuple[str, ...]:
        return (self.table,)


@dataclass(frozen=True)
class Delete:
    table: str
    where: Pairs = ()

    @property
    def tables(self) -> tuple[str, ...]:
        return (self.table,)


@dataclass(frozen=True)
class Raw:
    """Any other statement. Quoted names are written as `«0»`, `«1»`, of `names`; `tables` and `columns` say what it
    cannot be run without."""

    sql: str
    names: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


Statement = Insert | Update | Delete | Raw


@dataclass(frozen=True)
class Step:
    """Statements on one named session (`does` is `sql`), or an act. `feature` is what put it into the plan."""

    does: str
    feature: str
    statements: tuple[Statement, ...] = ()
    session: str = "main"
    role: str = "source"
    arguments: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        mine = self.arguments if self.does != SQL else ()
        return tuple(dict.fromkeys([*(t for s in self.statements for t in s.tables), *mine]))


@dataclass(frozen=True)
class Plan:
    """`prelude` comes before the tables, `steps` behind them. `file` are top-level keys of the replication's file. Its
    tables are named one by one or, with `pattern`, are all that there are. With `logins`, the product has logins of its
    own, which may do what the documentation asks for and no more."""

    seed: int
    source: str
    target: str
    tables: tuple[Table, ...]
    steps: tuple[Step, ...]
    prelude: tuple[Step, ...] = ()
    file: Pairs = ()
    pattern: bool = False
    logins: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        steps = (*self.prelude, *self.steps)
        more = {LOGINS} if self.logins else set()
        return tuple(sorted({*(f for t in self.tables for f in t.features), *(s.feature for s in steps), *more}))

    def features_of(self, table: str) -> tuple[str, ...]:
        """What was done with this table, and what was done with all of them."""
        mine = {f for t in self.tables if t.name == table for f in t.features}
        steps = (*self.prelude, *self.steps)
        return tuple(sorted(mine | {s.feature for s in steps if not s.tables or table in s.tables}))

    def with_steps(self, steps: tuple[Step, ...]) -> Plan:
        return replace(self, steps=steps)


# -- as text -------------------------------------------------------------------------------------------------------

_CLASSES = {each.__name__: each for each in (Insert, Update, Delete, Raw)}


def to_json(plan: Plan) -> str:
    return json.dumps(asdict(plan, dict_factory=_tagged), ensure_ascii=False, indent=1)


def _tagged(items: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(items)


def from_json(text: str) -> Plan:
    return _made(Plan, json.loads(text))


def _made(cls: Any, values: dict[str, Any]) -> Any:
    made = {each.name: _value(cls, each.name, values[each.name]) for each in fields(cls) if each.name in values}
    return cls(**made)


_ELEMENTS: dict[tuple[str, str], Any] = {
    ("Plan", "tables"): Table,
    ("Plan", "steps"): Step,
    ("Plan", "prelude"): Step,
    ("Table", "columns"): Column,
    ("Table", "clauses"): Clause,
    ("Table", "after"): Clause,
}


def _value(cls: Any, name: str, value: Any) -> Any:
    element = _ELEMENTS.get((cls.__name__, name))
    if element is not None:
        return tuple(_made(element, each) for each in value)
    if (cls.__name__, name) == ("Step", "statements"):
        return tuple(_statement(each) for each in value)
    return _frozen(value)


def _statement(values: dict[str, Any]) -> Statement:
    kind = "Raw" if "sql" in values else "Insert" if "rows" in values else "Update" if "sets" in values else "Delete"
    return _made(_CLASSES[kind], values)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


# -- as SQL --------------------------------------------------------------------------------------------------------


def quote(kind: str, name: str) -> str:
    mark = '"' if kind == "postgresql" else "`"
    return mark + name.replace(mark, mark * 2) + mark


def create(kind: str, table: Table) -> str:
    """The table's CREATE statement."""
    parts = [f"{quote(kind, column.name)} {column.declared}" for column in table.columns]
    if table.key:
        parts.append(f"PRIMARY KEY ({', '.join(quote(kind, name) for name in table.key)})")
    parts += [_filled(kind, table, clause) for clause in table.clauses]
    return f"CREATE TABLE {quote(kind, table.name)} ({', '.join(parts)}) {table.options}".strip()


def creation(kind: str, table: Table) -> Iterator[str]:
    """Its CREATE statement and those after it."""
    yield create(kind, table)
    for clause in table.after:
        yield _filled(kind, table, clause)


def _filled(kind: str, table: Table, clause: Clause) -> str:
    return _named(clause.sql.replace("«table»", quote(kind, table.name)), kind, clause.columns)


def _named(sql: str, kind: str, names: tuple[str, ...]) -> str:
    return re.sub("«([0-9]+)»", lambda found: quote(kind, names[int(found[1])]), sql)


def render(kind: str, statement: Statement) -> str:
    """A statement as the server gets it."""
    match statement:
        case Insert(table, rows, verb, tail):
            groups = [f"({', '.join(literal for _, literal in row)})" for row in rows]
            names = ", ".join(quote(kind, name) for name, _ in rows[0])
            return f"{verb} INTO {quote(kind, table)} ({names}) VALUES {', '.join(groups)} {tail}".rstrip()
        case Update(table, sets, where):
            changes = ", ".join(f"{quote(kind, name)} = {literal}" for name, literal in sets)
            return f"UPDATE {quote(kind, table)} SET {changes}{_where(kind, where)}"
        case Delete(table, where):
            return f"DELETE FROM {quote(kind, table)}{_where(kind, where)}"
        case Raw(sql, names):
            return _named(sql, kind, names)


def _where(kind: str, where: Pairs) -> str:
    parts = [
        f"{quote(kind, name)} IS NULL" if literal == "NULL" else f"{quote(kind, name)} = {literal}"
        for name, literal in where
    ]
    return f" WHERE {' AND '.join(parts)}" if parts else ""
