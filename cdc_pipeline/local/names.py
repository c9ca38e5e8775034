"""The names of servers: a kind, a version if it is not the default one, and options if there are any.

    mysql                                     the home's default MySQL
    postgresql-14                             a PostgreSQL 14 beside it
    mysql-9.7+binlog-row-metadata=MINIMAL     a MySQL 9.7 with an option of its own; another server than mysql-9.7

What a server is follows from its name alone: two who ask for one name mean the same server, and nothing else has to
be remembered. A name is a folder's and a file's name too, which bounds what an option can say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import versions

KINDS = ("mysql", "mariadb", "postgresql", "kafka", "connect")  # in the order of starting
DATABASES = KINDS[:3]
ALONE = ("kafka", "connect")  # of these a home has one at a time

# A plus before a letter begins an option: a value may hold one before a digit, as time zones do.
_BEFORE_OPTION = re.compile(r"\+(?=[A-Za-z])")
_OPTION = re.compile(r"[A-Za-z][\w.-]*(?:=[\w.,+-]*)?", re.ASCII)
_LONGEST = 200


@dataclass(frozen=True)
class ServerName:
    """A name, taken apart."""

    text: str
    kind: str
    version: str | None  # None for the home's default one
    options: tuple[str, ...]  # each `name` or `name=value`

    @property
    def settings(self) -> dict[str, str]:
        """The options, for servers of which each one has a value."""
        return {name: value for name, _, value in (option.partition("=") for option in self.options)}


def parse(text: str) -> ServerName:
    """Take a name apart; refuse one that means no server."""
    identity, *options = _BEFORE_OPTION.split(text)
    kind, _, version = identity.partition("-")
    if kind not in KINDS or identity.endswith("-"):
        raise LocalStackError(server=text, reason=f"there is no such server; there are {', '.join(KINDS)}.")
    if version:
        versions.origin_of(kind, version)
    for option in options:
        if not _OPTION.fullmatch(option):
            reason = f"{option!r} is no option that a name can hold: name=value, of letters, digits and _ . , + -"
            raise LocalStackError(server=text, reason=reason)
        if kind == "connect" and option.startswith("debezium="):
            versions.origin_of("debezium", option.removeprefix("debezium="))
    if len(text) > _LONGEST:
        raise LocalStackError(server=text, reason=f"a server's name has at most {_LONGEST} characters.")
    return ServerName(text, kind, version or None, tuple(options))


def is_name(text: str) -> bool:
    """Whether the text names a server that there can be."""
    try:
        parse(text)
    except LocalStackError:
        return False
    return True
