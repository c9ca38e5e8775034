"""System change numbers: what a snapshot holds, where a connector starts, how far it has come."""

from __future__ import annotations

import pytest

from cdc_pipeline.databases.oracle.watermark import ScnWatermark, first_needed, has_reached, offset_at


def test_a_watermark_holds_what_committed_at_or_before_it() -> None:
    watermark = ScnWatermark(1000)
    assert watermark.holds({"commit_scn": "999", "scn": "1"})
    assert watermark.holds({"commit_scn": "1000", "scn": "1"})
    assert not watermark.holds({"commit_scn": "1001", "scn": "1"})


def test_an_event_without_its_commit_is_an_error_and_no_guess() -> None:
    with pytest.raises(KeyError):
        ScnWatermark(1000).holds({"scn": "1"})


def test_an_offset_names_the_transactions_that_were_open() -> None:
    assert offset_at(500, {"0b": 450, "0a": 400}) == {
        "scn": "500",
        "snapshot_scn": "500",
        "commit_scn": "500",
        "snapshot_pending_tx": "0a:400,0b:450",
    }
    assert offset_at(500, {})["snapshot_pending_tx"] == ""


def test_the_log_is_needed_from_the_oldest_open_transaction_on() -> None:
    assert first_needed(offset_at(500, {"0b": 450, "0a": 400})) == 400
    assert first_needed(offset_at(500, {})) == 500


@pytest.mark.parametrize(
    ("offset", "reached"),
    [
        ({"scn": "100"}, True),
        ({"scn": "99"}, False),
        ({}, False),
        ({"scn": "50", "commit_scn": None}, False),
        ({"scn": "50", "commit_scn": "101:1:0a0017001f030000"}, True),  # an old transaction is still open
        ({"scn": "50", "commit_scn": "100:1:0a0017001f030000"}, False),  # another may have committed at the same number
        ({"scn": "50", "commit_scn": "150:1:0a,99:2:0b"}, False),  # the second redo thread is behind
        ({"scn": "50", "commit_scn": "150:1:0a,120:2:"}, True),
    ],
)
def test_a_mark_is_reached_when_nothing_before_it_can_come(offset: dict[str, str], reached: bool) -> None:
    assert has_reached(offset, 100) is reached
