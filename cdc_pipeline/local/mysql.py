"""MySQL with everything Debezium asks of a source: GTIDs, row images, full row metadata."""

from __future__ import annotations

from pathlib import Path

import pymysql

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import processes
from cdc_pipeline.local.cache import empty_draft
from cdc_pipeline.local.ports import LOOPBACK
from cdc_pipeline.local.programs import Programs
from cdc_pipeline.local.server import Server
from cdc_pipeline.local.site import Site, password_of, unprivileged_account, write_private

_ACCESS_DENIED = 1045


class MySql(Server):
    """A server on TCP only; `root` logs in with the generated password.

    Logins stay with MySQL's default, caching_sha2_password: PyMySQL, Connector/Python (C and pure) and Debezium
    all manage it. Debezium does so over TLS, its default; with `database.ssl.mode=disabled` it would also need
    `driver.allowPublicKeyRetrieval=true`.
    """

    kind = "mysql"
    driver = "mysql+pymysql"
    program = "mysqld"

    def prepare(self, site: Site) -> None:
        """Make the data directory, whole or not at all."""
        account = unprivileged_account()
        files = site.make_files(account)
        password_of(site.home, self.name)
        programs = self.programs(site)
        if (files / "data").exists():
            return
        site.report(f"{self.name}: making a new data directory")
        draft = empty_draft(files / "data")
        processes.run(site, self._initialize(site, programs, draft), account, programs.environment)
        draft.rename(files / "data")

    def start(self, site: Site) -> None:
        """Start the server; root's password comes from a file that is gone before we return.

        The data directory is made without a password, but the init file runs before the server accepts its first
        connection: there is no moment at which one gets in without.
        """
        account = unprivileged_account()
        programs = self.programs(site)
        password = password_of(site.home, self.name)
        init_file = site.files / "login.sql"
        statements = f"SET sql_log_bin = 0;\nALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';\n"
        write_private(init_file, statements, owner=account)
        command = [*self._command(site, programs, site.files / "data"), f"--init-file={init_file}"]
        try:
            processes.spawn(site, command, account, programs.environment)
            processes.wait_until_ready(site, lambda: self.answers(site))
        finally:
            init_file.unlink()  # the server has read it, or is gone

    def answers(self, site: Site) -> bool:
        """Whether root can log in."""
        try:
            pymysql.connect(
                host=LOOPBACK,
                port=site.port,
                user="root",
                password=password_of(site.home, self.name),
                connect_timeout=3,
            ).close()
        except pymysql.err.OperationalError as error:
            if error.args[0] == _ACCESS_DENIED:
                reason = f"port {site.port} answers, but refuses the password in {site.home / 'secrets'}."
                raise LocalStackError(server=self.name, reason=reason) from None
            return False
        return True

    def url(self, site: Site) -> str:
        return f"{self.driver}://root:{password_of(site.home, self.name)}@{LOOPBACK}:{site.port}/"

    def _initialize(self, site: Site, programs: Programs, data: Path) -> list[str | Path]:
        """The command that makes a data directory."""
        return [*self._command(site, programs, data), "--initialize-insecure"]

    def _command(self, site: Site, programs: Programs, data: Path) -> list[str | Path]:
        """The server with all its options; of those that are given twice the last one counts."""
        asked = [f"--{option}" for option in self.asked.options]
        own = self._own_options(programs)
        return [programs.find(self.program), *self._options(site), *own, *asked, f"--datadir={data}"]

    def _options(self, site: Site) -> list[str]:
        """What both MySQL and MariaDB take."""
        temporary = site.files / "tmp"
        if not temporary.exists():
            temporary.mkdir(mode=0o1777)
            temporary.chmod(0o1777)  # the folder above lets nobody else in
        return [
            "--no-defaults",  # the first option, or mysqld reads /etc/my.cnf before it
            f"--bind-address={LOOPBACK}",
            f"--port={site.port}",
            "--socket=mysql.sock",  # relative to the data directory: a whole path may exceed 107 characters
            f"--tmpdir={temporary}",
            "--server-id=1",
            "--log-bin=binlog",
            "--binlog-format=ROW",
            "--binlog-row-image=FULL",
            "--binlog-row-metadata=FULL",  # column names and signedness in the log itself
            "--binlog-expire-logs-seconds=604800",
            "--character-set-server=utf8mb4",
            "--local-infile=1",
            "--max-connections=300",
            "--max-allowed-packet=64M",
            "--innodb-buffer-pool-size=256M",
            "--innodb-flush-log-at-trx-commit=2",  # survives kill -9, may lose a second at a power cut
            "--performance-schema=OFF",  # 200 MB of memory and a second of start-up
        ]

    def _own_options(self, programs: Programs) -> list[str]:
        """What this one takes."""
        return [
            "--mysqlx=OFF",  # would listen on a port of its own
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            *where_its_files_are(programs.base, programs.base / "share" / "mysql"),
        ]


def where_its_files_are(base: Path, share: Path) -> list[str]:
    """For a server that was made for /usr and is somewhere else; the others look beside themselves."""
    if not share.exists():
        return []
    return [
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share / 'charsets'}",
        f"--plugin-dir={base / 'lib' / 'mysql' / 'plugin'}",
        "--secure-file-priv=",
    ]
