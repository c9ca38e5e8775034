"""The command line with everything imported, which becomes a process of its own for each command.

A process of Python that imports the product takes two seconds of a processor until it begins; a plan has a dozen. This
script imports it once, from wherever PYTHONPATH says, and forks. A line on standard input begins a command: JSON of its
`id`, `arguments`, `environment` and the `log` that gets its output. Lines on standard output tell `{"id", "pid"}` when
it has begun and `{"id", "code"}` when it has ended (`-9`: by signal 9). At the end of its input it ends.
"""

from __future__ import annotations

import faulthandler
import json
import os
import select
import signal
from typing import Any

from cdc_pipeline.cli import main

_LOOK_SECONDS = 0.02


def _tell(**fields: object) -> None:
    os.write(1, (json.dumps(fields) + "\n").encode())


def serve() -> list[str] | None:
    """The arguments of a command, in the process that shall run it; None in this one, at its end."""
    children: dict[int, str] = {}
    pending = b""
    while True:
        if select.select([0], [], [], _LOOK_SECONDS)[0]:
            read = os.read(0, 65536)
            if not read:
                for pid in children:
                    os.kill(pid, signal.SIGKILL)  # nobody is left whom they could tell
                return None
            *lines, pending = (pending + read).split(b"\n")
            for line in lines:
                asked = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    return _become(asked)
                children[pid] = asked["id"]
                _tell(id=asked["id"], pid=pid)
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            _tell(id=children.pop(pid), code=os.waitstatus_to_exitcode(status))


def _become(asked: dict[str, Any]) -> list[str]:
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(asked["environment"])
    return list(asked["arguments"])


if __name__ == "__main__":
    command = serve()
    if command is not None:
        faulthandler.enable()
        main(command, prog_name="cdc-pipeline")
