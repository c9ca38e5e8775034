"""Transactions."""

from __future__ import annotations

from cdc_pipeline_tests.fuzz.features import feature
from cdc_pipeline_tests.fuzz.maker import Maker
from cdc_pipeline_tests.fuzz.plan import Raw, Statement

BEGIN, COMMIT, ROLLBACK = Raw("BEGIN"), Raw("COMMIT"), Raw("ROLLBACK")


def changes(maker: Maker, count: int) -> list[Statement]:
    """Inserts, updates and deletes in tables that are there."""
    made: list[Statement] = []
    for _ in range(count):
        draft = maker.some_table()
        made.append(maker.random.choice([draft.insert, draft.insert, draft.update, draft.update, draft.delete])())
    return made


@feature("transaction", weight=60, base=True)
def plain(maker: Maker) -> None:
    maker.block(maker.sql("plain", BEGIN, *changes(maker, maker.random.randint(1, 6)), COMMIT))


@feature("transaction", base=True)
def alone(maker: Maker) -> None:
    """Statements that are transactions by themselves."""
    maker.block(maker.sql("alone", *changes(maker, maker.random.randint(1, 4))))
