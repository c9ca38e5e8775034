"""Says on what the figures were measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator

import bench
import psutil
import requests
from sqlalchemy import NullPool, create_engine


def describe(endpoints: bench.Endpoints) -> str:
    """One sentence: cores, memory, and the versions of all that takes part."""
    cores, memory = len(os.sched_getaffinity(0)), psutil.virtual_memory().total / 2**30
    python = platform.python_version()
    return f"{cores} cores and {memory:.0f} GiB for all of it: {', '.join(_servers(endpoints))}, Python {python}"


def _servers(endpoints: bench.Endpoints) -> Iterator[str]:
    for kind, name, sql in (
        ("mysql", "MySQL", "SELECT version()"),
        ("postgresql", "PostgreSQL", "SHOW server_version"),
    ):
        with create_engine(getattr(endpoints, kind), poolclass=NullPool).connect() as connection:
            yield f"{name} {connection.exec_driver_sql(sql).scalar()}"
    with requests.Session() as session:
        session.trust_env = False
        yield f"Kafka {session.get(f'{endpoints.connect}/', timeout=10).json()['version']}"
        plugins = session.get(f"{endpoints.connect}/connector-plugins", timeout=10).json()
        mysql = next(plugin["version"] for plugin in plugins if plugin["class"].endswith("MySqlConnector"))
        yield f"Debezium {mysql}"
