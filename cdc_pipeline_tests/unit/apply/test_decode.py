"""Kafka bytes become change events, or an error that says where they lie."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import cdc_pipeline
from cdc_pipeline.apply.decode import Decoder, SourceBlock, Whole, decode
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
    for reads in (decode, Decoder(["id"]).decode):
        with pytest.raises(EventNotUnderstood, match=r"^Event at shop\.users \[3\] offset 42 cannot be read: not a D"):
            reads("shop.users", 3, 42, key, value)


def test_an_image_that_cannot_be_read_is_named_when_it_is_asked_for() -> None:
    event = decode("shop.users", 3, 42, None, b'{"op":"d","before":{"name":"\xff"},"source":{}}')
    assert event is not None
    assert event.before is not None
    with pytest.raises(EventNotUnderstood, match=r"^Event at shop\.users \[3\] offset 42 cannot be read"):
        event.before["name"]


COLUMNS = ("id", "ä 😀", "class")


def body(**after: object) -> bytes:
    return json.dumps({"op": "c", "after": after, "source": SOURCE}).encode()


def test_an_image_with_all_columns_is_read_in_their_order() -> None:
    event = Decoder(COLUMNS).decode("t", 0, 0, None, body(**{"class": None, "ä 😀": [1, {"a": 2}], "id": 2**64}))
    assert event is not None
    assert isinstance(event.after, Whole)
    assert event.after.in_order() == (2**64, [1, {"a": 2}], None)
    assert event.after == {"id": 2**64, "ä 😀": [1, {"a": 2}], "class": None}
    assert (list(event.after), len(event.after), event.after.keys()) == (list(COLUMNS), 3, set(COLUMNS))


@pytest.mark.parametrize("after", [{"id": 1, "ä 😀": 2}, {"id": 1, "ä 😀": 2, "class": 3, "new": 4}])
def test_an_image_with_other_columns_is_read_by_their_names(after: dict[str, int]) -> None:
    decoder = Decoder(COLUMNS)
    for told in (after, dict.fromkeys(COLUMNS, 5)):
        event = decoder.decode("t", 0, 0, None, body(**told))
        assert event is not None
        assert event.after == told


@pytest.mark.parametrize("name", ['quo"te', "back\\slash", "tab\t"])
def test_a_name_that_json_has_to_escape_is_read(name: str) -> None:
    event = Decoder([name]).decode("t", 0, 0, None, body(**{name: 1}))
    assert event is not None
    assert event.after == {name: 1}


def test_a_deleted_row_has_no_new_image() -> None:
    event = Decoder(COLUMNS).decode("t", 0, 0, b'{"id":1}', b'{"op":"d","before":{"id":1},"after":null,"source":{}}')
    assert event is not None
    assert (event.before, event.after) == ({"id": 1}, None)


def test_all_that_is_asked_of_the_source_block_is_read() -> None:
    """`get` would find nothing of what decode passes over, and nobody would notice."""
    files = Path(cdc_pipeline.__file__).parent.rglob("*.py")
    asked = {name for file in files for name in re.findall(r'\bsource(?:\[|\.get\()"(\w+)"', file.read_text())}
    assert {"gtid", "lsn", "commit_scn"} < asked <= SourceBlock.__annotations__.keys()
