"""GTID positions of several domains and servers, watermarks, and how far a connector is in a transaction."""

from __future__ import annotations

from typing import Any

import pytest

from cdc_pipeline.databases.mariadb.binlog import GtidPosition, MariaDbWatermark, is_handled
from cdc_pipeline.errors import PositionLost

ROWS = [
    ("Gtid", "BEGIN GTID 0-1-5"),
    ("Annotate_rows", "INSERT INTO users VALUES (1)"),
    ("Table_map", "table_id: 30 (shop.users)"),
    ("Write_rows_v1", "table_id: 30 flags: STMT_END_F"),
    ("Xid", "COMMIT /* xid=17 */"),
]
BEHIND = ("Gtid", "GTID 0-1-6")


def statement(text: str) -> list[tuple[str, str]]:
    return [("Gtid", "GTID 0-1-5"), ("Query", f"use `shop`; {text}"), BEHIND]


@pytest.mark.parametrize(
    ("position", "other", "included"),
    [
        ("0-1-5", "0-1-5", True),
        ("0-1-5", "0-1-6", False),
        ("0-2-6", "0-1-5", True),  # another server goes on counting
        ("0-1-5,3-1-2", "0-1-4,3-9-1", True),
        ("0-1-5", "0-1-4,3-1-1", False),  # nothing of domain 3 yet
        ("0-1-10", "0-1-9", True),  # as numbers, not as texts
        ("", "0-1-1", False),
        ("0-1-1", "", True),
    ],
)
def test_a_position_includes_what_is_before_it_in_each_domain(position: str, other: str, included: bool) -> None:
    assert GtidPosition.parse(position).includes(GtidPosition.parse(other)) is included


def test_a_position_behind_a_transaction_has_it_in_its_domain() -> None:
    behind = GtidPosition.parse("0-1-5,3-1-2").after("0-7-6")
    assert behind == GtidPosition.parse("3-1-2,0-7-6")
    assert behind.ends_with("0-7-6")
    assert not behind.ends_with("0-1-6"), "that one is another server's"


def event(gtid: str, file: str = "binlog.000002", pos: int = 400) -> dict[str, Any]:
    return {"gtid": gtid, "file": file, "pos": pos}


def test_in_strict_mode_a_watermark_goes_by_gtids_on_whichever_server() -> None:
    watermark = MariaDbWatermark("binlog.000002", 500, "0-1-5", strict=True)
    assert watermark.holds(event("0-1-5"))
    assert not watermark.holds(event("0-1-6", pos=500))
    assert not watermark.holds(event("0-2-6", "other.000001", 4)), "the server that took over has a short log"
    assert not watermark.holds(event("3-1-1")), "a domain that began later"


def test_else_it_goes_by_the_place_and_stops_where_the_gtids_say_otherwise() -> None:
    watermark = MariaDbWatermark("binlog.000002", 500, "0-1-5", strict=False)
    assert watermark.holds(event("0-1-5"))
    assert not watermark.holds(event("0-1-6", "binlog.000010", 4))
    with pytest.raises(PositionLost, match=r"0-2-6 is at other\.000001:4"):
        watermark.holds(event("0-2-6", "other.000001", 4))


@pytest.mark.parametrize(
    ("events", "handled", "expected"),
    [
        (ROWS, 0, False),  # it has begun
        (ROWS, 2, False),  # its rows are told: but there may be more of them
        (ROWS, 3, True),  # its end
        (ROWS[:3], 3, False),
        ([*ROWS[:-1], ("Query", "COMMIT")], 3, True),  # of tables without transactions
        (statement("TRUNCATE TABLE users"), 0, False),  # its event may be on its way
        (statement("TRUNCATE TABLE users"), 1, True),
        (statement("CREATE TABLE users (id INT)"), 0, True),
        (statement("CREATE TABLE users (id INT)")[:1], 0, False),
        ([], 0, False),
    ],
)
def test_a_transaction_is_handled_when_its_last_event_is_at_work(
    events: list[tuple[str, str]], handled: int, expected: bool
) -> None:
    assert is_handled(events, handled) is expected
