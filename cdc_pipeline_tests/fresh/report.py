"""docs/fresh-machines.md: a line for each system, user and Python, of the last time that they were tried."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "fresh-machines.md"
_BEGIN, _END = "<!-- make test-fresh writes below -->\n", "<!-- make test-fresh writes above -->\n"
_HEAD = (
    "| system | user | Python | tried | told as missing, and got | outcome | tests |\n|---|---|---|---|---|---|---|\n"
)


class Told(Protocol):
    """What is told of a trial."""

    system: str
    python: str
    date: str
    got: str
    outcome: dict[str, str]

    @property
    def user(self) -> str: ...


def write(trials: Iterable[Told], tests: str) -> None:
    """Put the lines of these trials in the place of earlier ones of the same kind."""
    before, _, rest = DOCUMENT.read_text().partition(_BEGIN)
    table, _, after = rest.partition(_END)
    DOCUMENT.write_text(before + _BEGIN + merged(table, trials, tests) + _END + after)


def merged(table: str, trials: Iterable[Told], tests: str) -> str:
    lines = {_kind(line): line for line in table.removeprefix(_HEAD).splitlines(keepends=True)}
    for trial in trials:
        outcome = "; ".join(f"`{name}` {how}" for name, how in trial.outcome.items())
        cells = (trial.system, trial.user, trial.python, trial.date, trial.got or "nothing", outcome, tests)
        line = "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
        lines[_kind(line)] = line
    return _HEAD + "".join(lines[kind] for kind in sorted(lines))


def _kind(line: str) -> tuple[str, ...]:
    return tuple(line.split(" | ")[:3])
