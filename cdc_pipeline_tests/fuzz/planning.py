"""From a seed, a plan. All that is random happens here and in the inventory."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

# Its modules register their features when they are imported.
from cdc_pipeline_tests.fuzz import inventory  # noqa: F401
from cdc_pipeline_tests.fuzz.features import Feature, Steering, weighted
from cdc_pipeline_tests.fuzz.maker import Maker
from cdc_pipeline_tests.fuzz.plan import SQL, START, Plan, Raw, Step

_TABLES, _ROWS = (2, 4), (3, 10)
_COLUMNS_OF_ALL = 8  # in each table of a plan that has all types
# How many of a group are in a plan. What costs time is the start and each act, not what happens in between.
_COUNTS = {"table": (1, 2), "row": (0, 1), "setting": (0, 1), "transaction": (4, 8), "ddl": (1, 3), "act": (0, 2)}


def make(seed: int, steering: Steering) -> Plan:
    """The same seed and steering give the same plan."""
    maker = Maker(seed, steering, random.Random(f"{seed} {steering.source} {steering.target}"))
    for _ in range(maker.random.randint(*_TABLES)):
        maker.new_table()
    for each in _chosen(maker, "table"):
        each.makes(maker)
    return _finished(maker, lambda: [*_chosen(maker, "row"), *_chosen(maker, "setting"), *_blocks(maker)])


def _finished(maker: Maker, features: Callable[[], Sequence[Feature]]) -> Plan:
    """Rows for the tables that are there, and then what these features make of them."""
    maker.settle()
    for draft in maker.tables:
        maker.fill(draft, maker.random.randint(*_ROWS))
    for each in features():
        each.makes(maker)
    for draft in maker.tables:
        maker.does("alone", draft.insert(), draft.update(), draft.update(), draft.delete())
    steps = [*maker.rows, *maker.before, maker.act("start", START), *_merged(maker)]
    tables = tuple(maker.made.values())
    file = tuple(sorted(maker.file.items()))
    return Plan(
        maker.seed,
        maker.source,
        maker.target,
        tables,
        tuple(steps),
        tuple(maker.prelude),
        file,
        maker.pattern,
        maker.logins,
    )


def make_all(groups: Sequence[str], seed: int, steering: Steering) -> Plan:
    """A plan that has every feature of these groups at once."""
    maker = Maker(seed, steering, random.Random(f"{seed} {steering.source} {steering.target} {groups}"))
    by_name = {group: steering.of(group) for group in groups}
    name, key, type = (next(each for each in steering.of(g) if each.base) for g in ("name", "key", "type"))
    for each in by_name.get("name", []):
        maker.new_table(name=each, key=key, type=type)
    for each in by_name.get("key", []):
        maker.new_table(name=name, key=each, type=type)
    types = by_name.get("type", [])
    for at in range(0, len(types), _COLUMNS_OF_ALL):
        draft = maker.new_table(name=name, key=key, columns=0)
        for number, each in enumerate(types[at : at + _COLUMNS_OF_ALL]):
            maker.add_column(draft, f"c{number}", each, modified=False)
    for each in by_name.get("column", []):
        draft = maker.new_table(name=name, key=key, columns=0)
        maker.add_column(draft, "c", modifier=each)
    for each in by_name.get("table", []):
        each.makes(maker)
    later = [each for group in ("row", "transaction", "ddl", "act") for each in by_name.get(group, [])]
    return _finished(maker, lambda: later)


def _chosen(maker: Maker, group: str) -> list[Feature]:
    """What was asked for, and beside it some of the group, each once; what all plans are made of, again and again."""
    asked = maker.steering.asked_for(group)
    others = [each for each in maker.steering.of(group) if each not in asked]
    wanted = maker.random.randint(*_COUNTS[group]) if others else 0
    found: list[Feature] = []
    for each in (weighted(maker.random, others) for _ in range(wanted)):
        found += [each] if each.base or each not in found else []
    return [*asked, *found]


def _blocks(maker: Maker) -> list[Feature]:
    """What happens behind the start, in any order."""
    chosen = [each for group in ("transaction", "ddl", "act") for each in _chosen(maker, group)]
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
