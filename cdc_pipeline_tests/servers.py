"""The embedded servers of a test run: started by the process that first asks for them, ended by the run that did so.

A run may have several processes (pytest-xdist): one that controls, and workers that run the tests.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdc_pipeline.local import processes
from cdc_pipeline.local import stack as local_stack

# Server ids are made of a client's number, and MySQL's have 32 bits: cdc_pipeline/capture/connector.py.
FIRST_NUMBER = 1_000_000
LAST_NUMBER = 4_200_000
# Java's second compiler takes a third of the processor time of servers that live for minutes, and pays off later.
JAVA_OPTIONS = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}


class Servers:
    """Those of one state folder. What ran before this run is left running after it."""

    def __init__(self, home: Path, run: Path) -> None:
        self.home = home
        self._started = run / "started"  # the names of those that any process of this run has started
        self._known: dict[frozenset[str], local_stack.Endpoints] = {}

    def up(self, *names: str) -> local_stack.Endpoints:
        """The default servers and these, all of which answer; those that do not run are started."""
        wanted = frozenset(names)
        if wanted not in self._known:
            with locked(self.home / "tests" / "servers.lock"):
                before = self._running()
                try:
                    self._known[wanted] = local_stack.up(self.home, servers=(*local_stack.DEFAULT, *sorted(wanted)))
                finally:
                    with self._started.open("a") as file:
                        file.writelines(f"{name}\n" for name in sorted(self._running() - before))
        return self._known[wanted]

    def end(self) -> None:
        """End what this run has started."""
        names = set(self._started.read_text().split()) if self._started.exists() else set()
        if names:
            local_stack.down(self.home, servers=[name for name in local_stack.known(self.home) if name in names])

    def next_number(self) -> int:
        """One that no test has ever had with these servers, in whatever process."""
        with locked(self.home / "tests" / "number.lock"):
            path = self.home / "tests" / "number"
            number = int(path.read_text()) + 1 if path.exists() else FIRST_NUMBER
            assert number <= LAST_NUMBER, f"delete the servers' data and {path}: MySQL's server ids end here"
            path.write_text(str(number))
        return number

    def _running(self) -> set[str]:
        known = local_stack.known(self.home)
        return {name for name in known if processes.running(local_stack.site_of(self.home, name))}


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
