"""What operators and accidents do while a plan runs. Each returns whether the plan goes on."""

from __future__ import annotations

import re
from collections.abc import Callable

from cdc_pipeline_tests.fuzz.documented import is_accident
from cdc_pipeline_tests.fuzz.judge import Evidence
from cdc_pipeline_tests.fuzz.product import Outcome, restart_connector
from cdc_pipeline_tests.fuzz.world import World

_CHECK = re.compile(r"^  - (.*)$", re.MULTILINE)
_TRIES = 5  # of a start from which refused tables are taken out, one after the other


def start(here: World, evidence: Evidence) -> bool:
    """`start --until-caught-up`. Tables that the product refuses by name are taken out of the file, as an operator
    would, and it is tried again: that they were refused is told, and the others are what is left to see."""
    here.started = True
    for attempt in range(1, _TRIES + 1):
        if not here.listed and not here.plan.pattern:
            return True
        outcome = here.product.run("start", "--until-caught-up")
        here.log.append(f"start: {outcome.code} {outcome.error[:1000]} ({outcome.seconds:.1f} s)")
        if outcome.code == 0:
            return True
        refused = _refused(here, outcome)
        if not refused or here.plan.pattern or is_accident(outcome.error) or attempt == _TRIES:
            return _stopped(evidence, outcome)
        evidence.refused |= refused
        here.listed = [name for name in here.listed if name not in refused]
        here.write_file()
    return True


def _refused(here: World, outcome: Outcome) -> dict[str, str]:
    """The tables that a failed start names, with its reason."""
    reasons = _CHECK.findall(outcome.error)
    schema = "public" if here.plan.source == "postgresql" else here.databases["source"]
    found = {}
    for name in here.listed:
        full, target = f"{schema}.{name}", here.target_table(name)
        mine = [
            reason
            for reason in reasons
            if re.search(rf"table (\S*\.)?({re.escape(full)}|\S*{re.escape(target)})\b", reason)
        ]
        mine += [
            part for part in outcome.error.split("; ") if f"{full}: " in part and "Initial sync failed" in outcome.error
        ]
        if mine:
            found[name] = mine[0]
    return found


def _stopped(evidence: Evidence, outcome: Outcome) -> bool:
    evidence.outcomes.append(outcome)
    if outcome.code not in (0, 1):
        evidence.stopped = outcome.error or "it did not end"
    return not evidence.stopped


def catch_up(here: World, evidence: Evidence) -> bool:
    """Until what was written is applied, by one consumer that ends."""
    outcome = here.product.run("consume", "--until-caught-up")
    here.log.append(f"consume: {outcome.code} {outcome.error[:1000]} ({outcome.seconds:.1f} s)")
    return _stopped(evidence, outcome)


def _restart(here: World, evidence: Evidence) -> bool:
    here.log.append(f"restart: {restart_connector(here.urls['connect'], here.connector)}")
    return True


ACTS: dict[str, Callable[..., bool]] = {
    "start": start,
    "catch_up": catch_up,
    "restart_connector": _restart,
}
