"""Keeps what the benchmarks measured, each one's last run, until `report.py` writes it into the documentation."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import bench

FOLDER = bench.PROJECT / ".local" / "bench"


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, and their range."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        found = sorted(values)
        return cls(statistics.median(found), found[0], found[-1])

    def text(self, digits: int = 2) -> str:
        if self.least == self.most:
            return f"{self.middle:,.{digits}f}"
        return f"{self.middle:,.{digits}f} ({self.least:,.{digits}f}–{self.most:,.{digits}f})"


def ratios(values: Iterable[float], to: Iterable[float]) -> Spread:
    """Round by round: what two ways took in one round was measured under one load."""
    return Spread.of(value / floor for value, floor in zip(values, to, strict=True))


def write(name: str, found: Any) -> None:
    """In place of what the last run of that name has left."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    told = {"command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]), "day": date.today().isoformat()}
    (FOLDER / f"{name}.json").write_text(json.dumps({**told, "found": found}, indent=1))


def read(name: str) -> dict[str, Any] | None:
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None
