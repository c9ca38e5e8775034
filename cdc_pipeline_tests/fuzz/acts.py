"""What operators and accidents do while a plan runs. Each returns whether the plan goes on."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from cdc_pipeline_tests.fuzz.documented import ADVISED, is_accident
from cdc_pipeline_tests.fuzz.judge import Evidence
from cdc_pipeline_tests.fuzz.plan import quote
from cdc_pipeline_tests.fuzz.product import Outcome, listening_on, restart_connector
from cdc_pipeline_tests.fuzz.servers import Refused
from cdc_pipeline_tests.fuzz.world import World

_CHECK = re.compile(r"^  - (.*)$", re.MULTILINE)
_TRIES = 5  # of a start from which refused tables are taken out, one after the other
_BEGUN = "Target    :"  # a line of what a consumer prints once it has its lease
_BEGINS_WITHIN = 60.0


def _take(evidence: Evidence, here: World, outcome: Outcome) -> bool:
    """Keep what a command came to; whether the plan goes on."""
    here.log.append(f"{' '.join(outcome.command)}: {outcome.code} {outcome.error[:600]} ({outcome.seconds:.1f} s)")
    evidence.outcomes.append(outcome)
    if outcome.code not in (0, 1) or outcome.has_traceback:
        evidence.stopped = outcome.error or "it did not end"
    return not evidence.stopped


def _command(*words: str) -> Callable[..., bool]:
    def act(here: World, evidence: Evidence, *arguments: str) -> bool:
        named = [word for word in arguments if word in here.listed]
        if arguments and not named:
            return True
        return _take(evidence, here, here.command(*words, *named))

    return act


# -- starts -----------------------------------------------------------------------------------------------------------


def start(here: World, evidence: Evidence, *options: str) -> bool:
    """`start --until-caught-up`. Tables that the product refuses by name are taken out of the file, as an operator
    would, and it is tried again: that they were refused is told, and the others are what is left to see."""
    here.started = True
    for attempt in range(1, _TRIES + 1):
        if not here.has_tables:
            return True
        outcome = here.command("start", "--until-caught-up", *options)
        advised = [more for said, more in ADVISED if said in outcome.error and not options]
        if advised and outcome.code:
            here.log.append(f"advised: {outcome.error}")
            options = advised[0]
            continue
        refused = _refused(here, outcome) if outcome.code else {}
        failed = _failed(here, outcome) if outcome.code else {}
        named = refused | failed
        if not named or is_accident(outcome.error) or attempt == _TRIES:
            return _take(evidence, here, outcome)
        here.log.append(f"refused: {refused}, failed: {failed}")
        evidence.refused |= refused
        evidence.failed |= failed
        here.listed = [name for name in here.listed if name not in named]
        here.pattern = False  # a pattern would ask for them again
        here.write_file()
    return True


def _refused(here: World, outcome: Outcome) -> dict[str, str]:
    """The tables that step 1 names, or whose copy says why it cannot be."""
    reasons = _CHECK.findall(outcome.error)
    schema = "public" if here.plan.source == "postgresql" else here.databases["source"]
    found = {}
    for name in here.listed:
        source, target = re.escape(name), re.escape(here.target_table(name))
        subject = rf"(source table ({re.escape(schema)}\.)?{source}|target table \S*{target})"
        mine = [reason for reason in reasons if re.match(rf"{subject}( [a-z ]+)?:", reason)]
        if mine:
            found[name] = mine[0]
    return found


def _failed(here: World, outcome: Outcome) -> dict[str, str]:
    """The tables that could not be copied, each with its reason. Who reads the message takes them out, and goes on."""
    if not re.search("Initial sync failed|not copied yet", outcome.error):
        return {}
    schema = "public" if here.plan.source == "postgresql" else here.databases["source"]
    found = {}
    for name in here.listed:
        at = re.search(rf"(?<![\w.]){re.escape(f'{schema}.{name}')}(?!\w)", outcome.error)
        if at:
            found[name] = outcome.error[at.start() :].split("; ")[0]
    return found


def _take_out(here: World, evidence: Evidence, table: str) -> bool:
    if table not in here.listed or len(here.listed) == 1:
        return True
    here.listed.remove(table)
    here.away.add(table)
    here.write_file()
    return start(here, evidence)


def _put_back(here: World, evidence: Evidence, table: str) -> bool:
    if table not in here.away:
        return True
    here.away.remove(table)
    here.listed.append(table)
    here.write_file()
    return start(here, evidence)


# -- consumers --------------------------------------------------------------------------------------------------------


def catch_up(here: World, evidence: Evidence) -> bool:
    """Until what was written is applied: by a consumer that ends, or by the one that runs."""
    if here.paused or not here.has_tables:
        return True
    return _take(evidence, here, here.command("consume", "--until-caught-up"))


def _consume_beside(here: World, evidence: Evidence) -> bool:
    if not here.has_tables or (here.consumer is not None and here.consumer.runs):
        return True
    here.end_consumer()
    command = here.begin_consumer()
    deadline = time.monotonic() + _BEGINS_WITHIN
    while _BEGUN not in command.output and command.runs and time.monotonic() < deadline:
        time.sleep(0.05)
    return True


def end_consumer(here: World, evidence: Evidence) -> bool:
    ended = here.end_consumer()
    return ended is None or _take(evidence, here, ended)


def _kill_consumer(here: World, evidence: Evidence) -> bool:
    here.end_consumer(kill=True)
    return True


def _pause(here: World, evidence: Evidence) -> bool:
    here.paused = True
    return _command("pause")(here, evidence)


def resume(here: World, evidence: Evidence) -> bool:
    if not here.paused:
        return True
    here.paused = False
    return _command("resume")(here, evidence)


def _together(here: World, evidence: Evidence, *commands: str) -> bool:
    """Commands at once. One of them may be refused because of the other: what counts is what comes of it."""
    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=lambda c=c: outcomes.append(here.command(*c.split(" ")))) for c in commands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bad = [outcome for outcome in outcomes if outcome.code not in (0, 1)]
    if len(bad) == len(outcomes) or any(outcome.code is None for outcome in bad):
        goes_on = [_take(evidence, here, outcome) for outcome in bad]
        return all(goes_on)
    here.log += [f"{' '.join(outcome.command)}: {outcome.code} {outcome.error[:300]}" for outcome in outcomes]
    return True


def _two_resyncs(here: World, evidence: Evidence, table: str) -> bool:
    if table not in here.listed or " " in table:
        return True
    return _together(here, evidence, f"resync {table}", f"resync {table}")


# -- accidents --------------------------------------------------------------------------------------------------------


def _restart(here: World, evidence: Evidence) -> bool:
    here.log.append(f"restart: {restart_connector(here.urls['connect'], here.connector)}")
    return True


def _spoil(here: World, evidence: Evidence, table: str) -> bool:
    """Somebody empties a table of the target."""
    here.run(f"DELETE FROM {quote(here.plan.target, here.target_table(table))}", "target", "spoiler")
    return True


def _kill_server(here: World, evidence: Evidence, which: str) -> bool:
    """SIGKILL, and up again. Sessions on it are gone; so is what they had not committed."""
    name = here.kinds.get(which, which)
    url = here.urls[name]
    port = urlsplit(url if "//" in url else f"//{url}").port
    process = listening_on(port or 0)
    if process is None:
        return True
    process.kill()
    process.wait(30)
    if which in here.kinds:
        here.lose_sessions()
    here.log.append(f"killed {name}, up: {here.product.up()}")
    return True


def _set_global(here: World, evidence: Evidence, role: str, setting: str, value: str) -> bool:
    """Of a MySQL server; it is set back at the end."""
    kind = here.kinds[role]
    try:
        with here.judges_session(role) as session:
            before = session.run(f"SELECT @@GLOBAL.{setting}")[0][0]
            session.run(f"SET GLOBAL {setting} = {here.sql(value)}")
    except Refused as error:
        here.log.append(f"refused by {kind}: SET GLOBAL {setting}: {error}")
        return True
    text = str(before)
    old = text if re.fullmatch(r"-?[0-9.]+", text) else quote_text(text)
    here.restore.append((role, f"SET GLOBAL {setting} = {old}"))
    here.lose_sessions(role)
    return True


def quote_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


ACTS: dict[str, Callable[..., bool]] = {
    "start": start,
    "force_resync": lambda here, evidence: start(here, evidence, "--force-resync"),
    "catch_up": catch_up,
    "consume_beside": _consume_beside,
    "end_consumer": end_consumer,
    "kill_consumer": _kill_consumer,
    "pause": _pause,
    "resume": resume,
    "resync": _command("resync"),
    "repair": _command("verify", "--repair"),
    "register": _command("register"),
    "two_at_once": _together,
    "two_resyncs": _two_resyncs,
    "take_out": _take_out,
    "put_back": _put_back,
    "restart_connector": _restart,
    "spoil": _spoil,
    "kill_server": _kill_server,
    "set_global": _set_global,
}
