"""A partitioned PostgreSQL table is replicated through its root, as one table, whatever its partitions do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import Scenario

MakeScenario = Callable[..., Scenario]
LONG = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) i)"


def make_tables(made: Scenario) -> None:
    """`sales` has a key and partitions of partitions; `visits` has no key. One partition has its columns in an order
    of its own."""
    made.run(
        "source",
        "CREATE TABLE sales (id INT, region VARCHAR(10), amount NUMERIC(10, 2), note TEXT, PRIMARY KEY (id, region)) "
        "PARTITION BY LIST (region)",
        "CREATE INDEX sales_amount ON sales (amount)",
        "CREATE TABLE sales_north PARTITION OF sales FOR VALUES IN ('north')",
        "CREATE TABLE sales_south PARTITION OF sales FOR VALUES IN ('south') PARTITION BY RANGE (id)",
        "CREATE TABLE sales_south_1 PARTITION OF sales_south FOR VALUES FROM (0) TO (100)",
        "CREATE TABLE sales_rest (note TEXT, gone INT, region VARCHAR(10), amount NUMERIC(10, 2), id INT, "
        "PRIMARY KEY (id, region))",
        "ALTER TABLE sales_rest DROP COLUMN gone",
        "ALTER TABLE sales ATTACH PARTITION sales_rest DEFAULT",
        f"INSERT INTO sales SELECT i, (ARRAY['north', 'south', 'west'])[i % 3 + 1], i, {LONG} "
        "FROM generate_series(1, 30) i",
        "CREATE TABLE visits (day INT, page TEXT) PARTITION BY RANGE (day)",
        "CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM (10) TO (20)",
        *(f"ALTER TABLE {table} REPLICA IDENTITY FULL" for table in ("visits", "visits_1", "visits_2")),
        "INSERT INTO visits SELECT i % 20, 'page ' || i % 3 FROM generate_series(1, 60) i",
    )


def replicate(replication: Replication) -> None:
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()


@pytest.mark.parametrize("target", ["mysql", "postgresql"])
def test_changes_in_partitions_are_changes_of_the_root(scenario: MakeScenario, target: str) -> None:
    made = scenario("postgresql", target)
    make_tables(made)
    replication = made.replication("*")
    assert [table.source.name for table in replication.tables] == ["sales", "visits"]
    replicate(replication)
    made.run(
        "source",
        "INSERT INTO sales VALUES (40, 'north', 1, 'n'), (41, 'south', 2, 's'), (42, 'east', 3, 'e')",
        "UPDATE sales SET amount = amount + 1",  # leaves the long notes alone
        "UPDATE sales SET region = 'south' WHERE id IN (3, 6)",  # from one partition to another, long notes and all
        "UPDATE sales SET region = 'north' WHERE id = 2",
        "UPDATE sales SET region = 'far' WHERE id = 5",  # a new key in the same partition
        "DELETE FROM sales WHERE id % 7 = 0",
        "UPDATE visits SET day = day + 10 WHERE day = 5",
        "DELETE FROM visits WHERE day = 7 AND page = 'page 0'",
        # Partitions that come later, empty and by ATTACH.
        "CREATE TABLE sales_south_2 PARTITION OF sales_south FOR VALUES FROM (100) TO (200)",
        "INSERT INTO sales VALUES (150, 'south', 7, 'later')",
        "CREATE TABLE visits_3 (page TEXT, day INT)",
        "ALTER TABLE visits_3 REPLICA IDENTITY FULL",
        "ALTER TABLE visits ATTACH PARTITION visits_3 FOR VALUES FROM (20) TO (30)",
        "INSERT INTO visits VALUES (25, 'new'), (25, 'new')",
        "UPDATE visits SET day = 26 WHERE day = 25 AND ctid = '(0,1)'",
    )
    assert replication.consume(until_caught_up=True).applied > 0
    made.assert_equal(replication)
    made.run("source", "TRUNCATE sales", "INSERT INTO sales VALUES (1, 'south', 1, 'after')")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
    assert made.rows("target", f"SELECT id, note FROM {made.target_table('sales')}") == [(1, "after")]


def test_a_publication_that_an_earlier_version_made_is_brought_up_to_date(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "postgresql")
    make_tables(made)
    config, source = made.config("*"), made.replication("*").parts.source
    made.run("source", f"CREATE PUBLICATION {config.slot_name} FOR TABLE sales")
    source.extend_capture(source.tables(), config.slot_name)
    published = f"SELECT tablename FROM pg_publication_tables WHERE pubname = '{config.slot_name}' ORDER BY 1"
    assert made.rows("source", published) == [("sales",), ("visits",)]


def test_what_no_log_tells_is_seen_by_verify_and_mended_by_a_resync(scenario: MakeScenario) -> None:
    """Rows that come and go with their partition, and those of a partition that is emptied alone."""
    made = scenario("postgresql", "postgresql")
    make_tables(made)
    replication = made.replication("*")
    replicate(replication)
    made.run(
        "source",
        "CREATE TABLE visits_3 (day INT, page TEXT)",
        "ALTER TABLE visits_3 REPLICA IDENTITY FULL",
        "INSERT INTO visits_3 VALUES (25, 'brought along')",
        "ALTER TABLE visits ATTACH PARTITION visits_3 FOR VALUES FROM (20) TO (30)",
        "ALTER TABLE visits DETACH PARTITION visits_1",
        "TRUNCATE sales_north",
        "UPDATE visits SET page = 'seen' WHERE day = 11",
        "UPDATE visits_1 SET page = 'nobody''s' WHERE day = 1",  # no longer a part of it
    )
    replication.consume(until_caught_up=True)
    different = {c.table.name: (c.missing, c.extra) for c in made.compare(replication) if not c.equal}
    assert different == {"sales": (0, 10), "visits": (1, 30)}
    assert [result.error for result in replication.copy(force_resync=True) if result.error] == []
    made.run("source", "INSERT INTO visits VALUES (26, 'after')", "INSERT INTO sales VALUES (1, 'north', 1, 'after')")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
