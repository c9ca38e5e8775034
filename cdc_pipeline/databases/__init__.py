"""Every database there is, by the name that a URL begins with."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from cdc_pipeline.config import Endpoint
from cdc_pipeline.databases.source import Source
from cdc_pipeline.databases.target import Target

# kind: (module of the source's class, module of the target's class); imported on use, with their drivers.
_BACKENDS = {
    "mysql": ("mysql.source:MySqlSource", "mysql.target:MySqlTarget"),
    "mariadb": ("mariadb.source:MariaDbSource", "mariadb.target:MariaDbTarget"),
    "postgresql": ("postgresql.source:PostgreSqlSource", "postgresql.target:PostgreSqlTarget"),
    "oracle": ("oracle.source:OracleSource", "oracle.target:OracleTarget"),
}


def open_source(endpoint: Endpoint) -> Source:
    """The database of this endpoint, as a source. Connects lazily."""
    return _load(_BACKENDS[endpoint.kind][0])(endpoint.resolve(), endpoint.options)


def open_target(endpoint: Endpoint) -> Target:
    """The database of this endpoint, as a target. Connects lazily."""
    return _load(_BACKENDS[endpoint.kind][1])(endpoint.resolve(), endpoint.options)


def _load(name: str) -> Callable:
    module, _, attribute = name.partition(":")
    return getattr(import_module(f"{__name__}.{module}"), attribute)
