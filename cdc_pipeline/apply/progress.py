"""What one consumer has done since it started."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cdc_pipeline.state import Work

PHASES = ("poll", "parse", "merge", "commit")


@dataclass
class Progress:
    """Rates are over the time since the last report."""

    group: str
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    dropped: int = 0  # events that a watermark held already, or that came again
    set_aside: int = 0  # events that went into quarantine
    batches: int = 0
    events_per_second: float = 0.0
    lag_seconds: float = 0.0
    by_table: dict[str, int] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)  # topics whose tables cannot go on, and why
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PHASES, 0.0))

    @contextmanager
    def spending(self, phase: str) -> Iterator[None]:
        """The time inside the block is this phase's: waiting for events, making rows of them, changing the target's
        tables, or its commit. While one batch is merged and committed, the next one is polled and parsed: so phases
        overlap, and may add up to more than the time that has passed. Each is spent in one thread at a time."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] += time.monotonic() - began

    @property
    def applied(self) -> int:
        return self.inserted + self.updated + self.deleted

    @property
    def work(self) -> Work:
        """What of it everybody may read, in the state tables."""
        seconds = {phase: round(spent, 3) for phase, spent in self.seconds.items()}
        return Work(self.applied, round(self.events_per_second, 1), seconds)
