"""Which tests may use the servers at the same time.

Most share them with the tests of other processes. One that is marked `alone` reconfigures a server, or measures what
all of it does: it waits until no other test uses them, and the others wait until it is done.
"""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from pathlib import Path
from typing import IO

import pytest


class Turns:
    """Holds a lock while a test runs. The kernel gives it back, however the process ends.

    Who comes in takes the door first. Who wants to be alone keeps it while the others leave, or they would never all be
    gone at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._inside: IO[str] | None = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """Outside a test's timeout, which does not count the wait. A module keeps its turn while it goes on."""
        if self._inside is None and uses_servers(item):
            self._inside = self._enter(alone=is_alone(item))
        try:
            return (yield)
        finally:
            if self._inside is not None and not self._goes_on(item, nextitem):
                self._inside.close()
                self._inside = None

    def _enter(self, *, alone: bool) -> IO[str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        inside = (self._folder / "room.lock").open("w")
        with (self._folder / "door.lock").open("w") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(inside, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        return inside

    @staticmethod
    def _goes_on(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        return nextitem is not None and nextitem.path == item.path and is_alone(nextitem) == is_alone(item)


def is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


def uses_servers(item: pytest.Item) -> bool:
    return is_alone(item) or "servers" in getattr(item, "fixturenames", ())
