from __future__ import annotations

from cdc_pipeline.defs.sensors import LONGEST_WAIT, wait_after


def test_failures_are_answered_ever_later_but_not_for_ever() -> None:
    assert [wait_after(failures) for failures in range(1, 10)] == [0, 5, 10, 20, 40, 80, 160, 300, 300]
    assert wait_after(1000) == LONGEST_WAIT
