"""How far a topic has come in the redo log: tells an event that comes again. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdc_pipeline.model import Operation

Place = tuple[int, str, int, bool]


@dataclass
class RedoTrail:
    """The number of the last commit, and how far each transaction has come that committed at it.

    Transactions come in the order of their commits. Within one, the change's own SCN, `rs_id` (the redo record) and
    `ssn` grow (read in Debezium's source; never seen on a server of ours).
    """

    commit: int = 0
    places: dict[str, Place] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> RedoTrail:
        if not text:
            return cls()
        data = json.loads(text)
        return cls(data["commit"], {transaction: _place(*place) for transaction, place in data["places"].items()})

    def repeats(self, operation: Operation, source: Mapping[str, Any], order: int = 0) -> bool:
        transaction, commit = str(source.get("txId") or ""), int(source["commit_scn"])
        place = _place(source.get("scn"), source.get("rs_id"), source.get("ssn"), operation != "d")
        if commit < self.commit or (commit == self.commit and place <= self.places.get(transaction, (-1,))):
            return True
        if commit > self.commit:
            self.commit, self.places = commit, {}
        self.places[transaction] = place
        return False

    def to_text(self) -> str | None:
        return json.dumps({"commit": self.commit, "places": self.places}) if self.commit else None


def _place(scn: Any, record: Any, statement: Any, second: bool) -> Place:
    return int(scn or 0), str(record or ""), int(statement or 0), second
