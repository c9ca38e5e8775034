"""A command that stands still at one of its steps, and is killed there."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cdc_pipeline_tests.scenario import Scenario

# Runs the command line, but stands still before or after a function.
HALTING = """
import importlib, sys, threading
module, owner, name, when = sys.argv[1:5]
where = importlib.import_module(module)
where = getattr(where, owner) if owner else where
function = getattr(where, name)
def halt():
    print("HALTED", flush=True)
    threading.Event().wait()
def halting(*arguments, **options):
    if when == "before":
        halt()
    function(*arguments, **options)
    halt()
setattr(where, name, halting)
from cdc_pipeline.cli import main
sys.argv[1:] = sys.argv[5:]
main()
"""


@contextmanager
def killed(made: Scenario, *step: str, command: Sequence[str] = ("resync", "stock")) -> Iterator[None]:
    """A re-sync of `stock`, or another command, reaches the step and is killed there."""
    command = [sys.executable, "-c", HALTING, *step, *command]
    with subprocess.Popen(
        command, env=made.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            told = []
            for line in process.stdout:
                told.append(line)
                if line == "HALTED\n":
                    break
            else:
                raise AssertionError(f"it ended before {step}: {''.join(told)}")
        finally:
            process.send_signal(signal.SIGKILL)
    yield
