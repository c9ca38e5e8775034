"""The published type table is the one that is used, and each of its rows is among those proven on servers."""

from __future__ import annotations

from pathlib import Path

import pytest

import cdc_pipeline
from cdc_pipeline.databases.type_table import DIALECTS, fate, markdown, rows
from cdc_pipeline.model import ColumnType, Kind
from cdc_pipeline_tests.values import CASES

PAGE = Path(cdc_pipeline.__file__).parent.parent / "docs" / "types.md"
# The server of the tests is built without XML.
NOT_PROVEN = {"xml"}
SPELLINGS = {
    "time without time zone": "time",
    "time with time zone": "timetz",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "character varying": "varchar",
    "character": "char",
}


def test_the_page_is_what_the_table_says_now() -> None:
    """Else: python -m cdc_pipeline.databases.type_table > docs/types.md"""
    assert PAGE.read_text() == markdown() + "\n"


def spelled(declared: str) -> str:
    """A catalogue's name as a test writes it, without its sizes."""
    name = declared.partition("(")[0]
    array = "[]" if declared.endswith("[]") else ""
    name = name.removesuffix("[]")
    return (SPELLINGS.get(name.lower(), name.lower()) + array).strip()


@pytest.mark.parametrize("database", sorted(CASES))
def test_every_row_is_proven_on_a_server(database: str) -> None:
    proven = {spelled(case.declared) for case in CASES[database]}
    published = {spelled(declared) for declared, type in rows(database) if type is not None}
    assert published - proven - NOT_PROVEN == set()


@pytest.mark.parametrize("source", DIALECTS)
@pytest.mark.parametrize("target", DIALECTS)
def test_every_type_has_a_column_in_every_target(source: str, target: str) -> None:
    for declared, type in rows(source):
        if type is None:
            assert DIALECTS[source].refusal(declared) != "it has no mapping", declared
        else:
            assert fate(source, target, type).becomes, declared


def test_between_servers_of_one_family_a_type_stays_what_it_is() -> None:
    assert fate("postgresql", "postgresql", ColumnType(Kind.TEXT, 49, native="postgresql:inet")).becomes == "inet"
    assert fate("mysql", "mysql", ColumnType(Kind.INTEGER, 16, native="mysql:year")).becomes == "YEAR"


def test_what_is_lost_and_what_is_refused_are_told_apart() -> None:
    told = fate("mysql", "postgresql", ColumnType(Kind.TIME, 6))
    assert told.lost == ""
    assert told.refused == "below 0, over 24 hours"
    assert fate("postgresql", "mysql", ColumnType(Kind.INSTANT, 6)).note.startswith("in UTC; refused: ")
