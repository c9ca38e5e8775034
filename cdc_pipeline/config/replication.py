"""What a replication file says, checked as a whole, and every name that follows from it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from cdc_pipeline.config.alerts import Alerts
from cdc_pipeline.config.base import Model
from cdc_pipeline.config.connector_keys import is_reserved
from cdc_pipeline.config.endpoints import Connect, Endpoint, Heartbeat, Kafka
from cdc_pipeline.config.rules import TableRule, table_rule
from cdc_pipeline.config.schedules import Schedules
from cdc_pipeline.model import TableId

_LONGEST_TOPIC = 249  # Kafka's limit


class ReplicationConfig(Model):
    """One replication, as its owner wrote it."""

    name: str
    client: int
    database: int
    config: int
    source: Endpoint
    target: Endpoint
    kafka: Kafka
    connect: Connect
    connector: dict[str, str] = Field(default_factory=dict, repr=False)
    heartbeat: Heartbeat = Field(default_factory=lambda: Heartbeat.model_validate({}))
    alerts: Alerts = Field(default_factory=lambda: Alerts.model_validate({}))
    schedules: Schedules = Field(default_factory=lambda: Schedules.model_validate({}))
    tables: tuple[TableRule, ...]
    owners: tuple[str, ...] = Field((), description="of the target tables in Dagster: team:data, somebody@example.com")
    hash_salt: SecretStr | None = Field(None, description="a secret in front of each text that is hashed")
    group: str | None = Field(None, description="overrides the consumer group's generated name")
    parallel_tables: int = Field(4, ge=1, le=64, description="how many tables the initial copy reads at a time")
    range_rows: int = Field(
        100_000, ge=1, description="a table of more rows is copied in ranges of its primary key, several at a time"
    )
    parallel_ranges: int = Field(
        min(4, os.cpu_count() or 1), ge=1, le=64, description="how many ranges of one table are copied at a time"
    )
    foreign_keys: bool = Field(False, description="make the source's foreign keys in the target too")
    schema_changes: Literal["evolve", "stop", "ignore"] = Field(
        "evolve", description="whether a table that changes in the source is synced again by itself, stops, or goes on"
    )
    apply: Literal["batches", "transactional"] = Field(
        "batches", description="whether a reader of the target may see a part of one of the source's transactions"
    )
    quarantine_rows: int = Field(100, ge=0, description="a table stops when events of more rows are set aside")
    batch_events: int = Field(20_000, ge=1, description="at most so many events in one target transaction")

    @field_validator("tables", mode="before", json_schema_input_type=list[str | dict[str, Any]])
    @classmethod
    def _table_rules(cls, value: Any) -> Any:
        if not isinstance(value, list) or not value:
            raise ValueError("must be a list of table names or patterns")
        return tuple(table_rule(entry) for entry in value)

    @field_validator("connector", mode="before", json_schema_input_type=dict[str, str | int | float | bool])
    @classmethod
    def _connector_properties(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("must map Debezium properties to values")
        for key in value:
            if is_reserved(str(key)):
                raise ValueError(f"{key} is set by cdc-pipeline itself, because exactness rests on it; remove it")
        return {str(k): str(v).lower() if isinstance(v, bool) else str(v) for k, v in value.items()}

    @model_validator(mode="after")
    def _patterns_have_no_fixed_target(self) -> ReplicationConfig:
        for rule in self.tables:
            if rule.is_pattern and rule.target and "{table}" not in rule.target:
                raise ValueError(f"tables: {rule.pattern} may match many tables, its target must contain {{table}}")
        return self

    @model_validator(mode="after")
    def _salt_can_be_kept_secret(self) -> ReplicationConfig:
        if self.source.kind == "oracle" and self.hash_salt and any(rule.hash for rule in self.tables):
            raise ValueError("hash_salt: with an Oracle source, its server would show the salt to others; leave it out")
        return self

    @property
    def ignores_changes(self) -> bool:
        return self.schema_changes == "ignore"

    @property
    def salt(self) -> str:
        return self.hash_salt.get_secret_value() if self.hash_salt else ""

    @model_validator(mode="after")
    def _only_mysql_and_mariadb_beat_in_a_table(self) -> ReplicationConfig:
        reasons = {
            "postgresql": "PostgreSQL needs none: its log takes messages",
            "oracle": "Oracle has not been tried with one",
        }
        if self.heartbeat.table and self.source.kind in reasons:
            raise ValueError(f"heartbeat.table: only of a MySQL or MariaDB source; {reasons[self.source.kind]}")
        return self

    @property
    def heartbeat_table(self) -> TableId | None:
        if self.heartbeat.table is None:
            return None
        schema, _, name = self.heartbeat.table.rpartition(".")
        return TableId(schema or self.source.database, name)

    @property
    def heartbeat_topic(self) -> str | None:
        """Where the source's heartbeats come; None where it sends none."""
        if self.heartbeat_table is not None:
            return self.topic(self.heartbeat_table)
        return f"{self.topic_prefix}.message" if self.source.kind == "postgresql" else None

    @property
    def marks_topic(self) -> str | None:
        """Where Debezium tells of the source's transactions, if they are applied whole."""
        return f"{self.topic_prefix}.transaction" if self.apply == "transactional" else None

    @property
    def own_topics(self) -> list[str]:
        """What cdc-pipeline and Debezium keep in Kafka beside the topics of tables."""
        prefix = self.topic_prefix
        beside = [f"{prefix}.{part}" for part in ("schema_history", "message", "transaction")]
        return sorted({prefix, *beside, f"__debezium-heartbeat.{prefix}", *filter(None, [self.heartbeat_topic])})

    @property
    def connector_name(self) -> str:
        return f"client_{self.client}_db_{self.database}_connector"

    @property
    def topic_prefix(self) -> str:
        return f"client_{self.client}_db_{self.database}"

    @property
    def slot_name(self) -> str:
        """Names the PostgreSQL slot and publication; 63 lower-case characters at most, which two integers keep."""
        return f"cdc_pipeline_{self.client}_{self.database}"

    @property
    def group_prefix(self) -> str:
        return f"cdc_consumer_{self.client}_{self.config}_"

    def fresh_group(self) -> str:
        """A consumer group that nobody used before: each start of a stream has its own."""
        return self.group or f"{self.group_prefix}{int(time.time())}"

    def topic(self, table: TableId) -> str:
        """The topic that Debezium writes this table's changes to: each UTF-16 code unit that Kafka does not allow is
        replaced, and what is too long for Kafka cut off. Different tables may have one topic: see topics.py."""
        name = f"{self.topic_prefix}.{table.schema}.{table.name}"
        allowed = re.sub(r"[^a-zA-Z0-9._-]", lambda found: "_" * (2 if found[0] > "\uffff" else 1), name)
        return allowed[:_LONGEST_TOPIC]

    def target_name(self, table: TableId, rule: TableRule) -> str:
        """`[schema.]name` of the target table: the rule's, or `{source_db}_{table}`."""
        if rule.target:
            return rule.target.replace("{table}", table.name).replace("{schema}", table.schema)
        return f"{self.source.database.rsplit('/', 1)[-1]}_{table.name}"
