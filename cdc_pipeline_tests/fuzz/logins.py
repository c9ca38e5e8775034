"""Logins for the product that may do what docs/databases.md asks for, and no more."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from cdc_pipeline_tests.fuzz.servers import Refused, Session

_PASSWORD = "not-a-secret"
_SOURCE = ("REPLICATION SLAVE, REPLICATION CLIENT ON *.*", "RELOAD ON *.*", "SELECT, LOCK TABLES ON `{database}`.*")
_TARGET = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE TEMPORARY TABLES ON `{database}`.*",
)


def create(kind: str, role: str, session: Session, name: str, database: str) -> None:
    """`session` is an administrator's, in the database."""
    if kind == "postgresql":
        session.run(f"CREATE ROLE {name} LOGIN PASSWORD '{_PASSWORD}'" + (" REPLICATION" if role == "source" else ""))
        session.run(f'GRANT CREATE ON DATABASE "{database}" TO {name}')
        session.run(f"GRANT USAGE, CREATE ON SCHEMA public TO {name}")
        if role == "source":  # a publication can only name tables of its owner, or of a role that it is granted
            session.run(f"GRANT postgres TO {name}")
        return
    session.run(f"CREATE USER {name}@'%' IDENTIFIED BY '{_PASSWORD}'")
    for grant in _SOURCE if role == "source" else _TARGET:
        session.run(f"GRANT {grant.format(database=database)} TO {name}@'%'")


def drop(kind: str, session: Session, name: str) -> None:
    """When its database is gone. What else it has would be in the way, and is told by the server."""
    try:
        session.run(f"DROP ROLE {name}" if kind == "postgresql" else f"DROP USER {name}@'%'")
    except Refused:
        if kind != "postgresql":
            raise
        session.run(f"DROP OWNED BY {name}")
        session.run(f"DROP ROLE {name}")


def url_of(url: str, name: str) -> str:
    """The same server, for this login."""
    parts = urlsplit(url)
    address = (parts.netloc.rpartition("@")[2]) or ""
    return urlunsplit(parts._replace(netloc=f"{name}:{_PASSWORD}@{address}"))
