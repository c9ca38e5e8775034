"""A table that is replaced while it is read and streamed into: what is remembered of it, and how what a killed process
left is settled.

Where the database can replace a table, its watermark and its offsets in one transaction, nothing is remembered at all.
Elsewhere, for the moment of the replacement:

1. The intent is written down, and the consumer fenced: in one transaction. From here on nobody consumes the table.
2. The table is replaced: by a rename, which commits by itself, or row by row, in the transaction of 3.
3. The outcome is written down, and the intent forgotten.

Killed between 1 and 3, the intent stays, and whoever comes next settles it: a copy of the table, or the consumer that
wants it. `State.hold` tells whether the one who wrote it still lives. For a rename the tables themselves tell whether
it has happened (`Replacer.was_swapped`); rows that were being replaced are what they were: nothing was committed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection

from cdc_pipeline.errors import CdcPipelineError, ResyncOvertaken
from cdc_pipeline.model import TableId
from cdc_pipeline.state import State, TableRecord, TableState

WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class Swap:
    """What a table will be when its replacement is in place. `id` is this attempt's own."""

    id: str
    source: TableId
    target: TableId
    topic: str
    shadow: TableId
    by_rename: bool
    watermark: str
    shape: str
    ends: Mapping[int, int]  # of the topic's partitions, from before the snapshot
    rows: int
    bytes: int
    seconds: float
    phases: Mapping[str, float] = field(default_factory=dict)  # its parts: read, write, index

    def to_text(self) -> str:
        return json.dumps({**asdict(self), "ends": list(self.ends.items())})

    @classmethod
    def from_text(cls, text: str) -> Swap:
        fields: dict[str, Any] = json.loads(text)
        tables = {name: TableId(**fields[name]) for name in ("source", "target", "shadow")}
        return cls(**{**fields, **tables, "ends": dict(fields["ends"])})


@contextmanager
def alone(state: State, source: TableId, on_wait: Callable[[], None]) -> Iterator[None]:
    """One copy of a table at a time, from its beginning to its end. Another one is waited for; a killed one's hold ends
    with its connection. The consumer does not wait for this."""
    connection = state.target.connect()
    try:
        waits = False
        while not state.hold(connection, source):
            connection.rollback()
            if not waits:
                on_wait()
            waits = True
            time.sleep(WAIT_SECONDS)
        yield
    finally:
        with suppress(CdcPipelineError):  # the connection was lost: whatever was done since then has told by itself
            connection.close()


def announce(state: State, swap: Swap) -> None:
    """Step 1."""
    with state.target.connect() as connection:
        state.lock_topic(connection, swap.topic)
        state.note_swap(connection, swap.source, swap.to_text())
        state.fence(connection, swap.topic)
        connection.commit()


def conclude(state: State, connection: Connection, swap: Swap, after: TableState) -> None:
    """Step 3, in the caller's transaction, which holds the topic."""
    state.move_table(
        connection, swap.source, after, watermark=swap.watermark, shape=swap.shape, swap=None, copying=None,
        rows_copied=swap.rows, bytes_copied=swap.bytes, seconds=swap.seconds, phases=swap.phases,
        target_schema=swap.target.schema, target_table=swap.target.name,
    )  # fmt: skip
    state.rewind(connection, swap.topic, swap.ends)


def require_announced(state: State, connection: Connection, swap: Swap) -> None:
    """Raises ResyncOvertaken if somebody has settled it meanwhile, who took its process for dead."""
    if state.swap_of(connection, swap.source) != swap.to_text():
        raise ResyncOvertaken(table=swap.source)


def withdraw(state: State, swap: Swap) -> None:
    """It has not happened, and will not: the table is what it was, and its consumer may have it back."""
    with state.target.connect() as connection:
        state.lock_topic(connection, swap.topic)
        if state.swap_of(connection, swap.source) == swap.to_text():
            state.note_swap(connection, swap.source, None)
        connection.commit()


def settle(state: State, record: TableRecord) -> None:
    """What an earlier process announced and did not conclude. Call while the table is held. Harmless if it is repeated:
    each step finds what the one before has left."""
    if not record.swap:
        return
    swap, replacer = Swap.from_text(record.swap), state.target.replacer
    happened = replacer.was_swapped(swap.target, swap.shadow) if swap.by_rename else False
    if happened is False:
        withdraw(state, swap)
        return
    with state.target.connect() as connection:
        state.lock_topic(connection, swap.topic)
        require_announced(state, connection, swap)
        if happened:
            conclude(state, connection, swap, TableState.COPIED)
        else:  # somebody has removed the tables that would tell: not to be guessed
            reason = str(ResyncOvertaken(table=swap.source))
            state.move_table(connection, swap.source, TableState.FAILED, error=reason, swap=None, watermark=None)
        connection.commit()


def settle_abandoned(state: State, sources: Iterable[TableId]) -> None:
    """For a consumer: settle what nobody is at any more. What cannot be settled now waits for the next time."""
    wanted = set(sources)
    for source, record in state.table_records().items():
        if source not in wanted or not record.swap:
            continue
        with state.target.connect() as connection:
            if not state.hold(connection, source):
                continue  # its process lives, and will conclude it in a moment
            try:
                settle(state, state.table_record(source))
                state.target.replacer.clear(record.target)
            except CdcPipelineError as error:
                if not state.target.replacer.is_busy(error):
                    raise
