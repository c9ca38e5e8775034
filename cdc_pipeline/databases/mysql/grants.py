"""What a MySQL login may do, read from SHOW GRANTS."""

from __future__ import annotations

import re

from sqlalchemy import Connection

_GRANT = re.compile(r"^GRANT (?P<privileges>.+?) ON (?P<schema>\*|`(?:[^`]|``)*`)\.(?P<table>\*|`(?:[^`]|``)*`) TO ")
_WILDCARDS = {"%": ".*", "_": "."}


class Grants:
    """Every grant that is in force for a connection's login, those of its active roles too."""

    def __init__(self, connection: Connection) -> None:
        matches = [_GRANT.match(row[0]) for row in connection.exec_driver_sql(self.statement(connection))]
        self.grants = [
            ({name.strip() for name in m["privileges"].split(",")}, m["schema"].strip("`").replace("``", "`"))
            for m in matches
            if m and m["table"] == "*"
        ]

    def statement(self, connection: Connection) -> str:
        roles = connection.exec_driver_sql("SELECT CURRENT_ROLE()").scalar()
        return "SHOW GRANTS" + ("" if roles in (None, "NONE") else f" FOR CURRENT_USER() USING {roles}")

    def has(self, privilege: str, schema: str | None = None) -> bool:
        """Whether a privilege is granted globally or on the schema (whose name in a grant is a LIKE pattern)."""
        return any(
            ("ALL PRIVILEGES" in names or privilege in names)
            and (pattern == "*" or (schema is not None and _like(pattern, schema)))
            for names, pattern in self.grants
        )


def _like(pattern: str, value: str) -> bool:
    parts = re.findall(r"\\.|.", pattern)
    return re.fullmatch("".join(_WILDCARDS.get(p) or re.escape(p[-1]) for p in parts), value) is not None
