"""What a column has besides its type."""

from __future__ import annotations

from dataclasses import replace

from cdc_pipeline_tests.fuzz.draft import Draft, Values
from cdc_pipeline_tests.fuzz.features import feature
from cdc_pipeline_tests.fuzz.maker import Maker

_NO_DEFAULT = ("text", "blob", "json", "geometry", "point", "linestring", "polygon", "multi")


def _default(maker: Maker, values: Values) -> Values | None:
    """The column with a default, or None where its type can have none."""
    declared = values.column.declared
    if maker.source != "postgresql" and any(word in declared.lower() for word in _NO_DEFAULT):
        return None
    literal = maker.random.choice(list(values.literals))
    if "(" in literal or literal.startswith("ARRAY"):
        return None
    return replace(values, column=replace(values.column, declared=f"{declared} DEFAULT {literal}", default=True))


@feature("column")
def default(maker: Maker, draft: Draft, values: Values) -> Values | None:
    """A default, in a column that is always given a value of its own."""
    made = _default(maker, values)
    return made and replace(made, explicit_nulls=0.0)


@feature("column", known="a NULL beside a default arrives as the default")
def null_beside_default(maker: Maker, draft: Draft, values: Values) -> Values | None:
    made = _default(maker, values)
    return made and replace(made, explicit_nulls=0.5)


@feature("column")
def not_null(maker: Maker, draft: Draft, values: Values) -> Values:
    column = values.column
    declared = column.declared.removesuffix(" NULL")
    return replace(values, column=replace(column, declared=f"{declared} NOT NULL", nullable=False))
