"""Which tests run in one process, one after the other; and which come first.

pytest-xdist has groups of its own (`--dist loadgroup`), and hands them to the process that controls as a part of each
test's name. Ours are in a file: names stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from cdc_pipeline_tests.turns import is_alone, uses_servers


class Groups:
    """Written by each process that runs tests, when it knows them; they all write the same."""

    def __init__(self, run: Path) -> None:
        self._path = run / "groups.json"

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Slow ones first. Those that are alone come after all that share the servers; the rest fills the time."""
        if not config.option.part:
            items.sort(key=_order)
        worker = getattr(config, "workerinput", None)
        if worker is not None:
            draft = self._path.with_suffix(f".{worker['workerid']}")
            draft.write_text(json.dumps({item.nodeid: group_of(item) for item in items}))
            draft.replace(self._path)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> LoadScopeScheduling:
        return Scheduling(config, log, self._path)


class Scheduling(LoadScopeScheduling):
    """Hands out groups, in the order of their first tests."""

    def __init__(self, config: pytest.Config, log: Producer, path: Path) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)
        self._path = path
        self._groups: Mapping[str, str] = {}

    def _split_scope(self, nodeid: str) -> str:
        if not self._groups:
            self._groups = json.loads(self._path.read_text())
        return self._groups[nodeid]


def group_of(item: pytest.Item) -> str:
    """Of those that run alone; of those that share what a fixture has made, or need no servers; or a test's own."""
    marker = item.get_closest_marker("group")
    if is_alone(item):
        return "alone"
    if marker is not None:
        return marker.args[0]
    if not uses_servers(item) or _shares_fixtures(item):
        return str(item.path)
    return item.nodeid


def _shares_fixtures(item: pytest.Item) -> bool:
    info = getattr(item, "_fixtureinfo", None)  # pytest has no public name for it
    known = [] if info is None else [each for same in info.name2fixturedefs.values() for each in same]
    return any(each.scope in ("module", "package") for each in known)


def _order(item: pytest.Item) -> int:
    if is_alone(item):
        return 2
    if not uses_servers(item):
        return 3
    return 0 if "acceptance" in item.path.parts else 1
