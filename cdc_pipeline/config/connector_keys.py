"""Debezium properties that the promise rests on: a replication file may not set them."""

from __future__ import annotations

RESERVED_CONNECTOR_KEYS = frozenset(
    (
        "bigint.unsigned.handling.mode",
        "binary.handling.mode",
        "column.exclude.list",
        "column.include.list",
        "connector.class",
        "enable.time.adjuster",
        "database.dbname",
        "database.hostname",
        "database.include.list",
        "database.password",
        "database.pdb.name",
        "database.port",
        "database.url",
        "database.user",
        "decimal.handling.mode",
        "errors.tolerance",
        "event.deserialization.failure.handling.mode",
        "event.processing.failure.handling.mode",
        "extended.headers.enabled",
        "field.name.adjustment.mode",
        "heartbeat.action.query",
        "heartbeat.interval.ms",
        "inconsistent.schema.handling.mode",
        "hstore.handling.mode",
        "include.unknown.datatypes",
        "interval.handling.mode",
        "legacy.decimal.handling.strategy",
        "lob.enabled",
        "log.mining.strategy",
        "message.key.columns",
        "message.prefix.exclude.list",
        "message.prefix.include.list",
        "money.fraction.digits",
        "name",
        "offset.mismatch.strategy",
        "plugin.name",
        "producer.override.buffer.memory",
        "producer.override.max.request.size",
        "provide.transaction.metadata",
        "publication.autocreate.mode",
        "publication.name",
        "schema.history.internal.kafka.bootstrap.servers",
        "schema.history.internal.kafka.topic",
        "schema.history.internal.skip.unparseable.ddl",
        "skipped.operations",
        "slot.name",
        "snapshot.mode",
        "table.exclude.list",
        "table.include.list",
        "tasks.max",
        "time.precision.mode",
        "tombstones.on.delete",
        "topic.delimiter",
        "topic.heartbeat.prefix",
        "topic.naming.strategy",
        "topic.prefix",
        "unavailable.value.placeholder",
    )
)

# With all that such a part takes: `value.converter.decimal.format`, `transforms.route.regex`.
_RESERVED_PARTS = ("converters", "header.converter", "key.converter", "predicates", "transforms", "value.converter")


def is_reserved(key: str) -> bool:
    """Whether cdc-pipeline alone sets this property of a connector."""
    return key in RESERVED_CONNECTOR_KEYS or any(key == part or key.startswith(f"{part}.") for part in _RESERVED_PARTS)
