"""What is wrong with a replication, since when, and what is to be done about it: connectors that have failed are
restarted, ever later, up to a limit; whoever wants to hear of the rest hears of it once, and once when it is over.

`Watch.look` decides, by what the status says and the clock; it is pure, and what it remembers is a text. `watch` asks,
and does what was decided.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from cdc_pipeline.alerts import Message, send
from cdc_pipeline.config import ReplicationConfig
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.parts import Parts
from cdc_pipeline.status import get_unified_status

RESTART_AFTER = (0, 15, 30, 60, 120)  # seconds between the restarts of a failed connector; then people are told
CHANGING_SECONDS = 60  # a state that may pass by itself: a registration, a rebalance, a consumer's next run
SILENT_SECONDS = 30  # without a heartbeat although all seems well, at least
SILENT_BEATS = 4
RUNBOOK = "docs/runbook.md"


@dataclass(frozen=True)
class Trouble:
    """`kind` is its page in the runbook; of one kind and `subject` there is one at a time."""

    kind: str
    what: str
    advice: str
    subject: str = ""
    patience: float = 0  # seconds that it is left to pass by itself


def troubles(config: ReplicationConfig, status: Mapping[str, Any], log_problem: str = "") -> Iterator[Trouble]:
    """What a status tells, but for a stalled stream, which takes two looks."""
    name = config.name
    for error in status["errors"]:
        part, _, reason = error.partition(": ")
        if part in ("target", "kafka"):
            what, advice = f"The {part} cannot be reached: {reason}", "the stream goes on by itself when it is back"
            yield Trouble("unreachable", what, advice, part, CHANGING_SECONDS)
    yield from _of_connector(status["connector"], name)
    yield from _of_consumer(status, name)
    for table in status["tables"]:
        if table["error"]:
            advice = f"`cdc-pipeline resume -r {name}`, or `resync -r {name} {table['source']}`, when it is mended"
            yield Trouble("table", f"{table['source']} has stopped: {table['error']}", advice, table["source"])
        if table["set_aside"]:
            what = f"{table['set_aside']} event(s) of {table['source']} are set aside"
            yield Trouble("quarantine", what, f"`cdc-pipeline quarantine list -r {name}`", table["source"])
    if status["lag_seconds"] > config.alerts.lag_seconds:
        what = f"The target is {status['lag_seconds']:.0f} s behind, more than {config.alerts.lag_seconds} s"
        yield Trouble("lag", what, f"`cdc-pipeline status -r {name}` tells which phase takes the time")
    if log_problem:
        yield Trouble("log", log_problem, "have the consumer run, or give the source's log more room")


def _of_connector(connector: Mapping[str, Any], name: str) -> Iterator[Trouble]:
    states = {connector["state"], *(task["state"] for task in connector["tasks"])}
    if "FAILED" in states:
        what = f"The connector has failed: {connector['error']}"
        yield Trouble("connector", what, f"`cdc-pipeline register -r {name}` when it is mended")
    elif connector["state"] in ("UNREACHABLE", "STOPPED", "PAUSED"):
        what = f"The connector is {connector['state'].lower()}"
        yield Trouble("connector", what, f"`cdc-pipeline register -r {name}`", patience=CHANGING_SECONDS)


def _of_consumer(status: Mapping[str, Any], name: str) -> Iterator[Trouble]:
    consumer = status["consumer"]
    wanted = status["desired"] == "running" and status["connector"]["state"] != "NOT REGISTERED"
    if wanted and consumer["state"] in ("FAILED", "DEAD", "NONE", "STOPPED"):
        reason = f": {consumer['error']}" if consumer["error"] else ""
        what = f"No consumer applies the changes{reason}"
        advice = f"look at the last run of {name}'s consume job, or start `cdc-pipeline consume -r {name}`"
        yield Trouble("consumer", what, advice, patience=CHANGING_SECONDS)


@dataclass
class Look:
    """What one look has decided."""

    messages: list[Message] = field(default_factory=list)
    restart: bool = False
    troubles: list[Trouble] = field(default_factory=list)


@dataclass
class Watch:
    """What earlier looks have seen. Times are seconds since 1970."""

    known: dict[str, dict[str, Any]] = field(default_factory=dict)  # by kind and subject: {what, since, told}
    restarts: int = 0
    restarted: float = 0.0
    applied: int | None = None

    @classmethod
    def parse(cls, text: str | None) -> Watch:
        return cls(**json.loads(text)) if text else cls()

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    def look(self, config: ReplicationConfig, status: Mapping[str, Any], now: float, log_problem: str = "") -> Look:
        found = [*troubles(config, status, log_problem), *self._stall(config, status)]
        look = Look(troubles=found)
        given_up = self._restart(look, now)
        current = {f"{trouble.kind} {trouble.subject}".strip(): trouble for trouble in found}
        for key, trouble in current.items():
            seen = self.known.setdefault(key, {"what": trouble.what, "since": now, "told": False})
            is_restarting = key == "connector" and trouble.patience == 0 and not given_up
            if not seen["told"] and now - seen["since"] >= trouble.patience and not is_restarting:
                seen.update(told=True, what=trouble.what)
                look.messages.append(_message(config, trouble.kind, trouble.what, seen["since"], trouble.advice))
        for key in self.known.keys() - current.keys():
            seen = self.known.pop(key)
            if seen["told"]:
                kind = key.partition(" ")[0]
                look.messages.append(_message(config, kind, seen["what"], seen["since"], resolved=True))
        return look

    def _stall(self, config: ReplicationConfig, status: Mapping[str, Any]) -> Sequence[Trouble]:
        """Everything says that it runs, and yet no heartbeat comes and nothing is applied."""
        before, self.applied = self.applied, status["consumer"]["applied"]
        age = status["heartbeat_age_seconds"]
        limit = max(SILENT_SECONDS, SILENT_BEATS * config.heartbeat.seconds)
        connector = status["connector"]
        states = {connector["state"], *(task["state"] for task in connector["tasks"]), status["consumer"]["state"]}
        if states != {"RUNNING"} or age is None or age <= limit or before != self.applied:
            return []
        what = f"The stream has stalled: no heartbeat for {age:.0f} s, and nothing applied, though everything runs"
        return [Trouble("stall", what, f"`cdc-pipeline register -r {config.name}` begins the connector's task anew")]

    def _restart(self, look: Look, now: float) -> bool:
        """Whether the connector has failed more often than it is restarted. One that has run for a while begins a new
        count."""
        failed = any(trouble.kind == "connector" and not trouble.patience for trouble in look.troubles)
        if not failed:
            if now - self.restarted > 2 * RESTART_AFTER[-1]:
                self.restarts = 0
            return False
        if self.restarts >= len(RESTART_AFTER):
            return True
        if now - self.restarted >= RESTART_AFTER[self.restarts]:
            look.restart, self.restarted = True, now
            self.restarts += 1
        return False


def _message(
    config: ReplicationConfig, kind: str, what: str, since: float, advice: str = "", *, resolved: bool = False
) -> Message:
    advice = f"{advice}. {RUNBOOK}#{kind}" if advice else ""
    return Message(config.name, kind, what, since, advice, config.alerts.dagster_url, resolved=resolved)


def watch(parts: Parts, seen: Watch) -> Look:
    """One look: what it decides is done. What was `seen` is changed by that. What cannot be reached is trouble too, and
    no error here."""
    config, status = parts.config, get_unified_status(parts)
    look = seen.look(config, status, time.time(), _log_problem(parts, status))
    if look.restart:
        parts.say(f"Restart {seen.restarts} of {len(RESTART_AFTER)} of the connector: {status['connector']['error']}")
        try:
            parts.connect.restart_failed(config.connector_name)
        except CdcPipelineError as error:
            parts.say(f"The connector could not be restarted: {error}")
    for message in look.messages:
        parts.say(message.title)
        for problem in send(config.alerts, message):
            parts.say(f"A message could not be sent: {problem}")
    return look


def _log_problem(parts: Parts, status: Mapping[str, Any]) -> str:
    """Only of a connector that is there: without one nothing is read."""
    config = parts.config
    if status["connector"]["state"] in ("NOT REGISTERED", "UNREACHABLE"):
        return ""
    try:
        offset = parts.connect.offsets(config.connector_name) or {}
        return parts.source.log_problem(config.slot_name, offset, status["lag_seconds"], config.alerts.log_mb)
    except CdcPipelineError:
        return ""
