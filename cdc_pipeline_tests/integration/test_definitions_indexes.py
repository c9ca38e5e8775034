"""Secondary indexes arrive in the target's catalogue after the rows; those that it cannot have are named; a stream is
never stopped by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdc_pipeline.copying import completion
from cdc_pipeline_tests.copying import columns_of, copied, every_direction, indexes, notes
from cdc_pipeline_tests.scenario import Scenario

MakeScenario = Callable[..., Scenario]


@every_direction
def test_unique_several_columns_and_descending(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    made.run(
        "source",
        "CREATE TABLE seats (id INT PRIMARY KEY, hall INT, number INT, price DECIMAL(8, 2))",
        "CREATE UNIQUE INDEX seat ON seats (hall, number)",
        "CREATE INDEX dear ON seats (price DESC, hall)",
        "INSERT INTO seats VALUES (1, 1, 1, 5), (2, NULL, 1, 6), (3, NULL, 1, 7)",
    )
    replication, results = copied(made, "seats")
    found = indexes(replication, "seats")
    assert found.keys() == {"seat", "dear"}
    assert found["seat"].unique
    assert not found["dear"].unique
    assert columns_of(found["seat"]) == [("hall", False), ("number", False)]
    assert columns_of(found["dear"]) == [("price", True), ("hall", False)]
    assert notes(results) == ""
    made.assert_equal(replication)


def test_a_prefix_index_of_mysql(scenario: MakeScenario) -> None:
    create = (
        "CREATE TABLE pages (id INT PRIMARY KEY, body TEXT COLLATE utf8mb4_bin, hash VARBINARY(100), "
        "title VARCHAR(50) COLLATE utf8mb4_bin, KEY b (body(20)), UNIQUE KEY h (hash(4)), "
        "UNIQUE KEY u (title(10)), KEY t (title(10)))"
    )
    for target in ("mysql", "postgresql"):
        made = scenario("mysql", target)
        made.run("source", create, "INSERT INTO pages VALUES (1, REPEAT('long ', 9000), x'00', 'one')")
        replication, results = copied(made, "pages")
        found = indexes(replication, "pages")
        assert found.keys() == {"b", "h", "u", "t"}
        assert found["h"].unique
        assert found["u"].unique
        assert notes(results) == ""
        if target == "mysql":
            assert [found[name].parts[0].length for name in "bhut"] == [20, 4, 10, 10]
        else:
            assert 'left"(body, 20)' in found["b"].parts[0].expression
            assert "SUBSTRING(hash" in found["h"].parts[0].expression.upper().replace("HASH", "hash")
            assert 'left"(title::text, 10)' in found["u"].parts[0].expression
            assert found["t"].parts[0].column == "title"  # the whole column serves more queries


def test_text_of_postgresql_is_indexed_by_a_prefix_and_unique_no_more(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "mysql")
    made.run(
        "source",
        "CREATE TABLE people (id INT PRIMARY KEY, email text, code varchar(20), fixed char(5), n int)",
        "CREATE UNIQUE INDEX by_email ON people (email)",
        "CREATE UNIQUE INDEX by_code ON people (code)",
        "CREATE UNIQUE INDEX by_fixed ON people (fixed, n)",
        # MySQL's utf8mb4_bin takes these two for equal, and so would a unique index
        "INSERT INTO people VALUES (1, repeat('x', 5000), 'a', 'f', 1), (2, repeat('x', 5000) || 'y', 'a ', 'f', 2)",
    )
    replication, results = copied(made, "people")
    found = indexes(replication, "people")
    assert {name: index.unique for name, index in found.items()} == {
        "by_email": False,
        "by_code": False,
        "by_fixed": True,
    }
    assert found["by_email"].parts[0].length == 768
    assert "index by_email is not unique in the target: MySQL would compare only the first characters" in notes(results)
    assert "index by_code is not unique in the target" in notes(results)
    made.assert_equal(replication)


def test_a_unique_text_of_mysql_stays_unique_where_its_collation_pads_as_the_target_s(scenario: MakeScenario) -> None:
    made = scenario("mysql", "mysql")
    made.run(
        "source",
        "CREATE TABLE people (id INT PRIMARY KEY, padded VARCHAR(20) COLLATE utf8mb4_general_ci UNIQUE, "
        "new VARCHAR(20) COLLATE utf8mb4_0900_ai_ci UNIQUE)",
        "INSERT INTO people VALUES (1, 'a', 'a'), (2, 'b', 'a ')",
    )
    replication, _ = copied(made, "people")
    found = indexes(replication, "people")
    assert {name: index.unique for name, index in found.items()} == {"padded": True, "new": False}
    made.assert_equal(replication)


def test_wide_indexes_of_mysql_fit_into_postgresql(scenario: MakeScenario) -> None:
    made = scenario("mysql", "postgresql")
    made.run(
        "source",
        "CREATE TABLE wide (id INT PRIMARY KEY, a VARCHAR(768), KEY one (a))",
        "INSERT INTO wide VALUES (1, REPEAT('😀', 768))",
    )
    replication, _ = copied(made, "wide")
    replication.register()
    # What does not compress: 768 different characters of four bytes are more than an index entry may hold.
    text = "".join(chr(0x1F300 + (n * 7919) % 60000) for n in range(768))
    made.run("source", f"INSERT INTO wide VALUES (2, '{text}')")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
    assert indexes(replication, "wide").keys() == {"one"}


ONLY_POSTGRESQL = {
    "partial": "CREATE UNIQUE INDEX partial ON things (n) WHERE n > 5",
    "lowered": "CREATE INDEX lowered ON things (lower(name), n DESC)",
    "tags": "CREATE INDEX tags ON things USING gin (tags)",
    "hashed": "CREATE INDEX hashed ON things USING hash (name)",
}


@pytest.mark.parametrize("target", ["mysql", "postgresql"])
def test_partial_expression_and_other_methods_go_to_postgresql_only(scenario: MakeScenario, target: str) -> None:
    made = scenario("postgresql", target)
    made.run(
        "source",
        "CREATE TABLE things (id INT PRIMARY KEY, n INT, name text, tags jsonb)",
        *ONLY_POSTGRESQL.values(),
        "CREATE UNIQUE INDEX nulls ON things (n) INCLUDE (id) NULLS NOT DISTINCT",
        "INSERT INTO things VALUES (1, 7, 'A', '{}')",
    )
    replication, results = copied(made, "things")
    found = indexes(replication, "things")
    if target == "mysql":
        assert found.keys() == {"nulls"}
        for name in ONLY_POSTGRESQL:
            assert f"index {name} left out" in notes(results)
        assert "NULLs are distinct" in notes(results)
        assert "INCLUDE" in notes(results)
    else:
        source = {i.name: i for i in replication.parts.source.definition(
            replication.parts.source.shapes([replication.table("things").source])[replication.table("things").source]
        ).indexes}  # fmt: skip
        assert {name: index.native for name, index in found.items()} == {n: i.native for n, i in source.items()}
        assert found["partial"].unique
        assert "NULLS NOT DISTINCT" in found["nulls"].native
        assert notes(results) == ""


@pytest.mark.parametrize("target", ["mysql", "postgresql"])
def test_fulltext_and_expressions_of_mysql_go_to_mysql_only(scenario: MakeScenario, target: str) -> None:
    made = scenario("mysql", target)
    made.run(
        "source",
        "CREATE TABLE things (id INT PRIMARY KEY, n INT, a TEXT, FULLTEXT KEY words (a), KEY sums ((n + 1) DESC))",
        "INSERT INTO things VALUES (1, 7, 'A word')",
    )
    replication, results = copied(made, "things")
    found = indexes(replication, "things")
    if target == "mysql":
        assert {name: index.method for name, index in found.items()} == {"words": "fulltext", "sums": "btree"}
    else:
        assert found == {}
        for name in ("words", "sums"):
            assert f"index {name} left out" in notes(results)


@pytest.mark.parametrize("target", ["mysql", "postgresql"])
def test_spatial_indexes_of_mysql_go_to_mysql_only(scenario: MakeScenario, target: str) -> None:
    made = scenario("mysql", target)
    made.run("source", "CREATE TABLE places (id INT PRIMARY KEY, at POINT NOT NULL, SPATIAL KEY place (at))")
    replication = made.replication("places")
    parts, table = replication.parts, replication.table("places")
    shape = parts.source.shapes([table.source])[table.source]
    definition = parts.source.definition(shape)
    with parts.target.connect() as connection:
        parts.target.definer.create_table(parts.target, connection, table.target, shape, definition)
        connection.commit()
    said = completion.complete(parts.target, table, shape, definition)
    if target == "mysql":
        assert {name: index.method for name, index in indexes(replication, "places").items()} == {"place": "spatial"}
        assert said == []
    else:
        assert said == ["index place left out: SPATIAL indexes are MySQL's own"]


def test_a_unique_check_that_is_deferred_in_the_source_is_none_in_the_target(scenario: MakeScenario) -> None:
    for target in ("mysql", "postgresql"):
        made = scenario("postgresql", target)
        made.run(
            "source",
            "CREATE TABLE ranks (id INT PRIMARY KEY, place INT UNIQUE DEFERRABLE INITIALLY DEFERRED)",
            "CREATE TABLE spans (id INT PRIMARY KEY, span int4range, EXCLUDE USING gist (span WITH &&))",
        )
        replication, results = copied(made, "ranks", "spans")
        (index,) = indexes(replication, "ranks").values()
        assert not index.unique
        assert "deferred" in notes(results)
        assert "exclusion constraint" in notes(results)
