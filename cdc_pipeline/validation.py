"""Step 1: everything that can be known to be wrong before anything is written, all at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cdc_pipeline import floors
from cdc_pipeline.capture.connector import get_connector_config_for_database
from cdc_pipeline.choices import Change
from cdc_pipeline.copying.resync import is_live, planned
from cdc_pipeline.databases.database import Database
from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.databases.type_table import Fate, fate
from cdc_pipeline.errors import (
    CdcPipelineError,
    ChoicesChanged,
    ChoicesImpossible,
    ResyncImpossible,
    TargetNotEmpty,
    UnsupportedType,
)
from cdc_pipeline.model import Check, Column, Replicated, TableId, TableShape, problems
from cdc_pipeline.parts import Parts
from cdc_pipeline.projection import choice_problems, common, project
from cdc_pipeline.state import IN_COPY, TableRecord


@dataclass(frozen=True)
class ColumnMapping:
    """What one column becomes. Types as the databases write them; `kind` is the canonical one between them."""

    column: str
    source_type: str
    kind: str  # empty: no mapping, and step 1 refuses the table
    target_type: str
    in_key: bool
    note: str  # what is lost or refused; empty if every value arrives as it is


@dataclass
class Validation:
    """What step 1 found: its checks, and the tables with their shapes for the steps that follow."""

    checks: list[Check] = field(default_factory=list)
    tables: list[Replicated] = field(default_factory=list)
    shapes: dict[TableId, TableShape] = field(default_factory=dict)  # of source tables
    targets: dict[TableId, TableShape] = field(default_factory=dict)  # of the target tables that exist

    @property
    def problems(self) -> list[Check]:
        return problems(self.checks)

    def attempt(self, name: str, action: Callable[[], object]) -> bool:
        """A check that passes if the action raises none of our errors."""
        try:
            action()
        except CdcPipelineError as error:
            self.checks.append(Check(name, str(error)))
            return False
        self.checks.append(Check(name))
        return True

    def look(self, name: str, action: Callable[[], object]) -> None:
        """Run an action that adds checks; that it was refused an answer is a problem like others."""
        try:
            action()
        except CdcPipelineError as error:
            self.checks.append(Check(name, str(error)))


def validate(parts: Parts, *, force_resync: bool = False, adopt: bool = False) -> Validation:
    """Look at both databases, Kafka, Connect and every table. Writes nothing; raises nothing but defects."""
    found = Validation()
    source_up = found.attempt("source reachable", lambda: parts.source.connect().close())
    target_up = found.attempt("target reachable", lambda: parts.target.connect().close())
    kafka_up = found.attempt("Kafka reachable", parts.broker.ping)
    worker: dict[str, str] = {}
    connect_up = found.attempt("Kafka Connect reachable", lambda: worker.update(parts.connect.ping()))
    if source_up:
        found.look("source version", lambda: _check_version(found, "source", parts.source))
    if target_up:
        found.look("target version", lambda: _check_version(found, "target", parts.target))
    if connect_up:
        found.checks.append(floors.CONNECT.check("Kafka Connect version", worker.get("version", "")))
    if source_up:
        found.look("source", lambda: _check_source(parts, found, kept_too=target_up and not force_resync))
    if target_up and found.tables:
        found.look("target", lambda: _check_target(parts, found))
        found.look("target tables", lambda: _check_target_tables(parts, found, force_resync, adopt))
    if kafka_up and found.tables:
        found.look("topics", lambda: _check_topics(parts, found))
    if connect_up and found.tables:
        found.look("connector configuration", lambda: _check_connector(parts, found))
    return found


def _check_version(found: Validation, role: str, database: Database) -> None:
    check = floors.database_check(f"{role} version", database.dialect.name, database.version())
    found.checks += [check] if check else []


def _check_source(parts: Parts, found: Validation, *, kept_too: bool) -> None:
    """Where changes of the source are ignored, what is looked at of a table that was copied is what is left of it."""
    existing = parts.source.tables()
    tables, unmatched = parts.resolve(existing)
    kept = parts.kept() if kept_too else {}
    gone = parts.resolve(kept.keys() - set(existing))[1]
    unmatched = [name for name in unmatched if not kept or name in gone]
    user = parts.source.url.username
    for name in unmatched:
        fix = f"no table of {parts.source.display} has this name, or {user} may not see it (GRANT SELECT)"
        found.checks.append(Check(f"source table {name}", fix))
    shapes = parts.source.shapes([table.source for table in tables])
    shapes |= {table: common(shape, shapes[table]) for table, shape in kept.items() if table in shapes}
    for table in tables:
        problems = [] if table.source in kept else list(choice_problems(shapes[table.source], table.choices))
        if problems:
            error = ChoicesImpossible(table=table.source, problems="; ".join(problems))
            found.checks.append(Check(f"source table {table.source} options", str(error)))
        elif table.source not in kept:
            shapes[table.source] = project(shapes[table.source], table.choices)
        unsupported = [column.source for column in shapes[table.source].columns if column.source.type is None]
        for column in unsupported:
            reason = parts.source.dialect.refusal(column.declared)
            error = UnsupportedType(column=column.name, table=table.source, type=column.declared, reason=reason)
            found.checks.append(Check(f"source table {table.source} types", str(error)))
        if not unsupported:
            found.checks.append(Check(f"source table {table.source} types"))
    for table, error in parts.shared_topics(tables).items():
        found.checks.append(Check(f"source table {table} topic", str(error)))
    found.tables, found.shapes = tables, shapes
    if parts.config.heartbeat_table is not None:
        found.checks += parts.source.heartbeat_checks(parts.config.heartbeat_table)
    found.checks += parts.source.source_checks([shapes[table.source] for table in tables], parts.config.slot_name)


def _check_target(parts: Parts, found: Validation) -> None:
    found.checks += parts.target.target_checks([table.target for table in found.tables])


def _check_target_tables(parts: Parts, found: Validation, force_resync: bool, adopt: bool) -> None:
    uses = Counter(table.target for table in found.tables)
    for target, count in uses.items():
        if count > 1:
            sources = ", ".join(str(table.source) for table in found.tables if table.target == target)
            fix = f"{sources} would all be copied into it; give each its own `target:`"
            found.checks.append(Check(f"target table {target}", fix))
    names = {t: _name_problem(parts.target.dialect, t, found.shapes[t.source]) for t in found.tables}
    possible = [table.target for table, problem in names.items() if not problem]
    shapes = found.targets = parts.target.shapes(possible)
    records = parts.state.table_records() if parts.state.exists() else {}
    for table in found.tables:
        if names[table]:
            found.checks.append(Check(f"target table {table.target}", names[table]))
        elif table.target in shapes and all(c.source.type for c in found.shapes[table.source].columns):
            problem = shape_problem(parts, found.shapes[table.source], shapes[table.target])
            if problem and force_resync and table.source in records:
                problem = _resync_problem(parts, table, records[table.source], found.shapes[table.source], problem)
            problem = problem or ("" if force_resync else _choices_problem(table, records))
            problem = problem or ("" if force_resync or adopt else _data_problem(parts, table, records))
            found.checks.append(Check(f"target table {table.target}", problem))


def _name_problem(dialect: Dialect, table: Replicated, shape: TableShape) -> str:
    """A server may cut such a name off without a word."""
    problem = dialect.name_problem(table.target.name)
    if problem:
        return f"its name {problem}; set `target:`"
    columns = [f"{name} {problem}" for name in shape.names if (problem := dialect.name_problem(name))]
    return f"its column {', '.join(columns)}; set `rename:`, or leave it out with `exclude:`" if columns else ""


def mappings(parts: Parts, found: Validation) -> dict[Replicated, list[ColumnMapping]]:
    """What each column of each table becomes, as far as step 1 came."""
    tables, there = found.tables, found.targets
    return {table: _mapping(parts, found.shapes[table.source], there.get(table.target)) for table in tables}


def _mapping(parts: Parts, source: TableShape, target: TableShape | None) -> list[ColumnMapping]:
    """What each column becomes: in the table that is there, or in the one that the copy will make."""
    there = {column.name: column.declared for column in target.columns} if target else {}
    mappings = []
    for column in source.columns:
        in_key = column.name in source.key
        expected = _fate(parts, column, in_key)
        becomes = there.get(column.name, expected.becomes)
        lost = expected.note if column.change is Change.NONE else ""
        kind, note = str(column.type or ""), "; ".join(filter(None, (_chosen(column), lost)))
        added = column.change is Change.DELETED_AT
        name, declared = (column.name, "") if added else (column.source.name, column.source.declared)
        mappings.append(ColumnMapping(name, declared, kind, becomes, in_key, note))
    return mappings


def _chosen(column: Column) -> str:
    """What the table's owner chose for it."""
    what = {
        Change.HASH: f"SHA-256{' of salt and text' if column.text else ''}",
        Change.MASK: f"replaced by {column.text!r}",
        Change.DELETED_AT: "set when the source deletes the row",
    }.get(column.change, "")
    renamed = f"called {column.name} in the target" if column.source.name != column.name else ""
    return "; ".join(filter(None, (renamed, what)))


def _fate(parts: Parts, column: Column, in_key: bool) -> Fate:
    if column.type is None or column.source.type is None:
        return Fate("", refused=parts.source.dialect.refusal(column.declared))
    return fate(parts.config.source.kind, parts.config.target.kind, column.type, in_key=in_key)


def shape_problem(parts: Parts, source: TableShape, target: TableShape) -> str:
    """Why an existing target table cannot take this source table; empty if it can."""
    there = {column.name: column for column in target.columns}
    findings = []
    for column in source.columns:
        wanted = parts.target.dialect.column_type(column.canonical, in_key=column.name in source.key)
        if column.name not in there:
            findings.append(f"has no column {column.name} ({wanted})")
            continue
        existing = there[column.name]
        may_hold = parts.target.dialect.canonical_type(wanted.lower()) or column.canonical
        if existing.type is None or not (existing.type.can_hold(column.canonical) or existing.type.can_hold(may_hold)):
            findings.append(f"{column.name} is {existing.declared}, must be able to hold {wanted}")
    for name in sorted(there.keys() - set(source.names)):
        if not there[name].has_default:
            findings.append(f"has a column {name} that must have a value, but the source has none")
    if target.key != source.key:
        findings.append(f"its primary key is ({', '.join(target.key)}), the source's ({', '.join(source.key)})")
    return "has another shape: " + "; ".join(findings) + ". Alter or drop it, or set `target:`" if findings else ""


def _resync_problem(parts: Parts, table: Replicated, record: TableRecord, shape: TableShape, problem: str) -> str:
    """A re-sync makes a table anew that has other columns than its source by now, where it can."""
    there = parts.target.shape(table.target)
    if there is None or not is_live(record, table):
        return problem
    try:
        planned(parts.target, record, shape, there)
    except ResyncImpossible as error:
        return f"{problem}. {error}"
    return ""


def _choices_problem(table: Replicated, records: Mapping[TableId, TableRecord]) -> str:
    """Refuse before the connector is told of columns that the stream would miss, or of ones that the target lacks."""
    record = records.get(table.source)
    copied = record.shape if record is not None and record.watermark else None
    return str(ChoicesChanged(table=table.source)) if copied and copied.choices != table.choices else ""


def _data_problem(parts: Parts, table: Replicated, records: Mapping[TableId, TableRecord]) -> str:
    """Refuse rows of which nobody knows which changes they hold."""
    record = records.get(table.source)
    ours = record is not None and record.target == table.target
    if ours and record is not None and (record.watermark or record.state in IN_COPY or record.copying):
        return ""
    rows = parts.target.count(table.target)
    return str(TargetNotEmpty(target=table.target, table=table.source, rows=rows)) if rows else ""


def _check_topics(parts: Parts, found: Validation) -> None:
    """Somebody may have made them before us."""
    topics = [*(table.topic for table in found.tables), *filter(None, [parts.config.marks_topic])]
    for topic, partitions in parts.broker.partitions(topics).items():
        fix = f"has {len(partitions)} partitions, must have 1, because a TRUNCATE and a row that changes its key are "
        fix += "events of several keys; delete it, so that it is made anew"
        found.checks.append(Check(f"topic {topic}", fix if len(partitions) > 1 else ""))


def _check_connector(parts: Parts, found: Validation) -> None:
    """The plugin is there, and accepts the configuration: it logs in to the source itself to tell."""
    keyless = not all(shape.key for shape in found.shapes.values())
    config = get_connector_config_for_database(parts.config, found.tables, keyless=keyless)
    plugin, installed = config["connector.class"], parts.connect.plugins()
    if plugin not in installed:
        fix = f"is not in the worker's plugin.path: {plugin}; install its plugin and restart the worker"
        found.checks.append(Check("Debezium plugin", fix))
        return
    if floor := floors.PLUGINS.get(plugin):
        found.checks.append(floor.check("Debezium plugin", installed[plugin]))
    if not found.problems:
        errors = _without_secret(parts, parts.connect.validate({"name": parts.config.connector_name, **config}))
        found.checks.append(Check("connector configuration", "; ".join(errors)))


def _without_secret(parts: Parts, lines: Sequence[str]) -> list[str]:
    secret = parts.source.url.password
    return [line.replace(str(secret), "****") if secret else line for line in lines]
