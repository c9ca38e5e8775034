"""Replication files and the environment -> frozen, validated models.

One YAML file describes one replication; its stem is the replication's name. `${NAME}` in any text is taken from
the environment; what a Kafka Connect config provider resolves, `${provider:path:key}`, is left for Connect. Unknown
keys are errors that name the key and the line. `files.py` alone reads `os.environ`.
"""

from __future__ import annotations

from cdc_pipeline.config.alerts import Alerts, Email
from cdc_pipeline.config.connector_keys import RESERVED_CONNECTOR_KEYS, is_reserved
from cdc_pipeline.config.endpoints import DATABASE_KINDS, Connect, Endpoint, Heartbeat, Kafka
from cdc_pipeline.config.files import (
    FOLDER_VARIABLE,
    find_replication,
    folder_of_commands,
    load_replication,
    replication_files,
    replications_folder,
)
from cdc_pipeline.config.replication import ReplicationConfig
from cdc_pipeline.config.rules import TableRule

__all__ = [
    "DATABASE_KINDS",
    "FOLDER_VARIABLE",
    "RESERVED_CONNECTOR_KEYS",
    "Alerts",
    "Connect",
    "Email",
    "Endpoint",
    "Heartbeat",
    "Kafka",
    "ReplicationConfig",
    "TableRule",
    "find_replication",
    "folder_of_commands",
    "is_reserved",
    "load_replication",
    "replication_files",
    "replications_folder",
]
