"""Step 3: a connector that starts exactly where the copies began, and one that is kept so.

The order is design, and each step may be repeated after a kill:

1. Create the connector stopped, in `recovery` mode where it keeps a schema history: a preset offset alone would not
   let it start without one.
2. Preset its offset to the start position; read it back.
3. Remember in the state tables what it captures: from now on the offset belongs to the connector.
4. Resume; wait until its task runs and, with a schema history, until a heartbeat says that it streams.
5. Switch `recovery` to `no_data`: recovery would read the definitions of that day again at each restart.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from cdc_pipeline.capture.connect_api import ConnectApi
from cdc_pipeline.capture.connector import (
    REBUILD_HISTORY,
    STREAMING,
    get_connector_config_for_database,
    offset_partition,
)
from cdc_pipeline.config import ReplicationConfig
from cdc_pipeline.errors import ConnectorFailed, OffsetMismatch
from cdc_pipeline.kafka import Broker
from cdc_pipeline.model import Position, Replicated
from cdc_pipeline.state import State

STREAMS_WITHIN_SECONDS = 120
READ_BACK_WITHIN_SECONDS = 15


class Registration:
    """The connector of one replication."""

    def __init__(self, config: ReplicationConfig, connect: ConnectApi, broker: Broker, state: State) -> None:
        self.config = config
        self.name = config.connector_name
        self.connect = connect
        self.broker = broker
        self.state = state

    @property
    def is_registered(self) -> bool:
        """Whether the connector is there and its offset has been preset."""
        return self.connect.exists(self.name) and bool(self.state.captured_tables)

    @property
    def reads_definitions(self) -> bool:
        """Whether the connector has yet to read how the tables are defined, from the source as it is now. It would read
        what was logged before by that; so nothing may have changed since the copies."""
        config = self.connect.config(self.name) if self.is_registered else None
        keeps_history = self.config.source.kind != "postgresql"
        return keeps_history and (config is None or config["snapshot.mode"] == REBUILD_HISTORY)

    def register(self, tables: Sequence[Replicated], start: Position, *, keyless: bool) -> None:
        config = get_connector_config_for_database(self.config, tables, keyless=keyless)
        keeps_history = any(key.startswith("schema.history.") for key in config)
        if not self.is_registered:
            mode = REBUILD_HISTORY if keeps_history else STREAMING
            self._create(get_connector_config_for_database(self.config, tables, mode, keyless=keyless), start)
            self._remember(tables)
        self._run()
        if self.connect.config(self.name)["snapshot.mode"] == REBUILD_HISTORY:
            self._wait_until_it_streams()
            self.connect.put_config(self.name, {"name": self.name, **config})
            self._run()

    def extend(self, tables: Sequence[Replicated], *, keyless: bool) -> None:
        """Capture these tables from now on; call before any new one is copied. Other changes of the owner's connector
        settings come into force too."""
        config = get_connector_config_for_database(self.config, tables, keyless=keyless)
        config["name"] = self.name
        current = self.connect.config(self.name)
        if current == config or current["snapshot.mode"] == REBUILD_HISTORY:
            return
        # Stopped first: a change that the old task reads and skips would be lost to a table copied before it.
        self.connect.stop(self.name)
        self.connect.wait_stopped(self.name)
        self.connect.put_config(self.name, config)
        self._remember(tables)
        self._run()

    def remove(self) -> None:
        """Delete the connector and its offsets. Harmless if there is none."""
        if self.connect.exists(self.name):
            self.connect.stop(self.name)
            self.connect.wait_stopped(self.name)
            self.connect.delete_offsets(self.name)
            self.connect.delete(self.name)
        if self.state.exists():
            self.state.set(captured_tables=None, start_position=None)

    def _create(self, config: Mapping[str, str], start: Position) -> None:
        if not self.connect.exists(self.name):
            self.connect.create_stopped(self.name, config)
        self.connect.wait_stopped(self.name)
        self.connect.patch_offsets(self.name, offset_partition(self.config), start.offset)
        deadline = time.monotonic() + READ_BACK_WITHIN_SECONDS
        while (read := self.connect.offsets(self.name)) != dict(start.offset):
            if time.monotonic() > deadline:
                raise OffsetMismatch(connector=self.name, wrote=start.to_text(), read=read)
            time.sleep(0.1)  # the worker that answers may not have read its offsets topic to the end yet

    def _remember(self, tables: Sequence[Replicated]) -> None:
        self.state.set(captured_tables="\n".join(str(table.source) for table in tables))

    def _run(self) -> None:
        """Resume it, restart what has failed, wait until all of it runs."""
        # Whatever its status: a stopped connector whose configuration has just changed is UNASSIGNED for a moment.
        # To one that is meant to run already, this changes nothing.
        self.connect.resume(self.name)
        status = self.connect.status(self.name)
        if status["connector"] == "FAILED" or any(task["state"] == "FAILED" for task in status["tasks"]):
            self.connect.restart_failed(self.name)
            time.sleep(1)  # the answer to a restart comes before the old state is gone
        self.connect.wait_running(self.name)

    def _wait_until_it_streams(self) -> None:
        """A heartbeat is sent while the log is read, and not while the schema history is rebuilt."""
        topic = f"__debezium-heartbeat.{self.config.topic_prefix}"
        before = sum(self.broker.ends([topic]).values())
        deadline = time.monotonic() + STREAMS_WITHIN_SECONDS
        while sum(self.broker.ends([topic]).values()) <= before:
            self.connect.wait_running(self.name)
            if time.monotonic() > deadline:
                raise ConnectorFailed(connector=self.name, reason="runs, but sends no heartbeat")
            time.sleep(0.1)
