"""PostgreSQL with logical decoding."""

from __future__ import annotations

import signal
from pathlib import Path

import psycopg2

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import processes
from cdc_pipeline.local.cache import empty_draft
from cdc_pipeline.local.ports import LOOPBACK
from cdc_pipeline.local.server import Server
from cdc_pipeline.local.site import Site, password_of, unprivileged_account, write_private

_FIRST_WITH_BUILTIN_LOCALES = 17


class PostgreSql(Server):
    """A server on TCP only; the superuser `postgres` logs in with the generated password (scram-sha-256)."""

    kind = "postgresql"

    def prepare(self, site: Site) -> None:
        """Make the data directory, whole or not at all."""
        account = unprivileged_account()
        files = site.make_files(account)
        password = password_of(site.home, self.name)
        programs = self.programs(site)
        if (files / "data").exists():
            return
        site.report(f"{self.name}: making a new data directory")
        draft = empty_draft(files / "data")
        password_file = files / "password"
        write_private(password_file, password, owner=account)
        command: list[str | Path] = [
            programs.find("initdb"),
            f"--pgdata={draft}",
            "--username=postgres",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",  # the same order of text on every machine, whatever locales it has
        ]
        if int(self.version(site)) >= _FIRST_WITH_BUILTIN_LOCALES:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            processes.run(site, command, account, programs.environment)
        finally:
            password_file.unlink()
        draft.rename(files / "data")

    def start(self, site: Site) -> None:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": site.port,
            "unix_socket_directories": "",
            "wal_level": "logical",
            "max_replication_slots": 40,
            "max_wal_senders": 40,
            "max_connections": 200,
            "max_wal_size": "2GB",
            "shared_buffers": "128MB",
            **self.asked.settings,
        }
        programs = self.programs(site)
        command: list[str | Path] = [programs.find("postgres"), "-D", site.files / "data"]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        processes.spawn(site, command, unprivileged_account(), programs.environment)
        processes.wait_until_ready(site, lambda: self.answers(site))

    def answers(self, site: Site) -> bool:
        """Whether the superuser can log in."""
        try:
            psycopg2.connect(
                host=LOOPBACK,
                port=site.port,
                user="postgres",
                password=password_of(site.home, self.name),
                dbname="postgres",
                connect_timeout=3,
            ).close()
        except psycopg2.OperationalError as error:
            # psycopg2 gives no code for a failed login; the server's sentence is fixed by --locale=C.
            if "password authentication failed" in str(error):
                reason = f"port {site.port} answers, but refuses the password in {site.home / 'secrets'}."
                raise LocalStackError(server=self.name, reason=reason) from None
            return False
        return True

    def url(self, site: Site) -> str:
        password = password_of(site.home, self.name)
        return f"postgresql+psycopg2://postgres:{password}@{LOOPBACK}:{site.port}/postgres"

    def stop(self, site: Site) -> bool:
        """SIGINT is PostgreSQL's "fast" shutdown; SIGTERM would wait until every client has left."""
        return processes.end(site, signal.SIGINT)
