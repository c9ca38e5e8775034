"""The command line: what Dagster shows, from a shell, with or without Dagster running.

Exit codes: 0 done and good, 1 done and not good (a difference, a failed check), 2 could not be done.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import update_wrapper
from typing import Any

import click
from prometheus_client import CollectorRegistry, start_http_server

from cdc_pipeline import terminal
from cdc_pipeline.config import find_replication, folder_of_commands, load_replication, replication_files
from cdc_pipeline.errors import CdcPipelineError, ValidationFailed
from cdc_pipeline.local.command import local
from cdc_pipeline.metrics import StatusCollector
from cdc_pipeline.parts import Parts
from cdc_pipeline.replication import Replication, start_replication
from cdc_pipeline.state import WISHES, Desired
from cdc_pipeline.status import get_unified_status
from cdc_pipeline.validation import mappings
from cdc_pipeline.validation import validate as validate_all

GOOD, NOT_GOOD, NOT_DONE = 0, 1, 2

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
            terminal.show_mapping(table, columns)
        for check in found.checks:
            click.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}{'' if check.ok else ': ' + check.problem}")
    return NOT_GOOD if found.problems else GOOD


@command("start")
@click.option("--force-resync", is_flag=True, help="Copy again what is there already; it serves meanwhile.")
@click.option("--adopt", is_flag=True, help="Vouch that targets with data equal their source now.")
@until_caught_up_option
def start(replication: Replication, force_resync: bool, adopt: bool, until_caught_up: bool) -> int:
    """The four steps: validate, initial copy, register the connector, consume (until Ctrl-C)."""
    with ended_by_signals() as should_stop, terminal.progress_bars() as on_progress:
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
    with terminal.progress_bars() as on_progress:
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
    click.echo(f"seconds: {terminal.by_phase(progress.seconds)}")
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
        terminal.show_status(answer)
    return NOT_GOOD if answer["errors"] else GOOD


@main.command("metrics")
@click.option("--port", default=9464, show_default=True, type=click.IntRange(0, 65535), help="0: one that is free.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0: everywhere.")
def metrics(port: int, address: str) -> None:
    """Serve what `status` tells to Prometheus, of every replication here, until Ctrl-C."""
    try:
        replications = [Parts(load_replication(path)) for path in replication_files(folder_of_commands())]
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
        terminal.show_comparisons(comparisons)
    return GOOD if all(c.equal for c in comparisons) else NOT_GOOD


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
        terminal.show_set_aside(items)
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
