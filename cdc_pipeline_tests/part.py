"""As many of the tests as can begin within some minutes, others first for each commit.

A suite that is too long for every run is run whole over several commits: `pytest --part=COMMIT --minutes=30`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import Any

import pytest

from cdc_pipeline_tests.groups import group_of


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("part")
    group.addoption("--part", metavar="COMMIT", default="", help="begin with other tests than for another commit")
    group.addoption("--minutes", type=float, help="begin no test when so many minutes are over")


class Part:
    """Orders the tests of a run, and ends it in time. Tests of one group stay together, in their order."""

    def __init__(self, config: pytest.Config) -> None:
        self._commit: str = config.option.part
        self._minutes: float | None = config.option.minutes
        ends = time.time() + self._minutes * 60 if self._minutes else None
        self._until: float | None = getattr(config, "workerinput", {}).get("begin_until", ends)
        self._all = 0
        self._begun: set[str] = set()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """The time of all workers is over at once."""
        if self._until is not None:
            node.workerinput["begin_until"] = self._until

    @pytest.hookimpl
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._commit:
            items.sort(key=lambda item: hashlib.sha256(f"{self._commit} {group_of(item)}".encode()).hexdigest())

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self) -> bool | None:
        """True says that nothing is left to do for a test."""
        return True if self._until is not None and time.time() > self._until else None

    # -- what is told at the end, by the process that controls -------------------------------------------------------

    @pytest.hookimpl
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._all = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._all = len(ids)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._begun.add(report.nodeid)

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._minutes:
            part = f" (their order is that of {self._commit})" if self._commit else ""
            terminalreporter.write_line(
                f"{len(self._begun)} of {self._all} tests have run: those that could begin within "
                f"{self._minutes:g} minutes{part}."
            )
