"""What the command line shows a person: tables, progress bars, colours."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cdc_pipeline.copying.copy import OnProgress
from cdc_pipeline.model import Comparison, Replicated, TableId
from cdc_pipeline.quarantine import SetAside
from cdc_pipeline.validation import ColumnMapping

WIDE = 200  # characters of a line where no terminal limits it: a file or a pipe gets every name whole

console = Console(width=None if sys.stdout.isatty() else WIDE)


@contextmanager
def progress_bars() -> Iterator[OnProgress]:
    """A bar for each table on a terminal; elsewhere the log's lines say it."""
    if not console.is_terminal:
        yield lambda *_: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        tasks: dict[TableId, Any] = {}

        def on_progress(table: TableId, rows: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = bars.add_task(str(table), total=total)
            bars.update(tasks[table], completed=rows, total=max(rows, total))

        yield on_progress


def show_mapping(replicated: Replicated, columns: Sequence[ColumnMapping]) -> None:
    title = escape(f"{replicated.source} → {replicated.target}")
    table = Table("column", "source type", "is a", "target type", "note", title=title)
    for c in columns:
        name = f"{c.column} (key)" if c.in_key else c.column
        cells = (name, c.source_type, c.kind or "unknown", c.target_type or "-", c.note)
        table.add_row(*map(escape, cells))
    console.print(table)


def show_status(answer: dict[str, Any]) -> None:
    connector, consumer = answer["connector"], answer["consumer"]
    tasks = ", ".join(f"task {task['id']} {task['state']}" for task in connector["tasks"])
    console.print(f"Connector  {connector['name']}: {connector['state']} {tasks}")
    console.print(f"Consumer   {consumer['group'] or '-'}: {consumer['state']} (wanted: {answer['desired']})")
    _show_work(consumer)
    for other in answer["joined"]:
        console.print(f"           joined by process {other['pid']} on {escape(other['host'])}: {other['state']}")
        _show_work(other)
    console.print(f"Lag        {answer['lag_events']} events, {answer['lag_seconds']} s")
    table = Table("source", "target", "state", "copied in")
    for name in ("copied", "inserted", "updated", "deleted", "lag", "set aside"):
        table.add_column(name, justify="right")
    for row in answer["tables"]:
        fields = ("rows_copied", "inserted", "updated", "deleted", "lag_events", "set_aside")
        numbers = [row[field] for field in fields]
        names = (escape(row["source"]), escape(row["target"]))
        table.add_row(*names, row["state"], copied_in(row), *(f"{number:,}" for number in numbers))
    console.print(table)
    for error in answer["errors"]:
        console.print(f"Error: {error}", markup=False)


def copied_in(row: Mapping[str, Any]) -> str:
    """How long the copy took, and what took most of it; nothing of a table that is not copied yet."""
    seconds: float = row["copy_seconds"]
    phases: Mapping[str, float] = row["copy_phases"]
    took = f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
    if spent := sum(phases.values()):
        longest = max(phases, key=lambda phase: phases[phase])
        return f"{took}, {longest} {phases[longest] / spent:.0%}"
    return took if seconds else ""


def _show_work(consumer: dict[str, Any]) -> None:
    """Nothing of a consumer that has said nothing of it."""
    if consumer["seconds"]:
        rate = f"{consumer['applied']:,} rows applied, {consumer['events_per_second']:,.1f} a second"
        console.print(f"           {rate}; seconds: {by_phase(consumer['seconds'])}")


def by_phase(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{phase} {spent:.1f}" for phase, spent in seconds.items())


def show_comparisons(comparisons: Sequence[Comparison]) -> None:
    table = Table("source", "target", "result")
    for name in ("source rows", "target rows", "missing", "extra", "different", "undecided", "mended"):
        table.add_column(name, justify="right")
    for c in comparisons:
        numbers = (c.source_rows, c.target_rows, c.missing, c.extra, c.different, c.undecided, c.mended)
        result = _result(c)
        result += escape(f" without {', '.join(c.left_out)}") if c.left_out else ""
        table.add_row(escape(str(c.table)), escape(str(c.target)), result, *(f"{number:,}" for number in numbers))
    console.print(table)
    for c in comparisons:
        if c.advice:
            click.echo(f"{c.table}: {c.advice}")


def _result(comparison: Comparison) -> str:
    if comparison.equal:
        return "[green]mended[/]" if comparison.mended else "[green]equal[/]"
    is_open = comparison.undecided or comparison.unread
    differs = comparison.missing or comparison.extra or comparison.different or not is_open
    return "[red]DIFFERENT[/]" if differs else "[yellow]UNDECIDED[/]"


def show_set_aside(items: Sequence[SetAside]) -> None:
    shown = Table("source", "row", "offset", "since", "error")
    for item in items:
        cells = (str(item.table), item.row_key, str(item.offset), f"{item.since:%Y-%m-%d %H:%M:%S}", item.error)
        shown.add_row(*map(escape, cells))
    console.print(shown if items else "Nothing is set aside.")
