"""How far a topic has come in the write-ahead log: tells an event that comes again. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cdc_pipeline.model import Operation


@dataclass
class WalTrail:
    """The transaction of the last event, where the commit before it lies, and the event's place in it.

    Transactions come one after the other in the order of their commits; within one, LSNs grow. `source.sequence` has
    the LSN of the commit before the event's transaction, and that of the event. Several events may have one LSN: the
    DELETE and the INSERT of a changed key, and the rows that one COPY wrote to one page, which only their number in the
    transaction tells apart (`provide.transaction.metadata`, on where a table has no key; with a key, applying a row
    again changes nothing).
    """

    transaction: int = 0
    commit_before: int = 0
    lsn: int = 0
    order: int = 0
    second: bool = False

    @classmethod
    def parse(cls, text: str | None) -> WalTrail:
        return cls(**json.loads(text)) if text else cls()

    def repeats(self, operation: Operation, source: Mapping[str, Any], order: int = 0) -> bool:
        commit_before = int(json.loads(source["sequence"])[0] or 0)
        transaction, lsn, second = int(source["txId"]), int(source["lsn"]), operation != "d"
        if transaction == self.transaction:
            # Not by the commit before: a connector that starts again in mid-transaction may not know it.
            again = lsn < self.lsn or (lsn == self.lsn and self._is_told(order, second))
        else:
            again = commit_before < self.commit_before
        if not again:
            self.transaction, self.commit_before, self.lsn = transaction, commit_before, lsn
            self.order, self.second = order, second
        return again

    def _is_told(self, order: int, second: bool) -> bool:
        if order and self.order:
            return order <= self.order
        return second < self.second  # a DELETE behind the INSERT that replaced it

    def to_text(self) -> str | None:
        return json.dumps(asdict(self)) if self.lsn else None
