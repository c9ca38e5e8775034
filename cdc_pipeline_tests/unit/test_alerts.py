"""Messages reach receivers on this machine: what they get, and what is told when they refuse."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from cdc_pipeline.alerts import Message, send
from cdc_pipeline.config import Alerts
from cdc_pipeline_tests.receivers import MailServer, Receiver, receiving

MESSAGE = Message("shop", "lag", "It is\nlate: é", 1709175599.0, "look there", "http://dagster:3000/runs/1")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


def test_slack_and_webhooks_get_the_message(receiver: Receiver) -> None:
    alerts = Alerts.model_validate(
        {"slack": receiver.url("/slack"), "webhooks": [receiver.url("/a"), receiver.url("/b")]}
    )
    assert send(alerts, MESSAGE) == []
    places = dict(receiver.got)
    assert places["/slack"] == {"text": MESSAGE.text}
    assert places["/a"] == places["/b"]
    expected = {
        "replication": "shop",
        "kind": "lag",
        "what": "It is\nlate: é",
        "since": 1709175599.0,
        "resolved": False,
    }
    assert places["/a"].items() >= {**expected, "resolved": False, "link": "http://dagster:3000/runs/1"}.items()


def test_a_mail_says_the_same() -> None:
    server = MailServer()
    server.start()
    email = {
        "to": ["a@example.com", "b@example.com"],
        "sender": "cdc@example.com",
        "server": server.address,
        "tls": False,
    }
    assert send(Alerts.model_validate({"email": email}), MESSAGE) == []
    server.join(timeout=10)
    assert not server.is_alive()
    assert "rcpt TO:<b@example.com>" in server.said
    assert any(line.startswith("Subject: ") and "shop" in line for line in server.said)
    assert "Since: 2024-02-29 02:59:59 UTC" in "\n".join(server.said)


def test_who_does_not_take_it_keeps_no_other_from_it_and_no_secret_is_told(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = closed.getsockname()[1]
    alerts = Alerts.model_validate(
        {
            "slack": receiver.url("/refuse/T0/SECRET"),
            "webhooks": [f"http://127.0.0.1:{nobody}/SECRET", receiver.url("/good")],
            "email": {"to": ["a@b.c"], "sender": "c@d.e", "server": f"127.0.0.1:{nobody}", "password": "SECRET"},
        }
    )
    problems = send(alerts, MESSAGE)
    assert problems == ["slack: answered 403", "webhook 1: ConnectionError", "email: ConnectionRefusedError"]
    assert "/good" in dict(receiver.got)
    assert "SECRET" not in repr(alerts)


@pytest.mark.parametrize("wrong", [{"slack": "hooks/SECRET"}, {"webhooks": ["ftp://SECRET"]}])
def test_what_is_no_url_is_refused_without_being_repeated(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="must begin with https://") as refused:
        Alerts.model_validate(wrong)
    assert "SECRET" not in str(refused.value.errors(include_input=False))
