"""What a person sees: one line for each step, then a table that follows the stream.

On a terminal the table stays in place; elsewhere (a file, a CI log) it is a few lines every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cdc_pipeline.model import Comparison

SECONDS_BETWEEN_LINES = 5.0
COLOURS = {
    "STREAMING": "green",
    "COPIED": "cyan",
    "LOADED": "yellow",
    "COPYING": "yellow",
    "RESYNCING": "yellow",
    "FAILED": "red",
}


@dataclass(frozen=True)
class TableLine:
    """One table at this moment; None is what nobody knows yet."""

    name: str
    source_rows: int
    target_rows: int | None
    applied: int
    lag_events: int
    lag_seconds: float
    state: str


@dataclass(frozen=True)
class Moment:
    """Everything that the screen shows at once."""

    ui: str
    doing: str
    changes: int
    rollbacks: int
    connector: str
    consumer: str
    tables: Sequence[TableLine]
    errors: Sequence[str] = ()


def moment(
    status: Mapping[str, Any],
    source_rows: Mapping[str, int],
    target_rows: Mapping[str, int],
    *,
    ui: str,
    doing: str,
    changes: int,
    rollbacks: int,
) -> Moment:
    """From the answer of `cdc-pipeline status`, and counts of rows by the source's name."""
    known = {table["source"]: table for table in status["tables"]}
    unknown = {"inserted": 0, "updated": 0, "deleted": 0, "lag_events": 0, "lag_seconds": 0.0, "state": "-"}
    lines = []
    for name, rows in source_rows.items():
        table = known.get(name, unknown)
        applied = table["inserted"] + table["updated"] + table["deleted"]
        lines.append(
            TableLine(
                name, rows, target_rows.get(name), applied, table["lag_events"], table["lag_seconds"], table["state"]
            )
        )
    connector, consumer = status["connector"], status["consumer"]
    tasks = "".join(f", task {task['state'].lower()}" for task in connector["tasks"])
    return Moment(
        ui, doing, changes, rollbacks, connector["state"].lower() + tasks, consumer["state"].lower(), lines,
        status["errors"],
    )  # fmt: skip


class Screen:
    """Where the demo speaks."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._live: Live | None = None
        self._next_lines = 0.0

    def say(self, line: str) -> None:
        """One line that stays."""
        self.console.print(f"{time.strftime('%H:%M:%S')}  {line}", markup=False, soft_wrap=True)

    @contextmanager
    def table(self) -> Iterator[None]:
        """Within this, `show` may be called; what is said meanwhile stands above the table."""
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, auto_refresh=False) as self._live:
            yield
        self._live = None

    def show(self, now: Moment) -> None:
        if self._live is not None:
            self._live.update(picture(now), refresh=True)
        elif time.monotonic() >= self._next_lines:
            self._next_lines = time.monotonic() + SECONDS_BETWEEN_LINES
            for line in lines(now):
                self.say(line)

    def show_result(self, comparisons: Sequence[Comparison]) -> None:
        """What the comparison of every table has found; one line each, the same everywhere."""
        width = max(len(str(comparison.table)) for comparison in comparisons)
        for c in comparisons:
            said = f"{'equal    ' if c.equal else 'DIFFERENT'}  {c.table!s:{width}}  {c.source_rows:>9,} rows"
            if not c.equal:
                said += (
                    f", {c.target_rows:,} in the target: {c.missing} missing, {c.extra} extra, {c.different} different"
                )
                said += f" ({'; '.join(c.samples)})" if c.samples else ""
            elif c.source_checksum:
                said += f", checksum {c.source_checksum}"
            self.say(said)


def picture(now: Moment) -> RenderableType:
    """The table, for a terminal."""
    table = Table("table", header_style="bold")
    for column in ("source rows", "target rows", "events applied", "lag"):
        table.add_column(column, justify="right")
    table.add_column("state")
    for line in now.tables:
        table.add_row(
            line.name,
            f"{line.source_rows:,}",
            _number(line.target_rows),
            f"{line.applied:,}",
            _lag(line),
            Text(line.state, style=COLOURS.get(line.state, "")),
        )
    heading = Text.assemble((now.doing, "bold"), "\nDagster    ", (now.ui, "underline"))
    writers = f"Writers    {now.changes:,} changes, {now.rollbacks:,} transactions rolled back"
    parts = Text(f"Connector  {now.connector}\nConsumer   {now.consumer}\n{writers}")
    return Group(heading, parts, table, *(Text(f"! {error}", style="red") for error in now.errors))


def lines(now: Moment) -> Iterator[str]:
    """The same as plain lines."""
    yield f"{now.doing} | connector {now.connector} | consumer {now.consumer} | {now.changes:,} changes written"
    width = max((len(line.name) for line in now.tables), default=0)
    for line in now.tables:
        yield (
            f"  {line.name:{width}}  source {line.source_rows:>8,}  target {_number(line.target_rows):>8}"
            f"  applied {line.applied:>7,}  lag {_lag(line)}  {line.state}"
        )
    for error in now.errors:
        yield f"  ! {error}"


def _number(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _lag(line: TableLine) -> str:
    return f"{line.lag_events:,} events, {line.lag_seconds:.1f} s" if line.lag_events else "0"
