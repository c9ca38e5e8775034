"""PostgreSQL's snapshots as sets of transactions. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

EPOCH = 1 << 32


@dataclass(frozen=True)
class SnapshotWatermark:
    """Holds the events of the transactions that `pg_current_snapshot()` says are visible.

    `xmin`, `xmax` and the transactions in progress between them are 64-bit; Debezium's `txId` is the 32-bit xid, so
    it is put into the epoch in which it is nearest to `xmax`: a log never reaches back two thousand million
    transactions, because the server would stop to wrap around before.
    """

    xmin: int
    xmax: int
    in_progress: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> SnapshotWatermark:
        """`pg_current_snapshot()::text`: `xmin:xmax:xid,xid,…`."""
        xmin, xmax, in_progress = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(int(xid) for xid in in_progress.split(",") if xid))

    def holds(self, source: Mapping[str, Any]) -> bool:
        xid = self._in_epoch(int(source["txId"]))
        return xid < self.xmin or (xid < self.xmax and xid not in self.in_progress)

    def _in_epoch(self, xid: int) -> int:
        if xid >= EPOCH:
            return xid
        base = self.xmax - self.xmax % EPOCH + xid
        return min((base - EPOCH, base, base + EPOCH), key=lambda candidate: abs(candidate - self.xmax))

    def to_text(self) -> str:
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, sorted(self.in_progress)))}"
