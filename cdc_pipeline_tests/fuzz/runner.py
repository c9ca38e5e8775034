"""Runs a plan against real servers and has it judged."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cdc_pipeline_tests.fuzz import contents
from cdc_pipeline_tests.fuzz.acts import ACTS, catch_up, end_consumer, resume, start
from cdc_pipeline_tests.fuzz.judge import SILENT, Evidence, Finding, judge
from cdc_pipeline_tests.fuzz.plan import SQL, Plan, Step, creation
from cdc_pipeline_tests.fuzz.product import Product
from cdc_pipeline_tests.fuzz.servers import Refused, open_session, version
from cdc_pipeline_tests.fuzz.world import World, world

LOOKS_WITHIN = 45.0  # seconds: two looks, and the re-syncs that they begin


@dataclass
class Result:
    """What a run of a plan came to."""

    plan: Plan
    findings: list[Finding] = field(default_factory=list)
    refused: Mapping[str, str] = field(default_factory=dict)
    compared: int = 0  # tables
    rows: int = 0  # of the source, in them
    log: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run(plan: Plan, product: Product, urls: dict[str, str], losses: Mapping[str, str] | None = None) -> Result:
    """`losses` says which features bring about a difference that is documented, and which that is."""
    began = time.monotonic()
    with world(plan, product, urls) as here:
        evidence = Evidence(plan.source)
        for step in plan.prelude:
            _do(here, step, evidence)
        here.lose_sessions()  # those that come know what was set for all
        _create(here)
        for step in plan.steps:
            if not _do(here, step, evidence):
                break
        _finish(here, evidence)
        findings = _judged(here, evidence, losses or {})
        if any(finding.kind == SILENT for finding in findings):
            findings = _after_a_while(here, evidence, losses or {}, findings)
        log = here.log
    compared = [table for name, table in evidence.sources.items() if name in evidence.targets]
    rows = sum(len(table.rows) for table in compared)
    return Result(plan, findings, evidence.refused, len(compared), rows, log, time.monotonic() - began)


def _judged(here: World, evidence: Evidence, losses: Mapping[str, str]) -> list[Finding]:
    evidence.status = _json(here.command("status", "--json").output)
    _read(here, evidence)
    plan = here.plan
    explained = {
        table: loss
        for table in evidence.sources
        for feature, loss in losses.items()
        if feature in plan.features_of(table)
    }
    return [
        replace(finding, features=plan.features_of(finding.table) if finding.table else plan.features)
        for finding in judge(evidence, explained)
    ]


def _after_a_while(
    here: World, evidence: Evidence, losses: Mapping[str, str], findings: list[Finding]
) -> list[Finding]:
    """A consumer looks at the source's definitions every ten seconds, says the documentation: what it has not seen yet
    is no silence. Until nothing is silent any more, or such looks have had their time."""
    ACTS["consume_beside"](here, evidence)
    deadline = time.monotonic() + LOOKS_WITHIN
    late = findings
    while time.monotonic() < deadline and any(finding.kind == SILENT for finding in late):
        late = _judged(here, evidence, losses)
    here.end_consumer()
    for finding in findings:
        if finding.signature not in [each.signature for each in late]:
            here.log.append(f"only after a while: {finding.kind} {finding.table}: {finding.detail}")
    return late


def _create(here: World) -> None:
    """The tables that are there before the start. One that the server refuses does not take part."""
    for table in here.plan.tables:
        here.log.append(f"-- create {table.name} {', '.join(table.features)}")
        statements = list(creation(here.plan.source, table))
        if not here.run(statements[0]):
            here.listed.remove(table.name)
            continue
        for statement in statements[1:]:
            here.run(statement)
    here.write_file()


def _do(here: World, step: Step, evidence: Evidence) -> bool:
    """Whether the plan goes on: not, where a stop that was not to be expected has ended it."""
    here.log.append(f"-- {step.does} {' '.join(step.arguments)} [{step.feature}]")
    if step.does == SQL:
        for statement in step.statements:
            here.run(statement, step.role, step.session)
        return True
    return ACTS[step.does](here, evidence, *step.arguments)


def _finish(here: World, evidence: Evidence) -> None:
    """Everything is brought back, and what was written is waited for; then both sides are read."""
    here.lose_sessions()
    if not evidence.stopped and not here.started:
        start(here, evidence)
    if not evidence.stopped:
        resume(here, evidence)
    end_consumer(here, evidence)
    if not evidence.stopped:
        catch_up(here, evidence)


def _json(text: str) -> dict:
    """The last JSON object in what a command printed."""
    found = re.search(r"^\{.*^\}", text, re.DOTALL | re.MULTILINE)
    return json.loads(found[0]) if found else {}


def _read(here: World, evidence: Evidence) -> None:
    with here.judges_session("source") as source, here.judges_session("target") as target:
        names = contents.tables(here.plan.source, source)
        evidence.gone = tuple(name for name in here.listed if name not in names)
        for name in sorted(names - here.away if here.pattern else names & set(here.listed)):
            evidence.sources[name] = contents.read(here.plan.source, source, name)
            try:
                evidence.targets[name] = contents.read(here.plan.target, target, here.target_table(name))
            except Refused as error:
                here.log.append(f"target of {name}: {error}")


def versions(urls: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Of the database servers that run."""
    found = {}
    for kind in ("mysql", "mariadb", "postgresql"):
        if kind in urls:
            session = open_session(kind, urls[kind], "")
            found[kind] = version(kind, session)
            session.close()
    return found
