"""Step 1 against real servers: every prerequisite that can be missing, what it says, and that it writes nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import requests
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from sqlalchemy.engine import make_url

from cdc_pipeline import floors
from cdc_pipeline.capture.connect_api import ConnectApi
from cdc_pipeline.config import ReplicationConfig
from cdc_pipeline.errors import ConnectRefused
from cdc_pipeline.local import ports, processes
from cdc_pipeline.local.mysql import MySql
from cdc_pipeline.local.postgresql import PostgreSql
from cdc_pipeline.local.programs import Programs
from cdc_pipeline.local.site import Site, unprivileged_account
from cdc_pipeline.local.stack import Endpoints, silent
from cdc_pipeline.parts import Parts
from cdc_pipeline.replication import start_replication
from cdc_pipeline.validation import validate
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.servers import Servers
from cdc_pipeline_tests.validating import configured, found, login, problems_of, secrets, user_of

pytestmark = pytest.mark.servers

Make = Callable[..., Scenario]
USERS = "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(50))"
SOURCE_DATABASES = ["mysql", "postgresql"]


@pytest.fixture
def mysql(scenario: Make) -> Scenario:
    """MySQL -> PostgreSQL with one table."""
    made = scenario("mysql", "postgresql")
    made.run("source", USERS)
    return made


@pytest.fixture
def postgresql(scenario: Make) -> Scenario:
    """PostgreSQL -> MySQL with one table."""
    made = scenario("postgresql", "mysql")
    made.run("source", USERS)
    return made


def closed_port() -> int:
    return ports.find_free()


# -- all is well --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCE_DATABASES)
@pytest.mark.parametrize("target", SOURCE_DATABASES)
def test_a_replication_that_can_run_has_no_problem(scenario: Make, source: str, target: str) -> None:
    made = scenario(source, target)
    made.run("source", USERS)
    assert found(made) == {}


def test_a_mysql_login_with_exactly_the_privileges_that_are_asked_for_is_enough(mysql: Scenario) -> None:
    schema = mysql.schema
    with user_of(
        mysql, "source",
        "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {user}",
        f"GRANT SELECT, LOCK TABLES ON `{schema}`.* TO {{user}}",
    ) as user:  # fmt: skip
        assert found(mysql, source=login(mysql, "source", user)) == {}


def test_a_postgresql_login_with_exactly_the_privileges_that_are_asked_for_is_enough(postgresql: Scenario) -> None:
    with user_of(
        postgresql, "source",
        "ALTER ROLE {user} REPLICATION",
        f"GRANT CREATE ON DATABASE {postgresql.databases['source']} TO {{user}}",
        "ALTER TABLE users OWNER TO {user}",
    ) as user:  # fmt: skip
        assert found(postgresql, source=login(postgresql, "source", user)) == {}


# -- connections --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["source", "target"])
@pytest.mark.parametrize("kind", SOURCE_DATABASES)
def test_a_wrong_password_is_told_from_a_server_that_is_away(scenario: Make, kind: str, role: str) -> None:
    made = scenario(kind, kind)
    made.run("source", USERS)
    user = make_url(made.urls[role]).username or ""
    problems = found(made, **{role: login(made, role, user)})
    assert problems.keys() == {f"{role} reachable"}
    assert f"refused the login of user {user}" in problems[f"{role} reachable"]
    assert "Check the user name and the password" in problems[f"{role} reachable"]


@pytest.mark.parametrize("role", ["source", "target"])
@pytest.mark.parametrize("kind", SOURCE_DATABASES)
def test_an_unknown_host_is_named(scenario: Make, kind: str, role: str) -> None:
    made = scenario(kind, kind)
    made.run("source", USERS)
    problems = found(made, **{role: login(made, role, "cdc", host="nowhere.invalid")})
    assert problems.keys() == {f"{role} reachable"}
    assert "nowhere.invalid" in problems[f"{role} reachable"]
    assert "Check that the server runs" in problems[f"{role} reachable"]


@pytest.mark.parametrize("kind", SOURCE_DATABASES)
def test_a_database_that_is_not_there_is_named(scenario: Make, kind: str) -> None:
    made = scenario(kind, kind)
    made.run("source", USERS)
    missing = make_url(made.urls["target"]).set(database="no_such_database").render_as_string(hide_password=False)
    problems = found(made, target=f'{{url: "{missing}"}}')
    assert problems.keys() == {"target reachable"}
    assert "no_such_database" in problems["target reachable"]


def test_a_password_file_that_is_not_there_is_named(mysql: Scenario) -> None:
    url = make_url(mysql.urls["source"]).set(username="cdc", password=None).render_as_string()
    problems = found(mysql, source=f'{{url: "{url}", password_file: /nowhere/password}}')
    assert "/nowhere/password: No such file" in problems["source reachable"]


def test_kafka_that_is_down_is_named(mysql: Scenario) -> None:
    servers = f"127.0.0.1:{closed_port()}"
    problems = found(mysql, kafka=f'{{bootstrap_servers: "{servers}"}}')
    assert problems.keys() == {"Kafka reachable"}
    assert problems["Kafka reachable"].startswith(f"Kafka at {servers} cannot be reached")


def test_connect_that_is_down_is_named(mysql: Scenario) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    problems = found(mysql, connect=f'{{url: "{url}"}}')
    assert problems.keys() == {"Kafka Connect reachable"}
    assert problems["Kafka Connect reachable"].startswith(f"Kafka Connect at {url} cannot be reached")


class ConnectWithout(ConnectApi):
    """The real cluster, as if a plugin were not installed, or could not be asked."""

    plugin = ""
    refuses = False

    def plugins(self) -> dict[str, str]:
        return {name: version for name, version in super().plugins().items() if name != self.plugin}

    def validate(self, config: Any) -> list[str]:
        if self.refuses:
            raise ConnectRefused(request="PUT /validate", status=500, reason="NullPointerException")
        return super().validate(config)


def test_a_plugin_that_is_not_installed_is_named(mysql: Scenario) -> None:
    parts = Parts(configured(mysql))
    connect = ConnectWithout(parts.config.connect)
    connect.plugin = "io.debezium.connector.mysql.MySqlConnector"
    parts.connect = connect
    (problem,) = validate(parts).problems
    assert problem.name == "Debezium plugin"
    assert connect.plugin in problem.problem
    assert "plugin.path" in problem.problem


class OlderConnect(ConnectApi):
    """The real cluster, as if its worker and its plugins were of another year."""

    def ping(self) -> dict[str, Any]:
        return {**super().ping(), "version": "3.4.1"}

    def plugins(self) -> dict[str, str]:
        return dict.fromkeys(super().plugins(), "2.6.2.Final")


def test_versions_before_the_oldest_that_are_taken_are_named(
    postgresql: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the oldest ones raised above those that run here."""
    monkeypatch.setattr(floors, "DATABASES", {
        kind: replace(floor, oldest="99") for kind, floor in floors.DATABASES.items()
    })  # fmt: skip
    parts = Parts(configured(postgresql))
    parts.connect = OlderConnect(parts.config.connect)
    problems = {check.name: check.problem for check in validate(parts).problems}
    assert problems.keys() == {"source version", "target version", "Kafka Connect version", "Debezium plugin"}
    assert problems["source version"].startswith("is PostgreSQL 18.")
    assert "must be 99 or later" in problems["target version"]
    assert problems["Kafka Connect version"].startswith("is Kafka Connect 3.4.1, must be 3.5 or later: ")
    assert "2.6.2.Final, must be 3.7.0 or later: 3.6 loses rows of a COPY" in problems["Debezium plugin"]


def test_a_url_of_mysql_that_leads_to_a_mariadb_is_named(scenario: Make) -> None:
    made = scenario("mariadb", "postgresql")
    made.run("source", USERS)
    url = make_url(made.urls["source"]).set(drivername="mysql").render_as_string(hide_password=False)
    problems = found(made, source=f'{{url: "{url}"}}')
    assert "let its URL begin with mariadb://" in problems["source version"]


def test_a_worker_that_cannot_check_the_configuration_is_a_problem_and_no_crash(mysql: Scenario) -> None:
    parts = Parts(configured(mysql))
    connect = ConnectWithout(parts.config.connect)
    connect.refuses = True
    parts.connect = connect
    (problem,) = validate(parts).problems
    assert problem.name == "connector configuration"
    assert "NullPointerException" in problem.problem


def test_what_debezium_itself_refuses_is_told(mysql: Scenario) -> None:
    problems = found(mysql, connector="{max.batch.size: many}")
    assert "max.batch.size" in problems["connector configuration"]


# -- tables and privileges of the source --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SOURCE_DATABASES)
def test_a_table_that_is_not_there_is_named(scenario: Make, kind: str) -> None:
    made = scenario(kind, kind)
    made.run("source", USERS)
    problems = found(made, "users", "usres", "order_*")
    assert problems.keys() == {"source table usres", "source table order_*"}
    assert "no table of" in problems["source table usres"]


def test_a_table_that_a_mysql_login_may_not_see_says_grant(mysql: Scenario) -> None:
    mysql.run("source", "CREATE TABLE orders (id INT PRIMARY KEY)")
    with user_of(
        mysql, "source",
        "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {user}",
        f"GRANT LOCK TABLES ON `{mysql.schema}`.* TO {{user}}",
        f"GRANT SELECT ON `{mysql.schema}`.orders TO {{user}}",
        f"GRANT INSERT ON `{mysql.schema}`.users TO {{user}}",
    ) as user:  # fmt: skip
        problems = found(mysql, "users", "orders", source=login(mysql, "source", user))
    assert problems.keys() == {f"source table {mysql.schema}.users readable"}
    assert "GRANT SELECT ON" in problems[f"source table {mysql.schema}.users readable"]


def test_a_table_without_any_privilege_is_not_seen_by_a_mysql_login(mysql: Scenario) -> None:
    mysql.run("source", "CREATE TABLE orders (id INT PRIMARY KEY)")
    with user_of(
        mysql, "source",
        "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {user}",
        f"GRANT SELECT ON `{mysql.schema}`.orders TO {{user}}",
    ) as user:  # fmt: skip
        problems = found(mysql, source=login(mysql, "source", user))
        assert f"{user} may not see it (GRANT SELECT)" in problems["source table users"]


def test_a_table_that_a_postgresql_login_may_not_read_says_grant(postgresql: Scenario) -> None:
    with user_of(
        postgresql, "source",
        "ALTER ROLE {user} REPLICATION",
        f"GRANT CREATE ON DATABASE {postgresql.databases['source']} TO {{user}}",
    ) as user:  # fmt: skip
        problems = found(postgresql, source=login(postgresql, "source", user))
    assert problems.keys() == {"source table public.users readable", "source table public.users publishable"}
    assert 'GRANT SELECT ON "public"."users" TO' in problems["source table public.users readable"]
    assert "OWNER TO" in problems["source table public.users publishable"]


def test_missing_replication_privileges_of_a_mysql_login_are_all_named(mysql: Scenario) -> None:
    with user_of(mysql, "source", f"GRANT SELECT ON `{mysql.schema}`.* TO {{user}}") as user:
        problems = found(mysql, source=login(mysql, "source", user))
    names = {"REPLICATION SLAVE", "REPLICATION CLIENT", f"LOCK TABLES on {mysql.schema}"}
    assert problems.keys() == {f"source privilege {name}" for name in names}
    assert f"GRANT REPLICATION SLAVE ON *.* TO '{user}'" in problems["source privilege REPLICATION SLAVE"]
    assert "GRANT LOCK TABLES ON" in problems[f"source privilege LOCK TABLES on {mysql.schema}"]


def test_missing_replication_privileges_of_a_postgresql_login_are_all_named(postgresql: Scenario) -> None:
    with user_of(postgresql, "source", "ALTER TABLE users OWNER TO {user}") as user:
        problems = found(postgresql, source=login(postgresql, "source", user))
    assert problems.keys() == {"source privilege REPLICATION", "source privilege to create a publication"}
    assert f'ALTER ROLE "{user}" REPLICATION' in problems["source privilege REPLICATION"]
    assert "GRANT CREATE ON DATABASE" in problems["source privilege to create a publication"]


@pytest.mark.parametrize(
    ("kind", "declared", "shown", "way_out"),
    [
        ("mysql", "TEXT CHARACTER SET koi8u", "text CHARACTER SET koi8u", "CONVERT TO CHARACTER SET utf8mb4"),
        ("postgresql", "bit varying(5)", "bit varying(5)", "ALTER COLUMN … TYPE text"),
        ("postgresql", "polygon", "polygon", "TYPE path"),
        ("postgresql", "interval[]", "interval[]", "ALTER COLUMN … TYPE text[]"),
        ("postgresql", "numeric[]", "numeric[]", "TYPE numeric(p, s)[]"),
    ],
)
def test_a_type_that_cannot_be_replicated_is_named_with_its_column_and_the_way_out(
    scenario: Make, kind: str, declared: str, shown: str, way_out: str
) -> None:
    made = scenario(kind, "postgresql")
    made.run("source", f"CREATE TABLE places (id INT PRIMARY KEY, place {declared})")
    problems = found(made, "places")
    name = f"source table {made.schema}.places types"
    assert problems.keys() == {name}
    assert f"Column place of {made.schema}.places has the type {shown}" in problems[name]
    assert way_out in problems[name]


@pytest.mark.parametrize("risky", ["boolean[]", "path"])
def test_a_long_value_that_may_arrive_as_null_needs_replica_identity_full(postgresql: Scenario, risky: str) -> None:
    postgresql.run("source", f"CREATE TABLE readings (id INT PRIMARY KEY, safe int[], risky {risky})")
    problems = found(postgresql, "readings")
    assert problems.keys() == {"source table public.readings long values"}
    assert "(risky)" in problems["source table public.readings long values"]
    postgresql.run("source", 'ALTER TABLE "public"."readings" REPLICA IDENTITY FULL')
    assert found(postgresql, "readings") == {}


@pytest.mark.parametrize(
    "identity",
    [
        "DEFAULT",
        "NOTHING",
        pytest.param("USING INDEX by_number", id="USING INDEX: the log would lack the other columns"),
    ],
)
def test_a_keyless_postgresql_table_needs_replica_identity_full(postgresql: Scenario, identity: str) -> None:
    postgresql.run(
        "source",
        "CREATE TABLE log (number INT NOT NULL, line TEXT)",
        "CREATE UNIQUE INDEX by_number ON log (number)",
        f"ALTER TABLE log REPLICA IDENTITY {identity}",
    )
    problems = found(postgresql, "log")
    assert problems.keys() == {"source table public.log replica identity"}
    fix = 'ALTER TABLE "public"."log" REPLICA IDENTITY FULL'
    assert fix in problems["source table public.log replica identity"]
    postgresql.run("source", fix)
    assert found(postgresql, "log") == {}


@pytest.mark.parametrize(
    ("identity", "works"),
    [("DEFAULT", True), ("FULL", True), ("USING INDEX users_pkey", True), ("NOTHING", False),
     ("USING INDEX by_name", False)],
)  # fmt: skip
def test_a_keyed_postgresql_table_must_log_its_key(postgresql: Scenario, identity: str, works: bool) -> None:
    postgresql.run(
        "source",
        "ALTER TABLE users ALTER name SET NOT NULL",
        "CREATE UNIQUE INDEX by_name ON users (name)",
        f"ALTER TABLE users REPLICA IDENTITY {identity}",
    )
    problems = found(postgresql)
    assert (problems == {}) is works
    if problems:
        postgresql.run("source", problems["source table public.users replica identity"].partition("run: ")[2])
        assert found(postgresql) == {}


def test_a_deferrable_primary_key_tells_no_rows(postgresql: Scenario) -> None:
    postgresql.run("source", "CREATE TABLE late (id INT PRIMARY KEY DEFERRABLE, note TEXT)")
    problem = found(postgresql, "late")["source table public.late replica identity"]
    assert "DEFERRABLE" in problem
    postgresql.run("source", problem.partition("run: ")[2])
    assert found(postgresql, "late") == {}


def test_every_partition_must_tell_its_rows(postgresql: Scenario) -> None:
    postgresql.run(
        "source",
        "CREATE TABLE log (day INT, line TEXT) PARTITION BY RANGE (day)",
        "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (1) TO (2)",
        "CREATE TABLE log_2 PARTITION OF log FOR VALUES FROM (2) TO (9) PARTITION BY LIST (day)",
        "CREATE TABLE log_2_3 PARTITION OF log_2 FOR VALUES IN (3)",
        "CREATE UNLOGGED TABLE log_2_4 PARTITION OF log_2 FOR VALUES IN (4)",
    )
    problems = found(postgresql, "log")
    assert problems.keys() == {"source table public.log replica identity", "source table public.log partitions"}
    assert "public.log_2_4" in problems["source table public.log partitions"]
    fixes = problems["source table public.log replica identity"].partition("run: ")[2].split("; ")
    assert [fix.split()[2] for fix in fixes] == [
        '"public"."log"', '"public"."log_1"', '"public"."log_2_3"', '"public"."log_2_4"',
    ]  # fmt: skip
    postgresql.run("source", *fixes, "ALTER TABLE log_2_4 SET LOGGED")
    assert found(postgresql, "log") == {}


def test_a_table_that_others_inherit_from_is_refused(postgresql: Scenario) -> None:
    postgresql.run("source", "CREATE TABLE guests (visits INT) INHERITS (users)")
    assert found(postgresql).keys() == {"source table public.users heirs"}


def test_a_topic_of_several_partitions_is_refused(mysql: Scenario) -> None:
    config = configured(mysql)
    topic = f"{config.topic_prefix}.{mysql.schema}.users"
    admin = AdminClient({"bootstrap.servers": str(mysql.stack.kafka)})
    admin.create_topics([NewTopic(topic, num_partitions=2)])[topic].result(10)
    problems = found(mysql)
    assert problems.keys() == {f"topic {topic}"}
    assert "delete it" in problems[f"topic {topic}"]
    admin.delete_topics([topic])[topic].result(10)


def test_a_mysql_table_without_transactions_is_refused(mysql: Scenario) -> None:
    mysql.run("source", "CREATE TABLE old (id INT PRIMARY KEY) ENGINE = MyISAM")
    problems = found(mysql, "old")
    assert "ENGINE = InnoDB" in problems[f"source table {mysql.schema}.old transactional"]


# -- settings of the source's server: servers of their own, so that nobody else's are changed -----------------------


@pytest.fixture(scope="module")
def private_home() -> Iterator[Path]:
    """A folder that the servers' own user can reach."""
    with tempfile.TemporaryDirectory(prefix="cdc-pipeline-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def private_postgresql(private_home: Path) -> Iterator[Callable[..., str]]:
    """Starts a PostgreSQL with these settings; the one before is ended. Returns its URL."""
    server = PostgreSql()
    site = Site(private_home, server.name, {server.name: ports.find_free()}, silent)
    server.prepare(site)
    program = server.programs(site).find("postgres")

    def start(**settings: str) -> str:
        server.stop(site)
        options = {"listen_addresses": ports.LOOPBACK, "port": site.port, "unix_socket_directories": "", **settings}
        command: list[str | Path] = [program, "-D", site.files / "data"]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        processes.spawn(site, command, unprivileged_account())
        processes.wait_until_ready(site, lambda: server.answers(site))
        return server.url(site)

    yield start
    server.stop(site)
    site.remove()


class MySqlWith(MySql):
    """A MySQL with settings of the test's own; of two options the last one counts."""

    def __init__(self, *options: str) -> None:
        super().__init__()
        self.options = options

    def _own_options(self, programs: Programs) -> list[str]:
        return [*super()._own_options(programs), *self.options]


@pytest.fixture(scope="module")
def private_mysql(private_home: Path) -> Iterator[Callable[..., str]]:
    """Starts a MySQL with these options; the one before is ended. Returns its URL."""
    site = Site(private_home, MySql.kind, {MySql.kind: ports.find_free()}, silent)
    MySql().prepare(site)

    def start(*options: str) -> str:
        server = MySqlWith(*options)
        server.stop(site)
        server.start(site)
        return server.url(site)

    yield start
    MySql().stop(site)
    site.remove()


@pytest.fixture
def elsewhere(servers: Servers, stack: Endpoints, tmp_path: Path) -> Callable[[str, str], Scenario]:
    """A scenario whose source is a private server, which goes with all that is in it. The target is never reached by
    what these tests find, but has its database like every other's."""

    def make(kind: str, url: str) -> Scenario:
        made = Scenario(replace(stack, **{kind: url}), servers.next_number(), tmp_path, kind, kind)
        made.run("source", USERS)
        return made

    return make


def test_a_wal_level_other_than_logical_is_told_with_the_way_out(
    private_postgresql: Callable[..., str], elsewhere: Callable[[str, str], Scenario]
) -> None:
    made = elsewhere("postgresql", private_postgresql(wal_level="replica"))
    problems = found(made)
    assert problems.keys() == {"source wal_level"}
    assert problems["source wal_level"].startswith("is replica, must be logical: ALTER SYSTEM SET wal_level")


def test_a_server_without_a_free_replication_slot_is_told_so(
    private_postgresql: Callable[..., str], elsewhere: Callable[[str, str], Scenario]
) -> None:
    made = elsewhere("postgresql", private_postgresql(wal_level="logical", max_replication_slots="1"))
    made.run("source", "SELECT pg_create_logical_replication_slot('of_somebody_else', 'pgoutput')")
    try:
        problems = found(made)
        assert problems.keys() == {"source replication slot"}
        assert "1 of 1 used" in problems["source replication slot"]
        assert "raise max_replication_slots" in problems["source replication slot"]
    finally:
        made.run("source", "SELECT pg_drop_replication_slot('of_somebody_else')")


def test_our_own_slot_counts_as_free(
    private_postgresql: Callable[..., str], elsewhere: Callable[[str, str], Scenario]
) -> None:
    made = elsewhere("postgresql", private_postgresql(wal_level="logical", max_replication_slots="1"))
    slot = configured(made).slot_name
    made.run("source", f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')")
    try:
        assert "source replication slot" not in found(made)
    finally:
        made.run("source", f"SELECT pg_drop_replication_slot('{slot}')")


def test_a_binlog_that_does_not_hold_whole_rows_is_told_with_the_way_out(
    private_mysql: Callable[..., str], elsewhere: Callable[[str, str], Scenario]
) -> None:
    url = private_mysql("--binlog-row-image=MINIMAL", "--binlog-format=MIXED")
    problems = found(elsewhere("mysql", url))
    assert problems.keys() == {"source binlog_row_image", "source binlog_format"}
    assert problems["source binlog_row_image"] == (
        "is MINIMAL, must be FULL: run: SET PERSIST binlog_row_image = 'FULL'; open sessions keep their own value"
    )
    assert "must be ROW" in problems["source binlog_format"]


def test_a_binlog_with_parts_of_json_values_is_told_with_the_way_out(
    private_mysql: Callable[..., str], elsewhere: Callable[[str, str], Scenario]
) -> None:
    problems = found(elsewhere("mysql", private_mysql("--binlog-row-value-options=PARTIAL_JSON")))
    assert problems == {
        "source binlog_row_value_options": "is PARTIAL_JSON, must be empty: "
        "run: SET PERSIST binlog_row_value_options = ''; open sessions keep their own value"
    }


def test_a_server_without_a_binlog_is_told_so(
    private_mysql: Callable[..., str], elsewhere: Callable[[str, str], Scenario]
) -> None:
    problems = found(elsewhere("mysql", private_mysql("--skip-log-bin", "--gtid-mode=OFF")))
    assert problems["source log_bin"] == "is OFF, must be ON: start the server with --log-bin"


# -- the target ---------------------------------------------------------------------------------------------------


def test_two_tables_cannot_have_one_target(mysql: Scenario) -> None:
    mysql.run("source", "CREATE TABLE clients LIKE users")
    problems = found(mysql, tables="[{users: {target: people}}, {clients: {target: people}}]")
    assert problems.keys() == {"target table public.people"}
    assert f"{mysql.schema}.users, {mysql.schema}.clients" in problems["target table public.people"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ("id INT PRIMARY KEY", "has no column name (varchar(50))"),
        ("id INT PRIMARY KEY, name VARCHAR(49)", "name is character varying(49), must be able to hold varchar(50)"),
        ("id SMALLINT PRIMARY KEY, name VARCHAR(50)", "id is smallint, must be able to hold integer"),
        ("id INT PRIMARY KEY, name POINT", "name is point, must be able to hold varchar(50)"),
        ("id INT, name VARCHAR(50) PRIMARY KEY", "its primary key is (name), the source's (id)"),
        ("id INT, name VARCHAR(50)", "its primary key is (), the source's (id)"),
        (
            "id INT PRIMARY KEY, name VARCHAR(50), tenant INT NOT NULL",
            "has a column tenant that must have a value, but the source has none",
        ),
    ],
)
def test_a_target_of_another_shape_says_what_differs(mysql: Scenario, columns: str, reason: str) -> None:
    mysql.run("target", f"CREATE TABLE {mysql.target_table('users')} ({columns})")
    name = f"target table public.{mysql.target_table('users')}"
    parts = Parts(configured(mysql))
    for found_so in (validate(parts), validate(parts, force_resync=True), validate(parts, adopt=True)):
        problems = problems_of(mysql, found_so)
        assert problems.keys() == {name}
        assert reason in problems[name]
        assert "Alter or drop it" in problems[name]


@pytest.mark.parametrize(
    "columns",
    [
        "id INT PRIMARY KEY, name VARCHAR(50)",
        "name TEXT, id BIGINT PRIMARY KEY",
        "id INT PRIMARY KEY, name TEXT NOT NULL",
        "id INT PRIMARY KEY, name TEXT, loaded TIMESTAMP DEFAULT now()",
        "id INT PRIMARY KEY, name TEXT, note TEXT",
    ],
)
def test_a_target_that_can_hold_every_row_is_taken_as_it_is(mysql: Scenario, columns: str) -> None:
    mysql.run("target", f"CREATE TABLE {mysql.target_table('users')} ({columns})")
    assert found(mysql) == {}


@pytest.mark.parametrize("target", SOURCE_DATABASES)
def test_a_target_with_rows_that_nobody_knows_names_both_ways_out(scenario: Make, target: str) -> None:
    made = scenario("mysql", target)
    made.run("source", USERS)
    made.run("target", USERS.replace("users", made.target_table("users")))
    made.run("target", f"INSERT INTO {made.target_table('users')} VALUES (1, 'a'), (2, 'b')")
    (problem,) = found(made).values()
    assert "already has 2 rows" in problem
    assert "--force-resync" in problem
    assert "--adopt" in problem
    assert validate(Parts(configured(made)), force_resync=True).problems == []
    assert validate(Parts(configured(made)), adopt=True).problems == []


def test_a_name_that_the_target_cannot_have_is_refused(mysql: Scenario) -> None:
    long = "t" * 60
    mysql.run("source", f"CREATE TABLE {long} (id INT PRIMARY KEY)")
    (problem,) = found(mysql, long).values()
    assert "longer than 63 bytes" in problem


def test_a_schema_that_the_target_lacks_is_named(mysql: Scenario) -> None:
    problems = found(mysql, tables="[{users: {target: sales.users}}]")
    assert problems.keys() == {"target schema sales"}
    assert "CREATE SCHEMA" in problems["target schema sales"]


def test_missing_privileges_on_a_mysql_target_are_all_named(postgresql: Scenario) -> None:
    schema = postgresql.databases["target"]
    with user_of(postgresql, "target", f"GRANT SELECT, INSERT ON `{schema}`.* TO {{user}}") as user:
        problems = found(postgresql, target=login(postgresql, "target", user))
    assert problems.keys() == {f"target privileges on {schema}"}
    expected = "CREATE, CREATE TEMPORARY TABLES, DELETE, DROP, UPDATE missing; run: GRANT"
    assert problems[f"target privileges on {schema}"].startswith(expected)


def test_missing_privileges_on_a_postgresql_target_are_all_named(mysql: Scenario) -> None:
    with user_of(mysql, "target") as user:
        problems = found(mysql, target=login(mysql, "target", user))
    assert problems.keys() == {"target schema public", "target schema cdc_pipeline"}


def test_a_target_table_of_somebody_else_is_a_problem_and_no_crash(mysql: Scenario) -> None:
    table = mysql.target_table("users")
    mysql.run("target", USERS.replace("users", table), f"INSERT INTO {table} VALUES (1, 'a')")
    database = mysql.databases["target"]
    with user_of(
        mysql, "target",
        "GRANT USAGE, CREATE ON SCHEMA public TO {user}",
        f"GRANT CREATE ON DATABASE {database} TO {{user}}",
    ) as user:  # fmt: skip
        problems = found(mysql, target=login(mysql, "target", user))
    assert any("permission denied" in problem and table in problem for problem in problems.values())


# -- all at once, and nothing written -----------------------------------------------------------------------------


def traces(scenario: Scenario, config: ReplicationConfig) -> dict[str, object]:
    """Whatever a replication may leave behind on any server."""
    topics = AdminClient({"bootstrap.servers": str(scenario.stack.kafka)}).list_topics(timeout=10).topics
    connectors = requests.get(f"{scenario.stack.connect}/connectors", timeout=30).json()
    left: dict[str, object] = {
        "topics": [topic for topic in topics if config.topic_prefix in topic],
        "connectors": [name for name in connectors if name == config.connector_name],
    }
    for role, kind in scenario.kinds.items():
        schemas = "DATABASE()" if kind == "mysql" else "ANY (current_schemas(false) || 'cdc_pipeline'::name)"
        left[f"{role} tables"] = scenario.rows(
            role, f"SELECT table_name FROM information_schema.tables WHERE table_schema = {schemas} ORDER BY 1"
        )
        if kind == "postgresql":
            left[f"{role} slots"] = scenario.rows(
                role, "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"
            )
            left[f"{role} publications"] = scenario.rows(role, "SELECT pubname FROM pg_publication")
            left[f"{role} schemas"] = scenario.rows(
                role, "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg!_%' ESCAPE '!' ORDER BY 1"
            )
    return left


def test_everything_that_is_wrong_is_said_at_once(mysql: Scenario) -> None:
    mysql.run("source", "CREATE TABLE places (id INT PRIMARY KEY, place TEXT CHARACTER SET koi8u)")
    mysql.run("target", f"CREATE TABLE {mysql.target_table('users')} (id INT PRIMARY KEY)")
    connect = f"http://127.0.0.1:{closed_port()}"
    with user_of(mysql, "source", f"GRANT SELECT ON `{mysql.schema}`.* TO {{user}}") as user:
        problems = found(
            mysql, "users", "places", "nowhere",
            source=login(mysql, "source", user), connect=f'{{url: "{connect}"}}',
        )  # fmt: skip
    assert problems.keys() >= {
        "Kafka Connect reachable",
        "source table nowhere",
        f"source table {mysql.schema}.places types",
        "source privilege REPLICATION SLAVE",
        "source privilege REPLICATION CLIENT",
        f"source privilege LOCK TABLES on {mysql.schema}",
        f"target table public.{mysql.target_table('users')}",
    }


def test_both_databases_may_be_away_at_once(mysql: Scenario) -> None:
    port = closed_port()
    problems = found(
        mysql, source=login(mysql, "source", "cdc", port=port), target=login(mysql, "target", "cdc", port=port)
    )
    assert problems.keys() == {"source reachable", "target reachable"}


@pytest.mark.parametrize("source", SOURCE_DATABASES)
@pytest.mark.parametrize("target", SOURCE_DATABASES)
def test_a_start_that_fails_in_step_1_leaves_no_trace(scenario: Make, source: str, target: str) -> None:
    made = scenario(source, target)
    made.run("source", USERS, "INSERT INTO users VALUES (1, 'a')")
    made.run("target", USERS.replace("users", made.target_table("users")))
    made.run("target", f"INSERT INTO {made.target_table('users')} VALUES (9, 'kept')")
    config = configured(made, "users", "nowhere")
    before = traces(made, config)

    success, message = start_replication(config, until_caught_up=True)

    assert not success
    assert message.startswith("2 check(s) failed:")
    assert "source table nowhere" in message
    assert "--force-resync" in message
    assert not any(secret in message for secret in secrets(made))
    assert traces(made, config) == before
    assert made.rows("target", f"SELECT * FROM {made.target_table('users')}") == [(9, "kept")]


@pytest.mark.parametrize("source", SOURCE_DATABASES)
def test_a_validation_that_passes_leaves_no_trace_either(scenario: Make, source: str) -> None:
    made = scenario(source, "postgresql")
    made.run("source", USERS)
    config = configured(made)
    before = traces(made, config)
    assert validate(Parts(config)).problems == []
    assert traces(made, config) == before
    assert cast(list, before["topics"]) == cast(list, before["connectors"]) == []
