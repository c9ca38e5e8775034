"""A `where` (condition.py) as SQL of the source's dialect. Pure.

The dialect says how a column and a literal of each kind are written so that the server compares what the stream
compares: characters, not what a collation takes for equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cdc_pipeline.condition import AllOf, AnyOf, Compared, Condition, IsNull, Not, OneOf, Value
from cdc_pipeline.model import Column

if TYPE_CHECKING:
    from cdc_pipeline.databases.dialect import Dialect


def render(dialect: Dialect, condition: Condition, columns: Mapping[str, Column]) -> str:
    """`columns` are the source's, by their names."""

    def column(name: str) -> str:
        return dialect.operand(dialect.quote(name), columns[name].canonical)

    def literal(name: str, value: Value) -> str:
        return dialect.literal(value, columns[name].canonical)

    match condition:
        case IsNull(name):
            return f"{dialect.read(columns[name])} IS NULL"
        case Compared(name, operator, value):
            return f"{column(name)} {operator} {literal(name, value)}"
        case OneOf(name, values):
            return f"{column(name)} IN ({', '.join(literal(name, value) for value in values)})"
        case Not(part):
            return f"NOT ({render(dialect, part, columns)})"
        case AllOf(parts):
            return " AND ".join(f"({render(dialect, part, columns)})" for part in parts)
        case AnyOf(parts):
            return " OR ".join(f"({render(dialect, part, columns)})" for part in parts)
