"""Each setting that a server has is tried by the fuzzer, or left alone for a reason: by the servers' own catalogues."""

from __future__ import annotations

from cdc_pipeline.local.stack import Endpoints
from cdc_pipeline_tests.fuzz.decisions import MYSQL, POSTGRESQL, decision
from cdc_pipeline_tests.fuzz.servers import open_session

ELSEWHERE = {  # settings that only other versions have
    "binlog_transaction_compression",
    "binlog_transaction_dependency_tracking",
    "innodb_autoinc_lock_mode",
    "restrict_fk_on_non_standard_key",
    "show_old_temporals",
    "sql_generate_invisible_primary_key",
}


def test_every_setting_of_postgresql_is_decided(stack: Endpoints) -> None:
    assert stack.postgresql is not None
    session = open_session("postgresql", stack.postgresql, "")
    found = {str(name): str(category) for name, category in session.run("SELECT name, category FROM pg_settings")}
    session.close()
    assert len(found) > 300
    assert [name for name, category in found.items() if not decision("postgresql", name, category)] == []
    assert POSTGRESQL.keys() <= found.keys()


def test_every_setting_of_mysql_is_decided(stack: Endpoints) -> None:
    assert stack.mysql is not None
    session = open_session("mysql", stack.mysql, "")
    found = [str(name) for name, _ in session.run("SHOW VARIABLES")]
    session.close()
    assert len(found) > 400
    assert [name for name in found if not decision("mysql", name)] == []
    assert MYSQL.keys() - set(found) <= ELSEWHERE
