"""Keeps tables of one database continuously equal to tables of another."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`ReplicationComponent`, by the name that a defs.yaml gives it; Dagster is imported by those who ask for it."""
    if name == "ReplicationComponent":
        return import_module("cdc_pipeline.defs.component").ReplicationComponent
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Where `dg` looks for components."""
    return [*globals(), "ReplicationComponent"]
