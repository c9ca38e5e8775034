"""Oracle's system change numbers: what a snapshot holds, and how far a connector has come. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ScnWatermark:
    """Holds the events of the transactions that committed at or before a system change number.

    A flashback query `AS OF SCN n` sees exactly those. `commit_scn` of an event's source block is the number of its
    own transaction's commit; `scn` beside it, that of the change, says nothing about visibility.
    """

    scn: int

    def holds(self, source: Mapping[str, Any]) -> bool:
        return int(source["commit_scn"]) <= self.scn

    def to_text(self) -> str:
        return json.dumps({"scn": self.scn})


def offset_at(scn: int, pending: Mapping[str, int]) -> dict[str, str]:
    """The connector's offset at this number. `pending` are the transactions open then, with the numbers at which they
    began: without them Debezium would miss what they had changed before.

    With `commit_scn` it does not tell of transactions again that had committed before.
    """
    text = str(scn)
    transactions = ",".join(f"{transaction}:{start}" for transaction, start in sorted(pending.items()))
    return {"scn": text, "snapshot_scn": text, "commit_scn": text, "snapshot_pending_tx": transactions}


def first_needed(offset: Mapping[str, Any]) -> int:
    """The oldest number that the log must still hold for a connector that starts there."""
    pending = str(offset.get("snapshot_pending_tx") or "")
    starts = [int(entry.rpartition(":")[2]) for entry in pending.split(",") if entry]
    return min([int(offset["scn"]), *starts])


def has_reached(offset: Mapping[str, Any], scn: int) -> bool:
    """Whether a connector with this offset has delivered every transaction that committed at or before the number.

    `scn` is where it would resume. It stays behind as long as an old transaction is open, but commits are delivered in
    their order: `commit_scn` has the last one of each redo thread (`scn:thread:transactions`, several with commas).
    """
    if int(offset.get("scn") or 0) >= scn:
        return True
    commits = [int(entry.partition(":")[0]) for entry in str(offset.get("commit_scn") or "").split(",") if entry]
    return bool(commits) and min(commits) > scn
