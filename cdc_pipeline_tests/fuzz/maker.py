"""What features work on while a plan is made."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cdc_pipeline_tests.fuzz.draft import Draft, Values
from cdc_pipeline_tests.fuzz.features import Feature, Steering, weighted
from cdc_pipeline_tests.fuzz.plan import SQL, Clause, Column, Raw, Statement, Step, Table

_COLUMNS = (2, 5)
_MODIFIED = 0.5  # of the columns


@dataclass
class Maker:
    """What features work on. `prelude` happens before the tables are made, `before` before the start; each of `blocks`
    in its own order after it."""

    seed: int
    steering: Steering
    random: random.Random
    tables: list[Draft] = field(default_factory=list)
    prelude: list[Step] = field(default_factory=list)
    rows: list[Step] = field(default_factory=list)
    before: list[Step] = field(default_factory=list)
    blocks: list[list[Step]] = field(default_factory=list)
    made: dict[str, Table] = field(default_factory=dict)  # as they are created; a draft follows what is altered
    file: dict[str, str] = field(default_factory=dict)
    pattern: bool = False
    logins: bool = False
    _sessions: int = 0

    @property
    def source(self) -> str:
        return self.steering.source

    @property
    def target(self) -> str:
        return self.steering.target

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def session(self) -> str:
        self._sessions += 1
        return f"s{self._sessions}"

    # -- steps ------------------------------------------------------------------------------------------------------

    def sql(self, feature: str, *statements: Statement, session: str = "main", role: str = "source") -> Step:
        return Step(SQL, feature, statements, session, role)

    def act(self, feature: str, does: str, *arguments: str) -> Step:
        return Step(does, feature, arguments=arguments)

    def block(self, *steps: Step) -> None:
        self.blocks.append(list(steps))

    def require(self, feature: str, *statements: str) -> None:
        """Statements that come before all tables, each once."""
        known = [statement for step in self.prelude for statement in step.statements]
        self.prelude += [self.sql(feature, Raw(each)) for each in statements if Raw(each) not in known]

    def does(self, feature: str, *statements: Statement, session: str = "main") -> None:
        """A block of one step."""
        self.block(self.sql(feature, *statements, session=session))

    # -- tables -----------------------------------------------------------------------------------------------------

    def pick(self, group: str) -> Feature:
        """One that a person asked for, every other time."""
        asked = self.steering.asked_for(group)
        return weighted(self.random, asked if asked and self.chance(0.5) else self.steering.of(group))

    def settle(self) -> None:
        """What drafts are now is what is created: later changes of them are steps."""
        for draft in self.tables:
            self.made.setdefault(draft.name, draft.table())

    def new_table(
        self,
        *,
        name: Feature | None = None,
        key: Feature | None = None,
        type: Feature | None = None,
        columns: int | None = None,
    ) -> Draft:
        """A table of any kind: what it is called, its key, its columns."""
        draft = Draft(f"t{len(self.tables)}", self.random)
        for chosen in (name or self.pick("name"), key or self.pick("key")):
            chosen.makes(self, draft)
            draft.features.add(chosen.name)
        for number in range(self.random.randint(*_COLUMNS) if columns is None else columns):
            self.add_column(draft, f"c{number}", type)
        if any("[]" in each.column.declared for each in draft.values) and self.chance(0.9):
            self.full_identity(draft)  # step 1 asks for it where arrays may be long
        self.tables.append(draft)
        return draft

    def plain_table(self, feature: str, *columns: tuple[str, str, Sequence[str]], rows: int = 5, **key: Any) -> Draft:
        """A table with an INT key for a feature that needs one of its own. `columns` are names, declarations and
        literals."""
        draft = Draft(f"{feature}{len(self.tables)}", self.random, features={feature})
        draft.key = [Column("id", "INT NOT NULL", nullable=False)]
        draft.values = [
            Values(Column(name, declared, nullable="NOT NULL" not in declared), literals, 0.0)
            for name, declared, literals in columns
        ]
        for name, value in key.items():
            setattr(draft, name, value)
        self.tables.append(draft)
        self.settle()
        if rows:
            self.fill(draft, rows)
        return draft

    def add_column(
        self,
        draft: Draft,
        name: str,
        of: Feature | None = None,
        *,
        modifier: Feature | None = None,
        modified: bool = True,
    ) -> None:
        chosen = of or self.pick("type")
        values = chosen.makes(self, name)
        draft.features.add(chosen.name)
        if modifier is None and modified and self.steering.of("column") and self.chance(_MODIFIED):
            modifier = self.pick("column")
        made = modifier.makes(self, draft, values) if modifier else None
        if modifier and made is not None:
            draft.features.add(modifier.name)
            values = made
        draft.values.append(values)
        if "[]" in chosen.name + values.column.declared and not modified:
            self.full_identity(draft)

    def fill(self, draft: Draft, count: int) -> None:
        """Rows that are there before the start. Each has a statement of its own: a server may refuse one."""
        self.rows.append(self.sql("rows", *(draft.insert() for _ in range(count))))

    def some_table(self, *, keyed: bool = False) -> Draft:
        found = [draft for draft in self.tables if draft.has_key or not keyed]
        return self.random.choice(found or self.tables)

    def full_identity(self, draft: Draft) -> None:
        """PostgreSQL tells the whole row only where it is asked to."""
        if self.source == "postgresql" and not any("IDENTITY" in each.sql for each in draft.after):
            draft.after.append(Clause("ALTER TABLE «table» REPLICA IDENTITY FULL"))


def alter(draft: Draft, sql: str, *names: str, columns: tuple[str, ...] = ()) -> Raw:
    """ALTER TABLE of this table; `names` stand in it as «1», «2»."""
    return Raw(f"ALTER TABLE «0» {sql}", (draft.name, *names), (draft.name,), columns)


def raw(draft: Draft, sql: str, *names: str, columns: tuple[str, ...] = ()) -> Raw:
    """Any statement about this table, which stands in it as «0»."""
    return Raw(sql, (draft.name, *names), (draft.name,), columns)
