"""The product as its users have it: the command line as processes, and Connect's REST for what operators do there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests

WITHIN = 120.0  # seconds, of a command that ends by itself
GRACE = 30.0
_LOG_END = 6000


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


@dataclass
class Product:
    """The tree of it that is tried, with its servers; `home` is where these keep their state."""

    tree: Path
    python: str = sys.executable
    folder: Path = field(default_factory=Path)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.tree), "CDC_PIPELINE_REPLICATIONS": str(self.folder)}

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [self.python, "-X", "faulthandler", "-m", "cdc_pipeline.cli", *arguments]

    def run(self, *arguments: str, within: float = WITHIN) -> Outcome:
        """A command to its end."""
        began = time.monotonic()
        process = subprocess.Popen(
            self._command(arguments), env=self.environment(), cwd=self.tree, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            return Outcome(arguments, None, output[-_LOG_END:], time.monotonic() - began)
        return Outcome(arguments, process.returncode, output[-_LOG_END:], time.monotonic() - began)

    def begin(self, name: str, *arguments: str) -> None:
        """A command that goes on; what it says is in a file of this name."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                self._command(arguments), env=self.environment(), cwd=self.tree,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def end(self, name: str, *, kill: bool = False) -> Outcome | None:
        """End it, by SIGTERM or SIGKILL; None if it was not begun."""
        process = self.running.pop(name, None)
        if process is None:
            return None
        was = process.poll()
        if was is None:
            process.kill() if kill else process.terminate()
        try:
            code: int | None = process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = None
        said = (self.folder / f"{name}.log").read_text(errors="replace")[-_LOG_END:]
        return Outcome((name,), 0 if kill and was is None else code, said)

    def end_all(self) -> None:
        for name in list(self.running):
            self.end(name, kill=True)

    # -- the embedded servers ---------------------------------------------------------------------------------------

    def endpoints(self) -> dict[str, str]:
        """URLs of the servers that run, with passwords."""
        found = subprocess.run(
            self._command(("local", "status", "--json")), env=self.environment(), cwd=self.tree, text=True,
            capture_output=True, check=False,
        )  # fmt: skip
        return json.loads(found.stdout or "{}")

    def up(self, *servers: str) -> Outcome:
        return self.run("local", "up", *(word for name in servers for word in ("--with", name)), within=600)

    def down(self) -> Outcome:
        return self.run("local", "down")


def listening_on(port: int) -> psutil.Process | None:
    """The process that listens on this port of loopback."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.pid and connection.laddr:
            if connection.laddr[1] == port:
                return psutil.Process(connection.pid)
    return None


def restart_connector(url: str, name: str) -> int:
    """As an operator does it. The status code, 0 if nobody answers."""
    try:
        asked = f"{url}/connectors/{name}/restart?includeTasks=true"
        return requests.post(asked, timeout=30).status_code
    except requests.RequestException:
        return 0
