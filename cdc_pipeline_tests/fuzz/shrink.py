"""What fails, made small: parts of a plan are left out for as long as what is left still fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from cdc_pipeline_tests.fuzz.plan import SQL, START, Insert, Pairs, Plan, Raw, Statement, Step, Table, Update

Fails = Callable[[Plan], bool]
T = TypeVar("T")


def shrink(plan: Plan, fails: Fails, table: str = "") -> Plan:
    """The smallest plan found that `fails`, which the given one does. `table` is the one that a finding is about: the
    others are left out first. `fails` may be costly: no plan is tried twice."""
    tried: set[Plan] = {plan}

    def fails_anew(candidate: Plan) -> bool:
        if candidate in tried:
            return False
        tried.add(candidate)
        return fails(candidate)

    if table:
        alone = plan
        for other in plan.tables:
            alone = alone if other.name == table else without_table(alone, other.name)
        plan = alone if fails_anew(alone) else plan
    before = None
    while plan != before:
        before = plan
        for smaller in (_steps, _tables, _statements, _columns, _rows, _rest):
            plan = smaller(plan, fails_anew)
    return plan


def reduced(items: Sequence[T], holds: Callable[[Sequence[T]], bool]) -> list[T]:
    """Delta debugging: as few of the items, in their order, as `holds` allows; none can be left out alone."""
    kept, size = list(items), max(1, len(items) // 2)
    while kept:
        at, shrunk = 0, False
        while at < len(kept):
            fewer = kept[:at] + kept[at + size :]
            if holds(fewer):
                kept, shrunk = fewer, True
            else:
                at += size
        if size == 1 and not shrunk:
            break
        size = max(1, size // 2) if not shrunk or size > 1 else 1
    return kept


def _steps(plan: Plan, fails: Fails) -> Plan:
    """All but the start may go, those before the tables too."""
    for name in ("steps", "prelude"):
        steps = getattr(plan, name)
        free = [number for number, step in enumerate(steps) if step.does != START]

        def of(chosen: Sequence[int], steps: Sequence[Step] = steps, free: Sequence[int] = free) -> tuple[Step, ...]:
            return tuple(step for number, step in enumerate(steps) if number not in free or number in chosen)

        def holds(chosen: Sequence[int], plan: Plan = plan, name: str = name, of: Callable = of) -> bool:
            return fails(replace(plan, **{name: of(chosen)}))

        plan = replace(plan, **{name: of(reduced(free, holds))})
    return plan


def _statements(plan: Plan, fails: Fails) -> Plan:
    for number in range(len(plan.steps)):
        if plan.steps[number].does != SQL:
            continue

        def of(statements: Sequence[Statement], plan: Plan = plan, number: int = number) -> Plan:
            step = replace(plan.steps[number], statements=tuple(statements))
            return replace(plan, steps=(*plan.steps[:number], step, *plan.steps[number + 1 :]))

        plan = of(reduced(plan.steps[number].statements, lambda chosen, of=of: bool(chosen) and fails(of(chosen))))
    return plan


def _tables(plan: Plan, fails: Fails) -> Plan:
    return _one_by_one(plan, fails, lambda plan: (without_table(plan, table.name) for table in plan.tables))


def _columns(plan: Plan, fails: Fails) -> Plan:
    return _one_by_one(
        plan,
        fails,
        lambda plan: (
            without_column(plan, table, column.name)
            for table in plan.tables
            for column in table.columns
            if column.name not in table.key
        ),
    )


def _rows(plan: Plan, fails: Fails) -> Plan:
    """INSERTs of fewer rows."""
    for number, step in enumerate(plan.steps):
        for place, statement in enumerate(step.statements):
            if isinstance(statement, Insert) and len(statement.rows) > 1:

                def of(
                    rows: Sequence[Pairs],
                    plan: Plan = plan,
                    at: tuple[int, int] = (number, place),
                    s: Insert = statement,
                ) -> Plan:
                    return _with_statement(plan, *at, replace(s, rows=tuple(rows)))

                plan = of(reduced(statement.rows, lambda rows, of=of: bool(rows) and fails(of(rows))))
    return plan


def _rest(plan: Plan, fails: Fails) -> Plan:
    """What tables have besides, and what the file says."""

    def candidates(plan: Plan) -> Iterator[Plan]:
        yield from (replace(plan, file=tuple(f for f in plan.file if f != each)) for each in plan.file)
        for number, table in enumerate(plan.tables):
            smaller = [replace(table, clauses=tuple(c for c in table.clauses if c != each)) for each in table.clauses]
            smaller += [replace(table, after=tuple(c for c in table.after if c != each)) for each in table.after]
            smaller += [replace(table, options="")] if table.options else []
            for each in smaller:
                yield replace(plan, tables=(*plan.tables[:number], each, *plan.tables[number + 1 :]))

    return _one_by_one(plan, fails, candidates)


def _one_by_one(plan: Plan, fails: Fails, candidates: Callable[[Plan], Iterator[Plan]]) -> Plan:
    found: Plan | None = plan
    while found is not None:
        plan = found
        found = next((candidate for candidate in candidates(plan) if fails(candidate)), None)
    return plan


def _with_statement(plan: Plan, number: int, place: int, statement: Statement) -> Plan:
    step = plan.steps[number]
    statements = (*step.statements[:place], statement, *step.statements[place + 1 :])
    changed = replace(step, statements=statements)
    return replace(plan, steps=(*plan.steps[:number], changed, *plan.steps[number + 1 :]))


# -- parts that go ----------------------------------------------------------------------------------------------------


def without_table(plan: Plan, name: str) -> Plan:
    """Without the table, tables that refer to it, and every statement and act that names it."""
    gone = {name, *(t.name for t in plan.tables if any(name in clause.needs for clause in t.clauses))}
    tables = tuple(table for table in plan.tables if table.name not in gone)
    return replace(
        plan, tables=tables, steps=_kept(plan.steps, lambda s: s if not gone & set(s.tables) else None, gone)
    )


def without_column(plan: Plan, table: Table, column: str) -> Plan:
    """Without the column, what cannot be without it, and its values."""
    smaller = replace(
        table,
        columns=tuple(each for each in table.columns if each.name != column),
        clauses=tuple(each for each in table.clauses if column not in each.columns),
        after=tuple(each for each in table.after if column not in each.columns),
    )
    tables = tuple(smaller if each.name == table.name else each for each in plan.tables)
    steps = _kept(plan.steps, lambda s: _without(s, column) if table.name in s.tables else s, set())
    return replace(plan, tables=tables, steps=steps)


def _kept(steps: Sequence[Step], change: Callable[[Statement], Statement | None], gone: set[str]) -> tuple[Step, ...]:
    kept = []
    for step in steps:
        if step.does != SQL:
            kept += [] if gone & set(step.arguments) else [step]
            continue
        statements = tuple(changed for each in step.statements if (changed := change(each)) is not None)
        kept += [replace(step, statements=statements)] if statements else []
    return tuple(kept)


def _without(statement: Statement, column: str) -> Statement | None:
    match statement:
        case Insert(rows=rows):
            fewer = tuple(tuple(pair for pair in row if pair[0] != column) for row in rows)
            return replace(statement, rows=fewer) if all(fewer) else None
        case Update(sets=sets, where=where):
            left = tuple(pair for pair in sets if pair[0] != column)
            return None if not left else replace(statement, sets=left, where=_pairs(where, column))
        case Raw(columns=columns, names=names):
            return None if column in (*columns, *names[1:]) else statement
        case _:
            return replace(statement, where=_pairs(statement.where, column))


def _pairs(pairs: Pairs, column: str) -> Pairs:
    return tuple(pair for pair in pairs if pair[0] != column)
