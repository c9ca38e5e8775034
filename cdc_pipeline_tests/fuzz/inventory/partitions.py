"""Partitions of a table, and tables that inherit, while it is replicated."""

from __future__ import annotations

from cdc_pipeline_tests.fuzz.draft import Draft
from cdc_pipeline_tests.fuzz.features import LIKE_MYSQL, POSTGRESQL, feature
from cdc_pipeline_tests.fuzz.inventory.transactions import changes
from cdc_pipeline_tests.fuzz.maker import Maker, alter, raw
from cdc_pipeline_tests.fuzz.plan import Clause, Insert, Raw

_V = ("v", "INT", ["1", "2", "NULL"])
_PG = (POSTGRESQL,)


def _of_mysql(maker: Maker, name: str) -> Draft:
    by = "PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (3), PARTITION p1 VALUES LESS THAN (100), "
    return maker.plain_table(name, _V, options=by + "PARTITION p2 VALUES LESS THAN MAXVALUE)", rows=6)


_PARTITIONS = "what ALTER TABLE does to a partition's rows is not logged"


@feature("ddl", weight=6, sources=LIKE_MYSQL, known=_PARTITIONS)
def partition_dropped(maker: Maker) -> None:
    draft = _of_mysql(maker, "partition_dropped")
    maker.does("partition_dropped", draft.insert(), alter(draft, "DROP PARTITION p0"), draft.insert())


@feature("ddl", weight=4, sources=LIKE_MYSQL, known=_PARTITIONS)
def partition_truncated(maker: Maker) -> None:
    draft = _of_mysql(maker, "partition_truncated")
    maker.does("partition_truncated", draft.insert(), alter(draft, "TRUNCATE PARTITION p1"), draft.insert())


@feature("ddl", weight=4, sources=LIKE_MYSQL, known=_PARTITIONS)
def partition_exchanged(maker: Maker) -> None:
    draft = _of_mysql(maker, "partition_exchanged")
    maker.does(
        "partition_exchanged",
        raw(draft, "CREATE TABLE exchanged (`id` INT NOT NULL PRIMARY KEY, `v` INT)"),
        Raw("INSERT INTO exchanged VALUES (2, 77)"),
        alter(draft, "EXCHANGE PARTITION p0 WITH TABLE exchanged"),
    )


@feature("ddl", weight=3, sources=LIKE_MYSQL)
def partition_kept(maker: Maker) -> None:
    """Forms that keep all rows."""
    draft = _of_mysql(maker, "partition_kept")
    forms = (
        "REORGANIZE PARTITION p1, p2 INTO (PARTITION q1 VALUES LESS THAN (5), PARTITION q2 VALUES LESS THAN MAXVALUE)",
        "REBUILD PARTITION p0",
        "ANALYZE PARTITION p0",
        "OPTIMIZE PARTITION p0",
        "REMOVE PARTITIONING",
    )
    maker.does(
        "partition_kept", *changes(maker, 2, draft), *(alter(draft, form) for form in forms), *changes(maker, 2, draft)
    )


@feature("ddl", weight=3, sources=LIKE_MYSQL)
def partition_added(maker: Maker) -> None:
    by = "PARTITION BY LIST (id) (PARTITION p0 VALUES IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12))"
    draft = maker.plain_table("partition_added", _V, options=by, rows=3)
    added = alter(draft, "ADD PARTITION (PARTITION p1 VALUES IN (20, 21))")
    row = Insert(draft.name, ((("id", "20"), ("v", "5")),))
    maker.does("partition_added", *changes(maker, 2, draft), added, row, *changes(maker, 1, draft))


def _of_postgresql(maker: Maker, name: str) -> Draft:
    draft = maker.plain_table(name, _V, rows=0, options="PARTITION BY RANGE (id)")
    maker.made.pop(draft.name)
    for number, bounds in enumerate(("(MINVALUE) TO (3)", "(3) TO (100)", "(100) TO (MAXVALUE)")):
        draft.after.append(Clause(f"CREATE TABLE {name}_p{number} PARTITION OF «table» FOR VALUES FROM {bounds}"))
    maker.settle()
    maker.fill(draft, 6)
    return draft


_BY_HAND = {"loss": "partition_by_hand", "sources": _PG, "weight": 3}


@feature("ddl", **_BY_HAND)
def pg_partition_dropped(maker: Maker) -> None:
    draft = _of_postgresql(maker, "pg_partition_dropped")
    maker.does("pg_partition_dropped", draft.insert(), raw(draft, "DROP TABLE pg_partition_dropped_p0"), draft.insert())


@feature("ddl", **_BY_HAND)
def pg_partition_detached(maker: Maker) -> None:
    draft = _of_postgresql(maker, "pg_partition_detached")
    maker.does("pg_partition_detached", draft.insert(), alter(draft, "DETACH PARTITION pg_partition_detached_p1"))


@feature("ddl", **_BY_HAND)
def pg_partition_emptied(maker: Maker) -> None:
    draft = _of_postgresql(maker, "pg_partition_emptied")
    maker.does("pg_partition_emptied", draft.insert(), raw(draft, "TRUNCATE pg_partition_emptied_p1"), draft.insert())


@feature("ddl", weight=3, sources=_PG)
def pg_partitions_live(maker: Maker) -> None:
    """Rows move between partitions, a new one comes, the whole table is emptied."""
    draft = _of_postgresql(maker, "pg_partitions_live")
    maker.block(
        maker.sql(
            "pg_partitions_live",
            draft.insert(),
            raw(draft, "UPDATE «0» SET id = id + 200 WHERE id < 3"),
            draft.insert(),
        ),
        maker.sql("pg_partitions_live", raw(draft, "TRUNCATE «0»"), draft.insert(), draft.insert()),
    )


@feature("ddl", weight=3, sources=_PG, known="rows of a table that inherits are not told")
def pg_inherits(maker: Maker) -> None:
    """Rows of a child are seen in its parent."""
    draft = maker.plain_table("pg_inherits", _V)
    maker.does(
        "pg_inherits",
        raw(draft, "CREATE TABLE child_of_it () INHERITS («0»)"),
        raw(draft, "INSERT INTO child_of_it VALUES (600, 6)"),
        draft.insert(),
    )
