"""What one consumer has done since it started."""

from __future__ import annotations

from dataclasses import dataclass, field


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

    @property
    def applied(self) -> int:
        return self.inserted + self.updated + self.deleted
