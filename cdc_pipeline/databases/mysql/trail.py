"""How far a topic has come in the binary log: tells an event that comes again. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cdc_pipeline.databases.mysql.watermark import file_number, gtid_parts
from cdc_pipeline.model import Operation

Place = tuple[int, int, int, bool]


@dataclass
class BinlogTrail:
    """The place of the last event, its number in its transaction, and the highest number of each origin's GTIDs.

    A row is one place in the log: file, position, row of the event. A change of the primary key is two Debezium events
    of one place, first the DELETE. On one server places only grow. Behind a failover the log is another server's, and
    its places say nothing; so an event is a repetition only if its GTID, where there are any, is no new one either.

    MariaDB without `binlog_legacy_event_pos` has one position for all events of a transaction. Step 1 demands it; what
    was written without it is told by the event's number (`order`): the next one is new wherever it seems to lie. A
    connector that starts again in mid-transaction counts from 1 anew, so it never is the next one by chance.
    """

    last: Place | None = None
    order: int = 0
    highest: dict[str, int] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> BinlogTrail:
        if not text:
            return cls()
        data = json.loads(text)
        file, pos, row, second = data["last"]
        return cls((file, pos, row, second), data["order"], data["highest"])

    def repeats(self, operation: Operation, source: Mapping[str, Any], order: int = 0) -> bool:
        place = (file_number(source["file"]), source["pos"], source.get("row") or 0, operation != "d")
        origin, number = gtid_parts(source.get("gtid"))
        highest = self.highest.get(origin, 0)
        if self.last is not None and place <= self.last and number <= highest:
            follows = order > 1 and order == self.order + 1 and number == highest
            if not follows:
                return True
        self.last, self.order = place, order
        if origin and number > highest:
            self.highest[origin] = number
        return False

    def to_text(self) -> str | None:
        return None if self.last is None else json.dumps(asdict(self))
