"""From a seed, a plan. All that is random happens here and in the inventory."""

from __future__ import annotations

import random
from collections.abc import Sequence

# Its modules register their features when they are imported.
from cdc_pipeline_tests.fuzz import inventory  # noqa: F401
from cdc_pipeline_tests.fuzz.features import Feature, Steering, weighted
from cdc_pipeline_tests.fuzz.maker import Maker
from cdc_pipeline_tests.fuzz.plan import SQL, START, Pairs, Plan, Raw, Step

_TABLES, _ROWS, _BLOCKS = (2, 4), (3, 12), (4, 8)


def make(seed: int, steering: Steering) -> Plan:
    """The same seed and steering give the same plan."""
    maker = Maker(seed, steering, random.Random(f"{seed} {steering.source} {steering.target}"))
    for _ in range(maker.random.randint(*_TABLES)):
        maker.new_table()
    for each in _some(maker, "table", 0.5):
        each.makes(maker)
    for draft in maker.tables:
        maker.fill(draft, maker.random.randint(*_ROWS))
    maker.settle()
    for group, share in (("row", 0.5), ("setting", 0.5)):
        for each in _some(maker, group, share):
            each.makes(maker)
    for each in _blocks(maker):
        each.makes(maker)
    steps = [*maker.rows, *maker.before, maker.act("start", START), *_merged(maker)]
    tables = tuple(maker.made.values())
    return Plan(
        seed, maker.source, maker.target, tables, tuple(steps), tuple(maker.prelude), _pairs(maker.file), maker.pattern
    )


def _pairs(values: dict[str, str]) -> Pairs:
    return tuple(sorted(values.items()))


def _some(maker: Maker, group: str, share: float) -> Sequence[Feature]:
    """What was asked for, and beside it one of the group, as often as `share` says."""
    asked = maker.steering.asked_for(group)
    others = [each for each in maker.steering.of(group) if each not in asked]
    return [*asked, *([weighted(maker.random, others)] if others and maker.chance(share) else [])]


def _blocks(maker: Maker) -> Sequence[Feature]:
    """What happens behind the start: mostly transactions, some DDL, some acts."""
    asked = [each for group in ("transaction", "ddl", "act") for each in maker.steering.asked_for(group)]
    wanted = maker.random.randint(*_BLOCKS)
    chosen = list(asked)
    while len(chosen) < wanted:
        group = maker.random.choices(("transaction", "ddl", "act"), (6, 2, 2))[0]
        of = maker.steering.of(group) or maker.steering.of("transaction")
        chosen.append(weighted(maker.random, of))
    maker.random.shuffle(chosen)
    return chosen


def _merged(maker: Maker) -> list[Step]:
    """The blocks one after the other, but some of them begin while another one is at work. No transaction is open while
    an act happens, unless its own block says so: many wait for it, and rightly."""
    merged: list[Step] = []
    for block in maker.blocks:
        at = len(merged)
        if len(block) > 1 and merged and maker.chance(0.2):
            at = maker.random.choice([*(n for n in range(len(merged)) if _may_begin(block[0], merged, n)), at])
        merged[at:at] = block[:1]
        merged += block[1:]
    return merged


def _may_begin(step: Step, merged: Sequence[Step], at: int) -> bool:
    """Whether it may stand there, with its own block's other steps behind all."""
    if step.does != SQL:
        return not _open_sessions(merged[:at])
    return not _open_sessions([step]) or all(later.does == SQL for later in merged[at:])


def _open_sessions(steps: Sequence[Step]) -> set[str]:
    """Those that have begun a transaction and not ended it."""
    found: set[str] = set()
    for step in steps:
        texts = [statement.sql for statement in step.statements if isinstance(statement, Raw)]
        ends = [text for text in texts if text in ("BEGIN", "COMMIT", "ROLLBACK")]
        if ends:
            (found.add if ends[-1] == "BEGIN" else found.discard)(step.session)
    return found
