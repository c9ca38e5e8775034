"""A plan as a script that a person can read and follow: SQL by server and session, and commands."""

from __future__ import annotations

from collections.abc import Iterator

from cdc_pipeline_tests.fuzz.plan import SQL, Plan, Step, creation, render

_ACTS = {
    "start": "cdc-pipeline start --until-caught-up",
    "force_resync": "cdc-pipeline start --until-caught-up --force-resync",
    "catch_up": "cdc-pipeline consume --until-caught-up",
    "consume_beside": "cdc-pipeline consume &",
    "end_consumer": "kill %1",
    "kill_consumer": "kill -9 %1",
    "pause": "cdc-pipeline pause",
    "resume": "cdc-pipeline resume",
    "resync": "cdc-pipeline resync {0}",
    "repair": "cdc-pipeline verify --repair",
    "register": "cdc-pipeline register",
    "two_resyncs": "cdc-pipeline resync {0} & cdc-pipeline resync {0}; wait",
    "take_out": "# take {0} out of the replication's file, then\ncdc-pipeline start --until-caught-up",
    "put_back": "# put {0} back into the file, then\ncdc-pipeline start --until-caught-up",
    "restart_connector": "curl -X POST $CONNECT/connectors/$NAME/restart?includeTasks=true",
    "spoil": "# somebody deletes all rows of the target of {0}",
    "kill_server": "# kill -9 the process of {0}, then\ncdc-pipeline local up",
    "set_global": "# on the {0}, for all sessions that come: SET GLOBAL {1} = {2}",
}


def script(plan: Plan) -> str:
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield f"# seed {plan.seed}: {plan.source} to {plan.target}; ⟨source⟩ and ⟨target⟩ are the two databases"
    named = ["*"] if plan.pattern else [table.name for table in plan.tables]
    yield f"# the replication's file: tables: {named}" + "".join(f"; {key}: {value}" for key, value in plan.file)
    if plan.logins:
        yield "# the product's logins have what docs/databases.md grants, and no more"
    place = ""
    for step in plan.prelude:
        yield from _step(plan, step, place)
        place = _place(step)
    if plan.tables and place != "source, main":
        yield f"-- {plan.source}, the source, session main"
        place = "source, main"
    for table in plan.tables:
        yield from (f"{statement};" for statement in creation(plan.source, table))
    for step in plan.steps:
        yield from _step(plan, step, place)
        place = _place(step)
    yield "cdc-pipeline consume --until-caught-up; cdc-pipeline status"


def _place(step: Step) -> str:
    return f"{step.role}, {step.session}" if step.does == SQL else ""


def _step(plan: Plan, step: Step, place: str) -> Iterator[str]:
    if step.does != SQL:
        if step.does == "two_at_once":
            yield " & ".join(f"cdc-pipeline {command}" for command in step.arguments) + "; wait"
        else:
            yield _ACTS[step.does].format(*step.arguments)
        return
    kind = plan.source if step.role == "source" else plan.target
    if _place(step) != place:
        yield f"-- {kind}, the {step.role}, session {step.session}"
    yield from (f"{render(kind, statement)};" for statement in step.statements)
