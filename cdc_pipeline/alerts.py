"""Messages to Slack, to email and to any webhook. One place that does not take them keeps no other from its own."""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import EmailMessage

import requests
from pydantic import SecretStr

from cdc_pipeline.config import Alerts, Email

TIMEOUT_SECONDS = 10
IMPLICIT_TLS = 465


@dataclass(frozen=True)
class Message:
    """`what` has happened to a replication, `since` when (seconds since 1970), `advice`: what to do, and a `link`."""

    replication: str
    kind: str
    what: str
    since: float
    advice: str = ""
    link: str = ""
    resolved: bool = False

    @property
    def title(self) -> str:
        return f"[{self.replication}] {'Resolved: ' if self.resolved else ''}{self.what}"

    @property
    def text(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        lines = [self.title, f"Since: {since}"]
        lines += [f"What to do: {self.advice}"] if self.advice and not self.resolved else []
        return "\n".join([*lines, self.link] if self.link else lines)


def send(alerts: Alerts, message: Message) -> list[str]:
    """To everybody. Returns what did not go, without a secret."""
    problems = []
    for place, deliver in _places(alerts, message):
        try:
            deliver()
        except (requests.RequestException, OSError, smtplib.SMTPException) as error:
            answer = getattr(error, "response", None)
            reason = f"answered {answer.status_code}" if answer is not None else type(error).__name__
            problems.append(f"{place}: {reason}")
    return problems


def _places(alerts: Alerts, message: Message) -> Iterator[tuple[str, Callable[[], None]]]:
    if alerts.slack is not None:
        url = alerts.slack
        yield "slack", lambda: _post(url, {"text": message.text})
    for number, url in enumerate(alerts.webhooks, 1):
        yield f"webhook {number}", lambda url=url: _post(url, {**asdict(message), "text": message.text})
    if alerts.email is not None:
        email = alerts.email
        yield "email", lambda: _mail(email, message)


def _post(url: SecretStr, body: dict[str, object]) -> None:
    requests.post(url.get_secret_value(), json=body, timeout=TIMEOUT_SECONDS).raise_for_status()


def _mail(email: Email, message: Message) -> None:
    host, _, port = email.server.rpartition(":")
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = " ".join(message.title.split()), email.sender, ", ".join(email.to)
    mail.set_content(message.text)
    secure = email.tls and int(port) == IMPLICIT_TLS
    with (smtplib.SMTP_SSL if secure else smtplib.SMTP)(host, int(port), timeout=TIMEOUT_SECONDS) as server:
        if email.tls and not secure:
            server.starttls()
        if email.user is not None:
            server.login(email.user, email.password.get_secret_value() if email.password else "")
        server.send_message(mail)
