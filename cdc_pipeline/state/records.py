"""The states of tables and consumers, and what one row of each state table says."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from cdc_pipeline.model import TableId, TableShape

LEASE_SECONDS = 30  # a consumer whose heartbeat is older than this is taken for dead


class TableState(StrEnum):
    """The life of one table. Stored at each change; stored progress never moves back but by a new copy."""

    PENDING = "PENDING"  # step 1 has seen it; nothing is copied
    COPYING = "COPYING"  # a copy runs, or was killed: what the target holds is nobody's
    LOADED = "LOADED"  # rows and watermark are in place, indexes are not yet; the next copy goes on with them
    COPIED = "COPIED"  # rows, watermark and indexes are in place
    STREAMING = "STREAMING"  # the consumer has taken it over
    RESYNCING = "RESYNCING"  # copied again beside itself, or was when that was killed; the consumer goes on with it
    FAILED = "FAILED"  # see its last error


STREAMS = {TableState.STREAMING, TableState.RESYNCING}
HAS_WATERMARK = {TableState.COPIED, *STREAMS}
IN_COPY = {TableState.COPYING, TableState.LOADED}


class ConsumerState(StrEnum):
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


ACTIVE = {ConsumerState.STARTING, ConsumerState.RUNNING, ConsumerState.RETRYING, ConsumerState.PAUSED}


class Desired(StrEnum):
    """What the owner wants of the stream."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


# What its owner can say, on the command line and in Dagster: the wish, and what it means.
WISHES = {
    "pause": (Desired.PAUSED, "The consumer stays, but applies nothing until `resume`."),
    "resume": (Desired.RUNNING, "Go on after `pause` or `stop`, also with tables that have stopped."),
    "stop": (Desired.STOPPED, "End the consumer, and do not start it again until `resume` or `start`."),
}


@dataclass(frozen=True)
class TableRecord:
    source: TableId
    target: TableId
    state: TableState
    watermark: str | None
    shape: TableShape | None
    rows: int
    bytes: int
    seconds: float
    error: str
    copying: str = ""  # what a copy in ranges has done so far (copying/ranges.py); until it has ended, or begins anew
    phases: Mapping[str, float] = field(default_factory=dict)  # seconds of the last copy: read, write, index
    swap: str = ""  # what is about to take the table's place (swaps.py); nobody may consume it until that is settled


@dataclass(frozen=True)
class OffsetRecord:
    topic: str
    partition: int
    next_offset: int
    epoch: int
    owner: str | None
    source_time: float | None  # seconds since 1970, of the last event applied
    inserted: int
    updated: int
    deleted: int
    trail: str | None = None  # how far the topic has come in the source's own order (model.Trail)

    def moved(
        self, next_offset: int, source_time: float, counts: tuple[int, int, int], trail: str | None
    ) -> OffsetRecord:
        """The same a batch later. `counts` are its inserts, updates and deletes."""
        inserted, updated, deleted = counts
        return replace(
            self, next_offset=next_offset, source_time=source_time, trail=trail,
            inserted=self.inserted + inserted, updated=self.updated + updated, deleted=self.deleted + deleted,
        )  # fmt: skip


@dataclass(frozen=True)
class Work:
    """What a consumer has done since it started, as it said with its last heartbeat."""

    applied: int  # rows inserted, updated and deleted
    events_per_second: float  # lately
    seconds: Mapping[str, float]  # by phase: poll, parse, merge, commit

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Work:
        return cls(**json.loads(text))


@dataclass(frozen=True)
class ConsumerRecord:
    run_id: str
    group: str
    state: ConsumerState
    host: str
    pid: int
    started_at: datetime
    age: float  # seconds since the last heartbeat, by the database's clock
    attempt: int
    error: str
    joined: bool = False  # it shares the work of another one, and ends without anybody launching it again
    work: Work | None = None  # of one that has just begun, or of an earlier version, nothing is known

    @property
    def is_alive(self) -> bool:
        return self.state in ACTIVE and self.age < LEASE_SECONDS

    def is_alive_seen_from(self, host: str) -> bool:
        """On its own host a consumer whose process is gone is dead at once."""
        return self.is_alive and (self.host != host or _process_exists(self.pid))


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
