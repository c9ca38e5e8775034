"""A source table and its owner's choices -> the table as the target shall have it. Pure.

Copy, stream, verification and definitions all work from the shape that `project` makes, with and without choices; so
they agree on it by construction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from cdc_pipeline.choices import DELETED_AT, HASH_CHARACTERS, Change, Choices, hasher
from cdc_pipeline.condition import Verdict, columns_of, compiled, condition_problems, parse
from cdc_pipeline.errors import ChoicesImpossible
from cdc_pipeline.model import Column, ColumnType, Kind, TableShape

# Of these, copy and stream have one text; of others the target's column evens out what they spell differently.
_HASHABLE = (Kind.TEXT, Kind.ENUM, Kind.UUID, Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN, Kind.DATE)
_DELETED_AT_TYPE = ColumnType(Kind.INSTANT, 6)


def project(source: TableShape, choices: Choices) -> TableShape:
    """The shape of what is replicated of this source table. Raises ChoicesImpossible."""
    problems = list(choice_problems(source, choices))
    if problems:
        raise ChoicesImpossible(table=source.table, problems="; ".join(problems))
    new_names = dict(choices.rename)
    columns = tuple(_projected(c, choices, new_names) for c in source.columns if _is_kept(c.name, choices))
    if choices.soft_delete:
        columns += (Column(DELETED_AT, "", _DELETED_AT_TYPE, change=Change.DELETED_AT),)
    key = tuple(new_names.get(name, name) for name in source.key)
    return replace(source, columns=columns, key=key, choices=choices)


def _is_kept(name: str, choices: Choices) -> bool:
    return name not in choices.exclude and (not choices.include or name in choices.include)


def _projected(column: Column, choices: Choices, new_names: dict[str, str]) -> Column:
    name, masks = new_names.get(column.name, column.name), dict(choices.mask)
    if column.name in choices.hash:
        type = ColumnType(Kind.TEXT, HASH_CHARACTERS)
        return replace(column, name=name, type=type, origin=column, change=Change.HASH, text=choices.salt)
    if column.name in masks:
        text = masks[column.name]
        type = ColumnType(Kind.TEXT, len(text))
        return replace(column, name=name, type=type, origin=column, change=Change.MASK, text=text)
    return column if name == column.name else replace(column, name=name, origin=column)


def common(copied: TableShape, source: TableShape) -> TableShape:
    """Of what was copied, the columns that the source has by now."""
    there = set(source.names)
    columns = (c for c in copied.columns if c.change is Change.DELETED_AT or c.source.name in there)
    return replace(copied, columns=tuple(columns))


def not_common(copied: TableShape, source: TableShape) -> tuple[str, ...]:
    """The others, and those of the source that came later; by the source's names."""
    known, chosen = {column.source.name for column in source_columns(copied)}, copied.choices
    new = () if chosen.include else tuple(n for n in source.names if n not in known and n not in chosen.exclude)
    return (*(c.source.name for c in source_columns(copied) if c.source.name not in source.names), *new)


# -- what cannot be chosen ----------------------------------------------------------------------------------------


def choice_problems(source: TableShape, choices: Choices) -> Iterator[str]:
    """Why these choices cannot be made of this table; what the replication's file alone tells is not asked again."""
    columns, masked = {column.name: column for column in source.columns}, tuple(dict(choices.mask))
    named = {
        "include": choices.include,
        "exclude": choices.exclude,
        "rename": tuple(dict(choices.rename)),
        "hash": choices.hash,
        "mask": masked,
    }
    for option, names in named.items():
        yield from (f"{option}: there is no column {name}" for name in names if name not in columns)
    if choices.include:
        yield from (f"include: lacks {key}, of the primary key" for key in source.key if key not in choices.include)
    for option in ("exclude", "hash", "mask"):
        yield from (f"{option}: {name} is of the primary key" for name in named[option] if name in source.key)
    for name in choices.hash:
        if name in columns and not _is_hashable(columns[name].type):
            yield f"hash: {name} is {columns[name].declared}, which copy and stream do not spell alike; mask it"
    yield from _name_problems(source, choices)
    if choices.where:
        yield from condition_problems(parse(choices.where), columns)
    if choices.soft_delete and not source.key:
        yield "delete: soft needs a primary key"


def _name_problems(source: TableShape, choices: Choices) -> Iterator[str]:
    new_names = dict(choices.rename)
    # Compared as MySQL does, whose tables take no two names that differ only in case.
    names = [new_names.get(name, name) for name in source.names if _is_kept(name, choices)]
    uses = Counter(name.lower() for name in names)
    for new in dict.fromkeys(new_names.values()):
        if uses[new.lower()] > 1:
            yield f"rename: another column is called {new} too"
    if choices.soft_delete and uses[DELETED_AT]:
        yield f"delete: soft adds a column {DELETED_AT}, and there is one; rename it"


def _is_hashable(type: ColumnType | None) -> bool:
    if type is None or type.kind not in _HASHABLE or (type.native and type.kind is not Kind.ENUM):
        return False
    return type.kind is not Kind.DECIMAL or type.size is not None


# -- values and rows ----------------------------------------------------------------------------------------------


def value_change(column: Column, salt: str) -> Callable[[str], str] | None:
    """What becomes of the column's canonical text (never of a NULL); None if nothing does."""
    if column.change is Change.HASH:
        return hasher(salt, fixed=column.source.canonical.fixed)
    return (lambda _: column.text) if column.change is Change.MASK else None


def source_columns(shape: TableShape) -> tuple[Column, ...]:
    """The columns of the source that the shape is made of."""
    return tuple(column for column in shape.columns if column.change is not Change.DELETED_AT)


def filter_columns(shape: TableShape) -> dict[str, Column]:
    """The source's columns that `where` asks, by their name there."""
    asked = columns_of(parse(shape.choices.where)) if shape.choices.where else frozenset()
    return {column.source.name: column.source for column in source_columns(shape) if column.source.name in asked}


def moves_in_and_out(shape: TableShape) -> bool:
    """Whether an UPDATE can make a row one of those that are replicated, or none. One that changes a key
    is a move, which names the old key too."""
    key = {column.source.name for column in shape.columns if column.name in shape.key}
    return bool(filter_columns(shape).keys() - key)


def row_filter(shape: TableShape) -> Verdict | None:
    """Whether a row is replicated, of its canonical texts by the source's names; None if all are."""
    types = {name: column.canonical for name, column in filter_columns(shape).items()}
    return compiled(parse(shape.choices.where), types) if shape.choices.where else None
