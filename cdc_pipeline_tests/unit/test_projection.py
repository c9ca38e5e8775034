"""A table and its owner's choices -> what the target shall have."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from cdc_pipeline.choices import DELETED_AT, Choices, fingerprint_of_salt, hasher
from cdc_pipeline.databases.definition import Definition, ForeignKey, Index, Literal, Part
from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.databases.mysql.dialect import MySqlDialect
from cdc_pipeline.databases.oracle.dialect import OracleDialect
from cdc_pipeline.databases.postgresql.dialect import PostgreSqlDialect
from cdc_pipeline.databases.projected import carried, in_target_names, of_source
from cdc_pipeline.errors import ChoicesImpossible
from cdc_pipeline.model import Column, ColumnType, Kind, TableId, TableShape
from cdc_pipeline.projection import project

SALES = TableShape(
    TableId("shop", "sales"),
    (
        Column("id", "int", ColumnType(Kind.INTEGER, 32), nullable=False),
        Column("name", "varchar(40)", ColumnType(Kind.TEXT, 40)),
        Column("email", "varchar(80)", ColumnType(Kind.TEXT, 80)),
        Column("odd", "money", None),
        Column("x", "double", ColumnType(Kind.FLOAT, 64)),
    ),
    ("id",),
)
DIALECTS = [MySqlDialect(), PostgreSqlDialect(), OracleDialect()]


def test_nothing_chosen_is_the_table_itself() -> None:
    assert project(SALES, Choices()) == SALES
    assert of_source(SALES) == SALES


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_table_without_choices_is_read_without_detours(dialect: Dialect) -> None:
    shape = replace(SALES, columns=SALES.columns[:3])
    quoted = dialect.table(SALES.table)
    assert dialect.select(shape) == f"SELECT {dialect.columns(shape.names)} FROM {quoted}"
    assert dialect.replicated(shape) == dialect.undeleted(SALES.table, shape) == quoted


def test_names_types_and_changes_are_the_target_s() -> None:
    chosen = Choices(exclude=("odd",), rename=(("id", "key"), ("name", "email"), ("email", "name")), hash=("email",),
                     mask=(("x", "***"),), soft_delete=True)  # fmt: skip
    shape = project(SALES, chosen)
    assert shape.names == ("key", "email", "name", "x", DELETED_AT)
    assert shape.key == ("key",)
    assert [str(column.canonical) for column in shape.columns] == [
        "integer(32)", "text(40)", "text(64)", "text(3)", "instant(6)",
    ]  # fmt: skip
    assert of_source(shape).names == ("id", "name", "email", "x")
    assert of_source(shape).key == ("id",)
    assert TableShape.from_json(shape.to_json()) == shape


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_no_statement_holds_the_salt(dialect: Dialect) -> None:
    chosen = Choices(exclude=("odd",), hash=("email",), salt=fingerprint_of_salt("hunter2"))
    shape = project(SALES, chosen)
    assert "hunter2" not in dialect.select(shape) + dialect.replicated(shape) + shape.to_json()


def test_the_hash_is_of_salt_and_text_without_the_blanks_of_a_fixed_length() -> None:
    assert hasher("s", fixed=False)("a ") == hashlib.sha256(b"sa ").hexdigest()
    assert hasher("", fixed=True)("ä ") == hashlib.sha256("ä".encode()).hexdigest()


def test_a_change_of_the_source_or_of_the_choices_shows_in_the_fingerprint() -> None:
    chosen = Choices(exclude=("odd",), hash=("email",), salt="1")
    shapes = [
        project(SALES, chosen),
        project(SALES, replace(chosen, salt="2")),
        project(SALES, replace(chosen, where="id = 1")),
        project(SALES, replace(chosen, soft_delete=True)),
        project(replace(SALES, columns=(*SALES.columns[:2], replace(SALES.columns[2], declared="varchar(90)"),
                                        *SALES.columns[3:])), chosen),
    ]  # fmt: skip
    assert len({shape.fingerprint for shape in shapes}) == len(shapes)


@pytest.mark.parametrize(
    ("choices", "problem"),
    [
        (Choices(hash=("odd",)), "hash: odd is money"),
        (Choices(hash=("x",)), "hash: x is double"),
        (Choices(rename=(("name", DELETED_AT),), soft_delete=True), "there is one; rename it"),
    ],
)
def test_what_cannot_be_chosen_is_named(choices: Choices, problem: str) -> None:
    with pytest.raises(ChoicesImpossible) as failure:
        project(SALES, choices)
    assert problem in str(failure.value)


def test_definitions_follow_the_choices() -> None:
    parent = TableId("shop", "countries")
    definition = Definition(
        "mysql",
        defaults={"name": Literal("x"), "email": Literal("y"), "odd": Literal("1")},
        identities=("id",),
        indexes=(
            Index("plain", (Part("name", length=10), Part("email", length=10))),
            Index("gone", (Part("odd"),)),
            Index("one", (Part("id"),), unique=True),
            Index("computed", (Part(expression="lower(name)"),)),
        ),
        foreign_keys=(
            ForeignKey("kept", ("name",), parent, ("code",)),
            ForeignKey("lost", ("odd",), parent, ("code",)),
        ),
        comments={"name": "who", "odd": "what"},
    )
    chosen = Choices(exclude=("odd",), rename=(("name", "who"),), hash=("email",), soft_delete=True)
    found = carried(definition, project(SALES, chosen))
    assert found.defaults == {"who": Literal("x")}
    assert found.comments == {"who": "who"}
    plain, one = found.indexes
    assert plain.parts == (Part("who", length=10), Part("email"))
    assert (one.name, one.unique) == ("one", False)
    assert [key.columns for key in found.foreign_keys] == [("who",)]
    assert [note.split()[1] for note in found.notes if note.startswith("index")] == ["gone", "one", "computed"]
    assert any("foreign key lost" in note for note in found.notes)


def test_a_foreign_key_follows_its_parent_s_names_and_goes_with_its_rows() -> None:
    key = ForeignKey("k", ("sale",), SALES.table, ("id",))
    renamed = project(SALES, Choices(exclude=("odd",), rename=(("id", "number"),)))
    filtered = project(SALES, Choices(exclude=("odd",), where="id > 5"))
    assert in_target_names(key, renamed) == replace(key, parent_columns=("number",))
    assert in_target_names(key, filtered) is None
