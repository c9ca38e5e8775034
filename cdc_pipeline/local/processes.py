"""Starts servers that outlive us, remembers which they are, and ends exactly those.

A server is known by its pid *and* its start time: a pid alone may belong to somebody else by now.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local.site import Account, Site, write_private

# The kernel counts in hundredths of a second from boot, and the moment of boot wobbles when the clock is set.
SAME_START_WITHIN = 1.0
# A slow machine multiplies how long is waited for servers.
PATIENCE = float(os.environ.get("CDC_PIPELINE_PATIENCE", "1"))
START_WITHIN = 180.0 * PATIENCE
END_WITHIN = 30.0 * PATIENCE
LINES_SHOWN = 20

Env = Mapping[str, str] | None


@dataclass(frozen=True)
class Recorded:
    """A process as it was when we started it."""

    pid: int
    started: float


def spawn(site: Site, command: Sequence[str | Path], account: Account | None = None, env: Env = None) -> None:
    """Start the server of `site` and record it."""
    process = _popen(site, command, account, env)
    started = psutil.Process(process.pid).create_time()
    write_private(_record(site), json.dumps({"pid": process.pid, "started": started}) + "\n")
    # Collects the exit status as soon as there is one: no zombie stays while we live.
    threading.Thread(target=process.wait, name=f"reaper of {site.server}", daemon=True).start()


def run(site: Site, command: Sequence[str | Path], account: Account | None = None, env: Env = None) -> None:
    """Run a preparing command of a server to its end."""
    code = _popen(site, command, account, env).wait()
    if code != 0:
        reason = f"{Path(command[0]).name} failed with exit code {code}.\n{log_tail(site)}"
        raise LocalStackError(server=site.server, reason=reason)


def recorded(site: Site) -> bool:
    """Whether the server was started and not ended by us since; it may have died."""
    return _record(site).exists()


def running(site: Site) -> psutil.Process | None:
    """The server's process, if the very process that we recorded still lives."""
    recorded = _read_record(site)
    if recorded is None:
        return None
    try:
        process = psutil.Process(recorded.pid)
        same = abs(process.create_time() - recorded.started) < SAME_START_WITHIN
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def end(site: Site, stop_signal: signal.Signals = signal.SIGTERM, within: float = END_WITHIN) -> bool:
    """End the server and wait until it is gone; False if it did not run. Its record goes with it."""
    process = running(site)
    if process is not None:
        try:
            process.send_signal(stop_signal)
            process.wait(within)
        except psutil.TimeoutExpired:
            site.report(f"{site.server} did not end within {within:.0f} s and is killed")
            process.kill()
            process.wait(within)
        except psutil.NoSuchProcess:
            pass  # it ended by itself in this very moment
    _record(site).unlink(missing_ok=True)
    return process is not None


def wait_until_ready(site: Site, answers: Callable[[], bool], within: float = START_WITHIN) -> None:
    """Return when the server answers; raise with the end of its log when it dies or takes too long."""
    deadline = time.monotonic() + within
    while not answers():
        if running(site) is None:
            raise LocalStackError(server=site.server, reason=f"ended while starting.\n{log_tail(site)}")
        if time.monotonic() > deadline:
            end(site)
            raise LocalStackError(server=site.server, reason=f"did not answer within {within:.0f} s.\n{log_tail(site)}")
        time.sleep(0.1)


def log_tail(site: Site) -> str:
    """Where the log is, and its last lines."""
    lines = site.log.read_text(errors="replace").splitlines() if site.log.exists() else []
    return "\n".join([f"The end of {site.log}:", *(f"    {line}" for line in lines[-LINES_SHOWN:])])


def _popen(site: Site, command: Sequence[str | Path], account: Account | None, env: Env) -> subprocess.Popen[bytes]:
    """Start a process, its output in the log, in a session of its own: Ctrl-C here does not reach it."""
    with site.log.open("ab") as log:
        return subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=site.files,
            env={**os.environ, **(env or {})},
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


def _record(site: Site) -> Path:
    return site.folder / "process.json"


def _read_record(site: Site) -> Recorded | None:
    try:
        return Recorded(**json.loads(_record(site).read_text()))
    except FileNotFoundError:
        return None
