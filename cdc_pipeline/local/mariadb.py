"""MariaDB: what is its own beside MySQL."""

from __future__ import annotations

from pathlib import Path

from cdc_pipeline.local.mysql import MySql, where_its_files_are
from cdc_pipeline.local.programs import Programs
from cdc_pipeline.local.site import Site


class MariaDb(MySql):
    """A server on TCP only; `root` logs in with the generated password (mysql_native_password, its default)."""

    kind = "mariadb"
    driver = "mariadb+pymysql"
    program = "mariadbd"

    def _initialize(self, site: Site, programs: Programs, data: Path) -> list[str | Path]:
        """MariaDB's own script. "socket" makes the one login root@localhost, that has no valid password; "normal"
        would make others beside it, for this host's names, which need none."""
        return [
            programs.find("mariadb-install-db"),
            "--no-defaults",
            f"--basedir={programs.base}",
            f"--datadir={data}",
            "--auth-root-authentication-method=socket",
            "--auth-root-socket-user=root",
            "--skip-test-db",
            "--force",  # asks no name server for this host
        ]

    def _own_options(self, programs: Programs) -> list[str]:
        return [
            "--gtid-strict-mode=ON",  # the numbers of a domain only grow
            "--loose-binlog-legacy-event-pos=ON",  # each event has a place in the log; before 11.4 it always had
            "--skip-ssl",  # a key made anew takes four seconds at each start, and nothing leaves this machine
            *where_its_files_are(programs.base, programs.base / "share" / "mariadb"),
        ]
