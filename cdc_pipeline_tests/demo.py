"""The demo as its users start it: a process that starts others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import psutil

from cdc_pipeline.local import stack as local_stack

STREAMS = "the consumer streams"


class RunningDemo:
    """A demo under way. Remembers every process that it has started, and every line that it has said."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cdc_pipeline.demo", "--orders", "300", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "CDC_PIPELINE_LOCAL": str(local_stack.default_home().resolve())},
        )
        self.said: list[str] = []
        self.started: set[psutil.Process] = set()

    def lines(self) -> Iterator[str]:
        """What it says, until it ends; its processes are counted at each line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            with suppress(psutil.NoSuchProcess):
                self.started.update(psutil.Process(self.process.pid).children(recursive=True))
            yield line

    def wait(self) -> int:
        for _ in self.lines():
            pass
        return self.process.wait()

    @property
    def text(self) -> str:
        return "".join(self.said)

    @property
    def alive(self) -> list[psutil.Process]:
        """Those that it started and that still run."""
        return [p for p in self.started if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
