"""What features work on while a plan is made."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from cdc_pipeline_tests.fuzz.draft import Draft, Values
from cdc_pipeline_tests.fuzz.features import Feature, Steering, weighted
from cdc_pipeline_tests.fuzz.plan import SQL, Statement, Step

_COLUMNS = (2, 5)
_MODIFIED = 0.5  # of the columns


@dataclass
class Maker:
    """What features work on. `before` happens before the start; each of `blocks` in its own order after it."""

    seed: int
    steering: Steering
    random: random.Random
    tables: list[Draft] = field(default_factory=list)
    settings: list[Step] = field(default_factory=list)
    rows: list[Step] = field(default_factory=list)
    before: list[Step] = field(default_factory=list)
    blocks: list[list[Step]] = field(default_factory=list)
    file: dict[str, str] = field(default_factory=dict)
    pattern: bool = False
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

    # -- tables -----------------------------------------------------------------------------------------------------

    def pick(self, group: str) -> Feature:
        return weighted(self.random, self.steering.of(group))

    def new_table(self, name: str | None = None, *, key: Feature | None = None, columns: int | None = None) -> Draft:
        """A table with a key, some columns and some rows."""
        draft = Draft(f"t{len(self.tables)}", self.random)
        self.tables.append(draft)
        if name is None:
            self._use(draft, self.pick("name"))
        else:
            draft.name = name
        self._use(draft, key or self.pick("key"))
        for number in range(columns or self.random.randint(*_COLUMNS)):
            self.add_column(draft, f"c{number}")
        return draft

    def add_column(self, draft: Draft, name: str, of: Feature | None = None) -> Values:
        chosen = of or self.pick("type")
        values = chosen.makes(self, name)
        draft.features.add(chosen.name)
        modifiers = self.steering.of("column")
        if modifiers and self.chance(_MODIFIED):
            modifier = weighted(self.random, modifiers)
            made = modifier.makes(self, draft, values)
            if made is not None:
                draft.features.add(modifier.name)
                values = made
        draft.values.append(values)
        return values

    def _use(self, draft: Draft, feature: Feature) -> None:
        feature.makes(self, draft)
        draft.features.add(feature.name)

    def fill(self, draft: Draft, count: int) -> None:
        """Rows that are there before the start. Each has a statement of its own: a server may refuse one."""
        self.rows.append(self.sql("rows", *(draft.insert() for _ in range(count))))

    def some_table(self, *, keyed: bool = False) -> Draft:
        found = [draft for draft in self.tables if draft.has_key or not keyed]
        return self.random.choice(found) if found else self.new_table()
