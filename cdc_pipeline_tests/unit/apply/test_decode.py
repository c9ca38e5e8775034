"""Kafka bytes become change events, or an error that says where they lie."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import cdc_pipeline
from cdc_pipeline.apply.decode import SourceBlock, decode
from cdc_pipeline.errors import EventNotUnderstood
from cdc_pipeline.model import ChangeEvent, Operation

SOURCE = {"gtid": "a:1", "ts_ms": 5}


def test_an_update_carries_key_both_images_and_its_transaction() -> None:
    value = {"op": "u", "before": {"id": 1, "n": 1}, "after": {"id": 1, "n": 2}, "source": SOURCE, "ts_ms": 6}
    event = decode("t", 0, 7, b'{"id":1}', json.dumps(value).encode())
    expected = ChangeEvent("t", 0, 7, Operation.UPDATE, {"id": 1}, {"id": 1, "n": 1}, {"id": 1, "n": 2}, SOURCE)
    assert event == expected


@pytest.mark.parametrize("operation", list(Operation))
def test_every_operation_is_known(operation: Operation) -> None:
    event = decode("t", 0, 0, None, json.dumps({"op": operation.value, "source": SOURCE}).encode())
    assert event is not None
    assert event.operation is operation
    assert event.key is event.before is event.after is None


def test_a_changed_key_is_told_by_both_of_its_events() -> None:
    headers = [("__debezium.context.connectorName", b'"postgresql"'), ("__debezium.oldkey", b'{"id":1}')]
    event = decode("t", 0, 0, b'{"id":2}', json.dumps({"op": "c", "source": SOURCE}).encode(), headers)
    assert event is not None
    assert (event.moved_from, event.moves_to) == ({"id": 1}, None)
    event = decode("t", 0, 0, b'{"id":1}', b'{"op":"d","source":{}}', [("__debezium.newkey", b'{"id":2}')])
    assert event is not None
    assert (event.moved_from, event.moves_to) == (None, {"id": 2})


def test_a_tombstone_is_no_event() -> None:
    assert decode("t", 0, 0, b'{"id":1}', None) is None


def test_large_and_unicode_values_arrive_unchanged() -> None:
    value = {"op": "c", "after": {"id": 2**63 - 1, "s": "ß\t\u0000𝄞"}, "source": {}}
    event = decode("t", 0, 0, None, json.dumps(value).encode())
    assert event is not None
    assert event.after == value["after"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, b""),
        (None, b"{"),
        (None, b"null"),
        (None, b"[]"),
        (None, b'"text"'),
        (None, b'{"op":"c"}'),
        (None, b'{"source":{}}'),
        (None, b'{"op":"x","source":{}}'),
        (None, b'{"op":["c"],"source":{}}'),
        (None, b'{"schema":{},"payload":{"op":"c","source":{}}}'),
        (b"\xff", b'{"op":"c","source":{}}'),
    ],
)
def test_what_is_no_change_event_is_named_with_its_place(key: bytes | None, value: bytes) -> None:
    with pytest.raises(EventNotUnderstood, match=r"^Event at shop\.users \[3\] offset 42 cannot be read: not a D"):
        decode("shop.users", 3, 42, key, value)


def test_an_image_that_cannot_be_read_is_named_when_it_is_asked_for() -> None:
    event = decode("shop.users", 3, 42, None, b'{"op":"d","before":{"name":"\xff"},"source":{}}')
    assert event is not None
    assert event.before is not None
    with pytest.raises(EventNotUnderstood, match=r"^Event at shop\.users \[3\] offset 42 cannot be read"):
        event.before["name"]


def test_all_that_is_asked_of_the_source_block_is_read() -> None:
    """`get` would find nothing of what decode passes over, and nobody would notice."""
    files = Path(cdc_pipeline.__file__).parent.rglob("*.py")
    asked = {name for file in files for name in re.findall(r'\bsource(?:\[|\.get\()"(\w+)"', file.read_text())}
    assert {"gtid", "lsn", "commit_scn"} < asked <= SourceBlock.__annotations__.keys()
