"""The order of things: which servers there are, who waits for whom, and who is ended first."""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import names, ports, processes, site
from cdc_pipeline.local.connect import Connect
from cdc_pipeline.local.kafka import Kafka
from cdc_pipeline.local.mariadb import MariaDb
from cdc_pipeline.local.mysql import MySql
from cdc_pipeline.local.postgresql import PostgreSql
from cdc_pipeline.local.server import Server
from cdc_pipeline.local.site import Report, Site, read_ports, write_ports

DEFAULT = ("mysql", "postgresql", "kafka", "connect")  # the others are started by those who ask for them
_CLASSES: dict[str, type[Server]] = {each.kind: each for each in (MySql, MariaDb, PostgreSql, Kafka, Connect)}

default_home = site.default_home


@dataclass(frozen=True)
class Endpoints:
    """Where each server serves, with credentials; None for one that does not run.

    `kafka` and `connect` are those that run, whichever their version; `others` has all that have a longer name.
    """

    mysql: str | None = None
    mariadb: str | None = None
    postgresql: str | None = None
    kafka: str | None = None
    connect: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str | None:
        """Where the server of this name serves: `mysql`, `postgresql-14`."""
        return self.others.get(name) or (getattr(self, name) if name in names.KINDS else None)

    def all(self) -> dict[str, str]:
        """Where each server serves that does, by its name."""
        plain = {kind: getattr(self, kind) for kind in names.KINDS}
        return {name: url for name, url in plain.items() if url} | dict(self.others)


def silent(_line: str) -> None:
    """Report to nobody."""


def up(home: Path, report: Report = silent, servers: Sequence[str] = DEFAULT) -> Endpoints:
    """Start what does not run yet of `servers` and what they need; return when all of them answer.

    A server is known by its name (names.py). Of Kafka and Connect there is one at a time: another version takes the
    place of the one that runs, and `kafka` or `connect` without a version means the one that runs, if one does. Who
    asks for what runs is answered at once, whatever somebody else is starting.
    """
    home = home.resolve()
    running = status(home)
    if all(running.of(name) for name in _with_needs(home, servers)):
        return running
    with _locked(home):
        wanted = _with_needs(home, servers)
        _give_way(home, wanted, report)
        _choose_ports(home, wanted, report)
        with ThreadPoolExecutor(max_workers=len(wanted)) as threads:
            started: dict[str, Future[None]] = {}
            for name in wanted:  # a server's needs stand before it, so their futures are there
                server = server_of(name)
                needs = [started[each] for each in started if server_of(each).kind in server.needs]
                started[name] = threads.submit(_bring_up, server, site_of(home, name, report), needs)
        for future in started.values():
            future.result()
    return status(home)


def status(home: Path) -> Endpoints:
    """The servers that run and answer now."""
    home = home.resolve()
    urls, others = {}, {}
    for name in known(home):
        server, site = server_of(name), site_of(home, name)
        if processes.running(site) and server.answers(site):
            if name == server.kind or server.kind in names.ALONE:
                urls[server.kind] = server.url(site)
            if name != server.kind:
                others[name] = server.url(site)
    return Endpoints(**urls, others=others)


def known(home: Path) -> list[str]:
    """The names of the servers that were ever started here and not purged since, in the order of starting."""
    if not home.exists():
        return []
    found = [folder.name for folder in home.iterdir() if folder.is_dir() and names.is_name(folder.name)]
    return sorted(found, key=_in_order)


def asked_for(home: Path, further: Sequence[str] = ()) -> list[str]:
    """The servers that should run: the default ones, those that were started and not ended by `down` since, and these
    further ones."""
    home = home.resolve()
    replaced = {server_of(name).kind for name in further}.intersection(names.ALONE)
    started = [name for name in _recorded(home) if server_of(name).kind not in replaced]
    return _with_needs(home, [*DEFAULT, *started, *further])


def versions_of(home: Path) -> dict[str, str]:
    """The version of each server that was ever started here, by the server's name."""
    home = home.resolve()
    return {name: server_of(name).known_version(site_of(home, name)) or "" for name in known(home)}


def down(home: Path, report: Report = silent, servers: Sequence[str] | None = None) -> list[str]:
    """End those of `servers` (all, if none are named) that `up` started here and nothing else; return their names."""
    home = home.resolve()
    if not home.exists():
        return []
    with _locked(home):
        return _end(home, known(home) if servers is None else servers, report)


def purge(home: Path, report: Report = silent) -> list[Path]:
    """End the servers and delete their data and passwords; report and return each path that goes."""
    home = home.resolve()
    if not home.exists():
        return []
    with _locked(home):
        doomed = known(home)
        _end(home, doomed, report)
        gone: list[Path] = []
        for name in doomed:
            gone += site_of(home, name, report).remove()
    return gone


def server_of(name: str) -> Server:
    """The server of that name; an error if there can be none."""
    return _CLASSES[names.parse(name).kind](name)


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
    site.report(f"{server.name}: answers on port {site.ports[server.ports[0]]}")


def _give_way(home: Path, wanted: Iterable[str], report: Report) -> None:
    """End the Kafka and the Connect that others take the place of, and a Connect whose Kafka goes."""
    coming = {server_of(name).kind: name for name in wanted}
    leaving = [
        name
        for name in _recorded(home)
        if server_of(name).kind in names.ALONE and coming.get(server_of(name).kind, name) != name
    ]
    gone = {server_of(name).kind for name in leaving}
    leaving += [name for name in _recorded(home) if gone.intersection(server_of(name).needs) and name not in leaving]
    _end(home, leaving, report)


def _choose_ports(home: Path, wanted: Iterable[str], report: Report) -> None:
    """Keep each port that is ours or free, and choose another for the rest.

    A running server whose needed server has moved is ended: it would look for it at the old port.
    """
    chosen = read_ports(home)
    moved = set()
    for name in wanted:
        server = server_of(name)
        site = site_of(home, name, report)
        if moved.intersection(server.needs):
            server.stop(site)
        if processes.running(site):
            continue
        for port in server.ports:
            if port not in chosen or not ports.is_free(chosen[port]):
                chosen[port] = ports.find_free(chosen.values())
                moved.add(server.kind)
    write_ports(home, chosen)


def _end(home: Path, leaving: Iterable[str], report: Report) -> list[str]:
    """End servers, those first that need others; the rest at once. Return the names of those that ran."""
    ended = []
    remaining = [server_of(name) for name in leaving]
    while remaining:
        needed = {need for server in remaining for need in server.needs}
        free = [server for server in remaining if server.kind not in needed]
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


def _with_needs(home: Path, servers: Iterable[str]) -> list[str]:
    """The servers and those that they need, each once, in the order of starting; one Kafka and one Connect."""
    wanted = {name: server_of(name) for name in servers}
    for kind in {need for server in wanted.values() for need in server.needs}:
        wanted.setdefault(kind, server_of(kind))
    for kind in names.ALONE:
        named = [name for name, server in wanted.items() if server.kind == kind]
        if named:
            the_one = _the_one(home, kind, named)
            wanted = {name: server for name, server in wanted.items() if server.kind != kind}
            wanted[the_one] = server_of(the_one)
    return sorted(wanted, key=_in_order)


def _the_one(home: Path, kind: str, named: Sequence[str]) -> str:
    """The Kafka or Connect that is meant: one that is named at length, else the one that runs, else the default."""
    at_length = [name for name in named if name != kind]
    if len(at_length) > 1:
        reason = f"a home has one {kind} at a time; CDC_PIPELINE_LOCAL=FOLDER makes another home."
        raise LocalStackError(server=", ".join(at_length), reason=reason)
    started = [name for name in _recorded(home) if server_of(name).kind == kind]
    return next(iter([*at_length, *started, kind]))


def _recorded(home: Path) -> list[str]:
    return [name for name in known(home) if processes.recorded(site_of(home, name))]


def _in_order(name: str) -> tuple[int, str]:
    return names.KINDS.index(names.parse(name).kind), name


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
