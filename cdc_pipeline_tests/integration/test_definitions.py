"""What a table is beyond its columns and its key arrives in the target's catalogue: defaults, numbering, indexes,
comments, generated columns; what cannot arrive is named."""

from __future__ import annotations

from collections.abc import Callable

from cdc_pipeline.databases.definition import Literal, Now
from cdc_pipeline_tests.copying import copied, definition, every_direction, notes
from cdc_pipeline_tests.scenario import Scenario

MakeScenario = Callable[..., Scenario]


# -- defaults -----------------------------------------------------------------------------------------------------

DEFAULTS = {
    "mysql": "n INT DEFAULT -5, d DECIMAL(10, 2) DEFAULT 1.5, t VARCHAR(40) DEFAULT 'it''s \\\\ \"é\"', "
    "e VARCHAR(5) NOT NULL DEFAULT '', b VARBINARY(10) DEFAULT x'00ff', f TINYINT(1) DEFAULT 1, "
    "day DATE DEFAULT '2020-02-29', x LONGTEXT DEFAULT ('long'), "
    "at DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3), none INT, "
    "odd CHAR(36) DEFAULT (UUID())",
    "postgresql": "n integer DEFAULT -5, d numeric(10, 2) DEFAULT 1.5, t varchar(40) DEFAULT E'it''s \\\\ \"é\"', "
    "e varchar(5) NOT NULL DEFAULT '', b bytea DEFAULT '\\x00ff', f boolean DEFAULT true, "
    "day date DEFAULT '2020-02-29', x text DEFAULT 'long', at timestamp(3) DEFAULT CURRENT_TIMESTAMP(3), none integer, "
    "odd uuid DEFAULT gen_random_uuid()",
}


@every_direction
def test_a_row_that_the_target_gets_by_itself_has_the_source_s_defaults(
    scenario: MakeScenario, source: str, target: str
) -> None:
    made = scenario(source, target)
    made.run(
        "source", f"CREATE TABLE kinds (id INT PRIMARY KEY, {DEFAULTS[source]})", "INSERT INTO kinds (id) VALUES (1)"
    )
    replication, results = copied(made, "kinds")
    table = made.target_table("kinds")
    made.run("target", f"INSERT INTO {table} (id) VALUES (2)")
    names = "n, d, t, e, b, f, day, x, none"
    before, after = (
        [bytes(v) if isinstance(v, memoryview) else v for v in row]
        for row in made.rows("target", f"SELECT {names} FROM {table} ORDER BY id")
    )
    assert before == after
    assert after[2] == 'it\'s \\ "é"'
    assert made.rows("target", f"SELECT count(*) FROM {table} WHERE id = 2 AND at IS NOT NULL") == [(1,)]
    defaults = definition(replication, "kinds").defaults
    assert defaults["at"] == Now(3)
    assert defaults["n"] == Literal("-5")
    assert "none" not in defaults
    assert ("odd" in defaults) == (source == target)  # only the same database knows its functions
    assert ("default of column odd" in notes(results)) == (source != target)


def test_on_update_is_not_carried_over(scenario: MakeScenario) -> None:
    made = scenario("mysql", "mysql")
    made.run(
        "source",
        "CREATE TABLE touched (id INT PRIMARY KEY, n INT, at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP "
        "ON UPDATE CURRENT_TIMESTAMP)",
        "INSERT INTO touched VALUES (1, 1, '2020-01-01 00:00:00')",
    )
    copied(made, "touched")
    table = made.target_table("touched")
    made.run("target", f"UPDATE {table} SET n = 2")
    assert made.rows("target", f"SELECT CAST(at AS CHAR) FROM {table}") == [("2020-01-01 00:00:00",)]


def test_the_time_of_an_instant_is_utc_where_the_target_keeps_instants_without_zone(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "mysql")
    made.run("source", "CREATE TABLE moments (id INT PRIMARY KEY, at timestamptz(3) DEFAULT now())")
    copied(made, "moments")
    table = made.target_table("moments")
    with made.engine("target").connect() as connection:
        connection.exec_driver_sql("SET time_zone = '+09:00'")
        connection.exec_driver_sql(f"INSERT INTO {table} (id) VALUES (2)")
        off = f"SELECT ABS(TIMESTAMPDIFF(MINUTE, at, UTC_TIMESTAMP())) FROM {table} WHERE id = 2"
        assert connection.exec_driver_sql(off).scalar() == 0


def test_a_default_that_the_target_cannot_hold_is_left_out_and_named(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "mysql")
    made.run("source", "CREATE TABLE ages (id INT PRIMARY KEY, born date DEFAULT '0044-03-15 BC', n int DEFAULT 7)")
    replication, results = copied(made, "ages")
    assert definition(replication, "ages").defaults == {"n": Literal("7")}
    assert "default of column born left out" in notes(results)


# -- numbering ----------------------------------------------------------------------------------------------------

NUMBERED = {
    "mysql": "CREATE TABLE numbered (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20))",
    "postgresql": "CREATE TABLE numbered (id bigserial PRIMARY KEY, name varchar(20))",
}


@every_direction
def test_numbering_goes_on_after_the_copied_and_the_streamed_rows(
    scenario: MakeScenario, source: str, target: str
) -> None:
    made = scenario(source, target)
    made.run("source", NUMBERED[source], "INSERT INTO numbered VALUES (41, 'copied')")
    replication, _ = copied(made, "numbered")
    table = made.target_table("numbered")
    assert definition(replication, "numbered").identities == ("id",)
    replication.register()
    made.run("source", "INSERT INTO numbered VALUES (99, 'streamed')")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
    made.run("target", f"INSERT INTO {table} (name) VALUES ('after the fail-over')")
    assert made.rows("target", f"SELECT id FROM {table} ORDER BY id") == [(41,), (99,), (100,)]


@every_direction
def test_numbering_is_past_the_copied_rows_before_anything_streams(
    scenario: MakeScenario, source: str, target: str
) -> None:
    made = scenario(source, target)
    made.run("source", NUMBERED[source], "INSERT INTO numbered VALUES (41, 'copied')")
    copied(made, "numbered")
    table = made.target_table("numbered")
    made.run("target", f"INSERT INTO {table} (name) VALUES ('next')")
    assert made.rows("target", f"SELECT id FROM {table} ORDER BY id") == [(41,), (42,)]


def test_an_identity_column_of_postgresql_takes_explicit_numbers(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "postgresql")
    made.run(
        "source",
        "CREATE TABLE numbered (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, second smallserial, n int)",
        "INSERT INTO numbered (n) VALUES (1), (2)",
    )
    replication, _ = copied(made, "numbered")
    query = "SELECT identity_generation FROM information_schema.columns WHERE table_name = '{}' AND column_name = 'id'"
    assert made.rows("target", query.format(made.target_table("numbered"))) == [("BY DEFAULT",)]
    assert definition(replication, "numbered").identities == ("id", "second")


def test_auto_increment_that_is_not_the_key_s_first_column(scenario: MakeScenario) -> None:
    made = scenario("mysql", "mysql")
    made.run(
        "source",
        "CREATE TABLE entries (grp INT, line INT AUTO_INCREMENT, PRIMARY KEY (grp, line), KEY (line))",
        "INSERT INTO entries VALUES (1, 5)",
    )
    replication, _ = copied(made, "entries")
    assert definition(replication, "entries").identities == ("line",)
    made.run("target", f"INSERT INTO {made.target_table('entries')} (grp) VALUES (1)")
    assert made.rows("target", f"SELECT max(line) FROM {made.target_table('entries')}") == [(6,)]


def test_only_one_column_of_mysql_numbers_itself_and_the_other_is_named(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "mysql")
    made.run("source", "CREATE TABLE twice (id serial PRIMARY KEY, other serial)")
    replication, results = copied(made, "twice")
    assert definition(replication, "twice").identities == ("id",)
    assert "not AUTO_INCREMENT: other" in notes(results)


# -- comments -----------------------------------------------------------------------------------------------------


@every_direction
def test_comments_of_the_table_and_its_columns(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    text = 'the owner\'s "note" \\ é 100%'
    if source == "mysql":
        literal = text.replace("\\", "\\\\").replace("'", "''")
        made.run("source", f"CREATE TABLE said (id INT PRIMARY KEY COMMENT '{literal}') COMMENT '{literal} too'")
    else:
        literal = text.replace("'", "''")
        made.run(
            "source",
            "CREATE TABLE said (id INT PRIMARY KEY)",
            f"COMMENT ON TABLE said IS '{literal} too'",
            f"COMMENT ON COLUMN said.id IS '{literal}'",
        )
    replication, _ = copied(made, "said")
    found = definition(replication, "said")
    assert found.comment == f"{text} too"
    assert found.comments == {"id": text}


def test_a_comment_that_is_too_long_is_cut_and_named(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "mysql")
    made.run("source", "CREATE TABLE said (id INT PRIMARY KEY)", f"COMMENT ON TABLE said IS '{'ä' * 3000}'")
    replication, results = copied(made, "said")
    assert definition(replication, "said").comment == "ä" * 2048
    assert "comment of the table cut" in notes(results)
