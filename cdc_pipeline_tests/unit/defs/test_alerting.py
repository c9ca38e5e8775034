"""What the sensors that watch runs make of a tick with several of them: Dagster's own ticks, runs and instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest

from cdc_pipeline.config import load_replication
from cdc_pipeline.defs.alerting import tell_of_failures, tell_of_resyncs
from cdc_pipeline.defs.lineage import Lineage
from cdc_pipeline_tests.receivers import Receiver, receiving

FILE = """
client: 1
database: 2
config: 3
source: {{url: "mysql://cdc@127.0.0.1:1/shop"}}
target: {{url: "postgresql://cdc@127.0.0.1:1/dwh"}}
kafka: {{bootstrap_servers: "127.0.0.1:1"}}
connect: {{url: "http://127.0.0.1:1"}}
tables: [users]
alerts: {{webhooks: ["{hook}"]}}
"""
MakeSensor = Callable[[Lineage], dg.SensorDefinition]


class Watched:
    """A replication, an instance that remembers runs, and who is told of them."""

    def __init__(self, folder: Path, receiver: Receiver, instance: dg.DagsterInstance) -> None:
        path = folder / "shop.yaml"
        path.write_text(FILE.format(hook=receiver.url("/hook")))
        self.lineage = Lineage.of(load_replication(path))
        self.receiver, self.instance = receiver, instance

    def run(self, *, ours: bool, fails: bool, name: str = "copy") -> str:
        """A run of a job, which ends in this way; one of ours is a forced re-sync."""

        @dg.op(config_schema={"force_resync": bool})
        def act() -> None:
            if fails:
                raise dg.Failure("it broke")

        @dg.job(name=f"{self.lineage.name}_{name}", tags=self.lineage.tags if ours else {})
        def job() -> None:
            act()

        config = {"ops": {"act": {"config": {"force_resync": True}}}}
        return job.execute_in_process(config, self.instance, raise_on_error=False).run_id

    def tick(self, sensor: dg.SensorDefinition, cursor: str | None) -> dg.SensorExecutionData:
        """What the daemon would get."""
        return sensor.evaluate_tick(dg.build_sensor_context(self.instance, cursor))

    @property
    def told(self) -> list[str]:
        return [message["link"].removeprefix("run ") for _, message in self.receiver.got]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with receiving() as receiver, dg.DagsterInstance.ephemeral() as instance:
        yield Watched(tmp_path, receiver, instance)


@pytest.mark.parametrize(("make", "fails"), [(tell_of_failures, True), (tell_of_resyncs, False)])
@pytest.mark.parametrize("ours", [(True, False), (False, True, True, False)])
def test_one_tick_tells_of_each_run_of_ours_once_whatever_runs_lie_beside_it(
    watched: Watched, make: MakeSensor, *, fails: bool, ours: Sequence[bool]
) -> None:
    sensor = make(watched.lineage)
    begun = watched.tick(sensor, None).cursor
    runs = [watched.run(ours=each, fails=fails) for each in ours]
    tick = watched.tick(sensor, begun)
    told = [run for run, each in zip(runs, ours, strict=True) if each]
    assert watched.told == told
    reactions = tick.dagster_run_reactions or ()
    assert [reaction.dagster_run.run_id for reaction in reactions if reaction.dagster_run] == runs
    assert [reaction.error for reaction in reactions if reaction.error] == []
    watched.tick(sensor, tick.cursor)
    assert watched.told == told  # nobody hears of one again


def test_a_consumer_that_failed_beside_a_copy_is_not_told_of(watched: Watched) -> None:
    sensor = tell_of_failures(watched.lineage)
    begun = watched.tick(sensor, None).cursor
    copy, _ = watched.run(ours=True, fails=True), watched.run(ours=True, fails=True, name="consume")
    watched.tick(sensor, begun)
    assert watched.told == [copy]
