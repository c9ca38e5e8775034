"""The four steps, as a person would say them: validate, initial copy, register the connector, consume."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from cdc_pipeline.alterations import look_for_changes
from cdc_pipeline.apply.consumer import CaughtUp, Consumer
from cdc_pipeline.apply.evolution import Evolution
from cdc_pipeline.apply.progress import Progress
from cdc_pipeline.apply.retry import Retried, Retrier
from cdc_pipeline.capture.connector import UNAVAILABLE
from cdc_pipeline.capture.registration import Registration
from cdc_pipeline.catching_up import caught_up_with, wait_for_the_consumer
from cdc_pipeline.config import ReplicationConfig
from cdc_pipeline.copying.completion import make_foreign_keys
from cdc_pipeline.copying.copy import Copier, CopyResult, OnProgress
from cdc_pipeline.copying.ranges import Cutting
from cdc_pipeline.errors import (
    CannotJoin,
    CdcPipelineError,
    ChoicesChanged,
    ConsumerAlreadyRuns,
    DefinitionChanged,
    NotCopied,
    NotStarted,
    PositionLost,
    ValidationFailed,
)
from cdc_pipeline.model import Comparison, Position, Replicated, RowCount, TableId
from cdc_pipeline.parts import Parts
from cdc_pipeline.quarantine import Quarantine, SetAside
from cdc_pipeline.state import HAS_WATERMARK, Desired
from cdc_pipeline.validation import Validation, validate
from cdc_pipeline.verify import count, verify


def start_replication(
    config: ReplicationConfig,
    force_resync: bool = False,
    *,
    adopt: bool = False,
    until_caught_up: bool = False,
    should_stop: threading.Event | None = None,
    on_progress: OnProgress = lambda *_: None,
    on_stream: Callable[[Progress], None] = lambda _: None,
) -> tuple[bool, str]:
    """Run the four steps; the last one until `should_stop` is set or, with `until_caught_up`, until every change that
    was committed before that moment is in the target. Returns (success, message).

    Without `force_resync` a table whose target has data is skipped if its watermark is known. `adopt` takes the
    owner's word that a target with data equals its source now.
    """
    replication = Replication(config)
    try:
        replication.check(force_resync=force_resync, adopt=adopt)
        replication.prepare(force_resync=force_resync)
        results = list(replication.copy(force_resync=force_resync, adopt=adopt, on_progress=on_progress))
        failed = [result for result in results if result.error]
        if failed:
            reasons = "; ".join(f"{result.table.source}: {result.error}" for result in failed)
            return False, f"Initial sync failed for {len(failed)} of {len(results)} tables: {reasons}"
        replication.register()
        replication.set_desired(Desired.RUNNING)
        progress = replication.consume(should_stop, until_caught_up=until_caught_up, on_stream=on_stream)
    except CdcPipelineError as error:
        replication.say(f"FAILED: {error}")
        return False, str(error)
    waiting = len(replication.set_aside())
    if waiting:
        return False, f"{waiting} events are set aside; see `cdc-pipeline quarantine list`"
    return True, f"{len(results)} tables, {progress.applied} changes applied"


class Replication:
    """One replication and the steps that can be taken with it, each on its own or in order."""

    def __init__(self, config: ReplicationConfig) -> None:
        self.config = config
        self.parts = Parts(config)
        self.say = self.parts.say
        self._validation: Validation | None = None

    @property
    def registration(self) -> Registration:
        return Registration(self.config, self.parts.connect, self.parts.broker, self.parts.state)

    @property
    def tables(self) -> list[Replicated]:
        """The tables that this replication's rules select in the source now. Raises ConfigError's kin if it cannot
        be reached."""
        if self._validation is not None:
            return self._validation.tables
        return self.parts.resolve(self.parts.source.tables())[0]

    # -- step 1 -------------------------------------------------------------------------------------------------

    def check(self, *, force_resync: bool = False, adopt: bool = False) -> Validation:
        """STEP 1/4. Raises ValidationFailed, which lists every problem."""
        self.say("STEP 1/4: Validating prerequisites...")
        with self.parts.pooled():
            validation = validate(self.parts, force_resync=force_resync, adopt=adopt)
        for problem in validation.problems:
            self.say(f"  {problem.name}: {problem.problem}")
        if validation.problems:
            listed = "".join(f"\n  - {problem.name}: {problem.problem}" for problem in validation.problems)
            raise ValidationFailed(count=len(validation.problems), listed=listed)
        self.say(f"{len(validation.checks)} checks passed, {len(validation.tables)} tables")
        self._validation = validation
        return validation

    # -- step 2 -------------------------------------------------------------------------------------------------

    def prepare(self, *, force_resync: bool = False) -> Position:
        """Everything that must stand before the first row is read: state tables, topics, and the start position or,
        where a connector runs already, its capture of every table. Returns the start position."""
        parts, tables = self.parts, self.tables
        sources = [table.source for table in tables]
        parts.state.create()
        with parts.pooled():
            for table in tables:
                parts.state.add_table(table.source, table.target, table.topic)
        parts.broker.create_topics([table.topic for table in tables])
        self._prepare_marks()
        self._prepare_heartbeat()
        if self.registration.is_registered:
            try:
                return self._keep_capture(tables)
            except PositionLost:
                if not force_resync:
                    raise
                self.say("The connector's position is lost; every table is copied anew, so it starts anew")
                self.registration.remove()
        return self._start_position(sources, force_resync=force_resync)

    def _prepare_marks(self) -> None:
        if self.config.marks_topic is not None:
            self.parts.broker.create_topics([self.config.marks_topic])
            self.parts.broker.keep_records(self.config.marks_topic)

    def _prepare_heartbeat(self) -> None:
        if self.config.heartbeat_table is not None:
            self.parts.source.prepare_heartbeat(self.config.heartbeat_table)
        if self.config.heartbeat_topic is not None:
            self.parts.broker.create_topics([self.config.heartbeat_topic])

    def _keep_capture(self, tables: Sequence[Replicated]) -> Position:
        position = Position(self.parts.connect.offsets(self.config.connector_name) or {})
        if position.offset:
            self.parts.source.check_position(position, self.config.slot_name)
        self.parts.source.extend_capture([table.source for table in tables], self.config.slot_name)
        self.registration.extend(tables, keyless=self._has_keyless(tables))
        return position

    def _start_position(self, sources: Sequence[TableId], *, force_resync: bool) -> Position:
        state, source, slot = self.parts.state, self.parts.source, self.config.slot_name
        if state.start_position:
            position = Position.from_text(state.start_position)
            try:
                source.check_position(position, slot)
            except PositionLost:
                if not force_resync:
                    raise
                source.release_capture(slot)
            else:
                source.extend_capture(sources, slot)
                return position
        position = source.prepare_capture(sources, slot)
        state.set(start_position=position.to_text())
        self.say(f"Start position: {position.to_text()}")
        return position

    def copy(
        self,
        names: Sequence[str] | None = None,
        *,
        force_resync: bool = False,
        adopt: bool = False,
        on_progress: OnProgress = lambda *_: None,
    ) -> Iterator[CopyResult]:
        """STEP 2/4, of all tables or the named ones. Yields each result as it ends; call `prepare` before."""
        self.say("STEP 2/4: Performing initial data sync...")
        tables = self._named(names)
        parts = self.parts
        copier = Copier(
            parts.source, parts.target, parts.state, parts.broker, self.say, on_progress,
            ignores_changes=self.config.ignores_changes,
            cutting=Cutting(self.config.range_rows, self.config.parallel_ranges),
        )  # fmt: skip
        done = rows = total = 0
        parallel = min(self.config.parallel_tables, max(1, len(tables)))
        with parts.pooled():
            for result in copier.copy_all(tables, force=force_resync, adopt=adopt, parallel=parallel):
                total += 1
                done += result.error is None
                rows += result.rows
                if result.error:
                    self.say(f"{result.table.source}: FAILED: {result.error}")
                yield result
            self.say(f"Initial sync completed: {done}/{total} tables, {rows} rows")
            self._make_foreign_keys()

    def _make_foreign_keys(self) -> None:
        """When every table is there. Harmless if they are made already; what a kill left out, the next copy makes."""
        records = self.parts.state.table_records()
        copied = [t for t in self.tables if t.source in records and records[t.source].state in HAS_WATERMARK]
        if self.config.foreign_keys and len(copied) == len(self.tables):
            for note in make_foreign_keys(self.parts.source, self.parts.target, self.tables):
                self.say(note)

    def table(self, name: str) -> Replicated:
        """A table of this replication by its source's name, with or without the schema. Raises NotCopied's kin."""
        for table in self.tables:
            if table.is_called(name):
                return table
        known = ", ".join(str(table.source) for table in self.tables)
        raise CdcPipelineError(reason=f"{self.config.name} has no table {name!r}; it has {known}")

    # -- step 3 -------------------------------------------------------------------------------------------------

    def register(self) -> dict:
        """STEP 3/4. Raises NotCopied or DefinitionChanged before anything is registered. Returns its status."""
        self.say("STEP 3/4: Starting Debezium connector (CDC-only)...")
        state, registration = self.parts.state, self.registration
        self._require_start()
        self._check_copies()
        position = state.start_position
        if position is None:
            raise NotCopied(tables="any table (there is no start position)")
        if not registration.is_registered:
            self.parts.source.check_position(Position.from_text(position), self.config.slot_name)
        registration.register(self.tables, Position.from_text(position), keyless=self._has_keyless(self.tables))
        status = self.parts.connect.status(self.config.connector_name)
        self.say(f"Connector {self.config.connector_name} is {status['connector']}, {len(status['tasks'])} task(s)")
        return status

    def _has_keyless(self, tables: Sequence[Replicated]) -> bool:
        shapes = self.parts.source.shapes([table.source for table in tables])
        return not all(shape.key for shape in shapes.values())

    def _taken_up(self) -> list[Replicated]:
        """Our tables; one that came later is none until its copy begins, which makes its topic."""
        records = self.parts.state.table_records()
        return [table for table in self.tables if table.source in records]

    def _check_copies(self) -> None:
        """Every table has its watermark, and is still defined as it was when it was copied. Where changes are ignored,
        that counts only while the connector has yet to read the log by these definitions."""
        records = self.parts.state.table_records()
        tables = self._taken_up() if self.config.ignores_changes else self.tables
        missing = [t for t in tables if t.source not in records or records[t.source].state not in HAS_WATERMARK]
        if missing:
            raise NotCopied(tables=", ".join(str(table.source) for table in missing))
        self._check_choices()
        self._check_topics(tables)
        if self.config.ignores_changes and not self.registration.reads_definitions:
            return
        shapes = self.parts.shapes(tables)
        for table in tables:
            copied = records[table.source].shape
            if copied is None or shapes[table.source].fingerprint != copied.fingerprint:
                raise DefinitionChanged(table=table.source)

    def _check_choices(self) -> None:
        """What the target holds was copied by the choices that the replication's file has now."""
        records = self.parts.state.table_records()
        for table in self.tables:
            record = records.get(table.source)
            if record and record.state in HAS_WATERMARK and record.shape and record.shape.choices != table.choices:
                raise ChoicesChanged(table=table.source)

    def _check_topics(self, taken_up: Sequence[Replicated]) -> None:
        """Each table that was taken up has a topic of its own. One that would not is kept out when it comes later."""
        for error in self.parts.shared_topics(taken_up).values():
            raise error

    # -- step 4 -------------------------------------------------------------------------------------------------

    def consume(
        self,
        should_stop: threading.Event | None = None,
        *,
        until_caught_up: bool = False,
        group: str | None = None,
        run_id: str | None = None,
        join: bool = False,
        on_stream: Callable[[Progress], None] = lambda _: None,
    ) -> Progress:
        """STEP 4/4: apply events until stopped or, if asked, caught up. Where another run consumes already, only waits
        until that one has caught up (or returns at once); with `join`, it shares the work of that one."""
        if join and self.config.marks_topic is not None:
            raise CannotJoin(replication=self.config.name)
        self.say("STEP 4/4: Starting consumer with fresh group ID...")
        self._require_start()
        self._check_choices()
        tables = self._taken_up()
        self._check_topics(tables)
        should_stop = should_stop or threading.Event()
        caught_up = self.caught_up() if until_caught_up else None
        holder = self.parts.state.consumer() if join else None
        if holder is not None and holder.is_alive:
            group = holder.group
        evolution = Evolution(
            lambda: look_for_changes(self.parts), self._copy_changed, copies=self.config.schema_changes == "evolve"
        )
        consumer = Consumer(
            self.config, self.parts.source, self.parts.target, self.parts.state, tables,
            unavailable=UNAVAILABLE, group=group, run_id=run_id, join=join, on_progress=on_stream,
            evolution=evolution,
        )  # fmt: skip
        try:
            # It asks its state several times a second, which shall not take a connection each.
            with self.parts.pooled():
                return consumer.run(should_stop, caught_up)
        except ConsumerAlreadyRuns as error:
            if run_id is not None:  # asked to be that very run
                raise
            self.say(str(error))
            if caught_up is not None:
                wait_for_the_consumer(self.parts, self.tables, caught_up, should_stop)
            return consumer.progress

    def _copy_changed(self, table: TableId) -> CdcPipelineError | None:
        """Beside the consumer, with connections of its own. What it captures is extended first, if the table is new."""
        replication = Replication(self.config)
        try:
            if table not in self.parts.state.table_records():
                replication.check()
                replication.prepare()
            (result,) = replication.copy([str(table)], force_resync=True)
        except CdcPipelineError as error:
            return error
        return result.error

    def caught_up(self) -> CaughtUp:
        """A function that tells whether offsets of the topics cover everything committed in the source by now."""
        return caught_up_with(self.parts, self.tables)

    # -- at any moment ------------------------------------------------------------------------------------------

    def verify(self, names: Sequence[str] | None = None, *, repair: bool = False) -> Iterator[Comparison]:
        """Compare source and target of all tables or the named ones, each as it ends. While a consumer runs, a row that
        differs is looked at again when the stream has passed it; without one, writers have to be at rest. `repair` has
        the rows that do differ made as the source has them."""
        for found in verify(self.parts, self._named(names), self._passed, repair=repair):
            if found.mended:
                self.say(f"{found.table}: {found.mended} row(s) mended in {found.target}")
            yield found

    def count(self, names: Sequence[str] | None = None) -> Iterator[RowCount]:
        """How many rows source and target have, of all tables or the named ones; what flows is waited for."""
        yield from count(self.parts, self._named(names), self._passed)

    def _named(self, names: Sequence[str] | None) -> Sequence[Replicated]:
        return self.tables if names is None else [self.table(name) for name in names]

    @property
    def _passed(self) -> Callable[[], None] | None:
        """How to wait for the stream, if it flows."""
        consumer = self.parts.state.consumer() if self.parts.state.exists() else None
        flows = consumer is not None and consumer.is_alive and self.registration.is_registered
        return self._wait_for_stream if flows else None

    def _wait_for_stream(self) -> None:
        """Until all that the source holds now is in the target. Raises what keeps it from that."""
        wait_for_the_consumer(self.parts, self.tables, self.caught_up(), threading.Event())

    # -- the owner's wishes -------------------------------------------------------------------------------------

    def set_desired(self, desired: Desired) -> None:
        """Whether the stream shall run, rest or stop. A running consumer hears of it within seconds; that it shall run
        is true of the tables that have stopped, too."""
        self._require_start()
        self.parts.state.set(desired=desired)
        if desired is Desired.RUNNING:
            self.parts.state.wake_failed()

    def set_aside(self, name: str | None = None, row_key: str | None = None) -> list[SetAside]:
        """The events in quarantine: of all tables or one, of all rows or one."""
        self._require_start()
        table = None if name is None else self.table(name).source
        return Quarantine(self.parts.state).items(table, row_key)

    @property
    def _retrier(self) -> Retrier:
        return Retrier(
            self.parts.target, self.parts.state,
            unavailable=UNAVAILABLE, salt=self.config.salt, ignores_changes=self.config.ignores_changes,
        )  # fmt: skip

    def retry_set_aside(self, name: str | None = None, row_key: str | None = None) -> Retried:
        done = self._retrier.retry(self.set_aside(name, row_key))
        self.say(f"Quarantine: {done.applied} events applied, {done.left} stay")
        return done

    def discard_set_aside(self, name: str | None = None, row_key: str | None = None) -> int:
        """The rows stay as they are, which need not be as the source has them."""
        discarded = self._retrier.discard(self.set_aside(name, row_key))
        self.say(f"Quarantine: {discarded} events discarded; `verify` tells what that made different")
        return discarded

    def _require_start(self) -> None:
        if not self.parts.state.exists():
            raise NotStarted(replication=self.config.name)

    def teardown(self) -> list[str]:
        """Remove what this replication made outside the target's data: connector, slot and publication, topics, idle
        groups, state. Returns what was removed; the copied tables stay."""
        parts, config = self.parts, self.config
        topics = [table.topic for table in self.tables]
        self.registration.remove()
        parts.source.release_capture(config.slot_name)
        for table in self.tables:  # what a re-sync that was killed has left
            parts.target.replacer.clear(table.target)
        groups = parts.broker.delete_idle_groups(config.group_prefix, keep="")
        parts.broker.delete_topics([*topics, *config.own_topics])
        if parts.state.exists():
            parts.state.forget()
        return [config.connector_name, *topics, *groups]
