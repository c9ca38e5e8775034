"""How a replication stands: connector, tasks, consumer, tables, lag and last error in one answer.

Read from the state tables, Kafka and Connect, never from a process's memory. What cannot be reached is said to be so;
the rest is told all the same.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from cdc_pipeline.copying.ranges import Note
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.parts import Parts
from cdc_pipeline.quarantine import WAITS, Quarantine
from cdc_pipeline.state import ACTIVE, ConsumerRecord, OffsetRecord, TableRecord, TableState


def get_unified_status(parts: Parts) -> dict[str, Any]:
    """The answer of `cdc-pipeline status --json`; README.md documents its fields."""
    errors: list[str] = []

    def tell(part: str, read: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return read()
        except CdcPipelineError as error:
            errors.append(f"{part}: {error}")
            return otherwise

    known = tell("target", parts.state.exists, False)
    records = tell("target", parts.state.table_records, {}) if known else {}
    offsets = tell("target", parts.state.offsets_of, {}) if known else {}
    consumers = tell("target", parts.state.consumers_known, []) if known else []
    waiting = tell("target", Quarantine(parts.state).items, []) if known else []
    consumer = consumers[0] if consumers else None
    desired = tell("target", lambda: parts.state.desired, None) if known else None
    topics = {parts.config.topic(source) for source in records}
    ends = tell("kafka", lambda: parts.broker.ends(topics), {}) if topics else {}
    kept_out = tell("target", lambda: parts.state.kept_out, {}) if known else {}
    connector = tell("connect", lambda: _connector(parts), {"state": "UNREACHABLE", "tasks": [], "error": ""})
    set_aside = Counter(item.table for item in waiting)
    age = tell("target", lambda: _beat_age(parts), None) if known else None
    overdue = round(max(0.0, (age or 0.0) - parts.config.heartbeat.seconds), 1)
    tables = [_table(parts, record, offsets, ends, set_aside[record.source], overdue) for record in records.values()]
    errors += [text for text in (consumer.error if consumer else "", connector["error"]) if text]
    errors += [f"{table['source']}: {table['error']}" for table in tables if table["error"]]
    errors += [f"{table} is not taken up: {reason}" for table, reason in kept_out.items()]
    errors += [f"{item.table}, row {item.row_key}: {item.error}" for item in waiting if item.error != WAITS]
    return {
        "replication": parts.config.name,
        "desired": desired,
        "connector": {"name": parts.config.connector_name, **connector},
        "consumer": _consumer(consumer),
        "joined": [_consumer(record) for record in consumers if record.joined and record is not consumer],
        "tables": tables,
        "kept_out": kept_out,
        "heartbeat_age_seconds": None if age is None else round(age, 1),
        "lag_events": sum(table["lag_events"] for table in tables),
        "lag_seconds": max((table["lag_seconds"] for table in tables), default=0.0),
        "last_error": errors[-1] if errors else "",
        "errors": errors,
    }


def _connector(parts: Parts) -> dict[str, Any]:
    name = parts.config.connector_name
    if not parts.connect.exists(name):
        return {"state": "NOT REGISTERED", "tasks": [], "error": ""}
    status = parts.connect.status(name)
    failed = [task["error"] for task in status["tasks"] if task["error"]]
    return {"state": status["connector"], "tasks": status["tasks"], "error": (failed or [status["error"]])[0]}


def _consumer(record: ConsumerRecord | None) -> dict[str, Any]:
    work = record.work if record else None
    done = {
        "applied": work.applied if work else None,
        "events_per_second": work.events_per_second if work else None,
        "seconds": dict(work.seconds) if work else None,
    }
    if record is None:
        return {"state": "NONE", "run_id": "", "group": "", "heartbeat_age_seconds": None, "error": "", **done}
    return {
        "state": record.state if record.is_alive or record.state not in ACTIVE else "DEAD",
        "run_id": record.run_id,
        "group": record.group,
        "host": record.host,
        "pid": record.pid,
        "started_at": record.started_at.isoformat(sep=" "),
        "heartbeat_age_seconds": round(record.age, 1),
        "attempt": record.attempt,
        "error": record.error,
        **done,
    }


def _beat_age(parts: Parts) -> float | None:
    """Since the last heartbeat that has come left the source: by the source's clock, or ours if it is away."""
    beat = parts.state.last_beat() if parts.config.heartbeat_topic else None
    if beat is None:
        return None
    try:
        now = parts.source.clock()
    except CdcPipelineError:
        now = time.time()
    return max(0.0, now - beat)


def _rows_copied(record: TableRecord) -> int:
    """In a copy by ranges, those that are there."""
    under_way = Note.of(record) if record.state is TableState.COPYING else None
    return under_way.total.rows if under_way else record.rows


def _table(
    parts: Parts,
    record: TableRecord,
    offsets: Mapping[tuple[str, int], OffsetRecord],
    ends: Mapping[tuple[str, int], int],
    set_aside: int,
    overdue: float,
) -> dict[str, Any]:
    """`overdue`: by how much the source's next heartbeat is late, which is the lag of a table for which none waits."""
    topic = parts.config.topic(record.source)
    mine = [offset for (name, _), offset in offsets.items() if name == topic]
    behind = sum(max(0, ends.get((o.topic, o.partition), o.next_offset) - o.next_offset) for o in mine)
    last = max((o.source_time for o in mine if o.source_time), default=None)
    return {
        "source": str(record.source),
        "target": str(record.target),
        "topic": topic,
        "state": record.state,
        "rows_copied": _rows_copied(record),
        "bytes_copied": record.bytes,
        "copy_seconds": round(record.seconds, 3),
        "copy_phases": {phase: round(seconds, 3) for phase, seconds in record.phases.items()},
        "inserted": sum(o.inserted for o in mine),
        "updated": sum(o.updated for o in mine),
        "deleted": sum(o.deleted for o in mine),
        "set_aside": set_aside,
        "lag_events": behind,
        "lag_seconds": round(max(0.0, time.time() - last), 1) if behind and last else overdue,
        "error": record.error,
    }
