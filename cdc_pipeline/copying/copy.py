"""The initial copy of tables, past Kafka. A table that serves already is copied again beside itself (resync.py); any
other one as follows:

1. Take the table from the consumer, if one streams it: state COPYING, topic fenced.
2. Note the end of its topic. What is before it is older than the snapshot to come.
3. Open the snapshot; its watermark says which transactions it holds.
4. In one target transaction: empty the table, load the snapshot, store the watermark and the noted end of the topic.
   Of a large table the ranges are loaded first, each in a transaction of its own (load.py).
5. Make the secondary indexes that are missing (completion.py). From here on the consumer may have the table.

Killed before the commit of 4, the target holds what it held before, or some ranges, and the state says that a copy was
on its way: the next start copies again, or goes on. Killed in 5, the state is LOADED: the next start goes on with 5.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed, wait
from dataclasses import dataclass, field, replace

from cdc_pipeline import swaps
from cdc_pipeline.copying.completion import complete
from cdc_pipeline.copying.load import Load
from cdc_pipeline.copying.ranges import Cutting
from cdc_pipeline.copying.resync import Resync, is_live, planned
from cdc_pipeline.copying.transfer import OnRows
from cdc_pipeline.databases.definition import Definition
from cdc_pipeline.databases.source import Source
from cdc_pipeline.databases.target import Target
from cdc_pipeline.errors import CdcPipelineError, CopyOvertaken, GeneratedColumnMissing
from cdc_pipeline.kafka import Broker
from cdc_pipeline.model import Replicated, TableId, TableShape
from cdc_pipeline.projection import common, filter_columns, not_common, project
from cdc_pipeline.state import HAS_WATERMARK, State, TableRecord, TableState
from cdc_pipeline.threads import in_threads

OnProgress = Callable[[TableId, int, int], None]  # table, rows so far, rows that the source had at the start
REPORT_SECONDS = 1.0
_SERVES = (TableState.COPIED, TableState.STREAMING)


@dataclass(frozen=True)
class CopyResult:
    """What became of one table."""

    table: Replicated
    outcome: str  # copied, reloaded, skipped, adopted or failed
    source_rows: int = 0
    target_rows_before: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    watermark: str = ""
    method: str = ""
    shape: TableShape | None = None
    error: CdcPipelineError | None = None
    notes: tuple[str, ...] = ()  # what of the source's definition the target goes without
    phases: Mapping[str, float] = field(default_factory=dict)  # seconds: read, write, index

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds if self.seconds else 0.0


class Copier:
    """Copies tables of one replication, several at a time."""

    def __init__(
        self,
        source: Source,
        target: Target,
        state: State,
        broker: Broker,
        say: Callable[[str], None],
        on_progress: OnProgress = lambda *_: None,
        *,
        ignores_changes: bool = False,
        cutting: Cutting | None = None,
    ) -> None:
        """With `ignores_changes` a table that streams is skipped whatever has become of its source's columns."""
        self.ignores_changes = ignores_changes
        self.cutting = cutting or Cutting()
        self.source = source
        self.target = target
        self.state = state
        self.broker = broker
        self.say = say
        self.on_progress = on_progress

    def copy_all(
        self, tables: Sequence[Replicated], *, force: bool, adopt: bool, parallel: int
    ) -> Iterator[CopyResult]:
        """Each table's result as it ends. A table that fails leaves the others alone."""

        def copy(table: Replicated) -> CopyResult:
            return self._copy_safely(table, force=force, adopt=adopt)

        futures = in_threads(copy, tables, parallel, "copy")
        try:
            for future in as_completed(futures):
                yield future.result()
        except (Exception, GeneratorExit):  # an interruption waits for nothing
            for future in futures:
                future.cancel()
            wait(futures)
            raise

    def _copy_safely(self, table: Replicated, *, force: bool, adopt: bool) -> CopyResult:
        try:
            return self.copy(table, force=force, adopt=adopt)
        except CopyOvertaken as error:  # how the table stands is the other copy's to say
            return CopyResult(table, "failed", error=error)
        except CdcPipelineError as error:
            self._remember_failure(table, error)
            return CopyResult(table, "failed", error=error)

    def copy(self, table: Replicated, *, force: bool = False, adopt: bool = False) -> CopyResult:
        """Copy one table, or skip it because its target has data whose watermark is known."""

        def on_wait() -> None:
            self.say(f"{table.source}: another copy of it is on its way; waits for that to end")

        with swaps.alone(self.state, table.source, on_wait):
            record = self.state.table_record(table.source)
            if record.swap:
                swaps.settle(self.state, record)
                record = self.state.table_record(table.source)
            self.target.replacer.clear(table.target)
            return self._copy(table, record, force=force, adopt=adopt)

    def _copy(self, table: Replicated, record: TableRecord, *, force: bool, adopt: bool) -> CopyResult:
        with self.source.connect() as connection:
            source = self.source.read_shapes(connection, [table.source])[table.source]
            if self.ignores_changes and not force and record.state in _SERVES and record.shape:
                left = common(record.shape, source)
                can_be_counted = filter_columns(left) == filter_columns(record.shape)
                if can_be_counted and not_common(record.shape, source):
                    return self._skip(table, record, left)
            shape = project(source, table.choices)
            definition = self.source.read_definition(connection, shape)
        notes, is_new = self._ensure_target(table, shape, definition)
        source_rows = self.source.count_replicated(shape)
        target_rows = 0 if is_new else self.target.count(table.target)
        self.say(f"{table.source}: Source table has {source_rows} rows")
        self.say(f"{table.source}: Target table already has {target_rows} rows")
        if adopt and record.state not in HAS_WATERMARK:
            return self._adopt(table, shape, source_rows, target_rows)
        # One whose re-sync was killed was asked for one.
        force = force or record.state is TableState.RESYNCING
        if is_live(record, table) and (force or (record.state is TableState.FAILED and target_rows)):
            result, more = self._resync(table, record, shape, source_rows, target_rows)
            return self._complete(result, shape, definition, [*notes, *more])
        if record.state in HAS_WATERMARK and target_rows and not force:
            return self._skip(table, record, shape)
        # Nobody else writes to it until it is COPIED; so other rows than were loaded are not the copy's any more.
        is_loaded = record.state is TableState.LOADED and record.rows == target_rows and not force
        if is_loaded and record.shape and record.shape.fingerprint == shape.fingerprint:
            watermark = record.watermark or ""
            result = CopyResult(
                table, "copied", source_rows, target_rows, record.rows, watermark=watermark, shape=shape,
                phases=record.phases,
            )  # fmt: skip
        else:
            result = self._load(table, record, shape, source_rows, target_rows)
        return self._complete(result, shape, definition, notes)

    def _skip(self, table: Replicated, record: TableRecord, shape: TableShape) -> CopyResult:
        self.say(f"{table.source}: skipped, its target has data and its watermark is kept")
        rows = self.source.count_replicated(shape), self.target.count(table.target)
        return CopyResult(table, "skipped", *rows, watermark=record.watermark or "", shape=shape)

    def _ensure_target(self, table: Replicated, shape: TableShape, definition: Definition) -> tuple[list[str], bool]:
        """Make the target table if there is none. Returns notes on what it goes without, and whether it is new."""
        with self.target.connect() as connection:
            self.state.lock_topic(connection, table.topic)  # another copy may be about to make it too
            there = self.target.read_shapes(connection, [table.target]).get(table.target)
            notes: list[str] = []
            if there is None:
                definer = self.target.definer
                notes = definer.create_table(self.target, connection, table.target, shape, definition)
            elif lacking := definition.generated.keys() - set(self.target.definition(there).computed):
                raise GeneratedColumnMissing(table=table.target, columns=", ".join(sorted(lacking)))
            connection.commit()
        return notes, there is None

    def _complete(
        self, result: CopyResult, shape: TableShape, definition: Definition, notes: Sequence[str]
    ) -> CopyResult:
        """Step 5. Does nothing if another copy has taken the table meanwhile: that one completes it."""
        table, began, phases = result.table, time.monotonic(), result.phases
        with self.target.connect() as connection:
            self.state.lock_topic(connection, table.topic)
            if self.state.is_loaded(connection, table.source, result.watermark):
                notes = [*notes, *complete(self.target, table, shape, definition)]
                phases = {**phases, "index": round(phases.get("index", 0.0) + time.monotonic() - began, 3)}
                self.state.move_table(connection, table.source, TableState.COPIED, phases=phases)
            connection.commit()
        for note in notes:
            self.say(f"{table.source}: {note}")
        return replace(result, notes=tuple(notes), phases=phases)

    def _resync(
        self, table: Replicated, record: TableRecord, shape: TableShape, source_rows: int, target_rows: int
    ) -> tuple[CopyResult, list[str]]:
        """Returns what became of it, and notes on what the table goes without."""
        there = self.target.shape(table.target)
        if there is None:
            raise CdcPipelineError(reason=f"target table {table.target} is gone; copy {table.source} again")
        plan = planned(self.target, record, shape, there)
        resync = Resync(self.source, self.target, self.state, self.broker, self.say, table, shape, self.cutting)
        done, more = resync.run(plan, source_rows, self._reporter(table, source_rows))
        self.on_progress(table.source, done.rows, done.rows)
        self.say(f"{table.source}: Synced {done.rows} rows to {table.target.name} in {done.seconds:.1f} s")
        method, outcome = f"{self.target.load_method()}; {plan}", "reloaded" if target_rows else "copied"
        result = CopyResult(
            table, outcome, source_rows, target_rows, done.rows, done.bytes, done.seconds, done.watermark, method,
            shape, phases=done.phases,
        )  # fmt: skip
        return result, more

    def _reporter(self, table: Replicated, source_rows: int) -> OnRows:
        reported = 0.0

        def on_rows(rows: int, _: int) -> None:
            nonlocal reported
            if time.monotonic() - reported >= REPORT_SECONDS:
                reported = time.monotonic()
                self.on_progress(table.source, rows, source_rows)

        return on_rows

    def _load(
        self, table: Replicated, record: TableRecord, shape: TableShape, source_rows: int, target_rows: int
    ) -> CopyResult:
        started = time.monotonic()
        self._take_from_consumer(table)
        ends = self._topic_ends(table)
        load = Load(self.source, self.target, self.state, self.say, table, shape, ends, self.cutting)
        done, watermark = load.run(record, source_rows, target_rows, self._reporter(table, source_rows))
        seconds = time.monotonic() - started
        self.on_progress(table.source, done.rows, done.rows)
        self.say(f"{table.source}: Synced {done.rows} rows to {table.target.name} in {seconds:.1f} s")
        return CopyResult(
            table, "reloaded" if target_rows else "copied", source_rows, target_rows, done.rows, done.bytes, seconds,
            watermark, self.target.load_method(), shape, phases=done.phases,
        )  # fmt: skip

    def _adopt(self, table: Replicated, shape: TableShape, source_rows: int, target_rows: int) -> CopyResult:
        """The owner vouches that the target equals the source: take a watermark, copy nothing. The state changes once,
        at the end: an adoption that was killed half-way must not look like a copy that was."""
        ends = self._topic_ends(table)
        with self.source.snapshot(shape) as snapshot, self.target.connect() as connection:
            watermark = snapshot.watermark.to_text()
            self.state.lock_topic(connection, table.topic)
            self.state.move_table(
                connection, table.source, TableState.COPIED, watermark=watermark, shape=shape.to_json(), copying=None
            )
            self.state.rewind(connection, table.topic, ends)
            connection.commit()
        self.say(f"{table.source}: adopted with {target_rows} rows, on its owner's word")
        return CopyResult(table, "adopted", source_rows, target_rows, watermark=watermark, shape=shape)

    def _take_from_consumer(self, table: Replicated) -> None:
        with self.target.connect() as connection:
            self.state.take_for_copy(connection, table.source, table.topic)
            connection.commit()

    def _topic_ends(self, table: Replicated) -> dict[int, int]:
        return {partition: end for (_, partition), end in self.broker.ends([table.topic]).items()}

    def _remember_failure(self, table: Replicated, error: CdcPipelineError) -> None:
        """Best effort: the database that would remember it may be the one that failed. What was served and streamed
        before the copy still is."""
        try:
            with self.target.connect() as connection:
                if self.state.table_record(table.source).state in HAS_WATERMARK:
                    self.state.note_error(connection, table.source, str(error))
                else:
                    self.state.move_table(connection, table.source, TableState.FAILED, error=str(error))
                connection.commit()
        except CdcPipelineError as second:
            self.say(f"{table.source}: could not record its failure: {second}")
