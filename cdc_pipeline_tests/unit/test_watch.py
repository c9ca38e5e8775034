"""What people are told of, once, and when a connector is restarted."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import cdc_pipeline
from cdc_pipeline.alerts import Message
from cdc_pipeline.config import ReplicationConfig
from cdc_pipeline.watch import CHANGING_SECONDS, RESTART_AFTER, Look, Watch

CONFIG = ReplicationConfig.model_validate(
    {
        "name": "shop", "client": 1, "database": 2, "config": 3, "tables": ["users"],
        "source": {"url": "mysql://u@h/shop"}, "target": {"url": "postgresql://u@h/dwh"},
        "kafka": {"bootstrap_servers": "k:1"}, "connect": {"url": "http://c:1"},
        "alerts": {"lag_seconds": 100, "dagster_url": "http://dagster:3000"}, "heartbeat": {"seconds": 5},
    }
)  # fmt: skip
GOOD = {
    "desired": "running",
    "connector": {"state": "RUNNING", "tasks": [{"state": "RUNNING", "error": ""}], "error": ""},
    "consumer": {"state": "RUNNING", "error": "", "applied": 5},
    "tables": [{"source": "shop.users", "error": "", "set_aside": 0}],
    "heartbeat_age_seconds": 3.0,
    "lag_seconds": 2.0,
    "errors": [],
}
FAILED = {"state": "RUNNING", "tasks": [{"state": "FAILED", "error": "boom"}], "error": "boom"}
TABLE = {"source": "shop.users", "error": "", "set_aside": 0}


def bad(**changed: Any) -> dict[str, Any]:
    return {**GOOD, **changed}


def told(look: Look) -> list[tuple[str, bool]]:
    return [(message.kind, message.resolved) for message in look.messages]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("table", bad(tables=[{**TABLE, "error": "its target is gone"}])),
        ("quarantine", bad(tables=[{**TABLE, "set_aside": 2}])),
        ("lag", bad(lag_seconds=101.0)),
        ("consumer", bad(consumer={"state": "DEAD", "error": "", "applied": None})),
        ("connector", bad(connector={"state": "PAUSED", "tasks": [], "error": ""})),
        ("connector", bad(connector={"state": "UNREACHABLE", "tasks": [], "error": ""})),
        ("unreachable", bad(errors=["target: no answer"])),
    ],
)
def test_each_trouble_is_told_once_and_once_when_it_is_over(kind: str, status: dict[str, Any]) -> None:
    watch, messages = Watch(), []
    for now in (1000.0, 1000.0 + CHANGING_SECONDS, 2000.0):
        watch = Watch.parse(watch.to_text())
        messages += watch.look(CONFIG, status, now).messages
    (message,) = messages
    assert (message.kind, message.resolved, message.since, message.replication) == (kind, False, 1000.0, "shop")
    assert f"docs/runbook.md#{kind}" in message.advice
    assert message.link == "http://dagster:3000"
    assert told(watch.look(CONFIG, GOOD, 2001.0)) == [(kind, True)]
    assert told(watch.look(CONFIG, GOOD, 2002.0)) == []


def test_nobody_hears_of_what_is_well_or_passes_by_itself() -> None:
    watch = Watch()
    assert told(watch.look(CONFIG, GOOD, 0.0)) == []
    assert told(watch.look(CONFIG, bad(consumer={"state": "DEAD", "error": "", "applied": 1}), 1.0)) == []
    assert told(watch.look(CONFIG, GOOD, CHANGING_SECONDS + 1.0)) == []


@pytest.mark.parametrize("desired", ["stopped", "paused"])
def test_what_its_owner_wants_is_no_trouble(desired: str) -> None:
    watch = Watch()
    stopped = bad(desired=desired, consumer={"state": "STOPPED", "error": "", "applied": None})
    assert [told(watch.look(CONFIG, stopped, now)) for now in (0.0, 1e6)] == [[], []]


def test_a_failed_connector_is_restarted_ever_later_and_then_people_are_told() -> None:
    watch, restarts, messages, now = Watch(), [], [], 0.0
    while not messages and now < 10_000:
        look = watch.look(CONFIG, bad(connector=FAILED), now)
        restarts += [now] * look.restart
        messages += look.messages
        watch, now = Watch.parse(watch.to_text()), now + 5
    waits = [second - first for first, second in pairwise(restarts)]
    assert waits == list(RESTART_AFTER[1:])
    (message,) = messages
    assert (message.kind, message.what, message.since) == ("connector", "The connector has failed: boom", 0.0)
    assert not watch.look(CONFIG, bad(connector=FAILED), now).restart


def test_a_connector_that_has_run_for_a_while_is_restarted_at_once_again() -> None:
    watch = Watch()
    assert watch.look(CONFIG, bad(connector=FAILED), 1000.0).restart
    assert not watch.look(CONFIG, GOOD, 1001.0).restart
    assert not watch.look(CONFIG, bad(connector=FAILED), 1002.0).restart
    watch.look(CONFIG, GOOD, 2000.0)
    assert watch.look(CONFIG, bad(connector=FAILED), 2001.0).restart
    assert watch.restarts == 1


def test_a_restart_that_helps_is_not_told() -> None:
    watch = Watch()
    watch.look(CONFIG, bad(connector=FAILED), 0.0)
    assert told(watch.look(CONFIG, GOOD, 15.0)) == []


def test_a_stall_takes_two_looks_without_anything_applied() -> None:
    silent = bad(heartbeat_age_seconds=31.0)
    watch = Watch()
    watch.look(CONFIG, GOOD, 0.0)
    busy = bad(heartbeat_age_seconds=31.0, consumer={"state": "RUNNING", "error": "", "applied": 9})
    assert told(watch.look(CONFIG, busy, 15.0)) == []  # it is behind, but at work
    assert told(watch.look(CONFIG, busy, 30.0)) == [("stall", False)]
    assert told(Watch(applied=5).look(CONFIG, {**silent, "connector": FAILED}, 0.0)) == []


def test_the_sources_log_is_told_of() -> None:
    look = Watch().look(CONFIG, GOOD, 0.0, "Slot cdc_1_2 holds 11000 MiB of the source's log, more than 10240 MiB")
    assert told(look) == [("log", False)]


def test_a_message_says_what_since_when_and_what_to_do() -> None:
    message = Message("shop", "lag", "It is late", 1709175599.0, "look there", "http://dagster:3000")
    expected = "[shop] It is late\nSince: 2024-02-29 02:59:59 UTC\nWhat to do: look there\nhttp://dagster:3000"
    assert message.text == expected


def test_each_kind_has_its_page_in_the_runbook() -> None:
    root = Path(cdc_pipeline.__file__).parent
    pages = set(re.findall(r"^## (\w+)$", (root.parent / "docs" / "runbook.md").read_text(), re.MULTILINE))
    sources = (root / "watch.py").read_text() + (root / "defs" / "alerting.py").read_text()
    kinds = set(re.findall(r'Trouble\(\s*"(\w+)"', sources)) | {"copy", "connector", "verification", "resync"}
    assert len(kinds) > 8
    assert kinds == pages
