"""PostgreSQL's watermarks: snapshots, and 32-bit transaction ids that wrap around."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_pipeline.databases.postgresql.watermark import SnapshotWatermark

EPOCH = 2**32


@pytest.mark.parametrize(
    ("xid", "held"), [(99, True), (100, False), (101, True), (104, False), (105, True), (109, True), (110, False)]
)
def test_a_snapshot_holds_what_had_committed(xid: int, held: bool) -> None:
    assert SnapshotWatermark.parse("100:110:100,104").holds({"txId": xid}) is held


def test_a_snapshot_without_transactions_in_progress_holds_all_before_it() -> None:
    snapshot = SnapshotWatermark.parse("7:7:")
    assert snapshot.holds({"txId": 6})
    assert not snapshot.holds({"txId": 7})


@pytest.mark.parametrize(
    ("xmax", "xid", "held"),
    [
        (EPOCH + 10, 5, True),  # of this epoch
        (EPOCH + 10, EPOCH - 5, True),  # of the epoch before: the counter wrapped around in between
        (EPOCH + 10, 50, False),
        (EPOCH - 10, 5, False),  # of the next epoch
        (EPOCH - 10, EPOCH - 11, True),
        (3 * EPOCH, EPOCH - 1, True),
        (3 * EPOCH, 0, False),
    ],
)
def test_a_wrapped_transaction_id_is_put_into_the_nearest_epoch(xmax: int, xid: int, held: bool) -> None:
    assert SnapshotWatermark(xmax, xmax, frozenset()).holds({"txId": xid}) is held


snapshots = st.integers(3, 5 * EPOCH).flatmap(
    lambda xmin: st.builds(
        lambda running: SnapshotWatermark(xmin, max([xmin, *(xid + 1 for xid in running)]), frozenset(running)),
        st.sets(st.integers(xmin, xmin + 50), max_size=5),
    )
)


@given(snapshots, st.integers(-(2**31) + 100, 2**31 - 1))
def test_the_32_bits_that_debezium_sends_are_enough(snapshot: SnapshotWatermark, distance: int) -> None:
    """Whatever the epoch: a log reaches at most 2^31 transactions around its snapshot."""
    xid = snapshot.xmax + distance
    if xid < 3:  # the first transaction that a server hands out
        return
    visible = xid < snapshot.xmin or (xid < snapshot.xmax and xid not in snapshot.in_progress)
    assert snapshot.holds({"txId": xid % EPOCH}) == visible


@given(snapshots)
def test_a_watermark_survives_the_state_tables(snapshot: SnapshotWatermark) -> None:
    assert SnapshotWatermark.parse(snapshot.to_text()) == snapshot
