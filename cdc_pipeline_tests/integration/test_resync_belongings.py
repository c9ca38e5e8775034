"""What hangs on a table outlives its re-sync: it is carried over, or keeps the table where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cdc_pipeline.errors import ValidationFailed
from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.copying import copied
from cdc_pipeline_tests.scenario import Scenario

MakeScenario = Callable[..., Scenario]


def oid(made: Scenario, table: str) -> int:
    return made.rows("target", f"SELECT '{table}'::regclass::oid")[0][0]


def described(made: Scenario, table: str) -> dict[str, Any]:
    """A PostgreSQL table by its catalogue, without anything that another one of the same kind cannot have."""
    it = f"'{table}'::regclass"
    queries = {
        "table": "SELECT pg_get_userbyid(relowner), relacl::text, reloptions, obj_description(oid) FROM pg_class "
        f"WHERE oid = {it}",
        "columns": "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attacl::text, "
        "pg_get_expr(adbin, adrelid), col_description(attrelid, attnum) FROM pg_attribute LEFT JOIN pg_attrdef "
        f"ON adrelid = attrelid AND adnum = attnum WHERE attrelid = {it} AND attnum > 0 ORDER BY attnum",
        "constraints": "SELECT conname, pg_get_constraintdef(oid), obj_description(oid, 'pg_constraint') "
        f"FROM pg_constraint WHERE conrelid = {it} ORDER BY conname",
        "indexes": "SELECT pg_get_indexdef(indexrelid), obj_description(indexrelid) FROM pg_index "
        f"WHERE indrelid = {it} ORDER BY 1",
        "sequences": "SELECT s.relname, n.nspname, d.refobjsubid, s.relacl::text FROM pg_depend d JOIN pg_class s "
        "ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace n ON n.oid = s.relnamespace "
        f"WHERE d.refobjid = {it} ORDER BY 1",
    }
    return {what: made.rows("target", query) for what, query in queries.items()}


@pytest.fixture
def role() -> Iterator[Callable[[Scenario], str]]:
    """Makes a login of its own in the target's server. Roles are the whole server's, so it is removed afterwards."""
    made_in: list[tuple[Scenario, str]] = []

    def make(made: Scenario) -> str:
        name = f"reader_{made.number}"
        made.run("target", f"CREATE ROLE {name}")
        made_in.append((made, name))
        return name

    yield make
    for made, name in made_in:
        made.run("target", f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_a_swapped_table_is_what_the_old_one_was(scenario: MakeScenario, role: Callable[[Scenario], str]) -> None:
    made = scenario("mysql", "postgresql")
    made.run(
        "source",
        "CREATE TABLE seats (id INT AUTO_INCREMENT PRIMARY KEY, hall INT NOT NULL, UNIQUE KEY place (hall, id))",
        "CREATE TABLE halls (id INT PRIMARY KEY)",
        "INSERT INTO seats VALUES (1, 1), (2, 1)",
    )
    copied(made, "seats", "halls")
    table, reader = made.target_table("seats"), role(made)
    made.run(
        "target",
        f"INSERT INTO {table} (hall) VALUES (5)",  # the next number is 4 from now on
        f'ALTER TABLE {table} RENAME CONSTRAINT {table}_pkey TO "the key"',
        f"ALTER TABLE {table} ADD COLUMN own serial, ADD CONSTRAINT positive CHECK (hall > 0)",
        f"ALTER TABLE {table} ADD CONSTRAINT place_once UNIQUE (own) DEFERRABLE",
        f"ALTER TABLE {table} ADD FOREIGN KEY (hall) REFERENCES {made.target_table('halls')} (id) NOT ENFORCED",
        f"CREATE INDEX mine ON {table} (hall) INCLUDE (own) WHERE hall > 1",
        f"ALTER SEQUENCE {table}_id_seq RENAME TO numbers",
        f"GRANT USAGE ON SEQUENCE numbers, {table}_own_seq TO {reader}",
        f"GRANT SELECT ON {table} TO {reader} WITH GRANT OPTION",
        f"GRANT UPDATE (hall) ON {table} TO {reader}, PUBLIC",
        f"ALTER TABLE {table} SET (fillfactor = 70, toast.autovacuum_enabled = false)",
        f"COMMENT ON TABLE {table} IS 'it''s ours'",
        f"COMMENT ON COLUMN {table}.hall IS 'of a column'",
        "COMMENT ON INDEX mine IS 'of an index'",
        f"COMMENT ON CONSTRAINT place_once ON {table} IS 'of a constraint'",
    )
    before, oid_before = described(made, table), oid(made, table)
    assert len(before["indexes"]) == 4
    _, results = copied(made, "seats", "halls", force=True)
    methods = {result.table.source.name: result.method for result in results}
    assert "swapped in" in methods["seats"]
    assert "hall_fkey" in methods["halls"]  # to which the key refers
    assert described(made, table) == before
    assert oid(made, table) != oid_before
    made.run("target", f"INSERT INTO {table} (hall) VALUES (6)")
    assert made.rows("target", f"SELECT id, own FROM {table} WHERE hall = 6") == [(4, 6)]
    assert made.rows("target", f"SELECT id FROM {table} WHERE hall <> 6 ORDER BY id") == [(1,), (2,)]


ON_POSTGRESQL = {
    "view": "CREATE VIEW v AS SELECT id FROM {table}",
    "view of a group": "CREATE VIEW v AS SELECT id, hall FROM {table} GROUP BY id",  # depends on the primary key
    "materialized view": "CREATE MATERIALIZED VIEW v AS SELECT * FROM {table}",
    "rule": "CREATE RULE r AS ON DELETE TO {table} DO ALSO NOTHING",
    "trigger": "CREATE TRIGGER t BEFORE UPDATE ON {table} FOR EACH ROW "
    "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "policy": "CREATE POLICY p ON {table} USING (true)",
    "row security": "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
    "foreign key": "CREATE TABLE child (id INT REFERENCES {table})",
    "foreign key to itself": "ALTER TABLE {table} ADD FOREIGN KEY (hall) REFERENCES {table} (id) NOT ENFORCED",
    "publication": "CREATE PUBLICATION p FOR TABLE {table}",
    "child": "CREATE TABLE child () INHERITS ({table})",
    "parent": "CREATE TABLE parent (hall INT NOT NULL); ALTER TABLE {table} INHERIT parent",
    "function": "CREATE FUNCTION f({table}) RETURNS INT LANGUAGE sql RETURN 1",
    "column of its type": "CREATE TABLE other (row {table})",
    "array of its type": "CREATE TABLE other (rows {table}[])",
    "default of another table": "CREATE TABLE other (id INT DEFAULT nextval('{table}_id_seq'))",
    "statistics": "CREATE STATISTICS s ON id, hall FROM {table}",
    "statistics target": "ALTER TABLE {table} ALTER COLUMN hall SET STATISTICS 500",
    "replica identity": "ALTER TABLE {table} REPLICA IDENTITY FULL",
    "clustered": "ALTER TABLE {table} CLUSTER ON {table}_pkey",
    "unlogged": "ALTER TABLE {table} SET UNLOGGED",
}  # fmt: skip


def test_whatever_would_not_follow_is_found(scenario: MakeScenario) -> None:
    made = scenario("mysql", "postgresql")
    made.run("source", "CREATE TABLE seats (id INT AUTO_INCREMENT PRIMARY KEY, hall INT NOT NULL, KEY one (hall))")
    replication, _ = copied(made, "seats")
    target, table = replication.parts.target, replication.table("seats").target
    found = {}
    with target.connect() as connection:
        found["nothing"] = target.replacer.obstacles(connection, table)
        connection.rollback()
        for what, sql in ON_POSTGRESQL.items():
            connection.exec_driver_sql(sql.format(table=table.name))
            found[what] = target.replacer.obstacles(connection, table)
            connection.rollback()
    assert found.pop("nothing") == []
    assert [what for what, obstacles in found.items() if not obstacles] == []


ON_MYSQL = {
    "trigger": "CREATE TRIGGER t BEFORE INSERT ON {table} FOR EACH ROW SET NEW.hall = 1",
    "foreign key": "ALTER TABLE {table} ADD CONSTRAINT own FOREIGN KEY (hall) REFERENCES halls (id)",
    "foreign key of another table": "CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES {table} (id))",
}


def test_views_and_grants_go_by_name_on_mysql_and_whatever_does_not_is_found(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "mysql")
    made.run("source", "CREATE TABLE seats (id INT PRIMARY KEY, hall INT)", "INSERT INTO seats VALUES (1, 1)",
             "CREATE INDEX one ON seats (hall)")  # fmt: skip
    replication, _ = copied(made, "seats")
    table = made.target_table("seats")
    made.run("target", "CREATE TABLE halls (id INT PRIMARY KEY)", "INSERT INTO halls VALUES (1)",
             f"CREATE VIEW v AS SELECT hall FROM {table}",
             f"CREATE INDEX mine ON {table} (hall, id)")  # fmt: skip

    def written() -> str:
        return made.rows("target", f"SHOW CREATE TABLE {table}")[0][1]

    before = written()
    made.run("target", f"UPDATE {table} SET hall = 9")
    _, results = copied(made, "seats", force=True)
    assert "swapped in" in results[0].method
    assert written() == before
    assert made.rows("target", "SELECT hall FROM v") == [(1,)]
    target = replication.parts.target
    for what, sql in ON_MYSQL.items():
        made.run("target", sql.format(table=table))
        with target.connect() as connection:
            found = target.replacer.obstacles(connection, replication.table("seats").target)
        assert len(found) == 1 + list(ON_MYSQL).index(what), what
    made.run("target", f"DELETE FROM {table}", f"INSERT INTO {table} VALUES (2, 1)")
    _, results = copied(made, "seats", force=True)
    assert "in place" in results[0].method
    assert "trigger t" in results[0].method
    assert made.rows("target", f"SELECT id FROM {table}") == [(1,)]
    assert made.rows("target", "SELECT count(*) FROM information_schema.triggers WHERE trigger_name = 't' "
                     f"AND trigger_schema = '{made.databases['target']}'") == [(1,)]  # fmt: skip


def test_a_table_with_a_view_keeps_its_place_and_its_readers_their_rows(scenario: MakeScenario) -> None:
    made = scenario("mysql", "postgresql")
    made.run("source", "CREATE TABLE seats (id INT PRIMARY KEY, hall INT)", "INSERT INTO seats VALUES (1, 1), (2, 1)")
    copied(made, "seats")
    table = made.target_table("seats")
    made.run("target", f"CREATE VIEW halls AS SELECT hall FROM {table}", f"UPDATE {table} SET hall = 7 WHERE id = 1")
    before = oid(made, table)
    replication, results = copied(made, "seats", force=True)
    assert "in place" in results[0].method
    assert "view halls" in results[0].method
    assert oid(made, table) == before
    assert made.rows("target", "SELECT hall FROM halls") == [(1,), (1,)]
    made.assert_equal(replication)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("mysql", "postgresql"),
        pytest.param("mysql", "postgresql-13", id="13, where what keeps long values has a type"),
        ("postgresql", "mysql"),
    ],
)
def test_a_table_whose_source_has_changed_is_made_anew(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    made.run("source", "CREATE TABLE seats (id INT PRIMARY KEY, hall INT, note TEXT)",
             "INSERT INTO seats VALUES (1, 1, 'long')", "CREATE INDEX one ON seats (hall)")  # fmt: skip
    copied(made, "seats")
    table = made.target_table("seats")
    made.run("target", f"CREATE INDEX mine ON {table} (hall, id)")
    made.run("source", "ALTER TABLE seats ADD COLUMN price DECIMAL(8, 2)", "UPDATE seats SET price = 2.50",
             "CREATE INDEX two ON seats (price)")  # fmt: skip
    with pytest.raises(ValidationFailed, match="has no column price"):
        Replication(made.config("seats")).check()
    replication, results = copied(made, "seats", force=True)
    assert "columns have changed" in results[0].method
    made.assert_equal(replication)
    shape = replication.parts.target.shape(replication.table("seats").target)
    assert shape is not None
    assert {index.name for index in replication.parts.target.definition(shape).indexes} == {"one", "two", "mine"}
    if made.kinds["target"] == "postgresql":
        made.run("target", f"CREATE VIEW halls AS SELECT hall FROM {table}")
        made.run("source", "ALTER TABLE seats ADD COLUMN place INT")
        with pytest.raises(ValidationFailed, match="view halls"):
            Replication(made.config("seats")).check(force_resync=True)
