"""A table is copied again while it is read and the consumer streams into it.

In this order:

1. State RESYNCING: the table serves as before, and its consumer goes on with it.
2. Note the end of its topic; what is before it is older than the snapshot to come.
3. Make a shadow, a table beside it. Open the snapshot, load the shadow from it, make its indexes.
4. The shadow takes the table's place, with its watermark, and the topic is rewound to the noted end (swaps.py): the
   consumer's open batch is fenced, and it goes on from there, dropping what the watermark holds.
5. Drop what is left.

Where something hangs on the table that would not follow, the shadow's rows take the place of the table's instead, in
one transaction. Killed before 4, there is a shadow too many, which the next copy of the table drops; in 4, see
swaps.py; after it, as before it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cdc_pipeline import swaps
from cdc_pipeline.copying.completion import complete
from cdc_pipeline.copying.ranges import Cutting, Note, RangedTransfer
from cdc_pipeline.copying.transfer import OnRows, Transferred, transfer
from cdc_pipeline.databases.dialect import Dialect
from cdc_pipeline.databases.replacer import Swapper
from cdc_pipeline.databases.source import Snapshot, Source
from cdc_pipeline.databases.target import Target
from cdc_pipeline.errors import CdcPipelineError, ResyncImpossible, TableBusy
from cdc_pipeline.kafka import Broker
from cdc_pipeline.model import Column, Replicated, TableId, TableShape
from cdc_pipeline.state import State, TableRecord, TableState
from cdc_pipeline.swaps import Swap

BUSY_SECONDS = 3600.0  # that the loaded shadow waits for a moment in which nobody holds a lock on the table
LONGEST_PAUSE_SECONDS = 5.0
_LIVE = (TableState.COPIED, TableState.STREAMING, TableState.RESYNCING, TableState.FAILED)


def is_live(record: TableRecord, table: Replicated) -> bool:
    """Whether what the table holds is worth serving while it is copied again: its watermark is known."""
    return record.state in _LIVE and record.watermark is not None and record.target == table.target


@dataclass(frozen=True)
class Plan:
    """How a table is to be replaced. Whether it `fits`: its columns take the source's values."""

    swapper: Swapper | None  # None: in place
    fits: bool
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.swapper:
            return "a new table is swapped in" + ("" if self.fits else ", because the source's columns have changed")
        return f"rows are replaced in place, because of {'; '.join(self.reasons)}"


def planned(target: Target, record: TableRecord, shape: TableShape, there: TableShape) -> Plan:
    """Raises ResyncImpossible, before anything is done."""
    replacer, table = target.replacer, record.target
    before = {column.name: column for column in (record.shape or shape).columns}
    fits = _fits(target.dialect, shape, there, before)
    dropped = {column.name for column in there.columns} & before.keys() - set(shape.names)
    with target.connect() as connection:
        reasons = tuple(replacer.obstacles(connection, table))
        problem = replacer.problem_in_place(connection, table) if reasons else ""
    if isinstance(replacer, Swapper) and not reasons:
        return Plan(replacer, fits and not dropped)  # other columns of the target are its owner's own
    problem = problem or ("" if fits else "it has other columns than the source")
    if problem:
        raise ResyncImpossible(table=table, reasons="; ".join(reasons), problem=problem)
    return Plan(None, fits, reasons)


def _fits(dialect: Dialect, shape: TableShape, there: TableShape, before: Mapping[str, Column]) -> bool:
    """Whether a table can take this source table's rows, and has nothing that they leave without a value. `before` are
    the source's columns at the last copy."""
    columns = {column.name: column for column in there.columns}
    for column in shape.columns:
        if column.name not in columns:
            return False
        held = columns[column.name].type
        declared = dialect.column_type(column.canonical, in_key=column.name in shape.key)
        declared_type = dialect.canonical_type(declared.lower()) or column.canonical
        if held is None or not (held.can_hold(column.canonical) or held.can_hold(declared_type)):
            return False
        may_be_null_now = column.nullable and not before.get(column.name, column).nullable
        if may_be_null_now and not columns[column.name].nullable:
            return False
    others = [column for name, column in columns.items() if name not in shape.names]
    return there.key == shape.key and all(column.has_default for column in others)


@dataclass
class Resync:
    """One table's, while its copy is held (`swaps.alone`)."""

    source: Source
    target: Target
    state: State
    broker: Broker
    say: Callable[[str], None]
    table: Replicated
    shape: TableShape
    cutting: Cutting
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def run(self, plan: Plan, source_rows: int, on_rows: OnRows) -> tuple[Swap, list[str]]:
        """Returns what the table is now, and notes on what it goes without."""
        table = self.table
        self.say(f"{table.source}: Re-sync while {table.target} serves: {plan}")
        try:
            return self._run(plan, source_rows, on_rows)
        finally:
            self._drop_leftovers()

    def _run(self, plan: Plan, source_rows: int, on_rows: OnRows) -> tuple[Swap, list[str]]:
        table, started = self.table, time.monotonic()
        self._begin()
        ends = {partition: end for (_, partition), end in self.broker.ends([table.topic]).items()}
        shadow = self.target.replacer.shadow(table.target, self.id, to_swap=plan.swapper is not None)
        fingerprint = self._fingerprint(plan)
        notes = self._make_shadow(plan, shadow)
        in_ranges = self.cutting.applies(source_rows, self.shape)
        with self.source.snapshots(self.shape, self.cutting.readers if in_ranges else 1) as readers:
            watermark = readers[0].watermark.to_text()
            if in_ranges:
                note = Note(watermark, self.shape.to_json(), str(shadow), ends)
                done = self._load_ranges(note, readers, shadow, source_rows, on_rows)
            else:
                done = self._load(readers[0], shadow, on_rows)
        began = time.monotonic()
        if plan.swapper:
            notes += plan.swapper.finish(table.target, shadow, anew=not plan.fits)
            notes += complete(self.target, table, self.shape, self.source.definition(self.shape), made_in=shadow)
        swap = Swap(
            self.id, table.source, table.target, table.topic, shadow, plan.swapper is not None, watermark,
            self.shape.to_json(), ends, done.rows, done.bytes, time.monotonic() - started,
            {**done.phases, "index": round(time.monotonic() - began, 3)},
        )  # fmt: skip
        self._replace(plan, swap, fingerprint)
        return replace(swap, seconds=time.monotonic() - started), notes

    def _load(self, snapshot: Snapshot, shadow: TableId, on_rows: OnRows) -> Transferred:
        with self.target.connect() as connection, connection.begin():  # the bulk load goes past SQLAlchemy
            return transfer(snapshot, self.shape, self.target, connection, shadow, on_rows, self.table.target)

    def _load_ranges(
        self, note: Note, readers: Sequence[Snapshot], shadow: TableId, source_rows: int, on_rows: OnRows
    ) -> Transferred:
        with self.target.connect() as connection:
            self.state.note_copying(connection, self.table.source, note.to_text())
            connection.commit()
        ranged = RangedTransfer(
            self.source, self.target, self.state, self.say, self.shape, shadow, note, self.table.target
        )  # fmt: skip
        return ranged.run(readers, self.cutting, source_rows, on_rows)

    def _begin(self) -> None:
        """A table whose stream has failed stays so: its consumer would only fail again."""
        table = self.table
        with self.target.connect() as connection:
            self.state.lock_topic(connection, table.topic)
            record = self.state.table_record(table.source)
            if record.state is not TableState.FAILED:
                self.state.move_table(connection, table.source, TableState.RESYNCING)
            connection.commit()

    def _fingerprint(self, plan: Plan) -> str:
        if plan.swapper is None:
            return ""
        with self.target.connect() as connection:
            return plan.swapper.fingerprint(connection, self.table.target)

    def _make_shadow(self, plan: Plan, shadow: TableId) -> list[str]:
        replacer = self.target.replacer
        replacer.make_room(shadow)
        if plan.fits:
            replacer.make_shadow(self.table.target, shadow, self.shape.names, to_swap=plan.swapper is not None)
            return []
        definition = self.source.definition(self.shape)
        with self.target.connect() as connection:
            notes = self.target.definer.create_table(self.target, connection, shadow, self.shape, definition)
            connection.commit()
        return notes

    # -- the replacement ----------------------------------------------------------------------------------------

    def _replace(self, plan: Plan, swap: Swap, fingerprint: str) -> None:
        """Once more and once more, if others hold a lock: each time we wait for a moment only, and in between neither
        readers nor the consumer wait for us."""
        started, pause = time.monotonic(), 0.1
        while True:
            try:
                if plan.swapper is None:
                    self._in_place(swap)
                elif plan.swapper.in_transaction:
                    self._swap_in_transaction(plan.swapper, swap, fingerprint)
                else:
                    self._swap_by_rename(plan.swapper, swap, fingerprint)
                return
            except CdcPipelineError as error:
                if not self.target.replacer.is_busy(error):
                    raise
                if time.monotonic() - started > BUSY_SECONDS:
                    raise TableBusy(table=swap.target, reason=error) from error
                if pause > LONGEST_PAUSE_SECONDS / 2:
                    self.say(f"{swap.source}: loaded; waits for a moment in which nobody holds a lock on {swap.target}")
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _swap_in_transaction(self, swapper: Swapper, swap: Swap, fingerprint: str) -> None:
        """The topic first and the table then, as the consumer's batches lock them."""
        with self.target.connect() as connection:
            self.state.lock_topic(connection, swap.topic)
            swapper.swap(connection, swap.target, swap.shadow, fingerprint)
            swaps.conclude(self.state, connection, swap, TableState.COPIED)
            connection.commit()

    def _swap_by_rename(self, swapper: Swapper, swap: Swap, fingerprint: str) -> None:
        swaps.announce(self.state, swap)
        try:
            with self.target.connect() as connection:
                swapper.swap(connection, swap.target, swap.shadow, fingerprint)
        except CdcPipelineError as error:
            if swapper.is_busy(error):  # so it has not happened
                swaps.withdraw(self.state, swap)
                raise
            # It may have happened all the same, if it was the connection that failed. Then it is concluded here.
            swaps.settle(self.state, self.state.table_record(swap.source))
            if self.state.table_record(swap.source).watermark != swap.watermark:
                raise
            return
        with self.target.connect() as connection:
            self.state.lock_topic(connection, swap.topic)
            swaps.require_announced(self.state, connection, swap)
            swaps.conclude(self.state, connection, swap, TableState.COPIED)
            connection.commit()

    def _in_place(self, swap: Swap) -> None:
        """The consumer is fenced meanwhile, or its batches, of other tables too, would wait for the topic that is held.
        LOADED, because indexes that are missing are made after the rows."""
        swaps.announce(self.state, swap)
        try:
            with self.target.connect() as connection:
                self.state.lock_topic(connection, swap.topic)
                swaps.require_announced(self.state, connection, swap)
                names = self.shape.names
                self.target.replacer.replace_rows(connection, swap.target, swap.shadow, names)
                swaps.conclude(self.state, connection, swap, TableState.LOADED)
                connection.commit()
        except CdcPipelineError:
            swaps.withdraw(self.state, swap)
            raise

    def _drop_leftovers(self) -> None:
        """Unless they have to tell how a replacement ended that could not be written down."""
        try:
            if not self.state.table_record(self.table.source).swap:
                self.target.replacer.clear(self.table.target)
        except CdcPipelineError as error:
            self.say(f"{self.table.source}: what is left of the re-sync is dropped by the next one: {error}")
