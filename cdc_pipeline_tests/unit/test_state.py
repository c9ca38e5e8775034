"""The life of a table: what may follow what, without a database."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import pytest

from cdc_pipeline.state import HAS_WATERMARK, IN_COPY, LEASE_SECONDS, ConsumerRecord, ConsumerState, TableState, Work
from cdc_pipeline.state.tables import LEGAL

PENDING, COPYING, LOADED, COPIED, STREAMING, RESYNCING, FAILED = TableState


def test_every_state_has_its_transitions() -> None:
    assert LEGAL.keys() == set(TableState)


def test_a_table_is_never_streamed_before_it_was_copied() -> None:
    assert [before for before in TableState if STREAMING in LEGAL[before]] == [COPIED, STREAMING, RESYNCING, FAILED]


def test_nothing_becomes_pending_again() -> None:
    assert [before for before in TableState if PENDING in LEGAL[before]] == []


@pytest.mark.parametrize("path", [
    (PENDING, COPYING, LOADED, COPIED, STREAMING),  # the way of every table
    (PENDING, COPIED, STREAMING),  # adopted
    (PENDING, COPYING, FAILED, COPYING, LOADED, COPIED),  # the copy failed, and was repeated
    (COPYING, COPYING, LOADED, COPIED),  # killed while it copied
    (LOADED, COPYING, LOADED, COPIED),  # killed while it made indexes, and the source was altered meanwhile
    (STREAMING, RESYNCING, COPIED, STREAMING),  # a live re-sync, swapped in
    (STREAMING, RESYNCING, LOADED, COPIED, STREAMING),  # a live re-sync, in place
    (STREAMING, RESYNCING, STREAMING),  # one that failed
    (STREAMING, COPYING, LOADED, COPIED, STREAMING),  # its target was empty
    (RESYNCING, RESYNCING, COPIED),  # killed while it re-synced
    (STREAMING, STREAMING),  # the next consumer takes over
    (STREAMING, FAILED, RESYNCING, LOADED, COPIED),  # the stream failed, the way out is a re-sync
], ids=" ".join)  # fmt: skip
def test_the_ways_that_a_table_goes_are_legal(path: tuple[TableState, ...]) -> None:
    for before, after in pairwise(path):
        assert after in LEGAL[before]


def test_a_table_in_copy_has_no_watermark_to_stream_from() -> None:
    assert HAS_WATERMARK.isdisjoint(IN_COPY | {PENDING, FAILED})


@pytest.mark.parametrize(
    ("state", "age", "alive"),
    [
        (ConsumerState.RUNNING, 1, True),
        (ConsumerState.STARTING, 1, True),
        (ConsumerState.RETRYING, 1, True),
        (ConsumerState.PAUSED, 1, True),
        (ConsumerState.RUNNING, LEASE_SECONDS + 1, False),
        (ConsumerState.STOPPED, 1, False),
        (ConsumerState.FAILED, 1, False),
    ],
)
def test_a_consumer_lives_as_long_as_its_heart_beats(state: ConsumerState, age: float, alive: bool) -> None:
    assert ConsumerRecord("run", "group", state, "host", 1, datetime(2024, 1, 1), age, 0, "").is_alive is alive


def test_what_a_consumer_has_done_is_read_as_it_was_written() -> None:
    work = Work(12, 3.5, {"poll": 1.25, "parse": 0.0, "merge": 2.0, "commit": 0.125})
    assert Work.from_text(work.to_text()) == work
