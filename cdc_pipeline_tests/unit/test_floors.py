"""The oldest versions that step 1 takes."""

from __future__ import annotations

import pytest

from cdc_pipeline import floors


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("mysql", "8.0.15"),
        ("mysql", "9.7.4-1"),
        ("mysql", "8.0.mysql_aurora.3.08.0"),
        ("mariadb", "10.5.0-MariaDB"),
        ("mariadb", "11.8.9-MariaDB-0+deb13u1-log"),
        ("postgresql", "13.23"),
        ("postgresql", "19rc1"),
        ("postgresql", "18.1 (Debian 18.1-1)"),
    ],
)
def test_what_is_new_enough_is_taken(kind: str, version: str) -> None:
    check = floors.database_check("source version", kind, version)
    assert check is not None
    assert check.ok


@pytest.mark.parametrize(
    ("kind", "version", "problem"),
    [
        ("mysql", "5.7.44-log", "is MySQL 5.7.44-log, must be 8.0 or later"),
        ("mysql", "11.4.5-MariaDB", "let its URL begin with mariadb://"),
        ("mariadb", "8.0.15", "let its URL begin with mysql://"),
        ("mariadb", "10.4.34-MariaDB", "is MariaDB 10.4.34-MariaDB, must be 10.5 or later"),
        ("postgresql", "12.22", "is PostgreSQL 12.22, must be 13 or later"),
        ("postgresql", "", "is PostgreSQL an unknown version, must be 13 or later"),
    ],
)
def test_what_is_older_or_something_else_is_named(kind: str, version: str, problem: str) -> None:
    check = floors.database_check("source version", kind, version)
    assert check is not None
    assert check.name == "source version"
    assert problem in check.problem


def test_oracle_looks_itself() -> None:
    assert floors.database_check("source version", "oracle", "19") is None


@pytest.mark.parametrize(("version", "ok"), [("3.4.1", False), ("3.5.0", True), ("4.3.0-ccs", True), ("", False)])
def test_connect(version: str, ok: bool) -> None:
    assert floors.CONNECT.check("Kafka Connect version", version).ok is ok


@pytest.mark.parametrize(("version", "ok"), [("3.6.1.Final", False), ("3.7.0.Final", True), ("3.10.0.Alpha1", True)])
def test_postgresqls_plugin(version: str, ok: bool) -> None:
    floor = floors.PLUGINS["io.debezium.connector.postgresql.PostgresConnector"]
    check = floor.check("Debezium plugin", version)
    assert check.ok is ok
    assert ok or "must be 3.7.0 or later" in check.problem
