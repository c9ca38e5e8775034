"""`cdc-pipeline local`: the embedded stack from a shell.

Exit codes: 0 good; 1 a server does not run (`status`); 2 it could not be done.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from sqlalchemy import URL, NullPool, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from cdc_pipeline.errors import CdcPipelineError, LocalStackError
from cdc_pipeline.local import prerequisites, tools

COULD_NOT_BE_DONE = 2


@click.group()
def local() -> None:
    """Kafka, Connect, MySQL and PostgreSQL (and MariaDB, if asked for) on this machine, for demos and tests."""


def _versions_of(kind: str, multiple: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The option that asks for a kind of server in a version."""
    which = "beside the default one. Repeatable." if multiple else "in the place of the one that runs."
    return click.option(f"--{kind}", metavar="VERSION", multiple=True, help=f"Start {kind} in this version, {which}")


@local.command()
@click.option("--with", "further", metavar="NAME", multiple=True, help="Start this server too: mariadb. Repeatable.")
@_versions_of("mysql", multiple=True)
@_versions_of("mariadb", multiple=True)
@_versions_of("postgresql", multiple=True)
@_versions_of("kafka", multiple=False)
@_versions_of("connect", multiple=False)
def up(further: tuple[str, ...], **versions: tuple[str, ...]) -> None:
    """Start the servers (what runs already is kept) and wait until they answer.

    A server that was asked for belongs to the stack until `down`: `up` starts it again if it has died. With a version
    its name is `mysql-9.7`, and it has files, a port and a password of its own; options after it make another server
    again: --mysql 9.7+binlog-row-metadata=MINIMAL.
    """
    named = [f"{kind}-{version}" for kind, all_of_it in versions.items() for version in all_of_it]
    with _failing_plainly(), _progress("starting the servers") as report:
        home = _stack().default_home()
        tools.get(prerequisites.servers(), report)
        endpoints = _stack().up(home, report, _stack().asked_for(home, [*further, *named]))
    _show(home, endpoints)


@local.command()
@click.option("--json", "as_json", is_flag=True, help="Print the URLs, with passwords, of the running servers.")
def status(as_json: bool) -> None:
    """Tell which servers run and answer; exit code 1 if one does not.

    One that only `up` with an option starts counts from then on until `down`.
    """
    with _failing_plainly():
        home = _stack().default_home()
        endpoints, asked_for = _stack().status(home), _stack().asked_for(home)
    if as_json:
        click.echo(json.dumps(endpoints.all()))
    else:
        _show(home, endpoints)
    if not all(endpoints.of(name) for name in asked_for):
        sys.exit(1)


@local.command()
@click.option("--purge", is_flag=True, help="Also delete their data, passwords and logs.")
def down(purge: bool) -> None:
    """End the servers that `up` started; their data stay."""
    with _failing_plainly(), _progress("ending the servers") as report:
        home = _stack().default_home()
        ended = _stack().down(home, report)
        if not ended:
            report("no server was running")
        if purge:
            _stack().purge(home, report)


@local.command()
@click.argument("place")
@click.argument("statement")
def sql(place: str, statement: str) -> None:
    """Run one statement as the administrator of a server's database: local sql postgresql/dwh "SELECT …"."""
    with _failing_plainly():
        server, _, database = place.partition("/")
        urls = _stack().status(_stack().default_home()).all()
        running = [name for name in urls if name.startswith(("mysql", "mariadb", "postgresql"))]
        if server not in running:
            known = f"these do: {', '.join(running)}" if running else "`cdc-pipeline local up` starts them"
            raise LocalStackError(server=server, reason=f"no such database server runs; {known}")
        url = make_url(urls[server])
        columns, rows, count = _run(server, url.set(database=database or url.database), statement)
    if columns:
        table = Table(*map(escape, columns))
        for row in rows:
            table.add_row(*("NULL" if value is None else escape(str(value)) for value in row))
        Console().print(table)
    else:
        click.echo(f"{count} rows" if count != 1 else "1 row")


def _run(server: str, url: URL, statement: str) -> tuple[list[str], list[tuple[Any, ...]], int]:
    """The columns and rows that a statement gives, or how many it has changed. It is committed."""
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    try:
        with engine.begin() as connection:
            result = connection.execution_options(no_parameters=True).exec_driver_sql(statement)
            if not result.returns_rows:
                return [], [], max(result.rowcount, 0)
            return list(result.keys()), [tuple(row) for row in result], 0
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip()
        raise LocalStackError(server=server, reason=reason) from None


def _stack() -> ModuleType:
    """stack.py, imported late: the main command must work without the packages of the extra `local`."""
    try:
        from cdc_pipeline.local import stack  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise LocalStackError(
            server="local", reason=f"{error.name} is missing: pip install 'cdc-pipeline[local]'"
        ) from None
    return stack


@contextmanager
def _failing_plainly() -> Iterator[None]:
    """Turn an error of ours into its message and exit code 2."""
    try:
        yield
    except CdcPipelineError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(COULD_NOT_BE_DONE)


@contextmanager
def _progress(doing: str) -> Iterator[Callable[[str], None]]:
    """Plain lines on standard error; under a spinner where that is a terminal."""
    console = Console(stderr=True, highlight=False)
    with console.status(f"{doing} …"):
        yield lambda line: console.print(line, markup=False, soft_wrap=True)


def _show(home: Path, endpoints: Any) -> None:
    """A table of the servers that should run; never a password."""
    table = Table(Column("server", overflow="fold"), "version", "", "address")
    versions = _stack().versions_of(home)
    for name in _stack().asked_for(home):
        url = endpoints.of(name)
        address = url.rsplit("@", 1)[-1].strip("/") if url else ""
        table.add_row(name, versions.get(name, ""), "runs" if url else "does not run", address)
    Console().print(table)
