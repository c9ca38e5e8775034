"""What a target can have of a source table's definition, if its owner chose to replicate something else than the table
itself. Pure. What is left out is named in a note."""

from __future__ import annotations

from dataclasses import replace

from cdc_pipeline.choices import NOTHING_CHOSEN, Change
from cdc_pipeline.databases.definition import Definition, ForeignKey, Index
from cdc_pipeline.model import Column, TableShape
from cdc_pipeline.projection import source_columns


def of_source(shape: TableShape) -> TableShape:
    """The columns that are replicated as the source has them."""
    columns = source_columns(shape)
    key = tuple(column.source.name for name in shape.key for column in columns if column.name == name)
    return TableShape(shape.table, tuple(column.source for column in columns), key)


def carried(definition: Definition, shape: TableShape) -> Definition:
    """The source's definition (of all its columns) in the names of the target."""
    if shape.choices == NOTHING_CHOSEN:
        return definition
    columns = {column.source.name: column for column in source_columns(shape)}
    unchanged = {name: c.name for name, c in columns.items() if c.change is Change.NONE}
    rewritten = any(c.origin for c in columns.values())
    indexes, notes = [], []
    for index in definition.indexes:
        carried_index, note = _index(index, columns, rewritten=rewritten, soft=shape.choices.soft_delete)
        indexes += [carried_index] if carried_index else []
        notes += [f"index {index.name} {note}"] if note else []
    keys = []
    for key in definition.foreign_keys:
        if all(name in unchanged for name in key.columns):
            keys.append(replace(key, columns=tuple(unchanged[name] for name in key.columns)))
        else:
            notes.append(f"foreign key {key.name} left out: it has columns that are not replicated as they are")
    if definition.generated:
        # Their expressions may be over columns that the target does not have, or has under another name.
        notes.append(
            f"generated column(s) {', '.join(definition.generated)} left out: the table's options say otherwise"
        )
    return replace(
        definition,
        defaults={unchanged[name]: default for name, default in definition.defaults.items() if name in unchanged},
        identities=tuple(unchanged[name] for name in definition.identities if name in unchanged),
        generated={},
        computed=(),
        indexes=tuple(indexes),
        foreign_keys=tuple(keys),
        comments={columns[name].name: text for name, text in definition.comments.items() if name in columns},
        notes=tuple(notes),
    )


def _index(index: Index, columns: dict[str, Column], *, rewritten: bool, soft: bool) -> tuple[Index | None, str]:
    names = [part.column for part in index.parts if part.column]
    gone = [name for name in names if name not in columns or columns[name].change is Change.MASK]
    if gone:
        return None, f"left out: {', '.join(gone)} is left out or masked"
    if rewritten and (index.peculiar or any(part.expression for part in index.parts)):
        return None, "left out: what it says of columns is not true of those that are renamed, hashed or masked"
    note = ""
    if soft and index.unique:  # a deleted row that is kept may have the value of one that the source has
        index, note = replace(index, unique=False), "is not unique in the target: deleted rows are kept"
    if not rewritten:
        return index, note
    hashed = {name for name in names if columns[name].change is Change.HASH}
    parts = tuple(
        replace(part, column=columns[part.column].name, length=None if part.column in hashed else part.length)
        for part in index.parts
    )
    return replace(index, parts=parts, native=""), note


def in_target_names(key: ForeignKey, parent: TableShape) -> ForeignKey | None:
    """A foreign key to a table whose owner chose something too; None if the target lacks what it refers to."""
    names = {c.source.name: c.name for c in source_columns(parent) if c.change is Change.NONE}
    if parent.choices.where or not all(name in names for name in key.parent_columns):
        return None
    return replace(key, parent_columns=tuple(names[name] for name in key.parent_columns))
