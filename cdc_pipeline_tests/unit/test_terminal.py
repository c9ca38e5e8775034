"""What `status` shows of a table's copy is short, whether it took hours or less than its clock can tell."""

from __future__ import annotations

import pytest

from cdc_pipeline import terminal


@pytest.mark.parametrize(
    ("seconds", "phases", "shown"),
    [
        (0.0, {}, ""),
        (0.004, {}, "4 ms"),  # copied by an earlier version, which knew no phases
        (0.004, {"read": 0.0, "write": 0.0, "index": 0.0}, "4 ms"),
        (0.04, {"read": 0.01, "write": 0.03, "index": 0.0}, "40 ms, write 75%"),
        (1.0, {"read": 0.5, "write": 0.2, "index": 0.1}, "1.0 s, read 62%"),
        (7200.0, {"read": 100.0, "write": 900.0, "index": 3000.0}, "7200.0 s, index 75%"),
    ],
)
def test_how_long_a_copy_took(seconds: float, phases: dict[str, float], shown: str) -> None:
    assert terminal.copied_in({"copy_seconds": seconds, "copy_phases": phases}) == shown
