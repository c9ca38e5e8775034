"""Kafka bytes -> ChangeEvent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from cdc_pipeline.errors import EventNotUnderstood
from cdc_pipeline.model import ChangeEvent, Operation

_NO_TRANSACTION = {"data_collection_order": 0}
_OPERATIONS = {operation.value: operation for operation in Operation}
MOVES_TO, MOVED_FROM = "__debezium.newkey", "__debezium.oldkey"  # of the DELETE and the CREATE that a new key makes

Headers = Iterable[tuple[str, bytes | str | None]] | Mapping[str, bytes | str | None]


def decode(
    topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None, headers: Headers = ()
) -> ChangeEvent | None:
    """One message of a table's topic; None for a tombstone. Raises EventNotUnderstood.

    All parts are JSON without schemas, as the connector's converters write it.
    """
    if value is None:
        return None
    try:
        body = orjson.loads(value)
        keys = dict(headers) if headers else {}
        return ChangeEvent(
            topic,
            partition,
            offset,
            _OPERATIONS[body["op"]],
            orjson.loads(key) if key else None,
            body.get("before"),
            body.get("after"),
            body["source"],
            (body.get("transaction") or _NO_TRANSACTION)["data_collection_order"],
            moves_to=_key(keys.get(MOVES_TO)),
            moved_from=_key(keys.get(MOVED_FROM)),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        reason = f"not a Debezium change event ({type(error).__name__}: {error})"
        raise EventNotUnderstood(topic=topic, partition=partition, offset=offset, reason=reason) from error


def _key(text: bytes | str | None) -> Any:
    return orjson.loads(text) if text else None
