"""What a column has besides its type."""

from __future__ import annotations

from dataclasses import replace

from cdc_pipeline_tests.fuzz.draft import Draft, Values
from cdc_pipeline_tests.fuzz.features import LIKE_MYSQL, MYSQL, POSTGRESQL, feature
from cdc_pipeline_tests.fuzz.maker import Maker

_NO_DEFAULT = ("text", "blob", "json", "geom", "point", "linestring", "polygon", "multi")
_INVISIBLE_SINCE = (8, 0, 23)


def _declared(values: Values, more: str, **changed: object) -> Values:
    column = replace(values.column, declared=f"{values.column.declared} {more}", **changed)  # type: ignore[arg-type]
    return replace(values, column=column)


def _default(maker: Maker, values: Values) -> Values | None:
    """The column with a default, or None where its type can have none."""
    declared = values.column.declared
    if maker.source != POSTGRESQL and any(word in declared.lower() for word in _NO_DEFAULT):
        return None
    literal = maker.random.choice(list(values.literals))
    if "(" in literal.split("'")[0] or "-00" in literal or "0000" in literal:
        return None
    return _declared(values, f"DEFAULT {literal}", default=True)


@feature("column")
def default(maker: Maker, draft: Draft, values: Values) -> Values | None:
    """A default, in a column that is always given a value of its own."""
    made = _default(maker, values)
    return made and replace(made, explicit_nulls=0.0)


@feature("column", weight=20)
def null_beside_default(maker: Maker, draft: Draft, values: Values) -> Values | None:
    made = _default(maker, values)
    return made and replace(made, explicit_nulls=0.5)


@feature("column")
def left_out(maker: Maker, draft: Draft, values: Values) -> Values | None:
    """A default that the server fills in, since no INSERT names the column."""
    made = _default(maker, values)
    return made and replace(made, column=replace(made.column, written=False))


@feature("column")
def not_null(maker: Maker, draft: Draft, values: Values) -> Values | None:
    if "NULL" in values.literals:
        return None
    column = values.column
    return _declared(
        replace(values, column=replace(column, declared=column.declared.removesuffix(" NULL"))),
        "NOT NULL",
        nullable=False,
    )


@feature("column")
def not_null_with_default(maker: Maker, draft: Draft, values: Values) -> Values | None:
    made = _default(maker, values)
    if made is None or "TIMESTAMP" in made.column.declared:
        return None
    return _declared(made, "NOT NULL", nullable=False)


@feature("column", weight=5)
def generated_stored(maker: Maker, draft: Draft, values: Values) -> Values | None:
    """Made of the key's first column. Its own type is forgotten."""
    if not draft.key:
        return None
    quoted = f'"{draft.key[0].name}"' if maker.source == POSTGRESQL else f"`{draft.key[0].name}`"
    text = f"({quoted}::text || 'x')" if maker.source == POSTGRESQL else f"(CONCAT({quoted}, 'x'))"
    kind = "text" if maker.source == POSTGRESQL else "VARCHAR(200)"
    declared = f"{kind} GENERATED ALWAYS AS {text} STORED"
    column = replace(values.column, declared=declared, written=False, type="generated_stored")
    return replace(values, column=column, literals=["DEFAULT"], explicit_nulls=0.0)


@feature("column", weight=5)
def generated_virtual(maker: Maker, draft: Draft, values: Values) -> Values | None:
    made = generated_stored(maker, draft, values)
    if made is None:
        return None
    declared = made.column.declared.replace(" STORED", " VIRTUAL").replace("text GENERATED", "varchar GENERATED")
    return replace(made, column=replace(made.column, declared=declared, type="generated_virtual"))


@feature("column", weight=5, sources=(MYSQL,))
def invisible(maker: Maker, draft: Draft, values: Values) -> Values | None:
    if maker.steering.version(MYSQL) < _INVISIBLE_SINCE:
        return None
    return _declared(values, "INVISIBLE")


@feature("column", weight=5, sources=LIKE_MYSQL)
def on_update_now(maker: Maker, draft: Draft, values: Values) -> Values:
    """The server changes it whenever the row is."""
    declared = "TIMESTAMP(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)"
    column = replace(values.column, declared=declared, written=False, type="on_update_now", nullable=True)
    return replace(values, column=column, literals=["'2024-01-01 00:00:00.5'"])


@feature("column", weight=5)
def default_now(maker: Maker, draft: Draft, values: Values) -> Values:
    declared = "timestamptz DEFAULT now()" if maker.source == POSTGRESQL else "DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6)"
    column = replace(values.column, declared=declared, written=False, type="default_now", nullable=True)
    return replace(values, column=column, literals=["'2024-01-01 00:00:00.5'"])


@feature("column", weight=5)
def default_expression(maker: Maker, draft: Draft, values: Values) -> Values:
    """One that each row computes anew."""
    declared = "uuid DEFAULT gen_random_uuid()" if maker.source == POSTGRESQL else "VARCHAR(36) DEFAULT (UUID())"
    column = replace(values.column, declared=declared, written=False, type="default_expression", nullable=True)
    return replace(values, column=column, literals=["NULL"])


@feature("column", weight=4)
def comment(maker: Maker, draft: Draft, values: Values) -> Values | None:
    if maker.source == POSTGRESQL:
        return None
    return _declared(values, "COMMENT 'it''s \\\\ a \"comment\", with /* and -- and %s'")


@feature("column", weight=4, sources=(MYSQL,))
def collation_ci(maker: Maker, draft: Draft, values: Values) -> Values | None:
    if values.column.declared not in ("VARCHAR(50)", "TEXT"):
        return None
    return _declared(values, "COLLATE utf8mb4_0900_ai_ci")
