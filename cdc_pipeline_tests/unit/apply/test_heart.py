"""The consumer's heartbeat: what it told last is what stays. The source's: it goes on after what went wrong."""

from __future__ import annotations

import threading
from typing import cast

from cdc_pipeline.apply.heart import Heart, SourceHeart
from cdc_pipeline.apply.progress import Progress
from cdc_pipeline.databases.source import Source
from cdc_pipeline.errors import DatabaseUnavailable
from cdc_pipeline.model import TableId
from cdc_pipeline.state import ConsumerState, Desired, State, Work


class SlowState:
    """Writes RUNNING only when it is let go on."""

    desired = Desired.RUNNING

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.written: list[ConsumerState] = []
        self.work: Work | None = None

    def beat(self, _run_id: str, consumer: ConsumerState, _attempt: int, _error: str, work: Work) -> bool:
        if consumer is ConsumerState.RUNNING:
            self.begun.set()
            assert self.go_on.wait(30)
        self.written.append(consumer)
        self.work = work
        return True


def test_a_beat_that_began_before_the_end_is_not_written_after_it() -> None:
    state = SlowState()
    heart = Heart(cast(State, state), "run", Progress("group"))
    slow, last = (
        threading.Thread(target=heart.tell, args=[told]) for told in (ConsumerState.RUNNING, ConsumerState.STOPPED)
    )
    slow.start()
    assert state.begun.wait(30)
    last.start()
    last.join(0.2)  # as long as it would take to overtake
    state.go_on.set()
    slow.join()
    last.join()
    assert state.written == [ConsumerState.RUNNING, ConsumerState.STOPPED]


def test_a_beat_says_what_is_done_by_then() -> None:
    state, progress = SlowState(), Progress("group")
    heart = Heart(cast(State, state), "run", progress)
    progress.inserted, progress.deleted, progress.events_per_second = 3, 1, 12.34
    progress.seconds["merge"] = 0.5004
    heart.tell(ConsumerState.PAUSED)
    assert state.work == Work(4, 12.3, {"poll": 0.0, "parse": 0.0, "merge": 0.5, "commit": 0.0})


class FlickeringSource:
    """Away at every second beat."""

    def __init__(self) -> None:
        self.beats = 0
        self.enough = threading.Event()

    def beat(self, table: TableId, replication: str) -> None:
        assert (table, replication) == (TableId("ops", "beats"), "shop")
        self.beats += 1
        if self.beats >= 4:
            self.enough.set()
        if self.beats % 2:
            raise DatabaseUnavailable(database="shop", reason="gone away")


def test_a_source_that_is_away_misses_beats_and_gets_the_next_ones() -> None:
    source = FlickeringSource()
    with SourceHeart(cast(Source, source), TableId("ops", "beats"), "shop", seconds=0.001):
        assert source.enough.wait(30)
