"""A consumer's time is that of its phases, also of those that end with an error."""

from __future__ import annotations

import pytest

from cdc_pipeline.apply import progress as module
from cdc_pipeline.apply.progress import PHASES, Progress


def test_time_is_added_to_the_phase_that_it_was_spent_in(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 10.5, 20.0, 21.0, 30.0, 32.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    progress = Progress("group")
    with progress.spending("poll"):
        pass
    with progress.spending("merge"):
        pass
    with pytest.raises(RuntimeError), progress.spending("poll"):
        raise RuntimeError
    assert progress.seconds == {**dict.fromkeys(PHASES, 0.0), "poll": 2.5, "merge": 1.0}
    assert Progress("another").seconds["poll"] == 0
