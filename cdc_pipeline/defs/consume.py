"""Step 4 as a job: a long run, but not an endless one, that reports how the stream goes."""

import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg

from cdc_pipeline.apply.progress import PHASES, Progress
from cdc_pipeline.defs import metadata
from cdc_pipeline.defs.lineage import CONSUMER_TAG, IDLE_SECONDS, STREAM_IS_LATE, Lineage
from cdc_pipeline.defs.reporting import explained
from cdc_pipeline.model import Replicated
from cdc_pipeline.quarantine import Quarantine
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import STREAMS, Desired

HEARTBEAT_SECONDS = 60.0
OPERATIONS = ("inserted", "updated", "deleted")
LAUNCHED_BY_SENSOR, LAUNCHED_AGAIN = "dagster/sensor_name", "dagster/parent_run_id"


class ConsumeConfig(dg.Config):
    max_hours: float = 6.0  # then the run ends well and the sensor starts the next: new code, a new log
    group: str | None = None  # use this consumer group instead of a fresh one


def consume_job(lineage: Lineage) -> dg.JobDefinition:
    @dg.op(name=f"{lineage.name}_stream", description="Applies change events to the target until its time is up.")
    def stream(context: dg.OpExecutionContext, config: ConsumeConfig) -> None:
        with explained():
            replication = Replication(lineage.config)
            if _by_hand(context.run.tags):
                replication.set_desired(Desired.RUNNING)
            heartbeat = Heartbeat(context, lineage, replication)
            with _time_limit(config.max_hours) as should_stop:
                progress = replication.consume(
                    should_stop, group=config.group, run_id=context.run_id, on_stream=heartbeat
                )
            heartbeat.end(progress)

    @dg.job(
        name=f"{lineage.name}_consume",
        executor_def=dg.in_process_executor,
        tags={**lineage.tags, CONSUMER_TAG: lineage.config.name},
        description="Applies changes from Kafka to the target. It ends after `max_hours` with success; the sensor "
        f"{lineage.name}_keep_consuming starts the next run at once, and Kafka keeps what comes in between. It does so "
        f"too when a run is terminated; to end the stream, launch {lineage.name}_stop.",
    )
    def consume() -> None:
        stream()

    return consume


def _by_hand(tags: Mapping[str, str]) -> bool:
    """Whether a person launched this run: that is a wish to have the stream run, also if it was stopped before."""
    return LAUNCHED_BY_SENSOR not in tags or LAUNCHED_AGAIN in tags


@contextmanager
def _time_limit(hours: float) -> Iterator[threading.Event]:
    is_over = threading.Event()
    timer = threading.Timer(hours * 3600, is_over.set)
    timer.daemon = True
    timer.start()
    try:
        yield is_over
    finally:
        timer.cancel()


class Heartbeat:
    """Materializes the stream once a minute, and with it one target table, in turn: an event of the log costs 10 ms and
    some kilobytes, and nothing purges it while its run is remembered, so their number depends on nothing but time
    (`benchmarks/event_log.py`).

    A table has its turn when it has changed, or has not had one for an hour: it is as fresh as the stream that keeps it
    equal. While the stream is late or rests, and for a table that has stopped, nothing is told, and Dagster shows it as
    stale. What was applied to a table is read from the state tables, where it was committed together with the rows.
    """

    def __init__(self, context: dg.OpExecutionContext, lineage: Lineage, replication: Replication) -> None:
        self.context = context
        self.lineage = lineage
        self.state = replication.parts.state
        self.target = replication.parts.target
        self.quarantine = Quarantine(self.state)
        self.before = self._counts()
        self.applied = self.batches = 0
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.since, self.due = time.monotonic(), 0.0

    def __call__(self, progress: Progress) -> None:
        """Called every few seconds, maybe while a batch is being written; it counts when it is committed."""
        if time.monotonic() >= self.due:
            self.beat(progress)

    def end(self, progress: Progress) -> None:
        """What came since the last beat, and all tables whose turn has not come; had it just beaten, a beat of nothing
        would hide that."""
        if time.monotonic() - self.since > 1 or progress.batches > self.batches:
            self.beat(progress, last=True)
        else:
            self._report_tables(last=True)

    def beat(self, progress: Progress, *, last: bool = False) -> None:
        now = time.monotonic()
        told = {
            "events_per_second": round((progress.applied - self.applied) / max(now - self.since, 0.001), 1),
            # Of the last batch; no batch means that nothing waited.
            "lag_seconds": round(progress.lag_seconds, 3) if progress.batches > self.batches else 0.0,
            "inserted": progress.inserted,
            "updated": progress.updated,
            "deleted": progress.deleted,
            "dropped": progress.dropped,
            "set_aside": self.quarantine.count(),
            "batches": progress.batches,
            **{f"{phase}_seconds": round(progress.seconds[phase] - self.seconds[phase], 2) for phase in PHASES},
            "group": progress.group,
            "run_id": self.context.run_id,
        }
        self.context.log_event(dg.AssetMaterialization(self.lineage.stream, metadata=told))
        keeps_up = told["lag_seconds"] < STREAM_IS_LATE.total_seconds()
        if keeps_up and (last or self.state.desired is Desired.RUNNING):
            self._report_tables(last=last)
        self.applied, self.batches, self.since = progress.applied, progress.batches, now
        self.seconds = dict(progress.seconds)
        self.due = now + HEARTBEAT_SECONDS

    def _report_tables(self, *, last: bool) -> None:
        counts = self._counts()
        waiting = self._waiting(counts, IDLE_SECONDS if not last else math.inf)
        for table in waiting if last else waiting[:1]:
            changed = counts[table.topic] - self.before[table.topic]
            applied = {name: changed[name] for name in OPERATIONS}
            shape = self.target.shape(table.target)
            told = {"change": "stream" if changed else "none", **applied, **metadata.of_shape(shape)}
            self.context.log_event(dg.AssetMaterialization(self.lineage.target_key(table), metadata=told))
            self.before[table.topic] = counts[table.topic]

    def _waiting(self, counts: dict[str, Counter[str]], idle_seconds: float) -> list[Replicated]:
        """The tables that stream and have changed, or are due without; those first that have waited longest."""
        states = {table: record.state for table, record in self.state.table_records().items()}
        streaming = [table for table in self.lineage.tables if states.get(table.source) in STREAMS]
        keys = {self.lineage.target_key(table): table.topic for table in streaming}
        told = dict.fromkeys(keys.values(), -math.inf)
        for record in self.context.instance.get_asset_records(list(keys)):
            latest = record.asset_entry.last_materialization_record
            if latest is not None:
                told[keys[record.asset_entry.asset_key]] = latest.timestamp
        due = time.time() - idle_seconds
        waiting = [t for t in streaming if counts[t.topic] != self.before[t.topic] or told[t.topic] <= due]
        return sorted(waiting, key=lambda table: told[table.topic])

    def _counts(self) -> dict[str, Counter[str]]:
        """Rows applied to each topic's table since it is known."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for record in self.state.offsets_of().values():
            counts[record.topic] += Counter({name: getattr(record, name) for name in OPERATIONS})
        return counts
