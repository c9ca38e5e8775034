"""MySQL's transaction identities: GTID sets, and binlog positions where there are no GTIDs. Pure."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from cdc_pipeline.model import Watermark


class GtidSet:
    """A set of global transaction ids, as `uuid:1-5:7,uuid:tag:1-3` writes it (tags: MySQL 8.3 and later)."""

    def __init__(self, text: str) -> None:
        self.text = "".join(text.split())
        self.intervals: dict[str, list[tuple[int, int]]] = {}
        for entry in filter(None, self.text.split(",")):
            uuid, *parts = entry.lower().split(":")
            origin = uuid
            for part in parts:
                if not part[0].isdigit():
                    origin = f"{uuid}:{part}"
                    continue
                first, _, last = part.partition("-")
                self.intervals.setdefault(origin, []).append((int(first), int(last or first)))
        self.intervals = {origin: _joined(intervals) for origin, intervals in self.intervals.items()}
        self.contains = lru_cache(maxsize=8)(
            self._contains
        )  # asked for each event, and those of a transaction have one

    def _contains(self, gtid: str) -> bool:
        origin, number = gtid_parts(gtid)
        intervals = self.intervals.get(origin, [])
        index = bisect_right(intervals, (number, 2**63)) - 1
        return index >= 0 and intervals[index][1] >= number

    def includes(self, other: GtidSet) -> bool:
        """Whether every transaction of the other set is in this one."""
        return self.lacks(other) == 0

    def lacks(self, other: GtidSet) -> int:
        """How many transactions of the other set are not in this one."""
        return sum(
            last - first + 1 - sum(max(0, min(last, b) - max(first, a) + 1) for a, b in self.intervals.get(origin, []))
            for origin, intervals in other.intervals.items()
            for first, last in intervals
        )


@lru_cache(maxsize=8)  # asked twice for each event, and the events of one transaction have one
def gtid_parts(gtid: str | None) -> tuple[str, int]:
    """Origin and number, of MySQL's `uuid[:tag]:number` or MariaDB's `domain-server-number`; no origin, and 0, without
    one."""
    if not gtid:
        return "", 0
    origin, _, number = gtid.lower().rpartition(":" if ":" in gtid else "-")
    return origin, int(number)


def _joined(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """In order, and as few as possible: those that overlap or touch are one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(intervals):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


@dataclass(frozen=True)
class GtidWatermark:
    """Holds the events of the transactions in a GTID set."""

    gtids: GtidSet

    def holds(self, source: Mapping[str, Any]) -> bool:
        return self.gtids.contains(source["gtid"])

    def to_text(self) -> str:
        return json.dumps({"gtids": self.gtids.text})


@dataclass(frozen=True)
class BinlogWatermark:
    """Holds the events before a position of the binary log."""

    file: str
    pos: int

    @cached_property
    def order(self) -> tuple[int, int]:
        return binlog_order(self.file, self.pos)

    def holds(self, source: Mapping[str, Any]) -> bool:
        return binlog_order(source["file"], source["pos"]) < self.order

    def to_text(self) -> str:
        return json.dumps({"file": self.file, "pos": self.pos})


def binlog_order(file: str, pos: int) -> tuple[int, int]:
    """A binlog position as something that compares: files are numbered, `binlog.000009` before `binlog.000010`."""
    return file_number(file), int(pos)


@lru_cache(maxsize=8)  # asked twice for each event, and nearly all are of one file
def file_number(file: str) -> int:
    return int(file.rpartition(".")[2])


def parse(text: str) -> Watermark:
    data = json.loads(text)
    if "gtids" in data:
        return GtidWatermark(GtidSet(data["gtids"]))
    return BinlogWatermark(data["file"], data["pos"])
