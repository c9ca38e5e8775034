"""The product as its users have it: its command line as processes, and Connect's REST for what operators do there."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

WITHIN = 120.0  # seconds, of a command that ends by itself
GRACE = 30.0
_LOG_END = 6000
_ZYGOTE = Path(__file__).with_name("zygote.py")


@dataclass(frozen=True)
class Outcome:
    """What a command ended with. `code` is None where it had to be killed."""

    command: tuple[str, ...]
    code: int | None
    output: str
    seconds: float = 0.0

    @property
    def error(self) -> str:
        """What it says was wrong."""
        at = self.output.rfind("Error: ")
        return self.output[at:].strip() if at >= 0 else ""

    @property
    def has_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.output


@dataclass
class Command:
    """One that was begun."""

    arguments: tuple[str, ...]
    log: Path
    began: float = field(default_factory=time.monotonic)
    pid: int = 0
    code: int | None = None
    told: queue.SimpleQueue[dict[str, Any]] = field(default_factory=queue.SimpleQueue)

    def wait(self, within: float) -> bool:
        """Whether it has ended by then."""
        deadline = time.monotonic() + within
        while self.code is None:
            try:
                told = self.told.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return False
            self.pid = told.get("pid", self.pid)
            self.code = told.get("code")
        return True

    @property
    def runs(self) -> bool:
        return not self.wait(0)

    def send(self, number: signal.Signals) -> None:
        while not self.pid and self.runs:
            time.sleep(0.01)
        if self.runs:
            os.kill(self.pid, number)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")[-_LOG_END:] if self.log.exists() else ""

    def outcome(self, *, killed: bool = False) -> Outcome:
        code = None if killed else self.code
        return Outcome(self.arguments, code, self.output, time.monotonic() - self.began)


class Product:
    """The tree of it that is tried, which also has the embedded servers."""

    def __init__(self, tree: Path, python: str = sys.executable) -> None:
        self.tree = tree
        self.python = python
        environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [python, str(_ZYGOTE)], env=environment, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._asked: dict[str, Command] = {}
        self._listener = threading.Thread(target=self._listen, name="zygote", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                told = json.loads(line)
                self._asked[told["id"]].told.put(told)

    def begin(self, log: Path, folder: Path, *arguments: str) -> Command:
        """A command that has its replications in this folder."""
        name = uuid.uuid4().hex
        command = self._asked[name] = Command(arguments, log)
        environment = {"CDC_PIPELINE_REPLICATIONS": str(folder)}
        asked = {"id": name, "arguments": arguments, "environment": environment, "log": str(log)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return command

    def run(self, folder: Path, *arguments: str, within: float = WITHIN) -> Outcome:
        """A command to its end; it is killed, with a word of what each thread was at, if it does not end."""
        command = self.begin(folder / f"{uuid.uuid4().hex}.log", folder, *arguments)
        if command.wait(within):
            return command.outcome()
        command.send(signal.SIGABRT)
        command.wait(GRACE)
        return command.outcome(killed=True)

    def end(self, command: Command, *, kill: bool = False) -> Outcome:
        """End it, by SIGTERM or SIGKILL."""
        was_running = command.runs
        command.send(signal.SIGKILL if kill else signal.SIGTERM)
        if not command.wait(GRACE):
            command.send(signal.SIGABRT)
            command.wait(GRACE)
            return command.outcome(killed=True)
        if kill and was_running:
            command.code = 0
        return command.outcome()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._listener.join()

    # -- the embedded servers ---------------------------------------------------------------------------------------

    def endpoints(self) -> dict[str, str]:
        """URLs of the servers that run, with passwords."""
        found = self._local("local", "status", "--json")
        return json.loads(found.stdout or "{}")

    def up(self, *servers: str) -> int:
        return self._local("local", "up", *(word for name in servers for word in ("--with", name))).returncode

    def down(self) -> int:
        return self._local("local", "down").returncode

    def _local(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """In a process of its own: servers outlive it."""
        command = [self.python, "-m", "cdc_pipeline.cli", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(self.tree)}
        return subprocess.run(
            command, env=environment, cwd=self.tree, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip


def listening_on(port: int) -> psutil.Process | None:
    """The process that listens on this port of loopback."""
    for each in psutil.net_connections("tcp"):
        address: tuple = each.laddr
        if each.status == psutil.CONN_LISTEN and each.pid and address and address[1] == port:
            return psutil.Process(each.pid)
    return None


def restart_connector(url: str, name: str) -> int:
    """As an operator does it. The status code, 0 if nobody answers."""
    try:
        asked = f"{url}/connectors/{name}/restart?includeTasks=true"
        return requests.post(asked, timeout=30).status_code
    except requests.RequestException:
        return 0
