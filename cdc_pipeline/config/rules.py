"""Which tables are replicated, and what becomes of their columns and rows: one entry of `tables:`."""

from __future__ import annotations

import fnmatch
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cdc_pipeline.choices import DELETED_AT, Choices, fingerprint_of_salt
from cdc_pipeline.condition import columns_of, parse
from cdc_pipeline.config.base import Model
from cdc_pipeline.model import TableId


class TableRule(Model):
    """A table or a pattern of tables (`orders`, `shop_*`, `sales.orders`), and what to do with it."""

    pattern: str
    target: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rename: dict[str, str] = Field(default_factory=dict)
    hash: tuple[str, ...] = ()
    mask: dict[str, str] = Field(default_factory=dict)
    where: str = ""
    delete: Literal["hard", "soft"] = "hard"

    @field_validator("where")
    @classmethod
    def _is_a_condition(cls, value: str) -> str:
        parse(value)
        return value

    @field_validator("rename", "mask")
    @classmethod
    def _says_something(cls, value: dict[str, str]) -> dict[str, str]:
        empty = next((name for name, text in value.items() if not text or "\0" in text), None)
        if empty is not None:
            raise ValueError(f"{empty} needs a text of at least one character, and none of them NUL")
        return value

    @model_validator(mode="after")
    def _choices_go_together(self) -> TableRule:
        """As far as the file alone tells; projection.py asks the table."""
        if self.include and self.exclude:
            raise ValueError("include and exclude exclude each other: what is not included is left out")
        both = sorted(set(self.hash) & self.mask.keys())
        if both:
            raise ValueError(f"{both[0]} is both hashed and masked")
        asked = columns_of(parse(self.where)) if self.where else frozenset()
        for option, names in {"rename": self.rename, "hash": self.hash, "mask": self.mask, "where": asked}.items():
            gone = sorted(n for n in names if n in self.exclude or (self.include and n not in self.include))
            if gone:
                raise ValueError(f"{option}: column {gone[0]} is left out of what is replicated")
        return self

    @model_validator(mode="after")
    def _new_names_differ(self) -> TableRule:
        names = [name.lower() for name in self.rename.values()]
        twice = next((name for name in self.rename.values() if names.count(name.lower()) > 1), None)
        if twice is not None:
            raise ValueError(f"rename: two columns would be called {twice}")
        if self.delete == "soft" and DELETED_AT in names:
            raise ValueError(f"rename: {DELETED_AT} is the column that delete: soft adds")
        return self

    def choices(self, salt: str) -> Choices:
        """Of each table that the rule matches; the salt counts only where something is hashed."""
        secret = salt if self.hash else ""
        return Choices(
            include=self.include,
            exclude=self.exclude,
            rename=tuple(self.rename.items()),
            hash=self.hash,
            mask=tuple(self.mask.items()),
            where=self.where,
            soft_delete=self.delete == "soft",
            salt=fingerprint_of_salt(secret),
        )

    def matches(self, table: TableId, default_schema: str) -> bool:
        """A pattern that names no schema means the default one."""
        if "." in self.pattern and fnmatch.fnmatchcase(str(table), self.pattern):
            return True
        return table.schema == default_schema and fnmatch.fnmatchcase(table.name, self.pattern)

    @property
    def is_pattern(self) -> bool:
        return any(character in self.pattern for character in "*?[")


def table_rule(entry: Any) -> Any:
    """The fields of a rule, in whichever form the file has it."""
    match entry:
        case str():
            return {"pattern": entry}
        case {**options} if len(options) == 1 and isinstance(next(iter(options.values())), dict):
            ((pattern, rule),) = options.items()
            return {"pattern": pattern, **rule}
        case {"pattern": _} | TableRule():
            return entry
    raise ValueError(f"{entry!r} is neither a table's name nor `name: {{target: …}}`")
