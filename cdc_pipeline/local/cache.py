"""The cache of programs that were fetched: every folder of it is whole or not there.

Each is filled beside its place and renamed into it; one caller at a time fills anything. Standard library only: the
Makefile asks for programs before there is a .venv.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local.site import OPEN_TO_ALL, Report

_held = threading.local()


def cache() -> Path:
    """$CDC_PIPELINE_CACHE, or the usual place; root's is open to all, because root's servers run as another user."""
    chosen = os.environ.get("CDC_PIPELINE_CACHE")
    if chosen:
        folder = Path(chosen).resolve()
    elif os.geteuid() == 0:
        folder = Path("/var/cache/cdc-pipeline")
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cdc-pipeline"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(OPEN_TO_ALL)
    except OSError as error:
        reason = f"{folder} cannot be made ({error.strerror}); $CDC_PIPELINE_CACHE may name another place."
        raise LocalStackError(server="cache", reason=reason) from None
    return folder


def kept(folder: str, what: str, fill: Callable[[Path], None], report: Report) -> Path:
    """The folder of that name in the cache, filled at the first call; one caller at a time fills anything.

    One at a time also because Maven's own repository does not like two writers.
    """
    place = cache() / folder
    if place.exists():
        return place
    with one_at_a_time():
        if not place.exists():
            report(f"getting {what} (once, into {place})")
            draft = empty_draft(place)
            draft.mkdir()
            draft.chmod(OPEN_TO_ALL)  # whatever the umask; apt fetches as a user of its own
            try:
                fill(draft)
            except BaseException:
                shutil.rmtree(draft)
                raise
            draft.chmod(OPEN_TO_ALL)
            draft.rename(place)
    return place


def empty_draft(place: Path) -> Path:
    """A path beside `place` at which nothing is, to be renamed to `place` when it is whole."""
    draft = place.with_name(place.name + ".new")
    if draft.exists():
        shutil.rmtree(draft)
    return draft


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the cache's lock; a thread that has it already goes on."""
    if getattr(_held, "by_us", False):
        yield
        return
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _held.by_us = True
        try:
            yield
        finally:
            _held.by_us = False


def run_client(command: Sequence[str], cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Run a package client and return its output, in English; when it fails its last lines tell why."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**(os.environ if env is None else env), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        umask=0o022,
    )
    if done.returncode != 0:
        last = "\n".join(f"    {line}" for line in done.stdout.splitlines()[-20:])
        raise LocalStackError(server=Path(command[0]).name, reason=f"exit code {done.returncode}.\n{last}")
    return done.stdout
