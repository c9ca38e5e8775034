"""When everything that the source holds at some moment is in the target."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping, Sequence

from cdc_pipeline.apply.consumer import CaughtUp
from cdc_pipeline.errors import CdcPipelineError, ConnectorFailed, TablesStopped
from cdc_pipeline.model import Replicated
from cdc_pipeline.parts import Parts
from cdc_pipeline.state import TableState

CHECK_SECONDS = 0.2
STIR_SECONDS = 1.5  # longer than Debezium's heartbeat interval, within which it reports once


def caught_up_with(parts: Parts, tables: Sequence[Replicated]) -> CaughtUp:
    """A function that tells whether offsets of the topics cover everything committed in the source by now. It raises
    ConnectorFailed if that will never be.

    The connector's own offset says when Kafka has acknowledged all events up to the mark; the topics' ends at that
    moment are what must be applied.
    """
    mark = parts.source.mark()
    topics = [table.topic for table in tables]
    goal: dict[tuple[str, int], int] = {}
    is_captured, next_stir = False, time.monotonic() + STIR_SECONDS

    def check(offsets: Mapping[tuple[str, int], int]) -> bool:
        nonlocal is_captured, next_stir
        if not is_captured:
            offset = parts.connect.offsets(parts.config.connector_name)
            if not offset or not parts.source.reached(offset, mark):
                _require_running_connector(parts)
                if time.monotonic() >= next_stir:
                    parts.source.stir()
                    next_stir = time.monotonic() + STIR_SECONDS
                return False
            goal.update(parts.broker.ends(topics))
            is_captured = True
        return all(offsets.get(key, 0) >= end for key, end in goal.items())

    return check


def _require_running_connector(parts: Parts) -> None:
    status = parts.connect.status(parts.config.connector_name)
    failed = [task["error"] for task in status["tasks"] if task["state"] == "FAILED"]
    if failed:
        raise ConnectorFailed(connector=parts.config.connector_name, reason=failed[0])


def wait_for_the_consumer(
    parts: Parts, tables: Sequence[Replicated], caught_up: CaughtUp, should_stop: threading.Event
) -> None:
    """Until the one that runs, in whatever process, has caught up, or `should_stop` is set. Raises TablesStopped if
    some of its tables cannot go on."""
    topics = [table.topic for table in tables]
    while not should_stop.wait(CHECK_SECONDS):
        records = parts.state.table_records()
        stopped = {parts.config.topic(source): r for source, r in records.items() if r.state is TableState.FAILED}
        stored = parts.state.offsets_of(topics)
        if caught_up({key: sys.maxsize if key[0] in stopped else r.next_offset for key, r in stored.items()}):
            if stopped:
                reasons = "; ".join(f"{record.source}: {record.error}" for record in stopped.values())
                raise TablesStopped(count=len(stopped), reasons=reasons)
            return
        holder = parts.state.consumer()
        if holder is None or not holder.is_alive:
            raise CdcPipelineError(reason="the other consumer ended before it had caught up; run this again")
