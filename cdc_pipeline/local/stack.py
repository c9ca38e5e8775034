"""The order of things: which servers there are, who waits for whom, and who is ended first."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import ports, processes
from cdc_pipeline.local.connect import Connect
from cdc_pipeline.local.kafka import Kafka
from cdc_pipeline.local.mariadb import MariaDb
from cdc_pipeline.local.mysql import MySql
from cdc_pipeline.local.postgresql import PostgreSql
from cdc_pipeline.local.site import Report, Site, read_ports, write_ports


class Server(Protocol):
    """What a server of the stack offers; one small file each."""

    name: str
    needs: tuple[str, ...]  # servers that must answer before this one is started
    ports: tuple[str, ...]  # names of the ports it listens on; the first is `name`

    def prepare(self, site: Site) -> None:
        """Get the programs and make the data directory; called at each start, before `needs` are up."""
        ...

    def start(self, site: Site) -> None:
        """Start the process and return when it answers; raise LocalStackError when it does not."""
        ...

    def answers(self, site: Site) -> bool:
        """Whether it serves now."""
        ...

    def url(self, site: Site) -> str:
        """Where it serves, with the credentials."""
        ...

    def stop(self, site: Site) -> bool:
        """End the process that we started; False if it did not run."""
        ...


# In the order of starting; ended the other way round.
_ALL: tuple[Server, ...] = (MySql(), MariaDb(), PostgreSql(), Kafka(), Connect())
SERVERS = {server.name: server for server in _ALL}
DEFAULT = ("mysql", "postgresql", "kafka", "connect")  # the others are started by those who ask for them


@dataclass(frozen=True)
class Endpoints:
    """Where each server serves, with credentials; None for one that does not run."""

    mysql: str | None = None
    mariadb: str | None = None
    postgresql: str | None = None
    kafka: str | None = None
    connect: str | None = None


def default_home() -> Path:
    """$CDC_PIPELINE_LOCAL, or `.local` of the project that the current directory is in."""
    chosen = os.environ.get("CDC_PIPELINE_LOCAL")
    if chosen:
        return Path(chosen)
    here = Path.cwd()
    project = next((folder for folder in (here, *here.parents) if (folder / "pyproject.toml").exists()), here)
    return project / ".local"


def silent(_line: str) -> None:
    """Report to nobody."""


def up(home: Path, report: Report = silent, servers: Sequence[str] = DEFAULT) -> Endpoints:
    """Start what does not run yet of `servers` and what they need; return when all of them answer."""
    home = home.resolve()
    names = _with_needs(servers)
    with _locked(home):
        _choose_ports(home, names, report)
        with ThreadPoolExecutor(max_workers=len(names)) as threads:
            started: dict[str, Future[None]] = {}
            for name in names:  # a server's needs stand before it, so their futures are there
                needs = [started[need] for need in SERVERS[name].needs]
                started[name] = threads.submit(_bring_up, SERVERS[name], site_of(home, name, report), needs)
        for future in started.values():
            future.result()
    return status(home)


def status(home: Path) -> Endpoints:
    """The servers that run and answer now."""
    home = home.resolve()
    known = read_ports(home)
    urls = {}
    for name, server in SERVERS.items():
        site = site_of(home, name)
        if name in known and processes.running(site) and server.answers(site):
            urls[name] = server.url(site)
    return Endpoints(**urls)


def asked_for(home: Path) -> list[str]:
    """The servers that should run: the default ones, and those that were started and not ended by `down` since."""
    home = home.resolve()
    return [name for name in SERVERS if name in DEFAULT or processes.recorded(site_of(home, name))]


def down(home: Path, report: Report = silent, servers: Sequence[str] = tuple(SERVERS)) -> list[str]:
    """End those of `servers` that `up` started here and nothing else; return their names."""
    home = home.resolve()
    if not home.exists():
        return []
    with _locked(home):
        return _end(home, servers, report)


def purge(home: Path, report: Report = silent) -> list[Path]:
    """End the servers and delete their data and passwords; report and return each path that goes."""
    home = home.resolve()
    if not home.exists():
        return []
    with _locked(home):
        _end(home, SERVERS, report)
        gone: list[Path] = []
        for name in SERVERS:
            gone += site_of(home, name, report).remove()
    return gone


def _bring_up(server: Server, site: Site, needs: Iterable[Future[None]]) -> None:
    if processes.running(site):
        processes.wait_until_ready(site, lambda: server.answers(site))
        return
    server.prepare(site)
    for need in needs:
        if need.exception() is not None:
            return  # the one that failed says why
    site.report(f"{server.name}: starting")
    server.start(site)
    site.report(f"{server.name}: answers on port {site.port}")


def _choose_ports(home: Path, names: Iterable[str], report: Report) -> None:
    """Keep each port that is ours or free, and choose another for the rest.

    A running server whose needed server has moved is ended: it would look for it at the old port.
    """
    chosen = read_ports(home)
    moved = set()
    for name in names:
        server = SERVERS[name]
        site = site_of(home, name, report)
        if moved.intersection(server.needs):
            server.stop(site)
        if processes.running(site):
            continue
        for port in server.ports:
            if port not in chosen or not ports.is_free(chosen[port]):
                chosen[port] = ports.find_free(chosen.values())
                moved.add(name)
    write_ports(home, chosen)


def _end(home: Path, names: Iterable[str], report: Report) -> list[str]:
    """End servers, those first that need others; the rest at once. Return the names of those that ran."""
    ended = []
    remaining = [SERVERS[name] for name in names]
    while remaining:
        needed = {need for server in remaining for need in server.needs}
        free = [server for server in remaining if server.name not in needed]
        # Connect before the databases that its connectors read: their loss would fail its tasks.
        free = [server for server in free if server.needs] or free
        with ThreadPoolExecutor() as threads:
            results = threads.map(lambda server: server.stop(site_of(home, server.name, report)), free)
            for server, was_running in zip(free, results, strict=True):
                if was_running:
                    report(f"{server.name}: ended")
                    ended.append(server.name)
        remaining = [server for server in remaining if server not in free]
    return ended


def _with_needs(names: Iterable[str]) -> list[str]:
    unknown = sorted(set(names) - set(SERVERS))
    if unknown:
        known = ", ".join(SERVERS)
        raise LocalStackError(server=", ".join(unknown), reason=f"there is no such server; there are {known}.")
    wanted = set(names).union(*(SERVERS[name].needs for name in names))
    return [name for name in SERVERS if name in wanted]


def site_of(home: Path, name: str, report: Report = silent) -> Site:
    """Where a server of this stack lives."""
    return Site(home, name, read_ports(home), report)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One `up` or `down` at a time; the folder ignores itself in git, wherever it is."""
    home.mkdir(parents=True, exist_ok=True)
    (home / ".gitignore").write_text("*\n")
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
