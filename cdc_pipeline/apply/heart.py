"""The consumer's heartbeat: a thread that says how the consumer is and what it has done, and listens to what its owner
wants. And the source's, where that is a row of a table."""

from __future__ import annotations

import threading
from contextlib import suppress

from cdc_pipeline.apply.progress import Progress
from cdc_pipeline.databases.source import Source
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.model import TableId
from cdc_pipeline.state import ConsumerState, Desired, State

BEAT_SECONDS = 2.0


class Heart:
    """Beats while the consumer lives, also while a long transaction runs. Use as a context manager.

    `lost` becomes true when another run has taken the lease; `desired` follows the state tables.
    """

    def __init__(self, state: State, run_id: str, progress: Progress) -> None:
        self.state = state
        self.run_id = run_id
        self.progress = progress
        self.lost = False
        self.desired = Desired.RUNNING
        self._told: tuple[ConsumerState, int, str] = (ConsumerState.STARTING, 0, "")
        self._end = threading.Event()
        self._one_at_a_time = threading.Lock()
        self._thread = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)

    def __enter__(self) -> Heart:
        self.desired = self.state.desired
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def tell(self, consumer: ConsumerState, attempt: int = 0, error: str = "") -> None:
        """Record a change of state at once. A database that is away just now learns it with a later beat."""
        if (consumer, attempt, error) != self._told:
            self._told = (consumer, attempt, error)
            self._beat()

    def _beat_on(self) -> None:
        while not self._end.wait(BEAT_SECONDS):
            self._beat()

    def _beat(self) -> None:
        try:
            with self._one_at_a_time:  # or a beat that began before STOPPED was told would be written after it
                self.lost = not self.state.beat(self.run_id, *self._told, self.progress.work)
            self.desired = self.state.desired
        except CdcPipelineError as error:
            if not error.retryable:
                raise


class SourceHeart:
    """Writes the replication's row of the heartbeats' table in the source, which comes back with the changes. Use as a
    context manager. A source that is away misses beats, which shows in the age of the last one that came.

    Debezium could run the statement, but only when the log moves: that is every 48 s on a MySQL server that is idle,
    and its MariaDB connector must have no heartbeats (capture/connector.py).
    """

    def __init__(self, source: Source, table: TableId, replication: str, seconds: float) -> None:
        self.source = source
        self.table = table
        self.replication = replication
        self.seconds = seconds
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat_on, name="source heartbeat", daemon=True)

    def __enter__(self) -> SourceHeart:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _beat_on(self) -> None:
        while not self._end.is_set():
            with suppress(CdcPipelineError):
                self.source.beat(self.table, self.replication)
            self._end.wait(self.seconds)
