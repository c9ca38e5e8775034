"""Transactions of every shape."""

from __future__ import annotations

from cdc_pipeline_tests.fuzz.draft import Draft
from cdc_pipeline_tests.fuzz.features import LIKE_MYSQL, MYSQL, POSTGRESQL, feature
from cdc_pipeline_tests.fuzz.maker import Maker, raw
from cdc_pipeline_tests.fuzz.plan import Insert, Raw, Statement

BEGIN, COMMIT, ROLLBACK = Raw("BEGIN"), Raw("COMMIT"), Raw("ROLLBACK")


def changes(maker: Maker, count: int, draft: Draft | None = None) -> list[Statement]:
    """Inserts, updates and deletes in tables that are there."""
    made: list[Statement] = []
    for _ in range(count):
        chosen = draft or maker.some_table()
        made.append(maker.random.choice([chosen.insert, chosen.insert, chosen.update, chosen.update, chosen.delete])())
    return made


@feature("transaction", weight=40, base=True)
def plain(maker: Maker) -> None:
    maker.does("plain", BEGIN, *changes(maker, maker.random.randint(1, 6)), COMMIT)


@feature("transaction", weight=20, base=True)
def alone(maker: Maker) -> None:
    """Statements that are transactions by themselves."""
    maker.does("alone", *changes(maker, maker.random.randint(1, 4)))


@feature("transaction")
def rolled_back(maker: Maker) -> None:
    maker.does("rolled_back", BEGIN, *changes(maker, 3), ROLLBACK, *changes(maker, 1))


@feature("transaction")
def savepoints(maker: Maker) -> None:
    """Some are rolled back, some are released, one is set twice."""
    maker.does(
        "savepoints",
        BEGIN,
        *changes(maker, 1),
        Raw("SAVEPOINT a"),
        *changes(maker, 2),
        Raw("ROLLBACK TO SAVEPOINT a"),
        *changes(maker, 1),
        Raw("SAVEPOINT a"),
        *changes(maker, 1),
        Raw("SAVEPOINT b"),
        *changes(maker, 1),
        Raw("RELEASE SAVEPOINT b"),
        COMMIT,
    )


@feature("transaction", weight=15)
def interleaved(maker: Maker) -> None:
    """Two sessions, whose statements take turns."""
    one, other = maker.session(), maker.session()
    maker.block(
        maker.sql("interleaved", BEGIN, *changes(maker, 1), session=one),
        maker.sql("interleaved", BEGIN, *changes(maker, 1), session=other),
        maker.sql("interleaved", *changes(maker, 2), session=one),
        maker.sql("interleaved", *changes(maker, 1), COMMIT, session=other),
        maker.sql("interleaved", *changes(maker, 1), COMMIT, session=one),
    )


@feature("transaction")
def key_moves(maker: Maker) -> None:
    """Keys that change, in a chain too: what one row leaves, the next one takes."""
    draft = maker.plain_table("key_moves", ("v", "VARCHAR(10)", ["'x'", "'y'"]), rows=6)
    by = "id" if maker.source == POSTGRESQL else "`id`"
    down = "" if maker.source == POSTGRESQL else " ORDER BY «1» DESC"
    maker.block(
        maker.sql("key_moves", raw(draft, f"UPDATE «0» SET «1» = {by} + 1000 WHERE «1» < 3", "id")),
        maker.sql("key_moves", raw(draft, f"UPDATE «0» SET «1» = {by} + 1{down}", "id")),
        maker.sql(
            "key_moves",
            BEGIN,
            raw(draft, "UPDATE «0» SET «1» = -1 WHERE «1» = 5", "id"),
            raw(draft, "UPDATE «0» SET «1» = 5 WHERE «1» = 6", "id"),
            raw(draft, "UPDATE «0» SET «1» = 6 WHERE «1» = -1", "id"),
            COMMIT,
        ),
    )


@feature("transaction")
def swap_unique(maker: Maker) -> None:
    """Two rows exchange the values of a unique index."""
    draft = maker.plain_table("swap_unique", ("u", "INT UNIQUE", ["NULL"]), rows=0)
    rows = tuple((("id", str(n)), ("u", str(n * 10))) for n in range(1, 6))
    maker.rows.append(maker.sql("swap_unique", Insert(draft.name, rows)))
    sets = [("NULL", 2), ("20", 1), ("10", 2), ("NULL", 3), ("30", 4), ("40", 3)]
    first = {("20", 1): [], ("30", 4): []}
    statements: list[Statement] = [BEGIN]
    statements += [raw(draft, f"UPDATE «0» SET «1» = {value} WHERE «2» = {row}", "u", "id") for value, row in sets]
    maker.does("swap_unique", *statements, COMMIT, *changes(maker, len(first), draft))


@feature("transaction")
def same_row(maker: Maker) -> None:
    """One row that is made, changed, deleted and made again, in one transaction and beyond it."""
    draft = maker.some_table(keyed=True)
    row = draft.row()
    key = row[: len(draft.key)]
    again = Insert(draft.name, (draft.row(key),))
    maker.block(
        maker.sql(
            "same_row", BEGIN, Insert(draft.name, (row,)), draft.update(key), raw_delete(draft, key), again, COMMIT
        ),
        maker.sql("same_row", raw_delete(draft, key), Insert(draft.name, (draft.row(key),)), draft.update(key)),
    )


def raw_delete(draft: Draft, key: tuple[tuple[str, str], ...]) -> Statement:
    where = " AND ".join(f"«{n}» = {literal}" for n, (_, literal) in enumerate(key, 1))
    return raw(draft, f"DELETE FROM «0» WHERE {where}", *(name for name, _ in key))


@feature("transaction", weight=6)
def large_transaction(maker: Maker) -> None:
    draft = maker.plain_table("large_transaction", ("v", "VARCHAR(30)", ["'x'", "'yy'", "NULL"]))
    maker.does(
        "large_transaction",
        BEGIN,
        *(draft.insert(250) for _ in range(6)),
        raw(draft, "UPDATE «0» SET «1» = 'all'", "v", columns=("v",)),
        COMMIT,
    )


@feature("transaction", weight=6)
def truncate(maker: Maker) -> None:
    draft = maker.some_table()
    maker.does(
        "truncate", draft.insert(), raw(draft, "TRUNCATE TABLE «0»"), draft.insert(), draft.insert(), draft.update()
    )


@feature("transaction", weight=5, sources=(POSTGRESQL,))
def truncate_in_transaction(maker: Maker) -> None:
    """With rows before and behind it, and once rolled back."""
    draft = maker.some_table()
    emptied = raw(draft, "TRUNCATE «0»")
    maker.block(
        maker.sql("truncate_in_transaction", BEGIN, draft.insert(), emptied, draft.insert(), COMMIT),
        maker.sql("truncate_in_transaction", BEGIN, draft.insert(), emptied, ROLLBACK, draft.insert()),
    )


@feature("transaction", weight=6)
def insert_select(maker: Maker) -> None:
    draft = maker.plain_table("insert_select", ("v", "INT", ["1", "2"]), rows=4)
    maker.does(
        "insert_select",
        raw(draft, "INSERT INTO «0» («1», «2») SELECT «1» + 100, «2» * 2 FROM «0»", "id", "v", columns=("v",)),
        *changes(maker, 1, draft),
    )


@feature("transaction")
def upsert(maker: Maker) -> None:
    draft = maker.plain_table("upsert", ("v", "INT", ["1", "2"]), ("w", "VARCHAR(20)", ["'w'", "NULL"]))
    on = 'ON CONFLICT ("id") DO UPDATE SET "v" = 99' if maker.source == POSTGRESQL else "ON DUPLICATE KEY UPDATE v = 99"
    rows = (draft.row((("id", "1"),)), draft.row())
    maker.does("upsert", Insert(draft.name, rows, tail=on), draft.update())


@feature("transaction", weight=6, sources=LIKE_MYSQL)
def replace_rows(maker: Maker) -> None:
    """REPLACE and INSERT IGNORE; REPLACE takes the row of another unique key away, too."""
    draft = maker.plain_table("replace_rows", ("u", "INT UNIQUE", ["NULL"]), rows=0)
    first = tuple((("id", str(n)), ("u", str(n))) for n in range(1, 5))
    replaced = ((("id", "1"), ("u", "3")),)
    ignored = ((("id", "2"), ("u", "9")), (("id", "8"), ("u", "8")))
    maker.rows.append(maker.sql("replace_rows", Insert(draft.name, first)))
    maker.does("replace_rows", Insert(draft.name, replaced, "REPLACE"), Insert(draft.name, ignored, "INSERT IGNORE"))


@feature("transaction", weight=5, sources=LIKE_MYSQL)
def many_tables_at_once(maker: Maker) -> None:
    """An UPDATE and a DELETE of two tables."""
    one = maker.plain_table("many_tables_at_once", ("v", "INT", ["1", "2"]))
    other = maker.plain_table("many_tables_at_once", ("v", "INT", ["3", "4"]))
    both, needs = (one.name, other.name), (one.name, other.name)
    joined = "«0» JOIN «1» ON «0».id = «1».id"
    maker.does(
        "many_tables_at_once",
        Raw(f"UPDATE {joined} SET «0».v = 77, «1».v = 78 WHERE «0».id < 3", both, needs, ("v",)),
        Raw(f"DELETE «0», «1» FROM {joined} WHERE «0».id = 4", both, needs),
    )


@feature("transaction", weight=6, sources=(POSTGRESQL,))
def merge(maker: Maker) -> None:
    draft = maker.plain_table("merge", ("v", "INT", ["1", "2"]))
    maker.does(
        "merge",
        raw(
            draft,
            "MERGE INTO «0» t USING (VALUES (1, 50), (2, NULL), (99, 51)) AS s (a, b) ON t.id = s.a "
            "WHEN MATCHED AND s.b IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.b "
            "WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.a, s.b)",
            columns=("v",),
        ),
    )


@feature("transaction", sources=(POSTGRESQL,))
def long_value_stays(maker: Maker) -> None:
    """A long value that an UPDATE does not touch is not logged; also where the key moves."""
    long = "(SELECT string_agg(md5(i::text), '') FROM generate_series({0}, {0} + 200) i)"
    draft = maker.plain_table(
        "long_value_stays", ("n", "INT", ["1", "2"]), ("long", "text", [long.format(1), long.format(9)])
    )
    maker.block(
        maker.sql(
            "long_value_stays",
            BEGIN,
            raw(draft, "UPDATE «0» SET n = n + 1", columns=("n",)),
            raw(draft, "UPDATE «0» SET id = id + 50 WHERE id = 2"),
            draft.insert(),
            raw(draft, "UPDATE «0» SET n = -n WHERE id > 3", columns=("n",)),
            COMMIT,
        ),
        maker.sql("long_value_stays", raw(draft, "UPDATE «0» SET id = id + 1000", columns=())),
    )


@feature("transaction", weight=6, sources=(POSTGRESQL,))
def copy_rows(maker: Maker) -> None:
    draft = maker.plain_table("copy_rows", ("v", "VARCHAR(20)", ["'x'", "NULL"]))
    rows = "COPY «0» («1», «2») FROM PROGRAM 'seq -f \"%.0f,row\" {} {}' (FORMAT csv)"
    maker.does(
        "copy_rows",
        raw(draft, rows.format(100, 2000), "id", "v", columns=("v",)),
        BEGIN,
        draft.insert(),
        raw(draft, rows.format(3000, 3500), "id", "v", columns=("v",)),
        draft.update(),
        COMMIT,
    )


@feature("transaction", weight=4, sources=(MYSQL,))
def created_as_select(maker: Maker) -> None:
    """A transaction in a table that is made by a query; the table is not replicated, the others go on."""
    draft = maker.some_table()
    maker.does("created_as_select", raw(draft, "CREATE TABLE made_beside AS SELECT * FROM «0»"), *changes(maker, 2))
