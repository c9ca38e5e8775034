"""`python -m cdc_pipeline.demo`: from nothing to a stream that a person can watch, and back to nothing.

Exit codes: 0 ended as it was asked to; 1 `--once` found a difference; 2 it could not be done.
"""

from __future__ import annotations

import fcntl
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click
import psycopg2
import pymysql
import requests

from cdc_pipeline.demo import replica, shop
from cdc_pipeline.demo.replica import Servers
from cdc_pipeline.demo.screen import Screen, moment
from cdc_pipeline.demo.services import FINISHED, Dagster
from cdc_pipeline.demo.workload import Workload
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.local import processes, stack
from cdc_pipeline.replication import Replication
from cdc_pipeline.status import get_unified_status
from cdc_pipeline.verify import verify

GOOD, DIFFERENT, NOT_DONE = 0, 1, 2
REFRESH_SECONDS = 1.0
REGISTERED_WITHIN, APPLIED_WITHIN = 180.0 * processes.PATIENCE, 300.0 * processes.PATIENCE
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OUTSIDE_ERRORS = (CdcPipelineError, requests.RequestException, pymysql.MySQLError, psycopg2.Error, OSError)


@dataclass(frozen=True)
class Wishes:
    """The options of the command line."""

    once: bool
    seconds: float
    orders: int
    rate: int
    port: int | None
    keep_stack: bool


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--once", is_flag=True, help="Stop the writers after a while, compare every table, and end.")
@click.option("--seconds", default=60.0, show_default=True, help="With --once: how long to stream before that.")
@click.option("--orders", default=20_000, show_default=True, type=click.IntRange(10), help="Seven rows each.")
@click.option("--rate", default=200, show_default=True, type=click.IntRange(1), help="Changes per second.")
@click.option("--port", type=click.IntRange(1, 65535), help="Of Dagster's UI (default: a free one).")
@click.option("--keep-stack", is_flag=True, help="Leave the servers running at the end.")
def main(**options: object) -> None:
    """Shows the whole pipeline at work, until Ctrl-C: a shop in MySQL, written to all the time, and its copy in
    PostgreSQL, kept equal by Debezium, Kafka and Dagster, all of them on this machine."""
    logging.getLogger("cdc_pipeline").addHandler(logging.NullHandler())  # the screen is the demo's own
    screen = Screen()
    demo = Demo(Wishes(**options), stack.default_home().resolve(), screen)  # type: ignore[arg-type]
    try:
        with _ending_on_signals(screen), demo.clean_up:
            equal = demo.run()
    except KeyboardInterrupt:
        sys.exit(GOOD)
    except OUTSIDE_ERRORS as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(NOT_DONE)
    sys.exit(GOOD if equal else DIFFERENT)


class Demo:
    """The story. Whatever is started puts its end on `clean_up`, which runs them backwards."""

    def __init__(self, wishes: Wishes, home: Path, screen: Screen) -> None:
        self.wishes = wishes
        self.home = home
        self.screen = screen
        self.say = screen.say
        self.clean_up = ExitStack()

    def run(self) -> bool:
        """Returns whether all tables are equal; without `--once` it ends by KeyboardInterrupt only."""
        self._only_one_at_a_time()
        self.dagster = Dagster(self.home, self.wishes.port, self.say)
        self.dagster.end()  # that of a demo which was killed: its sensors would go on registering and consuming
        servers = self._start_servers()
        self.replication = self._make_shop(servers)
        self.workload = self._start_workload(servers)
        self._start_dagster()
        with self.screen.table():
            self._copy()
            self._wait_for_the_stream()
            if not self.wishes.once:
                self._watch("Streaming; Ctrl-C ends it", until=lambda: False)
            began = time.monotonic()
            self._watch("Streaming", until=lambda: time.monotonic() - began >= self.wishes.seconds)
            self.workload.stop()
            self.say(f"The writers rest after {self.workload.changes:,} changes")
            self._wait_until_all_is_applied()
        return self._compare()

    # -- what is started ----------------------------------------------------------------------------------------

    def _only_one_at_a_time(self) -> None:
        folder = self.home / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        lock = self.clean_up.enter_context((folder / "lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CdcPipelineError(reason=f"Another demo is running in {self.home}.") from None

    def _start_servers(self) -> Servers:
        """The stack; what of it ran before is left running at the end, also if it is slow to answer just now."""
        before = {name for name in stack.known(self.home) if processes.running(stack.site_of(self.home, name))}
        if not self.wishes.keep_stack:
            self.clean_up.callback(self._end_servers, before)
        if not before.issuperset(stack.DEFAULT):
            self.say("Starting MySQL, PostgreSQL, Kafka and Connect (the first time, they are downloaded)")
        servers = Servers(stack.up(self.home, self.say))
        self.say("MySQL, PostgreSQL, Kafka and Connect are running")
        return servers

    def _end_servers(self, before: set[str]) -> None:
        stack.down(self.home, self.say, [name for name in stack.known(self.home) if name not in before])

    def _make_shop(self, servers: Servers) -> Replication:
        self.say("Removing what an earlier demo left, and filling the shop")
        began = time.monotonic()
        replication = replica.prepare(servers, self.home)
        self.clean_up.callback(self._remove_replication, replication)
        with servers.shop() as connection, connection.cursor() as cursor:
            shop.create(cursor)
            rows = shop.fill(cursor, self.wishes.orders)
            connection.commit()
        seconds = time.monotonic() - began
        self.say(f"The shop has {rows:,} rows in {len(shop.TABLES)} tables of MySQL ({seconds:.0f} s)")
        return replication

    def _remove_replication(self, replication: Replication) -> None:
        """Connector, topics and state go, so that a stack which stays has nothing of ours to do."""
        try:
            replication.teardown()
            replica.replication_file(self.home).unlink()  # the commands of this checkout find it no longer
        except CdcPipelineError as error:
            self.say(f"The replication could not be removed; the next demo does it: {error}")

    def _start_workload(self, servers: Servers) -> Workload:
        workload = Workload(servers.shop, self.wishes.rate)
        self.clean_up.callback(workload.stop)
        workload.start()
        self.say(f"Writers change about {self.wishes.rate} rows a second, from before the copy until the end")
        return workload

    def _start_dagster(self) -> None:
        self.say("Starting Dagster")
        self.clean_up.callback(self.dagster.end)
        self.dagster.start()
        self.say(f"Dagster's UI: {self.dagster.url}/asset-groups/{replica.SOURCE}")

    # -- what is watched ----------------------------------------------------------------------------------------

    def _copy(self) -> None:
        run = self.dagster.launch_copy(replica.SOURCE)
        self.say(f"The initial copy of all tables is Dagster's run {run[:8]}")
        began = time.monotonic()
        self._watch("Initial copy", until=lambda: self.dagster.status(run) in FINISHED)
        if self.dagster.status(run) != "SUCCESS":
            raise CdcPipelineError(reason=f"The initial copy failed: {self.dagster.problem(run)}")
        self.say(f"All tables are copied ({time.monotonic() - began:.0f} s)")

    def _wait_for_the_stream(self) -> None:
        """Two sensors do it: one registers the connector, the other launches the consumer."""

        def streaming() -> bool:
            for run in self.dagster.runs(statuses=["FAILURE"]):
                raise CdcPipelineError(reason=f"{run['jobName']} failed: {self.dagster.problem(run['runId'])}")
            records = self.replication.parts.state.table_records().values()
            return bool(records) and all(record.state == "STREAMING" for record in records)

        self._watch("Dagster's sensors register the connector and start the consumer", streaming, REGISTERED_WITHIN)
        self.say("The connector is registered and the consumer streams")

    def _wait_until_all_is_applied(self) -> None:
        caught_up = self.replication.caught_up()
        topics = [table.topic for table in self.replication.tables]

        def applied() -> bool:
            offsets = self.replication.parts.state.offsets_of(topics)
            return caught_up({key: record.next_offset for key, record in offsets.items()})

        self._watch("Applying the rest", applied, APPLIED_WITHIN)

    def _compare(self) -> bool:
        comparisons = list(verify(self.replication.parts, self.replication.tables))
        self.screen.show_result(comparisons)
        equal = sum(comparison.equal for comparison in comparisons)
        self.say(f"{equal} of {len(comparisons)} tables are equal, by row count and checksum")
        return equal == len(comparisons)

    def _watch(self, doing: str, until: Callable[[], bool], within: float = float("inf")) -> None:
        """Keep the table on the screen up to date until that is so. Raises if a part of the demo has failed."""
        began = time.monotonic()
        while not until():
            self.dagster.require_health()
            self.workload.require_health()
            if time.monotonic() - began > within:
                raise CdcPipelineError(reason=f"{doing}: not done within {within:.0f} s. {self._last_error()}".strip())
            self._show(doing)
            time.sleep(REFRESH_SECONDS)
        self._show(doing)

    def _last_error(self) -> str:
        return get_unified_status(self.replication.parts)["last_error"]

    def _show(self, doing: str) -> None:
        parts = self.replication.parts
        tables = self.replication.tables
        there = parts.target.shapes([table.target for table in tables])
        self.screen.show(
            moment(
                get_unified_status(parts),
                {str(table.source): parts.source.count(table.source) for table in tables},
                {str(table.source): parts.target.count(table.target) for table in tables if table.target in there},
                ui=self.dagster.url,
                doing=doing,
                changes=self.workload.changes,
                rollbacks=self.workload.rollbacks,
            )
        )


@contextmanager
def _ending_on_signals(screen: Screen) -> Iterator[None]:
    """Make Ctrl-C, a plain `kill` and a closed terminal end the demo once; while it ends, more of them are told to
    wait: what is not ended in order stays behind."""
    ending = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal ending
        if ending:
            return
        ending = True
        screen.say("Ending what was started; a few seconds, please")
        raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    main()
