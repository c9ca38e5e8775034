"""Kafka bytes -> ChangeEvent. Pure."""

from __future__ import annotations

import orjson

from cdc_pipeline.errors import EventNotUnderstood
from cdc_pipeline.model import ChangeEvent, Operation

_OPERATIONS = {operation.value: operation for operation in Operation}


def decode(topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None) -> ChangeEvent | None:
    """One message of a table's topic; None for a tombstone. Raises EventNotUnderstood.

    Both parts are JSON without schemas, as the connector's converters write it.
    """
    if value is None:
        return None
    try:
        body = orjson.loads(value)
        return ChangeEvent(
            topic,
            partition,
            offset,
            _OPERATIONS[body["op"]],
            orjson.loads(key) if key else None,
            body.get("before"),
            body.get("after"),
            body["source"],
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        reason = f"not a Debezium change event ({type(error).__name__}: {error})"
        raise EventNotUnderstood(topic=topic, partition=partition, offset=offset, reason=reason) from error
