"""What a target table gets after its rows: secondary indexes, the next number of its numbering columns; and foreign
keys, when all tables of the replication are there.

Every step looks at what the target has and makes what is missing, so a killed one is completed by the next. What the
target cannot have becomes a note: an index that fails is no reason to lose a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from cdc_pipeline.databases.definition import Definer, Definition, ForeignKey, Index, Names, candidates
from cdc_pipeline.databases.projected import in_target_names
from cdc_pipeline.databases.source import Source
from cdc_pipeline.databases.target import Target
from cdc_pipeline.errors import CdcPipelineError, StatementFailed
from cdc_pipeline.model import Replicated, TableId, TableShape
from cdc_pipeline.projection import project


def complete(
    target: Target, table: Replicated, shape: TableShape, definition: Definition, made_in: TableId | None = None
) -> list[str]:
    """Indexes and numbering of one table, or of the shadow that will take its place. Returns notes on what differs from
    the source's."""
    made_in = made_in or table.target
    notes = list(definition.notes)
    if definition.indexes:
        notes += _make_indexes(target, table, shape, definition, made_in)
    if definition.identities:
        _advance_sequences(target, made_in, definition.identities)
    notes += [
        f"foreign key {key.name}: MySQL does not log the rows that its {key.unlogged} changes, so they differ in the "
        "target until the table is synced again"
        for key in definition.foreign_keys
        if key.unlogged
    ]
    return notes


def _make_indexes(
    target: Target, table: Replicated, shape: TableShape, definition: Definition, made_in: TableId
) -> list[str]:
    """Returns notes on those that are left out, or are not quite the source's."""
    there = target.shape(made_in)
    if there is None:
        raise CdcPipelineError(reason=f"target table {table.target} is gone; copy {table.source} again")
    notes = []
    for index in definition.indexes:
        planned, note = target.definer.plan(index, definition.family, shape, there)
        if planned is None:
            notes.append(f"index {index.name} left out: {note}")
            continue
        if note:
            notes.append(f"index {index.name} {note}")
        failed = _make_index(target, table.target, made_in, planned, [other.name for other in definition.indexes])
        if failed:
            notes.append(f"index {index.name} left out: {failed}")
    return notes


def _make_index(target: Target, table: TableId, made_in: TableId, index: Index, all_names: Sequence[str]) -> str:
    """Make an index unless it is there. Returns why it could not be made."""

    def names() -> Names:
        with target.connect() as connection:
            found = target.definer.index_names(connection, made_in)
            if made_in == table:
                return found
            there = target.definer.index_names(connection, table)  # whose own names become free
        return Names(found.own, {*found.taken, *(set(there.taken) - set(there.own))})

    def sql(name: str) -> str:
        return target.definer.create_index(target, made_in, index, name)

    return _make(target, candidates(index.name, table.name, all_names, target.definer), names, sql)


def _make(target: Target, possible: Iterator[str], names: Callable[[], Names], sql: Callable[[str], str]) -> str:
    """Make something under the first free name of those possible, unless one of them is the table's already. Returns
    why it could not be made."""
    definer: Definer = target.definer
    wanted = list(possible)
    in_use = names()
    if any(definer.same_name(name) in in_use.own for name in wanted):
        return ""
    for name in wanted:
        if definer.same_name(name) in in_use.taken:
            continue
        try:
            with target.connect() as connection:
                connection.exec_driver_sql(sql(name))
                connection.commit()
        except StatementFailed as error:
            in_use = names()
            if definer.same_name(name) in in_use.taken and definer.same_name(name) not in in_use.own:
                continue  # another table's copy has just taken the name
            return "" if definer.same_name(name) in in_use.own else str(error)
        return ""
    return "all names for it are taken"


def _advance_sequences(target: Target, table: TableId, columns: Sequence[str]) -> None:
    with target.connect() as connection:
        for column, sequence in target.definer.sequences(connection, table, columns).items():
            highest = target.definer.highest(target, connection, table, column)
            if highest is not None:
                target.definer.advance(connection, sequence, highest)
        connection.commit()


# -- foreign keys -------------------------------------------------------------------------------------------------


def make_foreign_keys(source: Source, target: Target, tables: Sequence[Replicated]) -> list[str]:
    """Those between tables of the replication. Returns notes on those that the target cannot have."""
    targets = {table.source: table.target for table in tables}
    found = source.shapes([table.source for table in tables])
    sources = {table.source: project(found[table.source], table.choices) for table in tables}
    shapes = target.shapes([table.target for table in tables])
    notes = []
    for table in tables:
        keys = source.definition(sources[table.source]).foreign_keys
        made = target.definition(shapes[table.target]).foreign_keys
        for key in keys:
            wanted = in_target_names(key, sources[key.parent]) if key.parent in sources else key
            reason = "what it refers to is not replicated as it is"
            if wanted is not None:
                reason = _make_foreign_key(target, table.target, wanted, targets, shapes, made)
            notes += [f"{table.source}: foreign key {key.name} left out: {reason}"] if reason else []
    return notes


def _make_foreign_key(
    target: Target,
    table: TableId,
    key: ForeignKey,
    targets: Mapping[TableId, TableId],
    shapes: Mapping[TableId, TableShape],
    made: Sequence[ForeignKey],
) -> str:
    parent = targets.get(key.parent)
    if parent is None:
        return f"{key.parent} is not in the replication"
    wanted = ForeignKey(key.name, key.columns, parent, key.parent_columns)
    if any((k.columns, k.parent, k.parent_columns) == (key.columns, parent, key.parent_columns) for k in made):
        return ""
    ours = {column.name: column.declared for column in shapes[table].columns}
    theirs = {column.name: column.declared for column in shapes[parent].columns}
    lacking = [*(set(key.columns) - ours.keys()), *(set(key.parent_columns) - theirs.keys())]
    if lacking:
        return f"the target has no {', '.join(lacking)}"
    for column, other in zip(key.columns, key.parent_columns, strict=True):
        if ours[column] != theirs[other]:
            return f"{column} is {ours[column]}, {other} of {parent} is {theirs[other]}"
    if not target.definer.create_foreign_key(target, table, wanted, key.name):
        return "this target can have none that the stream would not violate half-way"

    def names() -> Names:
        with target.connect() as connection:
            return target.definer.constraint_names(connection, table)

    def sql(name: str) -> str:
        return target.definer.create_foreign_key(target, table, wanted, name)

    return _make(target, _unused(key, table, names(), target.definer), names, sql)


def _unused(key: ForeignKey, table: TableId, names: Names, definer: Definer) -> Iterator[str]:
    """A key is known by what it refers to, so a name of the table's own is as good as taken."""
    possible = candidates(key.name, table.name, (key.name,), definer)
    return (name for name in possible if definer.same_name(name) not in names.own)
