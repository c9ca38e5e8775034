"""What the consumer tells Dagster of the stream and of its tables: as much in a minute, whatever there is to tell."""

import time
from collections.abc import Callable

import dagster as dg
import pytest

from cdc_pipeline.apply.progress import Progress
from cdc_pipeline.defs.consume import Heartbeat
from cdc_pipeline.defs.lineage import IDLE_SECONDS, STREAM_IS_LATE, Lineage
from cdc_pipeline.replication import Replication
from cdc_pipeline.state import Desired, TableState
from cdc_pipeline_tests.scenario import Scenario

TABLES = ("addresses", "notes", "orders", "users")


class Beats:
    """A heartbeat in a run that does nothing else. Rows are only said to have been applied."""

    def __init__(self, context: dg.OpExecutionContext, scenario: Scenario, replication: Replication) -> None:
        self.scenario = scenario
        self.replication = replication
        self.lineage = Lineage.of(replication.config)
        self.instance = context.instance
        self.progress = Progress("group")
        self.heartbeat = Heartbeat(context, self.lineage, replication)
        self.stream_beats = 0

    def change(self, *tables: str, rows: int = 1) -> None:
        for table in tables:
            self.scenario.run(
                "target", f"UPDATE cdc_pipeline.offsets SET inserted = inserted + {rows} WHERE topic LIKE '%.{table}'"
            )

    def move(self, table: str, state: TableState) -> None:
        parts = self.replication.parts
        with parts.target.connect() as connection:
            parts.state.move_table(connection, self.replication.table(table).source, state)
            connection.commit()

    def beat(self, *, end: bool = False) -> dict[str, tuple[str, int]]:
        """Of each table that is told of: the change and the rows inserted."""
        before = self._told()
        if end:
            self.heartbeat.end(self.progress)
        else:
            self.heartbeat.beat(self.progress)
            self.stream_beats += 1
            told = self.instance.fetch_materializations(self.lineage.stream, limit=100).records
            assert len(told) == self.stream_beats
        after = self._told()
        found = {name: events[0] for name, events in after.items() if len(events) > len(before[name])}
        return {name: (told["change"].value, told["inserted"].value) for name, told in found.items()}

    def _told(self) -> dict[str, list]:
        keys = {table.source.name: self.lineage.target_key(table) for table in self.lineage.tables}
        events = {name: self.instance.fetch_materializations(key, limit=100).records for name, key in keys.items()}
        return {name: [e.asset_materialization.metadata for e in found] for name, found in events.items()}  # type: ignore[union-attr]


def story(beats: Beats, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing, none = {}, ("none", 0)
    for table in TABLES:
        assert beats.beat() == {table: none}, "one at a time"
    assert beats.beat() == nothing, "nothing has changed, and nothing is due"

    beats.change("users", rows=3)
    assert beats.beat() == {"users": ("stream", 3)}
    assert beats.beat() == nothing
    beats.change("users", "orders", "notes")
    beats.change("users", "orders", "notes")
    assert beats.beat() == {"notes": ("stream", 2)}
    assert beats.beat() == {"orders": ("stream", 2)}, "those first that have waited longest"
    assert beats.beat() == {"users": ("stream", 2)}, "what waited is not lost"

    beats.change("users")
    beats.progress.lag_seconds, beats.progress.batches = STREAM_IS_LATE.total_seconds(), 1
    assert beats.beat() == nothing, "what is late is not fresh"
    assert beats.beat() == {"users": ("stream", 1)}, "no batch since: nothing waits"

    beats.change("users")
    beats.replication.set_desired(Desired.PAUSED)
    assert beats.beat() == nothing
    beats.replication.set_desired(Desired.RUNNING)
    beats.move("users", TableState.FAILED)
    assert beats.beat() == nothing, "a table that has stopped is not fresh"

    now = time.time
    monkeypatch.setattr("cdc_pipeline.defs.consume.time.time", lambda: now() + IDLE_SECONDS)
    assert beats.beat() == {"addresses": none}
    monkeypatch.undo()

    beats.change("addresses", "notes", "orders")
    beats.progress.lag_seconds = 0.0
    assert beats.beat() == {"notes": ("stream", 1)}
    beats.replication.set_desired(Desired.STOPPED)
    assert beats.beat(end=True) == dict.fromkeys(("addresses", "orders"), ("stream", 1)), "all, at the end"


def test_one_table_a_minute_is_told_of_in_turn(
    scenario: Callable[..., Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scenario("mysql", "postgresql")
    for table in TABLES:
        made.run("source", f"CREATE TABLE {table} (id INT PRIMARY KEY)")
    replication = made.replication(*TABLES)
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []

    @dg.op
    def stream(context: dg.OpExecutionContext) -> None:
        beats = Beats(context, made, replication)
        for table in TABLES:
            beats.move(table, TableState.STREAMING)
        story(beats, monkeypatch)

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.GraphDefinition("consume", node_defs=[stream]).execute_in_process(instance=instance).success
