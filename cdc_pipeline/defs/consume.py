"""Step 4 as a job: a long run, but not an endless one, that reports how the stream goes."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg

from cdc_pipeline.apply.progress import PHASES, Progress
from cdc_pipeline.defs import metadata
from cdc_pipeline.defs.lineage import CONSUMER_TAG, Lineage
from cdc_pipeline.defs.reporting import explained
from cdc_pipeline.quarantine import Quarantine
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import Desired

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
        f"{lineage.name}_keep_consuming starts the next run at once, and Kafka keeps what comes in between. Terminate "
        "a run to stop the stream; launch this job by hand to have it run again.",
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
    """Materializes the stream and the target tables that changed, at most once a minute: an event of the log costs
    about 10 ms and 3 KB, and nothing purges it. What was applied to a table is read from the state tables, where it
    was committed together with the rows."""

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
        """What came since the last beat; had it just beaten, a beat of nothing would hide that."""
        if time.monotonic() - self.since > 1 or progress.batches > self.batches:
            self.beat(progress)

    def beat(self, progress: Progress) -> None:
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
        self._report_tables()
        self.applied, self.batches, self.since = progress.applied, progress.batches, now
        self.seconds = dict(progress.seconds)
        self.due = now + HEARTBEAT_SECONDS

    def _report_tables(self) -> None:
        counts = self._counts()
        changed = {topic: count - self.before[topic] for topic, count in counts.items() if count != self.before[topic]}
        tables = [table for table in self.lineage.tables if table.topic in changed]
        shapes = self.target.shapes([table.target for table in tables]) if tables else {}
        for table in tables:
            applied = {name: changed[table.topic][name] for name in OPERATIONS}
            told = {"change": "stream", **applied, **metadata.of_shape(shapes.get(table.target))}
            self.context.log_event(dg.AssetMaterialization(self.lineage.target_key(table), metadata=told))
        self.before = counts

    def _counts(self) -> dict[str, Counter[str]]:
        """Rows applied to each topic's table since it is known."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for record in self.state.offsets_of().values():
            counts[record.topic] += Counter({name: getattr(record, name) for name in OPERATIONS})
        return counts
