"""Kafka Connect's REST interface. The one place that speaks HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import requests

from cdc_pipeline.config import Connect
from cdc_pipeline.errors import ConnectorFailed, ConnectRefused, ConnectUnavailable

TIMEOUT_SECONDS = 30
STOPPED_WITHIN_SECONDS = 90
_SECRET_WORDS = ("password", "secret", "token", "jaas")
# Its message goes on: "restart connector with schema recovery mode", which would not help.
_PARTIAL_ROW = re.compile(
    r"Error processing row in (?P<table>.+?), internal schema size (?P<all>\d+), but row size (?P<some>\d+)"
)
_ABOUT_PARTIAL_ROW = (
    "an event of table {table} has {some} of its {all} columns, so a session has set binlog_row_image to another value "
    "than FULL; nothing of it was applied, and what it leaves out is nowhere. Have no session do that (it takes the "
    "privilege SESSION_VARIABLES_ADMIN); then only `cdc-pipeline teardown` and `start --force-resync` get past it."
)
_POLICY = re.compile(r"The '\w+' policy does not allow")
_ABOUT_POLICY = (
    "Large rows need it: set connector.client.config.override.policy=All in the worker (Kafka's default), or say "
    "largest_event_mb: null under `kafka`, and the limits of the cluster hold."
)
# Connect's answers while its workers agree on who does what, or have not read the newest configuration: the same call
# passes later. Reading a configuration gets the second status ("Request cannot be completed because a rebalance is
# expected"; measured, Kafka 4.3). "Cannot complete request momentarily due to stale configuration" is the other text.
MOMENTARY = (409, 500)
MOMENTARY_TEXTS = ("rebalance", "momentarily")


class ConnectApi:
    """One Connect cluster. Raises ConnectUnavailable, or ConnectRefused with Connect's own words."""

    def __init__(self, config: Connect) -> None:
        self.endpoint = config
        self.session = requests.Session()
        self.session.trust_env = False  # a proxy is for the world outside; it would not find this worker
        self.session.verify = config.verify_tls
        if config.user is not None:
            self.session.auth = (config.user, config.password.get_secret_value() if config.password else "")

    def ping(self) -> dict[str, Any]:
        return self._call("GET", "/")

    def plugins(self) -> dict[str, str]:
        """Class -> version of every connector plugin."""
        return {plugin["class"]: plugin.get("version", "") for plugin in self._call("GET", "/connector-plugins")}

    def validate(self, config: Mapping[str, str]) -> list[str]:
        """What the plugin itself finds wrong with a configuration; it connects to the database to tell."""
        plugin = config["connector.class"].rpartition(".")[2]
        answer = self._call("PUT", f"/connector-plugins/{plugin}/config/validate", dict(config))
        values = [item["value"] for item in answer["configs"] if item["value"]]
        return [_finding(value["name"], error) for value in values for error in value["errors"]]

    def exists(self, name: str) -> bool:
        return name in self._call("GET", "/connectors")

    def config(self, name: str) -> dict[str, str]:
        return self._call("GET", self._path(name, "config"))

    def create_stopped(self, name: str, config: Mapping[str, str]) -> None:
        self._call("POST", "/connectors", {"name": name, "config": dict(config), "initial_state": "STOPPED"})

    def put_config(self, name: str, config: Mapping[str, str]) -> None:
        self._call("PUT", self._path(name, "config"), dict(config))

    def offsets(self, name: str) -> dict[str, Any] | None:
        """The connector's source offset: what Kafka has acknowledged. None if it has none yet."""
        entries = self._call("GET", self._path(name, "offsets"))["offsets"]
        return entries[0]["offset"] if entries else None

    def patch_offsets(self, name: str, partition: Mapping[str, str], offset: Mapping[str, Any]) -> None:
        body = {"offsets": [{"partition": dict(partition), "offset": dict(offset)}]}
        self._call("PATCH", self._path(name, "offsets"), body)

    def delete_offsets(self, name: str) -> None:
        self._call("DELETE", self._path(name, "offsets"))

    def status(self, name: str) -> dict[str, Any]:
        """`{"connector": "RUNNING", "tasks": [{"id": 0, "state": "RUNNING", "error": ""}]}`; Connect says RUNNING
        of a connector whose task is dead, so both count."""
        answer = self._call("GET", self._path(name, "status"))
        tasks = [
            {"id": task["id"], "state": task["state"], "error": _first_cause(task.get("trace", ""))}
            for task in answer["tasks"]
        ]
        return {
            "connector": answer["connector"]["state"],
            "error": _first_cause(answer["connector"].get("trace", "")),
            "tasks": tasks,
        }

    def resume(self, name: str) -> None:
        self._call("PUT", self._path(name, "resume"))

    def stop(self, name: str) -> None:
        self._call("PUT", self._path(name, "stop"))

    def restart_failed(self, name: str) -> None:
        self._call("POST", self._path(name, "restart?includeTasks=true&onlyFailed=true"))

    def delete(self, name: str) -> None:
        self._call("DELETE", self._path(name))

    def wait_for(self, name: str, condition: Callable[[dict[str, Any]], bool], what: str, seconds: float = 90) -> None:
        """Wait until the status meets the condition. Raises ConnectorFailed with the task's first cause if a task
        fails, or if it takes too long."""
        deadline = time.monotonic() + seconds
        while True:
            status = self._status_or_nothing(name)
            failed = [task["error"] for task in status["tasks"] if task["state"] == "FAILED"]
            if failed or status["connector"] == "FAILED":
                raise ConnectorFailed(connector=name, reason=(failed or [status["error"]])[0])
            if condition(status):
                return
            if time.monotonic() > deadline:
                raise ConnectorFailed(connector=name, reason=f"not {what} after {seconds:.0f} s: {status}")
            time.sleep(0.1)

    def wait_running(self, name: str) -> None:
        self.wait_for(name, is_running, "running")

    def wait_stopped(self, name: str) -> None:
        """Also of one that has failed: until it is stopped, its dead tasks are still told."""
        deadline = time.monotonic() + STOPPED_WITHIN_SECONDS
        while (status := self._status_or_nothing(name))["connector"] != "STOPPED" or status["tasks"]:
            if time.monotonic() > deadline:
                reason = f"not stopped after {STOPPED_WITHIN_SECONDS} s: {status}"
                raise ConnectorFailed(connector=name, reason=reason)
            time.sleep(0.1)

    def _status_or_nothing(self, name: str) -> dict[str, Any]:
        try:
            return self.status(name)
        except ConnectRefused as error:
            if error.fields["status"] == 404:  # created a moment ago; the status topic lags behind
                return {"connector": "UNASSIGNED", "error": "", "tasks": []}
            raise

    def _path(self, name: str, rest: str = "") -> str:
        return f"/connectors/{quote(name, safe='')}/{rest}".rstrip("/")

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            try:
                url = self.endpoint.url.rstrip("/") + path
                answer = self.session.request(method, url, json=body, timeout=TIMEOUT_SECONDS)
            except requests.RequestException as error:
                reason = type(error).__name__
                raise ConnectUnavailable(url=self.endpoint.url, reason=reason) from error
            if _is_momentary(answer) and time.monotonic() < deadline:
                time.sleep(0.2)
                continue
            if not answer.ok:
                reason = _message(answer)
                request = f"{method} {path}"
                raise ConnectRefused(request=request, status=answer.status_code, reason=reason)
            return answer.json() if answer.content else None


def _is_momentary(answer: requests.Response) -> bool:
    return answer.status_code in MOMENTARY and any(text in answer.text for text in MOMENTARY_TEXTS)


def _finding(name: str, error: str) -> str:
    """One of the plugin's or the worker's own findings, with the way out where it does not tell one."""
    return f"{name}: {error} {_ABOUT_POLICY if _POLICY.search(error) else ''}".rstrip()


def is_running(status: Mapping[str, Any]) -> bool:
    tasks = status["tasks"]
    return status["connector"] == "RUNNING" and bool(tasks) and all(task["state"] == "RUNNING" for task in tasks)


def mask(config: Mapping[str, str]) -> dict[str, str]:
    """A connector's configuration without its secrets, for people."""
    return {
        key: "****" if any(word in key for word in _SECRET_WORDS) and not value.startswith("${") else value
        for key, value in config.items()
    }


def _message(answer: requests.Response) -> str:
    try:
        return answer.json().get("message", answer.text)[:500]
    except ValueError:
        return answer.text[:500]


def _first_cause(trace: str) -> str:
    """The deepest cause of a Java stack trace: its last `Caused by`, or its first line. Where Debezium's advice is
    wrong, what it means instead."""
    causes = [line.removeprefix("Caused by: ") for line in trace.splitlines() if line.startswith("Caused by: ")]
    cause = (causes or trace.splitlines() or [""])[-1 if causes else 0]
    partial = _PARTIAL_ROW.search(cause)
    return _ABOUT_PARTIAL_ROW.format(**partial.groupdict()) if partial else cause
