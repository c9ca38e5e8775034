"""Which versions of servers are tried as what, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cdc_pipeline.local import names, versions

ROLES = ("source", "target")
# The other end of a trial: the home's default server of another family.
PARTNER = {"mysql": "postgresql", "mariadb": "postgresql", "postgresql": "mysql"}
# MySQL's own default leaves the columns' names out of its log; the embedded servers write them.
FURTHER = ["mysql-8.0+binlog-row-metadata=MINIMAL", "mysql-9.7+binlog-row-metadata=MINIMAL"]
VERSIONS = [
    f"{kind}-{version}"
    for kind in names.DATABASES
    for version, origin in versions.ORIGINS[kind].items()
    if not isinstance(origin, versions.Installed)
]
# Checks of step 1 that are about versions.
ABOUT_VERSIONS = ("source version", "target version", "Kafka Connect version", "Debezium plugin")


@dataclass(frozen=True)
class Trial:
    """A server in a role, opposite the default one of another family."""

    server: str
    role: str

    @property
    def ends(self) -> tuple[str, str]:
        """The names of source and target."""
        partner = PARTNER[names.parse(self.server).kind]
        return (self.server, partner) if self.role == "source" else (partner, self.server)

    def __str__(self) -> str:
        return f"{self.role}-{self.server}"


TRIALS = [
    *(Trial(server, role) for server in VERSIONS for role in ROLES),
    *(Trial(server, "source") for server in FURTHER),
]


@dataclass(frozen=True)
class Steps:
    """Notes what passed and what did not. What comes after a failure is not noted: nobody knows."""

    note: Callable[[str, object], None]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.note(name, "failed")
            raise
        self.note(name, "passed")
