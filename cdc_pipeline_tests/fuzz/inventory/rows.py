"""Rows that are there before the start."""

from __future__ import annotations

from cdc_pipeline_tests.fuzz.features import POSTGRESQL, feature
from cdc_pipeline_tests.fuzz.maker import Maker, raw


@feature("row", base=True)
def few(maker: Maker) -> None:
    """Those that every table has."""


@feature("row", weight=4)
def many_rows(maker: Maker) -> None:
    draft = maker.plain_table("many_rows", ("v", "INT", ["1", "2"]), ("w", "VARCHAR(40)", ["'w'", "NULL"]))
    statements = [draft.insert(300) for _ in range(5)]
    maker.rows.append(maker.sql("many_rows", *statements))


@feature("row", weight=4)
def ranges(maker: Maker) -> None:
    """A copy in many ranges of the key."""
    maker.file["range_rows"] = "20"
    draft = maker.some_table()
    maker.rows.append(maker.sql("ranges", *(draft.insert(20) for _ in range(4))))


@feature("row", weight=4)
def large_text(maker: Maker) -> None:
    kind = "text" if maker.source == POSTGRESQL else "LONGTEXT"
    word = "repeat" if maker.source == POSTGRESQL else "REPEAT"
    maker.plain_table("large_text", ("v", kind, [f"{word}('ä😀', 200000)", f"{word}('\\', 300000)", "''"]), rows=3)


@feature("row", weight=6)
def no_rows(maker: Maker) -> None:
    draft = maker.plain_table("no_rows", ("v", "INT", ["1", "2"]), rows=0)
    maker.does("no_rows", draft.insert(), draft.update())


@feature("row", weight=8)
def equal_rows(maker: Maker) -> None:
    """Without a key, and some of the equal ones change or go."""
    draft = maker.plain_table(
        "equal_rows", ("v", "INT", ["1", "NULL"]), ("w", "VARCHAR(9)", ["'w'", "'w '", "NULL"]), rows=0, has_key=False
    )
    draft.next_key = lambda number: (str(number % 2),)
    maker.full_identity(draft)
    maker.made[draft.name] = draft.table()
    maker.fill(draft, 10)
    some = "ctid IN (SELECT ctid FROM «0» WHERE «1» = 1 LIMIT 2)" if maker.source == POSTGRESQL else "«1» = 1 LIMIT 2"
    maker.does(
        "equal_rows",
        raw(draft, f"DELETE FROM «0» WHERE {some}", "id"),
        raw(draft, f"UPDATE «0» SET «2» = 7 WHERE {some}", "id", "v", columns=("v",)),
        draft.insert(3),
    )
