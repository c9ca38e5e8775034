"""Replication files: names that users know, errors that name key and line, and no secret anywhere."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cdc_pipeline.choices import Choices
from cdc_pipeline.config import (
    RESERVED_CONNECTOR_KEYS,
    ReplicationConfig,
    TableRule,
    find_replication,
    load_replication,
    replication_files,
)
from cdc_pipeline.errors import ConfigError
from cdc_pipeline.model import TableId

SECRET = "hunter2"
SHOP = """\
client: 2
database: 5
config: 6
source: {url: "mysql://cdc@db.internal:3306/testdb", password: "${SHOP_PASSWORD}"}
target: {url: "postgresql://cdc@dwh.internal:5432/dwh", password: "${SHOP_PASSWORD}"}
kafka: {bootstrap_servers: "kafka:9092"}
connect: {url: "http://connect:8083"}
tables:
  - users
  - orders: {target: sales.orders}
"""
Load = Callable[..., ReplicationConfig]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Reads SHOP with some lines replaced (by their key) and more lines at its end."""
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)

    def load(more: str = "", **replaced: str) -> ReplicationConfig:
        text = SHOP
        for key, value in replaced.items():
            text, found = re.subn(rf"(?m)^{key}:.*\n(?:  .*\n)*", lambda _, v=value: v, text)
            assert found == 1
        path = tmp_path / "shop.yaml"
        path.write_text(text + textwrap.dedent(more))
        return load_replication(path)

    return load


def refused(load: Load, more: str = "", **replaced: str) -> str:
    """The message of a file that is refused."""
    with pytest.raises(ConfigError) as failure:
        load(more, **replaced)
    message = str(failure.value)
    assert SECRET not in message
    assert "\n" not in message, "one line, for a person at a shell"
    return message


# -- what is right ------------------------------------------------------------------------------------------------


def test_names_are_those_that_users_of_the_earlier_system_know(load: Load) -> None:
    shop = load()
    users = TableId("source_db", "users")
    before = int(time.time())
    group = shop.fresh_group()
    assert shop.name == "shop"
    assert shop.connector_name == "client_2_db_5_connector"
    assert shop.topic(users) == "client_2_db_5.source_db.users"
    assert shop.target_name(users, TableRule(pattern="users")) == "testdb_users"
    prefix, _, seconds = group.rpartition("_")
    assert prefix == "cdc_consumer_2_6"
    assert before <= int(seconds) <= time.time()


def test_the_owner_may_name_the_group(load: Load) -> None:
    assert load("group: mine\n").fresh_group() == "mine"


def test_a_topic_has_only_characters_that_kafka_allows(load: Load) -> None:
    assert load().topic(TableId("my db", "größe$")) == "client_2_db_5.my_db.gr__e_"


def test_a_slot_has_only_characters_that_postgresql_allows(load: Load) -> None:
    assert re.fullmatch(r"[a-z0-9_]{1,63}", load().slot_name)


def test_targets_are_the_rules_or_made_of_database_and_table(load: Load) -> None:
    shop = load()
    table = TableId("testdb", "orders")
    users, orders = shop.tables
    assert users == TableRule(pattern="users")
    assert shop.target_name(table, orders) == "sales.orders"
    assert shop.target_name(table, TableRule(pattern="*", target="{schema}.raw_{table}")) == "testdb.raw_orders"


@pytest.mark.parametrize(
    ("pattern", "table", "matches"),
    [
        ("users", TableId("shop", "users"), True),
        ("users", TableId("other", "users"), False),  # no schema means the default one
        ("other.users", TableId("other", "users"), True),
        ("shop_*", TableId("shop", "shop_a"), True),
        ("*.users", TableId("other", "users"), True),
        ("Users", TableId("shop", "users"), False),
        ("user[sz]", TableId("shop", "userz"), True),
    ],
)
def test_patterns_select_tables(pattern: str, table: TableId, matches: bool) -> None:
    assert TableRule(pattern=pattern).matches(table, "shop") is matches


def test_the_environment_fills_every_text(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER", "b1")
    shop = load(kafka='kafka: {bootstrap_servers: "${BROKER}:9092,${BROKER}:9093"}\n')
    assert shop.kafka.bootstrap_servers == "b1:9092,b1:9093"
    assert shop.source.resolve().password == SECRET


def test_a_reference_to_a_config_provider_is_left_for_connect(load: Load) -> None:
    reference = "${file:/run/secrets/shop.properties:password}"
    shop = load(connect=f'connect: {{url: "http://c:8083", source_password: "{reference}"}}\n')
    assert shop.connect.source_password == reference


def test_a_password_may_come_from_a_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from the file\n")
    shop = load(source=f'source: {{url: "mysql://cdc@h/d", password_file: "{tmp_path / "password"}"}}\n')
    assert shop.source.resolve().password == "from the file"


def test_a_password_file_that_is_not_there_is_named(load: Load) -> None:
    shop = load(source='source: {url: "mysql://cdc@h/d", password_file: /nowhere/password}\n')
    with pytest.raises(ConfigError, match="/nowhere/password: No such file"):
        shop.source.resolve()


def test_connector_properties_become_text(load: Load) -> None:
    shop = load('connector: {max.batch.size: 4096, errors.log.enable: true, database.ssl.mode: "required"}\n')
    assert shop.connector == {
        "max.batch.size": "4096",
        "errors.log.enable": "true",
        "database.ssl.mode": "required",
    }


# -- what is wrong ------------------------------------------------------------------------------------------------


def test_an_unknown_key_is_named_with_its_line(load: Load) -> None:
    assert refused(load, "tabels: [users]\n").endswith("shop.yaml, line 11: tabels: unknown key")


def test_a_misspelt_key_deep_inside_is_named_with_its_line(load: Load) -> None:
    source = f'source:\n  url: "mysql://cdc@h/d"\n  pasword: "{SECRET}"\n'
    assert refused(load, source=source).endswith("shop.yaml, line 6: source.pasword: unknown key")


def test_a_misspelt_option_of_a_table_is_named_with_the_line_of_its_table(load: Load) -> None:
    tables = "tables:\n  - users\n  - orders:\n      tagret: sales.orders\n"
    assert re.search(r"shop\.yaml, line 1[01]: tables\.1\.tagret: unknown key$", refused(load, tables=tables))


def test_everything_that_is_wrong_is_said_at_once(load: Load) -> None:
    message = refused(load, "more: 1\n", client="client: two\n", config="")
    assert ", line 1: client: " in message
    assert "config: is missing" in message
    assert "line 10: more: unknown key" in message


def test_a_variable_that_the_environment_lacks_is_named(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_PASSWORD")
    assert refused(load).endswith(", line 4: source.password: the environment has no variable SHOP_PASSWORD")


def test_password_and_password_file_exclude_each_other(load: Load) -> None:
    source = f'source: {{url: "mysql://cdc@h/d", password: "{SECRET}", password_file: /x}}\n'
    assert "line 4: source: password and password_file exclude each other" in refused(load, source=source)


@pytest.mark.parametrize(
    ("url", "options", "named"),
    [
        ("mysql://cdc@h/d", "{local_infile: true}", "local_infile"),
        ("mysql://cdc@h/d?local_infile=1", "{}", "local_infile"),
        ("mariadb://cdc@h/d", '{ssl_ca: x, init_command: "SET time_zone = SYSTEM"}', "init_command"),
        ("mysql://cdc@h/d?charset=latin1", "{autocommit: true, ssl_ca: x}", "autocommit, charset"),
        ("postgresql://cdc@h/d?options=-c%20DateStyle=German", "{sslmode: require}", "options"),
        ("postgresql://cdc@h/d", "{client_encoding: LATIN1}", "client_encoding"),
    ],
)
def test_options_that_would_replace_a_sessions_settings_are_refused(
    load: Load, url: str, options: str, named: str
) -> None:
    message = refused(load, source=f'source: {{url: "{url}", options: {options}}}\n')
    assert f"line 4: source: {named}: every session of the pipeline sets this itself" in message


def test_other_options_are_the_drivers(load: Load) -> None:
    source = 'source: {url: "mysql://cdc@h/d?ssl_ca=x", options: {ssl_verify_identity: true, read_timeout: 60}}\n'
    assert load(source=source).source.options == {"ssl_verify_identity": True, "read_timeout": 60}


def test_many_tables_cannot_share_one_target(load: Load) -> None:
    message = refused(load, tables='tables:\n  - "shop_*": {target: all}\n')
    assert "shop_* may match many tables, its target must contain {table}" in message


def test_a_pattern_may_have_a_target_that_names_the_table(load: Load) -> None:
    (rule,) = load(tables='tables:\n  - "shop_*": {target: "raw.{table}"}\n').tables
    assert rule.target == "raw.{table}"


FURTHER = ("value.converter", "value.converter.replace.null.with.default", "transforms.route.type", "converters")


@pytest.mark.parametrize("key", [*sorted(RESERVED_CONNECTOR_KEYS), *FURTHER])
def test_what_exactness_rests_on_cannot_be_set(load: Load, key: str) -> None:
    message = refused(load, f'connector:\n  {key}: "{SECRET}"\n')
    assert f"{key} is set by cdc-pipeline itself" in message
    assert "line 11" in message or "line 12" in message


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"sqlite:///{SECRET}", "unknown database 'sqlite'; known: mysql, mariadb, postgresql, oracle"),
        (f"cdc:{SECRET}@host", "not a URL"),
        (f"mysql://cdc:{SECRET}@host:port/d", "not a URL"),
        (f"mysql://cdc:{SECRET}@host", "names no database"),
    ],
)
def test_a_url_that_is_none_is_explained_without_its_password(load: Load, url: str, reason: str) -> None:
    assert f"line 4: source.url: {reason}" in refused(load, source=f'source: {{url: "{url}"}}\n')


@pytest.mark.parametrize(
    "password",
    [
        pytest.param(f"*{SECRET}", id="an alias"),
        pytest.param(f"!{SECRET}", id="a tag"),
        pytest.param(f"[&{SECRET} x, *{SECRET}]", id="an anchor"),
        pytest.param(f"@{SECRET}", id="a reserved character"),
        pytest.param(f"%{SECRET}", id="a directive"),
        pytest.param(f"'{SECRET}", id="an open quote"),
        pytest.param(f"{{{SECRET}: 1}}", id="a mapping"),
        pytest.param(f"[{SECRET}]", id="a list"),
        pytest.param("1234567", id="a number"),
    ],
)
def test_a_password_that_yaml_reads_otherwise_is_refused_without_being_shown(load: Load, password: str) -> None:
    message = refused(load, source=f'source:\n  url: "mysql://cdc@h/d"\n  password: {password}\n')
    assert re.search(r"shop\.yaml, line \d+", message)
    assert "1234567" not in message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("- users\n", "empty"),
        ("client: [1\n", "line 2: expected"),
        ("5: x\n", "line 1"),
        ("on: x\n", "line 1"),
    ],
)
def test_a_file_that_is_no_replication_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"shop.yaml.*{reason}"):
        load_replication(path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_bytes(b"client: \xff\xfe\n")
    with pytest.raises(ConfigError, match=r"shop\.yaml: not UTF-8"):
        load_replication(path)


@pytest.mark.parametrize("entry", ["5", "{users: x}", "{users: {}, orders: {}}", "[users]"])
def test_an_entry_that_names_no_table_is_refused(load: Load, entry: str) -> None:
    assert "is neither a table's name nor" in refused(load, tables=f"tables:\n  - {entry}\n")


@pytest.mark.parametrize("tables", ["", " []", " users"])
def test_tables_are_a_list_with_something_in_it(load: Load, tables: str) -> None:
    assert "tables: must be a list" in refused(load, tables=f"tables:{tables}\n")


# -- secrets ------------------------------------------------------------------------------------------------------


def test_no_secret_shows_in_what_the_configuration_prints(load: Load) -> None:
    shop = load(
        f'connector: {{schema.history.internal.consumer.sasl.jaas.config: "{SECRET}"}}\n',
        source=f'source: {{url: "mysql://cdc:{SECRET}@h/d", options: {{ssl_key_password: "{SECRET}"}}}}\n',
        kafka=f'kafka: {{bootstrap_servers: "k", properties: {{sasl.password: "{SECRET}"}}}}\n',
        connect=f'connect: {{url: "http://c", user: u, password: "{SECRET}", source_password: "{SECRET}"}}\n',
    )
    for shown in (repr(shop), str(shop), repr(shop.source), repr(shop.kafka), repr(shop.connect), shop.source.display):
        assert SECRET not in shown
    assert shop.source.display == "mysql://cdc:***@h/d"


def test_a_configuration_cannot_be_changed(load: Load) -> None:
    shop = load()
    with pytest.raises(ValueError, match="frozen"):
        shop.client = 3  # type: ignore[misc]


# -- finding it ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)
    monkeypatch.setenv("CDC_PIPELINE_REPLICATIONS", str(tmp_path))
    return tmp_path


def test_the_only_replication_needs_no_name(folder: Path) -> None:
    (folder / "shop.yaml").write_text(SHOP)
    (folder / "notes.txt").write_text("not one")
    assert find_replication().name == "shop"
    assert find_replication("shop").name == "shop"


def test_of_several_replications_one_must_be_named(folder: Path) -> None:
    for name in ("shop.yaml", "stock.yml"):
        (folder / name).write_text(SHOP)
    assert [path.name for path in replication_files()] == ["shop.yaml", "stock.yml"]
    assert find_replication("stock").name == "stock"
    with pytest.raises(ConfigError, match=r"2 replications here \(shop, stock\); name one with -r"):
        find_replication()
    with pytest.raises(ConfigError, match=r"no replication 'stick' here \(shop, stock\)"):
        find_replication("stick")


def test_a_folder_without_replications_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(str(folder))):
        find_replication()
    with pytest.raises(ConfigError, match="nowhere"):
        find_replication(folder=folder / "nowhere")


def test_a_running_demos_replication_is_found_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CDC_PIPELINE_REPLICATIONS", "CDC_PIPELINE_LOCAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("")
    demos = tmp_path / ".local" / "demo" / "replications"
    demos.mkdir(parents=True)
    (demos / "shop.yaml").write_text(SHOP)
    assert find_replication().name == "shop"
    assert replication_files() == []  # Dagster's: the demo has one of its own
    (tmp_path / "replications").mkdir()
    (tmp_path / "replications" / "stock.yaml").write_text(SHOP)
    assert find_replication().name == "stock"
    monkeypatch.setenv("CDC_PIPELINE_REPLICATIONS", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="0 replications here"):
        find_replication()


# -- what owners choose per table ---------------------------------------------------------------------------------


def options(load: Load, text: str, **more: str) -> TableRule:
    return load(tables=f"tables:\n  - users: {{{text}}}\n", **more).tables[0]


def test_choices_are_read_and_the_salt_shows_nowhere(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALT", SECRET)
    shop = load('hash_salt: "${SALT}"\n', tables="tables:\n  - users: {hash: [email], delete: soft}\n  - orders\n")
    users, orders = (rule.choices(shop.salt) for rule in shop.tables)
    assert shop.salt == SECRET
    assert (users.hash, users.soft_delete) == (("email",), True)
    assert users.salt
    assert orders == Choices()
    assert SECRET not in repr(shop) + repr(users)


def test_another_salt_is_another_choice(load: Load) -> None:
    rule = options(load, "hash: [email]")
    assert len({rule.choices(salt).salt for salt in ("", "a", "b")}) == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("include: [a], exclude: [b]", "exclude each other"),
        ("hash: [a], mask: {a: x}", "a is both hashed and masked"),
        ("exclude: [a], rename: {a: b}", "rename: column a is left out"),
        ("exclude: [a], hash: [a]", "hash: column a is left out"),
        ("include: [b], mask: {a: x}", "mask: column a is left out"),
        ('exclude: [a], where: "a = 1"', "where: column a is left out"),
        ("rename: {a: c, b: C}", "two columns would be called c"),
        ("delete: soft, rename: {a: _deleted_at}", "is the column that delete: soft adds"),
        ('mask: {a: ""}', "a needs a text of at least one character"),
        ("delete: never", "delete"),
        ('where: "a ="', "at character 4 (the end)"),
        ("hash: email", "hash"),
    ],
)
def test_options_that_cannot_go_together_are_refused_with_their_line(load: Load, text: str, problem: str) -> None:
    message = refused(load, tables=f"tables:\n  - orders\n  - users: {{{text}}}\n")
    assert problem in message
    assert ", line 10" in message


def test_the_line_is_that_of_the_option(load: Load) -> None:
    message = refused(load, tables='tables:\n  - users:\n      exclude: [a]\n      where: "a ="\n')
    assert ", line 11" in message


def test_oracle_has_no_place_for_a_salt(load: Load) -> None:
    source = 'source: {url: "oracle://cdc@db/x"}\n'
    tables = "tables:\n  - users: {hash: [email]}\n"
    assert "leave it out" in refused(load, 'hash_salt: "x"\n', source=source, tables=tables)
    assert load(source=source, tables=tables).salt == ""


# -- heartbeats ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "heartbeat", "topic"),
    [
        ("postgresql://cdc@h/shop", "{}", "client_2_db_5.message"),
        ("mysql://cdc@h/shop", "{}", None),
        ("mysql://cdc@h/shop", "{table: beats}", "client_2_db_5.shop.beats"),
        ("mysql://cdc@h/shop", "{table: ops.beats, seconds: 60}", "client_2_db_5.ops.beats"),
        ("mariadb://cdc@h/shop", "{}", None),
        ("mariadb://cdc@h/shop", "{table: beats}", "client_2_db_5.shop.beats"),
    ],
)
def test_where_the_sources_heartbeats_come(load: Load, source: str, heartbeat: str, topic: str | None) -> None:
    config = load(f"heartbeat: {heartbeat}\n", source=f'source: {{url: "{source}"}}\n')
    assert config.heartbeat_topic == topic


@pytest.mark.parametrize("kind", ["postgresql", "oracle"])
def test_only_mysql_and_mariadb_beat_in_a_table(load: Load, kind: str) -> None:
    source = f'source: {{url: "{kind}://cdc@h/shop"}}\n'
    assert "only of a MySQL or MariaDB source" in refused(load, "heartbeat: {table: ops.beats}\n", source=source)
