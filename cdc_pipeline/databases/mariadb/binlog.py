"""MariaDB's transaction identities, and what its binary log says of a transaction. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdc_pipeline.databases.mysql.watermark import binlog_order
from cdc_pipeline.errors import PositionLost


@dataclass(frozen=True)
class GtidPosition:
    """The last transaction of each domain, as `domain-server-sequence,…` writes it: all before it are there too."""

    last: Mapping[str, tuple[int, str]]  # domain: (sequence, server)

    @classmethod
    def parse(cls, text: str) -> GtidPosition:
        parts = [entry.strip().split("-") for entry in text.split(",") if entry.strip()]
        return cls({domain: (int(sequence), server) for domain, server, sequence in parts})

    def includes(self, other: GtidPosition) -> bool:
        """Whether everything up to the other position is before this one. A domain's numbers grow, whoever gives
        them: that is what gtid_strict_mode is for."""
        return all(
            domain in self.last and self.last[domain][0] >= sequence for domain, (sequence, _) in other.last.items()
        )

    def ends_with(self, gtid: str) -> bool:
        """Whether this is the last transaction of its domain."""
        return all(self.last.get(domain) == last for domain, last in GtidPosition.parse(gtid).last.items())

    def after(self, gtid: str) -> GtidPosition:
        """The position behind this transaction."""
        return GtidPosition({**self.last, **GtidPosition.parse(gtid).last})


@dataclass(frozen=True)
class MariaDbWatermark:
    """Holds the events up to a position, which has two names.

    In strict mode the GTIDs decide: they mean the same on the server that takes over after this one. Else a domain's
    numbers need not grow, and the place in the binary log decides, which means something on this one server only;
    where the two disagree, nobody knows.
    """

    file: str
    pos: int
    gtids: str
    strict: bool

    def holds(self, source: Mapping[str, Any]) -> bool:
        by_gtid = GtidPosition.parse(self.gtids).includes(GtidPosition.parse(source["gtid"]))
        by_place = binlog_order(source["file"], source["pos"]) < binlog_order(self.file, self.pos)
        if not self.strict and by_gtid != by_place:
            reason = f"{source['gtid']} is at {source['file']}:{source['pos']}: of another server, or out of order"
            raise PositionLost(position=self.to_text(), reason=reason)
        return by_gtid

    def to_text(self) -> str:
        return json.dumps({"file": self.file, "pos": self.pos, "gtids": self.gtids, "strict": self.strict})


def is_handled(events: Sequence[tuple[str, str]], handled: int) -> bool:
    """Whether a connector that has handled so many events of a transaction has told every change in it.

    `events` are its first ones, (type, information) as SHOW BINLOG EVENTS has them; the one after those handled is at
    work. Debezium tells of it before it has counted it.
    """
    sent = [event for event in events if event[0] != "Annotate_rows"]  # written for people, and not sent
    if handled >= len(sent):
        return False
    if sent[handled][0] == "Xid" or sent[handled] == ("Query", "COMMIT"):
        return True
    if not sent[0][1].startswith("GTID "):  # of rows: it says BEGIN GTID
        return False
    # A single statement. TRUNCATE is the only one that is told in a table's topic.
    return handled == 1 or (len(sent) > 1 and "TRUNCATE" not in sent[1][1].upper())
