"""A table while its plan is made: what its keys and values are, and which rows it is known to have."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cdc_pipeline_tests.fuzz.plan import Clause, Column, Delete, Insert, Pairs, Table, Update

_NULLS = 0.2  # of the values that may be NULL


@dataclass
class Values:
    """What may be written into a column: literals of its type."""

    column: Column
    literals: Sequence[str]
    explicit_nulls: float = _NULLS


@dataclass
class Draft:
    """`next_key` gives the literals of a key that was not there before. `rows` are keys that are likely there; without
    a key, whole rows."""

    name: str
    random: random.Random
    key: list[Column] = field(default_factory=list)
    next_key: Callable[[int], tuple[str, ...]] = lambda number: (str(number),)
    values: list[Values] = field(default_factory=list)
    clauses: list[Clause] = field(default_factory=list)
    after: list[Clause] = field(default_factory=list)
    options: str = ""
    features: set[str] = field(default_factory=set)
    has_key: bool = True
    count: int = 0
    rows: list[Pairs] = field(default_factory=list)

    def table(self) -> Table:
        columns = (*self.key, *(each.column for each in self.values))
        key = tuple(column.name for column in self.key) if self.has_key else ()
        return Table(
            self.name, columns, key, tuple(self.clauses), self.options, tuple(self.after), tuple(sorted(self.features))
        )

    # -- statements -------------------------------------------------------------------------------------------------

    def fresh_key(self) -> Pairs:
        self.count += 1
        literals = self.next_key(self.count)
        return tuple((column.name, literal) for column, literal in zip(self.key, literals, strict=True))

    def literal(self, values: Values) -> str:
        if values.column.nullable and self.random.random() < values.explicit_nulls:
            return "NULL"
        return self.random.choice(list(values.literals))

    def row(self, key: Pairs | None = None) -> Pairs:
        """A row of every column that may be written; it counts as there."""
        key = self.fresh_key() if key is None else key
        row = (*key, *((v.column.name, self.literal(v)) for v in self.values if v.column.written))
        self.rows.append(key if self.has_key else row)
        return row

    def insert(self, count: int = 1) -> Insert:
        return Insert(self.name, tuple(self.row() for _ in range(count)))

    def some_row(self) -> Pairs:
        """What finds one row, or several equal ones."""
        if not self.rows:
            return ((self.key[0].name, "0"),) if self.key else ()
        return self.random.choice(self.rows)

    def update(self, where: Pairs | None = None) -> Update | Insert:
        writable = [each for each in self.values if each.column.written]
        if not writable:
            return self.insert()
        chosen = self.random.sample(writable, self.random.randint(1, min(2, len(writable))))
        sets = tuple((each.column.name, self.literal(each)) for each in chosen)
        return Update(self.name, sets, self.some_row() if where is None else where)

    def delete(self) -> Delete:
        where = self.some_row()
        if where in self.rows:
            self.rows.remove(where)
        return Delete(self.name, where)
