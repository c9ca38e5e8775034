"""How far a topic has come in the binary log: tells an event that comes again. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdc_pipeline.databases.mysql.watermark import binlog_order
from cdc_pipeline.model import Operation

Place = tuple[int, int, int, bool]


@dataclass
class BinlogTrail:
    """The place of the last event, and the highest number of each origin's GTIDs.

    A row is one place in the log: file, position, row of the event. A change of the primary key is two Debezium events
    of one place, first the DELETE. On one server places only grow. Behind a failover the log is another server's, and
    its places say nothing; so an event is a repetition only if its GTID, where there are any, is no new one either.
    """

    last: Place | None = None
    highest: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> BinlogTrail:
        if not text:
            return cls()
        data = json.loads(text)
        file, pos, row, second = data["last"]
        return cls((file, pos, row, second), data["highest"])

    def repeats(self, operation: Operation, source: Mapping[str, Any], order: int = 0) -> bool:
        place = (*binlog_order(source["file"], source["pos"]), int(source.get("row") or 0), operation != "d")
        origin, number = _gtid(source.get("gtid"))
        if self.last is not None and place <= self.last and number <= self.highest.get(origin, 0):
            return True
        self.last = place
        if origin:
            self.highest[origin] = max(number, self.highest.get(origin, 0))
        return False

    def to_text(self) -> str | None:
        return None if self.last is None else json.dumps({"last": self.last, "highest": self.highest})


def _gtid(text: str | None) -> tuple[str, int]:
    """Origin and number, of MySQL's `uuid[:tag]:number` or MariaDB's `domain-server-number`; no origin, and 0, without
    one."""
    if not text:
        return "", 0
    origin, _, number = text.rpartition(":" if ":" in text else "-")
    return origin, int(number)
