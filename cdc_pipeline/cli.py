"""The command line: what Dagster shows, from a shell, with or without Dagster running.

Exit codes: 0 done and good, 1 done and not good (a difference, a failed check), 2 could not be done.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import update_wrapper
from typing import Any

import click
from prometheus_client import CollectorRegistry, start_http_server
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cdc_pipeline.config import find_replication, load_replication, replication_files
from cdc_pipeline.copying.copy import OnProgress
from cdc_pipeline.errors import CdcPipelineError, ValidationFailed
from cdc_pipeline.local.command import local
from cdc_pipeline.metrics import StatusCollector
from cdc_pipeline.model import Comparison, Replicated, TableId
from cdc_pipeline.parts import Parts
from cdc_pipeline.replication import Replication, start_replication
from cdc_pipeline.state import WISHES, Desired
from cdc_pipeline.status import get_unified_status
from cdc_pipeline.validation import ColumnMapping, mappings
from cdc_pipeline.validation import validate as validate_all

GOOD, NOT_GOOD, NOT_DONE = 0, 1, 2
WIDE = 200  # characters of a line where no terminal limits it: a file or a pipe gets every name whole

console = Console(width=None if sys.stdout.isatty() else WIDE)
as_json = click.option("--json", "as_json", is_flag=True, help="Answer with JSON, for programs.")
until_caught_up_option = click.option(
    "--until-caught-up", is_flag=True, help="End when every change written before this moment has been applied."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cdc-pipeline")
def main() -> None:
    """Keeps tables of one database continuously equal to tables of another."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("cdc_pipeline")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False


main.add_command(local)


def command(name: str, of: click.Group = main) -> Callable[[Callable[..., int]], click.Command]:
    """A command of one replication: finds it, turns our errors into one line and exit code 2."""

    def wrap(action: Callable[..., int]) -> click.Command:
        def run(name: str | None, **options: Any) -> None:
            try:
                sys.exit(action(Replication(find_replication(name)), **options))
            except ValidationFailed as error:
                click.echo(f"Error: {error}", err=True)
                sys.exit(NOT_GOOD)
            except CdcPipelineError as error:
                click.echo(f"Error: {error}", err=True)
                sys.exit(NOT_DONE)

        which = click.option("-r", "--replication", "name", help="Which one (default: the only one there is).")
        return of.command(name)(which(update_wrapper(run, action)))

    return wrap


@contextmanager
def ended_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, so that a run ends between two batches."""
    event = threading.Event()
    handlers = {number: signal.signal(number, lambda *_: event.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


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


@command("validate")
@as_json
@click.option("--force-resync", is_flag=True, help="As if tables with data would be reloaded.")
@click.option("--adopt", is_flag=True, help="As if tables with data would be taken as equal.")
def validate(replication: Replication, as_json: bool, force_resync: bool, adopt: bool) -> int:
    """Step 1 alone: look at everything, say what each column becomes, change nothing."""
    found = validate_all(replication.parts, force_resync=force_resync, adopt=adopt)
    becomes = mappings(replication.parts, found)
    if as_json:
        checks = [{"check": c.name, "ok": c.ok, "problem": c.problem} for c in found.checks]
        tables = [
            {
                "source": str(table.source),
                "target": str(table.target),
                "columns": [asdict(column) for column in columns],
            }
            for table, columns in becomes.items()
        ]
        click.echo(json.dumps({"checks": checks, "tables": tables}, indent=2))
    else:
        for table, columns in becomes.items():
            _show_mapping(table, columns)
        for check in found.checks:
            click.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}{'' if check.ok else ': ' + check.problem}")
    return NOT_GOOD if found.problems else GOOD


def _show_mapping(replicated: Replicated, columns: Sequence[ColumnMapping]) -> None:
    title = escape(f"{replicated.source} → {replicated.target}")
    table = Table("column", "source type", "is a", "target type", "note", title=title)
    for c in columns:
        name = f"{c.column} (key)" if c.in_key else c.column
        cells = (name, c.source_type, c.kind or "unknown", c.target_type or "-", c.note)
        table.add_row(*map(escape, cells))
    console.print(table)


@command("start")
@click.option("--force-resync", is_flag=True, help="Copy again what is there already; it serves meanwhile.")
@click.option("--adopt", is_flag=True, help="Vouch that targets with data equal their source now.")
@until_caught_up_option
def start(replication: Replication, force_resync: bool, adopt: bool, until_caught_up: bool) -> int:
    """The four steps: validate, initial copy, register the connector, consume (until Ctrl-C)."""
    with ended_by_signals() as should_stop, progress_bars() as on_progress:
        success, message = start_replication(
            replication.config,
            force_resync,
            adopt=adopt,
            until_caught_up=until_caught_up,
            should_stop=should_stop,
            on_progress=on_progress,
        )
    click.echo(message if success else f"Error: {message}", err=not success)
    return GOOD if success else NOT_DONE


@command("copy")
@click.argument("tables", nargs=-1, required=True)
@click.option("--force-resync", is_flag=True, help="Reload them even if their target has data already.")
@click.option("--adopt", is_flag=True, help="Vouch that targets with data equal their source now.")
def copy(replication: Replication, tables: tuple[str, ...], force_resync: bool, adopt: bool) -> int:
    """Steps 1 and 2 for the named tables."""
    return _copy(replication, tables, force_resync=force_resync, adopt=adopt)


@command("resync")
@click.argument("tables", nargs=-1, required=True)
def resync(replication: Replication, tables: tuple[str, ...]) -> int:
    """Copy tables again, while the consumer goes on with the old ones, and readers too."""
    return _copy(replication, tables, force_resync=True, adopt=False)


def _copy(replication: Replication, tables: tuple[str, ...], *, force_resync: bool, adopt: bool) -> int:
    replication.check(force_resync=force_resync, adopt=adopt)
    # A start position that is lost may be taken anew only where every table is copied anew.
    chosen = {replication.table(name) for name in tables}
    replication.prepare(force_resync=force_resync and chosen == set(replication.tables))
    with progress_bars() as on_progress:
        results = list(replication.copy(tables, force_resync=force_resync, adopt=adopt, on_progress=on_progress))
    return NOT_DONE if any(result.error for result in results) else GOOD


@command("register")
def register(replication: Replication) -> int:
    """Step 3: start the connector exactly where the copies began, or bring it back."""
    replication.register()
    return GOOD


@command("consume")
@until_caught_up_option
@click.option("--group", help="Use this consumer group instead of a fresh one.")
@click.option("--join", is_flag=True, help="Share the work of a consumer that runs already.")
def consume(replication: Replication, until_caught_up: bool, group: str | None, join: bool) -> int:
    """Step 4: apply changes (until Ctrl-C)."""
    with ended_by_signals() as should_stop:
        progress = replication.consume(should_stop, until_caught_up=until_caught_up, group=group, join=join)
    click.echo(f"{progress.applied} changes applied ({progress.dropped} were in the target already)")
    click.echo(f"seconds: {_spent(progress.seconds)}")
    waiting = len(replication.set_aside())
    if waiting:
        click.echo(f"Error: {waiting} events are set aside; see `cdc-pipeline quarantine list`", err=True)
    return NOT_GOOD if waiting else GOOD


@command("status")
@as_json
def status(replication: Replication, as_json: bool) -> int:
    """Connector, consumer, tables, lag and the last error in one answer."""
    answer = get_unified_status(replication.parts)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        _show_status(answer)
    return NOT_GOOD if answer["errors"] else GOOD


def _show_status(answer: dict[str, Any]) -> None:
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
        table.add_row(*names, row["state"], _copied_in(row), *(f"{number:,}" for number in numbers))
    console.print(table)
    for error in answer["errors"]:
        console.print(f"Error: {error}", markup=False)


def _copied_in(row: Mapping[str, Any]) -> str:
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
        console.print(f"           {rate}; seconds: {_spent(consumer['seconds'])}")


def _spent(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{phase} {spent:.1f}" for phase, spent in seconds.items())


@main.command("metrics")
@click.option("--port", default=9464, show_default=True, type=click.IntRange(0, 65535), help="0: one that is free.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0: everywhere.")
def metrics(port: int, address: str) -> None:
    """Serve what `status` tells to Prometheus, of every replication here, until Ctrl-C."""
    try:
        replications = [Parts(load_replication(path)) for path in replication_files()]
        registry = CollectorRegistry()
        registry.register(StatusCollector(replications))
        server, thread = start_http_server(port, address, registry)
    except (CdcPipelineError, OSError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(NOT_DONE)
    click.echo(f"http://{address}:{server.server_port}/metrics: {len(replications)} replication(s)")
    with ended_by_signals() as should_stop:
        should_stop.wait()
    server.shutdown()
    thread.join()


@command("verify")
@as_json
@click.option("--repair", is_flag=True, help="Make the rows that differ as the source has them.")
@click.argument("tables", nargs=-1)
def verify(replication: Replication, as_json: bool, repair: bool, tables: tuple[str, ...]) -> int:
    """Compare source and target by row count and checksum, and name what differs. Changes may flow."""
    comparisons = list(replication.verify(tables or None, repair=repair))
    if as_json:
        rows = [
            {
                "source": str(c.table), "target": str(c.target), "equal": c.equal, "source_rows": c.source_rows,
                "target_rows": c.target_rows, "missing": c.missing, "extra": c.extra, "different": c.different,
                "undecided": c.undecided, "unread": c.unread, "mended": c.mended, "advice": c.advice,
                "source_checksum": c.source_checksum, "target_checksum": c.target_checksum,
                "sample_keys": list(c.samples), "left_out": list(c.left_out),
            }
            for c in comparisons
        ]  # fmt: skip
        click.echo(json.dumps({"equal": all(c.equal for c in comparisons), "tables": rows}, indent=2))
    else:
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
    return GOOD if all(c.equal for c in comparisons) else NOT_GOOD


def _result(comparison: Comparison) -> str:
    if comparison.equal:
        return "[green]mended[/]" if comparison.mended else "[green]equal[/]"
    is_open = comparison.undecided or comparison.unread
    differs = comparison.missing or comparison.extra or comparison.different or not is_open
    return "[red]DIFFERENT[/]" if differs else "[yellow]UNDECIDED[/]"


def _wish(name: str, desired: Desired, help: str) -> None:
    def set_desired(replication: Replication) -> int:
        replication.set_desired(desired)
        click.echo(f"{replication.config.name}: {desired}")
        return GOOD

    set_desired.__doc__ = help
    command(name)(set_desired)


for _name, (_desired, _help) in WISHES.items():
    _wish(_name, _desired, _help)


@main.group()
def quarantine() -> None:
    """Events that could not be applied, and those of the same rows that wait behind them."""


table_option = click.option("--table", help="Only of this table of the source.")
row_option = click.option("--row", help="Only of the row with this key, as `list` shows it.")


@command("list", of=quarantine)
@table_option
@as_json
def quarantine_list(replication: Replication, table: str | None, as_json: bool) -> int:
    """What is set aside, and why."""
    items = replication.set_aside(table)
    if as_json:
        rows = [
            {
                "source": str(item.table), "row": item.row_key, "topic": item.topic, "partition": item.partition,
                "offset": item.offset, "error": item.error, "since": str(item.since), "event": item.value,
            }
            for item in items
        ]  # fmt: skip
        click.echo(json.dumps({"events": rows}, indent=2))
    else:
        shown = Table("source", "row", "offset", "since", "error")
        for item in items:
            cells = (str(item.table), item.row_key, str(item.offset), f"{item.since:%Y-%m-%d %H:%M:%S}", item.error)
            shown.add_row(*map(escape, cells))
        console.print(shown if items else "Nothing is set aside.")
    return NOT_GOOD if items else GOOD


@command("retry", of=quarantine)
@table_option
@row_option
def quarantine_retry(replication: Replication, table: str | None, row: str | None) -> int:
    """Apply them again, in their order: after the target can take them."""
    done = replication.retry_set_aside(table, row)
    click.echo(f"{done.applied} events applied, {done.left} stay")
    return NOT_GOOD if done.left else GOOD


@command("discard", of=quarantine)
@table_option
@row_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def quarantine_discard(replication: Replication, table: str | None, row: str | None, yes: bool) -> int:
    """Forget them. Their rows stay in the target as they are, which is not as the source has them."""
    count = len(replication.set_aside(table, row))
    if count and not yes and not click.confirm(f"Forget {count} events?"):
        return NOT_GOOD
    click.echo(f"{replication.discard_set_aside(table, row)} events discarded")
    return GOOD


@command("teardown")
@click.option("--yes", is_flag=True, help="Do not ask.")
def teardown(replication: Replication, yes: bool) -> int:
    """Remove connector, slot, publication, topics, groups and state. The copied tables stay."""
    name = replication.config.name
    if not yes and not click.confirm(f"Remove the connector, slot, topics and state of {name}?"):
        return NOT_GOOD
    for removed in replication.teardown():
        click.echo(f"removed {removed}")
    return GOOD


if __name__ == "__main__":
    main()
