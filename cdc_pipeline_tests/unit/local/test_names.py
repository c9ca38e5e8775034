"""A server's name tells its kind, its version and its options, and nothing that there cannot be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import downloads, names, versions
from cdc_pipeline.local.names import ServerName


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mysql", ("mysql", None, ())),
        ("postgresql-14", ("postgresql", "14", ())),
        ("mysql-9.7+binlog-row-metadata=MINIMAL", ("mysql", "9.7", ("binlog-row-metadata=MINIMAL",))),
        ("mysql+skip-log-bin+sql_mode=ANSI_QUOTES,PIPES_AS_CONCAT", (
            "mysql", None, ("skip-log-bin", "sql_mode=ANSI_QUOTES,PIPES_AS_CONCAT"))),
        ("postgresql+timezone=Etc-GMT+5", ("postgresql", None, ("timezone=Etc-GMT+5",))),
        ("connect-3.9+debezium=2.7", ("connect", "3.9", ("debezium=2.7",))),
    ],
)  # fmt: skip
def test_a_name_is_taken_apart(text: str, expected: tuple[str, str | None, tuple[str, ...]]) -> None:
    assert names.parse(text) == ServerName(text, *expected)
    assert names.is_name(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("db2", "db2: there is no such server; there are mysql, mariadb, postgresql, kafka, connect."),
        ("mysql-", "mysql-: there is no such server"),
        ("secrets", "there is no such server"),
        ("postgresql-12", "postgresql: there is no version 12 to be had; there are 13, 14, 15, 16, 17, 18, 19."),
        ("kafka-controller", "kafka: there is no version controller to be had"),  # a port has this name
        ("connect+debezium=1.9", "debezium: there is no version 1.9 to be had; there are 2.7, 3.6."),
        ("mysql+tmpdir=/tmp", "'tmpdir=/tmp' is no option that a name can hold"),
        ("mysql+a b", "'a b' is no option that a name can hold"),
        ("mysql+sql-mode=" + "A" * 200, "a server's name has at most 200 characters."),
    ],
)
def test_a_name_of_no_server_is_refused_with_the_way_out(text: str, told: str) -> None:
    with pytest.raises(LocalStackError) as refused:
        names.parse(text)
    assert told in str(refused.value)
    assert not names.is_name(text)


def test_every_version_that_is_set_for_maven_is_one_that_pom_xml_asks() -> None:
    pom = Path(downloads.__file__).with_name("pom.xml").read_text()
    asked = set(re.findall(r"\$\{([\w.]+)\.version\}", pom))
    origins = [origin for kind in versions.ORIGINS.values() for origin in kind.values()]
    stated = {name for origin in origins if isinstance(origin, versions.Maven) for name in origin.versions}
    assert stated >= {"mysql", "mariadb", "postgresql", "kafka", "debezium"}
    assert stated <= asked


def test_the_kafka_of_pom_xml_is_the_one_that_the_table_says() -> None:
    pom = Path(downloads.__file__).with_name("pom.xml").read_text()
    (stated,) = re.findall(r"<kafka\.version>(.+)</", pom)
    (as_there,) = [version for version, origin in versions.ORIGINS["kafka"].items() if origin == versions.Maven({})]
    assert stated.startswith(f"{as_there}.")


def test_every_default_is_in_the_table() -> None:
    assert versions.DEFAULTS.keys() == set(names.KINDS)
    for kind, candidates in versions.DEFAULTS.items():
        assert set(candidates) <= versions.ORIGINS[kind].keys()
