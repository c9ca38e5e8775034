"""Whose events a topic has: Kafka's names tell less apart than a database's, so tables may come to share one. Pure.

Debezium replaces what Kafka does not allow in a name (`ReplicationConfig.topic`), and Kafka refuses a second topic that
differs from another in `.` and `_` alone (org.apache.kafka.common.internals.Topic, unifyCollisionChars).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from cdc_pipeline.errors import TopicShared
from cdc_pipeline.model import Replicated, TableId


def shared_topics(tables: Iterable[Replicated], reserved: Iterable[str]) -> dict[TableId, TopicShared]:
    """The tables that cannot have a topic of their own. `reserved` are the replication's topics that are no table's."""
    users: dict[str, list[TableId | str]] = defaultdict(list)
    for topic in reserved:
        users[_unified(topic)].append(f"what cdc-pipeline or Debezium keeps in {topic}")
    tables = list(tables)
    for table in tables:
        users[_unified(table.topic)].append(table.source)
    shared = {}
    for table in tables:
        others = [str(user) for user in users[_unified(table.topic)] if user != table.source]
        if others:
            shared[table.source] = TopicShared(table=table.source, others=", ".join(others), topic=table.topic)
    return shared


def _unified(topic: str) -> str:
    return topic.replace(".", "_")


def is_of(source: Mapping[str, Any], table: TableId) -> bool:
    """Whether an event with this Debezium `source` block is one of the table's. MySQL and MariaDB have no schema beside
    the database; one that names no table is nobody's."""
    return source.get("table") == table.name and _schema(source) == table.schema


def owner_of(source: Mapping[str, Any]) -> str:
    """The table that a Debezium `source` block names, as people see it."""
    schema, name = _schema(source), source.get("table")
    return f"{schema}.{name}" if schema and name else "no table"


def _schema(source: Mapping[str, Any]) -> Any:
    return source.get("schema") or source.get("db")
