"""Trails: of whatever part of a topic comes again, and however often it is stored between, each event counts once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_pipeline.databases.mysql.trail import BinlogTrail
from cdc_pipeline.databases.oracle.trail import RedoTrail
from cdc_pipeline.databases.postgresql.trail import WalTrail
from cdc_pipeline.model import Operation, Trail

Event = tuple[Operation, dict[str, Any], int]
CREATE, DELETE = Operation.CREATE, Operation.DELETE


def binlog(file: int, pos: int, row: int = 0, gtid: str | None = None, op: Operation = CREATE, order: int = 0) -> Event:
    return op, {"file": f"binlog.{file:06}", "pos": pos, "row": row, "gtid": gtid}, order


def wal(transaction: int, commit_before: int, lsn: int, order: int = 0, op: Operation = CREATE) -> Event:
    return op, {"txId": transaction, "lsn": lsn, "sequence": json.dumps([str(commit_before), str(lsn)])}, order


def redo(transaction: str, commit: int, scn: int, record: str = "", op: Operation = CREATE) -> Event:
    return op, {"txId": transaction, "commit_scn": str(commit), "scn": str(scn), "rs_id": record, "ssn": 0}, 0


A, B = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "7d2b1c3a-0000-11e1-9e33-c80aa9429562"
STREAMS: dict[str, tuple[Callable[[str | None], Trail], list[Event]]] = {
    "MySQL": (
        BinlogTrail.parse,
        [
            binlog(9, 100, 0, f"{A}:1"),
            binlog(9, 100, 1, f"{A}:1"),
            binlog(9, 300, 0, f"{A}:2", DELETE),  # a changed key
            binlog(9, 300, 0, f"{A}:2", CREATE),
            binlog(9, 900, 0, f"{B}:7"),
            binlog(10, 4, 0, f"{A}:5"),
        ],
    ),
    "MySQL without GTIDs": (BinlogTrail.parse, [binlog(1, 4), binlog(1, 9), binlog(2, 4), binlog(2, 4, 1)]),
    "MariaDB": (BinlogTrail.parse, [binlog(1, 4, 0, "0-1-5"), binlog(1, 90, 0, "0-1-6"), binlog(2, 4, 0, "0-1-9")]),
    "PostgreSQL": (
        WalTrail.parse,
        [
            wal(700, 1000, 1100, 1),
            wal(700, 1000, 1200, 2),
            wal(700, 1000, 1200, 3),  # two rows that a COPY wrote to one page
            wal(702, 1300, 1050, 1),  # began before, committed after
            wal(702, 1300, 1400, 2, DELETE),
            wal(702, 1300, 1400, 3, CREATE),
            wal(701, 1500, 1450, 1),
        ],
    ),
    "Oracle": (
        RedoTrail.parse,
        [
            redo("a", 50, 40, "0x01"),
            redo("a", 50, 40, "0x02"),
            redo("b", 50, 30, "0x01"),  # committed at the same number
            redo("c", 60, 20, "0x05", DELETE),
            redo("c", 60, 20, "0x05", CREATE),
        ],
    ),
}


@pytest.mark.parametrize("name", STREAMS)
@given(data=st.data())
def test_each_event_counts_once_whatever_comes_again(name: str, data: st.DataObject) -> None:
    """A connector that starts again goes back to a place that it has passed, and tells everything from there on."""
    parse, events = STREAMS[name]
    trail, counted, at = parse(None), [], 0
    for _ in range(20):
        upto = data.draw(st.integers(at, len(events)))
        for event in events[at:upto]:
            if not trail.repeats(*event):
                counted.append(event)
            if data.draw(st.booleans()):
                trail = parse(trail.to_text())
        # Debezium goes on behind an event, and never between two that have one place in the log.
        at = data.draw(st.sampled_from([n for n in range(upto + 1) if _may_begin(events, n)]))
    counted += [event for event in events[at:] if not trail.repeats(*event)]
    assert counted == events


def _may_begin(events: list[Event], at: int) -> bool:
    def place(event: Event) -> Any:
        source = event[1]
        return source.get("lsn"), source.get("file"), source.get("pos"), source.get("row"), source.get("rs_id")

    return at in (0, len(events)) or place(events[at - 1]) != place(events[at]) or "lsn" not in events[at][1]


def test_behind_a_failover_new_gtids_are_new_wherever_they_lie() -> None:
    trail = BinlogTrail.parse(None)
    assert not trail.repeats(*binlog(50, 9000, 0, f"{A}:100"))
    assert not trail.repeats(*binlog(3, 4, 0, f"{B}:1"))  # the new primary's own log begins much earlier
    assert trail.repeats(*binlog(3, 4, 0, f"{B}:1"))
    assert not trail.repeats(*binlog(3, 90, 0, f"{A}:101"))


def test_events_of_one_position_are_told_by_their_number() -> None:
    """MariaDB 11.4 by default. Both statements of the transaction seem to lie where it begins."""
    trail = BinlogTrail.parse(None)
    events = [binlog(1, 4, row, "0-1-5", order=n + 1) for n, row in enumerate([0, 1, 0, 0, 1, 2])]
    for event in events:
        assert not trail.repeats(*event)
        trail = BinlogTrail.parse(trail.to_text())
    assert all(trail.repeats(*event) for event in events)
    assert not trail.repeats(*binlog(1, 90, 0, "0-1-6", order=1))


def test_a_connector_that_counts_anew_repeats_what_it_repeats() -> None:
    trail = BinlogTrail.parse(None)
    for n in range(1, 6):
        assert not trail.repeats(*binlog(1, n * 10, 0, "0-1-5", order=n))
    assert [trail.repeats(*binlog(1, n * 10, 0, "0-1-5", order=n - 1)) for n in range(2, 8)] == [True] * 4 + [False] * 2


def test_a_connector_that_starts_in_mid_transaction_loses_nothing() -> None:
    """It may not know where the commit before lies."""
    trail = WalTrail.parse(None)
    assert not trail.repeats(*wal(700, 1000, 1100))
    assert not trail.repeats(*wal(700, 0, 1200))
    assert trail.repeats(*wal(700, 0, 1100))


def test_a_new_trail_knows_nothing() -> None:
    for parse, _ in STREAMS.values():
        assert parse(None).to_text() is None
