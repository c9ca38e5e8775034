"""What the tests of versions note, in a file: `pytest --outcomes FILE`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

Outcomes = Mapping[str, Mapping[str, str]]  # of each trial, what was noted by name; "failed" has the tests that failed


class Collector:
    """A plugin of pytest. Writes once, when the run of all processes is over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted: dict[str, dict[str, str]] = {}

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if "/compatibility/" not in report.nodeid or "[" not in report.nodeid:
            return
        trial = self._noted.setdefault(report.nodeid.partition("[")[2].rstrip("]"), {})
        properties: list[tuple[str, Any]] = report.user_properties
        trial.update({name: str(value) for name, value in properties})
        if report.failed:
            trial["failed"] = ", ".join(filter(None, (trial.get("failed"), report.nodeid.partition("::")[2])))

    @pytest.hookimpl
    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps(self._noted, indent=1))
