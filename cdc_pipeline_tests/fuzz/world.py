"""One run's own databases, its replication's file, its sessions, and the product beside them."""

from __future__ import annotations

import glob
import json
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from cdc_pipeline_tests.fuzz import logins
from cdc_pipeline_tests.fuzz.contents import prepare
from cdc_pipeline_tests.fuzz.plan import RUN, SOURCE, TARGET, Plan, Statement, quote, render
from cdc_pipeline_tests.fuzz.product import Command, Outcome, Product
from cdc_pipeline_tests.fuzz.servers import Refused, Session, open_session

_DATABASE, _CONFIG = 5, 6


def _free_number() -> int:
    """A client number that no other run on these servers has; Debezium's server ids are made of it."""
    return 100_000 + int(uuid.uuid4().hex[:5], 16)


@dataclass
class World:
    """`listed` are the tables that the replication's file names."""

    plan: Plan
    product: Product
    folder: Path
    urls: dict[str, str]
    number: int = field(default_factory=_free_number)
    sessions: dict[str, Session] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    away: set[str] = field(default_factory=set)  # tables that were taken out of it
    restore: list[tuple[str, str]] = field(default_factory=list)  # statements by role, for the end
    pattern: bool = False  # or it names all that there are
    consumer: Command | None = None
    started: bool = False
    paused: bool = False
    log: list[str] = field(default_factory=list)

    @property
    def kinds(self) -> dict[str, str]:
        return {"source": self.plan.source, "target": self.plan.target}

    @property
    def databases(self) -> dict[str, str]:
        return {role: f"f{role[0]}{self.number}" for role in self.kinds}

    @property
    def connector(self) -> str:
        return f"client_{self.number}_db_{_DATABASE}_connector"

    def target_table(self, table: str) -> str:
        """As the README names it."""
        return f"{self.databases['source']}_{table}"

    # -- sessions ---------------------------------------------------------------------------------------------------

    def session(self, role: str, name: str = "main") -> Session:
        key = f"{role} {name}"
        if key not in self.sessions:
            kind = self.kinds[role]
            self.sessions[key] = open_session(kind, self.urls[kind], self.databases[role])
        return self.sessions[key]

    def lose_sessions(self, role: str | None = None) -> None:
        for key in [key for key in self.sessions if role is None or key.startswith(role)]:
            self.sessions.pop(key).close()

    def sql(self, statement: Statement | str, role: str = "source") -> str:
        kind = self.kinds[role]
        text = statement if isinstance(statement, str) else render(kind, statement)
        for mark, of in ((SOURCE, "source"), (TARGET, "target")):
            text = text.replace(mark, quote(kind, self.databases[of]))
        return text.replace(RUN, str(self.number))

    def run(self, statement: Statement | str, role: str = "source", name: str = "main") -> bool:
        """Whether the server took it; what it refuses is noted, and is nobody's failure."""
        sql = self.sql(statement, role)
        try:
            self.session(role, name).run(sql)
        except Refused as error:
            self.log.append(f"refused by {self.kinds[role]}: {sql[:300]} -- {str(error).splitlines()[0][:200]}")
            return False
        return True

    @contextmanager
    def judges_session(self, role: str) -> Iterator[Session]:
        kind = self.kinds[role]
        session = open_session(kind, self.urls[kind], self.databases[role])
        try:
            prepare(kind, session)
            yield session
        finally:
            session.close()

    # -- the product ------------------------------------------------------------------------------------------------

    def command(self, *arguments: str) -> Outcome:
        return self.product.run(self.folder, *arguments)

    @property
    def has_tables(self) -> bool:
        return bool(self.listed) or self.pattern

    def begin_consumer(self) -> Command:
        self.consumer = self.product.begin(self.folder / f"consumer{len(self.log)}.log", self.folder, "consume")
        return self.consumer

    def end_consumer(self, *, kill: bool = False) -> Outcome | None:
        """None where none was begun."""
        command, self.consumer = self.consumer, None
        return None if command is None else self.product.end(command, kill=kill)

    # -- from beginning to end --------------------------------------------------------------------------------------

    def create_databases(self) -> None:
        for role, kind in self.kinds.items():
            admin = open_session(kind, self.urls[kind], "")
            admin.run(f"CREATE DATABASE {quote(kind, self.databases[role])}")
            admin.close()
            if self.plan.logins:
                logins.create(kind, role, self.session(role), self._login(role), self.databases[role])
                self.lose_sessions()

    def _login(self, role: str) -> str:
        return f"fz{role[0]}{self.number}"

    def write_file(self) -> None:
        values = {
            "client": str(self.number),
            "database": str(_DATABASE),
            "config": str(_CONFIG),
            "source": json.dumps({"url": self._url("source")}),
            "target": json.dumps({"url": self._url("target")}),
            "kafka": json.dumps({"bootstrap_servers": self.urls["kafka"]}),
            "connect": json.dumps({"url": self.urls["connect"]}),
            "tables": json.dumps(self._rules(), ensure_ascii=False),
            **dict(self.plan.file),
        }
        text = "".join(f"{key}: {value}\n" for key, value in values.items())
        (self.folder / f"f{self.number}.yaml").write_text(text)

    def _rules(self) -> Sequence[str]:
        return ["*"] if self.pattern else [glob.escape(name) for name in self.listed]

    def _url(self, role: str) -> str:
        url = self.urls[self.kinds[role]]
        url = logins.url_of(url, self._login(role)) if self.plan.logins else url
        return urlunsplit(urlsplit(url)._replace(path=f"/{self.databases[role]}"))

    def clean_up(self) -> None:
        """Nothing of this run stays on the servers. A failure to is noted: the run has been judged by then."""
        self.end_consumer(kill=True)
        self.lose_sessions()
        for role, statement in self.restore:
            session = open_session(self.kinds[role], self.urls[self.kinds[role]], "")
            session.run(statement)
            session.close()
        outcome = self.command("teardown", "--yes")
        self.log.append(f"teardown: {outcome.code} {outcome.error} ({outcome.seconds:.1f} s)")
        for role, kind in self.kinds.items():
            admin = open_session(kind, self.urls[kind], "")
            if kind != "postgresql":
                _end_prepared(admin, f"fuzz{self.number}")
            force = " WITH (FORCE)" if kind == "postgresql" else ""
            try:
                admin.run(f"DROP DATABASE {quote(kind, self.databases[role])}{force}")
                if self.plan.logins:
                    logins.drop(kind, admin, self._login(role))
            except Refused as error:
                self.log.append(f"not dropped: {error}")
            admin.close()


def _end_prepared(admin: Session, prefix: str) -> None:
    """A prepared transaction that a plan has left holds its locks, and would hold up the DROP for ever."""
    for row in admin.run("XA RECOVER"):
        gtrid = str(row[3])
        if gtrid.startswith(prefix):
            admin.run(f"XA ROLLBACK '{gtrid}'")


@contextmanager
def world(plan: Plan, product: Product, urls: dict[str, str]) -> Iterator[World]:
    """Everything that the plan needs is there inside, and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        made = World(plan, product, Path(folder), urls, pattern=plan.pattern)
        made.create_databases()
        made.listed = [table.name for table in plan.tables]
        try:
            yield made
        finally:
            made.clean_up()
