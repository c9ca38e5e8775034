"""What a login must be granted to be a source, as Debezium's documentation lists it for LogMiner. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

VIEWS = (
    "V_$DATABASE", "V_$LOG", "V_$LOG_HISTORY", "V_$LOGMNR_LOGS", "V_$LOGMNR_CONTENTS", "V_$LOGMNR_PARAMETERS",
    "V_$LOGFILE", "V_$ARCHIVED_LOG", "V_$ARCHIVE_DEST_STATUS", "V_$TRANSACTION", "V_$MYSTAT", "V_$STATNAME",
)  # fmt: skip
PACKAGES = ("DBMS_LOGMNR", "DBMS_LOGMNR_D")
# CREATE TABLE: the connector keeps a small table of its own, by which it has the log written out.
PRIVILEGES = ("CREATE TABLE", "LOGMINING")
ROLES = ("SELECT_CATALOG_ROLE", "EXECUTE_CATALOG_ROLE")


@dataclass(frozen=True)
class Grants:
    """What a session has: system privileges, roles, and of SYS's objects the privileges by name."""

    privileges: Collection[str] = ()
    roles: Collection[str] = ()
    objects: Collection[tuple[str, str]] = field(default=())  # name, privilege

    @property
    def is_administrator(self) -> bool:
        return "DBA" in self.roles

    def missing(self) -> Iterator[str]:
        """What to GRANT, each as it stands behind that word."""
        if self.is_administrator:
            return
        yield from (name for name in PRIVILEGES if name not in self.privileges)
        yield from (name for name in ROLES if name not in self.roles)
        for view in VIEWS:
            if not self._may_select(view):
                yield f"SELECT ON SYS.{view}"
        for package in PACKAGES:
            through = {"EXECUTE_CATALOG_ROLE"} & set(self.roles) or {"LOGMINING"} & set(self.privileges)
            if not through and (package, "EXECUTE") not in self.objects:
                yield f"EXECUTE ON SYS.{package}"

    def _may_select(self, view: str) -> bool:
        if "SELECT_CATALOG_ROLE" in self.roles or "SELECT ANY DICTIONARY" in self.privileges:
            return True
        return bool({(view, "SELECT"), (view, "READ")} & set(self.objects))
