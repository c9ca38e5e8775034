"""Kafka bytes -> ChangeEvent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypedDict

import msgspec

from cdc_pipeline.errors import EventNotUnderstood
from cdc_pipeline.model import ChangeEvent, Operation

_OPERATIONS = {operation.value: operation for operation in Operation}
MOVES_TO, MOVED_FROM = "__debezium.newkey", "__debezium.oldkey"  # of the DELETE and the CREATE that a new key makes

Headers = Iterable[tuple[str, bytes | str | None]] | Mapping[str, bytes | str | None]


class SourceBlock(TypedDict, total=False):
    """What watermarks, trails and the time of an event ask of Debezium's source block. The rest is passed over, and so
    is an image that nobody asks for: to make objects of all of it takes as long again."""

    ts_ms: Any
    ts_us: Any
    gtid: Any  # MySQL, MariaDB
    file: Any
    pos: Any
    row: Any
    txId: Any  # PostgreSQL, Oracle
    lsn: Any
    sequence: Any
    commit_scn: Any  # Oracle
    scn: Any
    rs_id: Any
    ssn: Any


_NULL = msgspec.Raw(b"null")


class _InTransaction(msgspec.Struct, gc=False):
    data_collection_order: int


class _Body(msgspec.Struct, gc=False):
    op: str
    source: SourceBlock
    before: msgspec.Raw = _NULL
    after: dict[str, Any] | None = None
    transaction: _InTransaction | None = None


_body = msgspec.json.Decoder(_Body)
_image = msgspec.json.Decoder(dict[str, Any])


def decode(
    topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None, headers: Headers = ()
) -> ChangeEvent | None:
    """One message of a table's topic; None for a tombstone. Raises EventNotUnderstood.

    All parts are JSON without schemas, as the connector's converters write it.
    """
    if value is None:
        return None
    try:
        body = _body.decode(value)
        event = ChangeEvent(
            topic,
            partition,
            offset,
            _OPERATIONS[body.op],
            _key(key),
            None if body.before == _NULL else _Unread(body.before, topic, partition, offset),
            body.after,
            body.source,
            body.transaction.data_collection_order if body.transaction else 0,
        )
        if headers:  # few events have any
            keys = dict(headers)
            event.moves_to, event.moved_from = _key(keys.get(MOVES_TO)), _key(keys.get(MOVED_FROM))
        return event
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
        raise _not_understood(topic, partition, offset, error) from error


class _Unread(Mapping[str, Any]):
    """An image that is read when somebody asks for it: only tables without a key ask for what a row was before."""

    def __init__(self, raw: msgspec.Raw, topic: str, partition: int, offset: int) -> None:
        self._raw = raw
        self._place = topic, partition, offset

    @cached_property
    def _values(self) -> dict[str, Any]:
        """Raises EventNotUnderstood."""
        try:
            return _image.decode(self._raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _not_understood(*self._place, error) from error

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _key(text: bytes | str | None) -> Any:
    return msgspec.json.decode(text) if text else None


def _not_understood(topic: str, partition: int, offset: int, error: Exception) -> EventNotUnderstood:
    reason = f"not a Debezium change event ({type(error).__name__}: {error})"
    return EventNotUnderstood(topic=topic, partition=partition, offset=offset, reason=reason)
