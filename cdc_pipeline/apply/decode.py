"""Kafka bytes -> ChangeEvent. Pure."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping, Sequence
from functools import lru_cache
from typing import Any, Generic, TypedDict, TypeVar

import msgspec
from msgspec.structs import astuple

from cdc_pipeline.errors import EventNotUnderstood
from cdc_pipeline.model import ChangeEvent, Operation

_OPERATIONS = {operation.value: operation for operation in Operation}
_KEYS = MOVES_TO, MOVED_FROM = "__debezium.newkey", "__debezium.oldkey"  # of the DELETE and the CREATE of a new key

Headers = Iterable[tuple[str, bytes | str | None]] | Mapping[str, bytes | str | None]


class SourceBlock(TypedDict, total=False):
    """What watermarks, trails, the time and the table of an event ask of Debezium's source block. The rest is passed
    over, and so is an image that nobody asks for: to make objects of all of it takes as long again."""

    ts_ms: Any
    ts_us: Any
    db: Any  # whose row it is
    schema: Any  # but MySQL, MariaDB
    table: Any
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


After = TypeVar("After")


class _Body(msgspec.Struct, Generic[After], gc=False):
    op: str
    source: SourceBlock
    before: msgspec.Raw = _NULL
    after: After | None = None
    transaction: _InTransaction | None = None


_ReadBody = Callable[[bytes], _Body[Any]]
_by_name: _ReadBody = msgspec.json.Decoder(_Body[dict[str, Any]]).decode
_image = msgspec.json.Decoder(dict[str, Any]).decode
_any = msgspec.json.Decoder().decode


@lru_cache(maxsize=1000)
def _in_order(columns: tuple[str, ...]) -> _ReadBody:
    """For images of just these columns: objects without a name for each value, which takes half as long."""
    places = {f"c{number}": column for number, column in enumerate(columns)}
    fields = [(place, Any) for place in places]
    try:
        image = msgspec.defstruct("Image", fields, rename=places, forbid_unknown_fields=True, gc=False)
    except ValueError:  # a name that JSON has to escape
        return _by_name
    return msgspec.json.Decoder(_Body[image]).decode


class Decoder:
    """Of the messages of one topic. Images that have just the `columns` are read as `Whole`; from the first one on that
    has others, all are read by their names."""

    def __init__(self, columns: Sequence[str] = ()) -> None:
        self.columns = tuple(columns)
        self._read = self._read_first if columns else _by_name

    def decode(
        self, topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> ChangeEvent | None:
        """One message of a table's topic; None for a tombstone. Raises EventNotUnderstood.

        All parts are JSON without schemas, as the connector's converters write it.
        """
        if value is None:
            return None
        try:
            body = self._read(value)
            after = body.after
            event = ChangeEvent(
                topic,
                partition,
                offset,
                _OPERATIONS[body.op],
                _any(key) if key else None,
                None if body.before == _NULL else _Unread(body.before, topic, partition, offset),
                after if after is None or type(after) is dict else Whole(self.columns, after),
                body.source,
                body.transaction.data_collection_order if body.transaction else 0,
            )
            if headers:  # few events have any
                keys = dict(headers)
                event.moves_to, event.moved_from = (_any(k) if (k := keys.get(n)) else None for n in _KEYS)
            return event
        except msgspec.ValidationError as error:
            if self._read is _by_name:
                raise _not_understood(topic, partition, offset, error) from error
            self._read = _by_name
            return self.decode(topic, partition, offset, key, value, headers)
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
            raise _not_understood(topic, partition, offset, error) from error

    def _read_first(self, value: bytes) -> _Body[Any]:
        """There may be thousands of topics, and many of them at rest."""
        self._read = _in_order(self.columns)
        return self._read(value)


decode = Decoder().decode  # of a topic of whose table nothing is known


class _Image(Mapping[str, Any]):
    """Becomes a dict when somebody asks for a value by its column's name."""

    __slots__ = ("_by_name",)
    _by_name: dict[str, Any] | None

    @abstractmethod
    def _read(self) -> dict[str, Any]:
        """Raises EventNotUnderstood."""

    @property
    def _values(self) -> dict[str, Any]:
        if self._by_name is None:
            self._by_name = self._read()
        return self._by_name

    def keys(self) -> KeysView[str]:
        return self._values.keys()

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class Whole(_Image):
    """An image with all of a table's columns, and no others."""

    __slots__ = "_struct", "columns"

    def __init__(self, columns: tuple[str, ...], values: msgspec.Struct) -> None:
        self.columns = columns
        self._struct = values
        self._by_name = None

    def in_order(self) -> tuple[Any, ...]:
        """The values, in the order of the columns."""
        return astuple(self._struct)

    def _read(self) -> dict[str, Any]:
        return dict(zip(self.columns, self.in_order(), strict=True))


class _Unread(_Image):
    """An image that is read when somebody asks for it: only tables without a key ask for what a row was before."""

    __slots__ = "_place", "_raw"

    def __init__(self, raw: msgspec.Raw, topic: str, partition: int, offset: int) -> None:
        self._raw = raw
        self._place = topic, partition, offset
        self._by_name = None

    def _read(self) -> dict[str, Any]:
        try:
            return _image(self._raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _not_understood(*self._place, error) from error


def _not_understood(topic: str, partition: int, offset: int, error: Exception) -> EventNotUnderstood:
    reason = f"not a Debezium change event ({type(error).__name__}: {error})"
    return EventNotUnderstood(topic=topic, partition=partition, offset=offset, reason=reason)
