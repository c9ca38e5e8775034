"""`make test-fresh`: the demo and tests in minimal systems, as root and as a plain user; writes docs/fresh-machines.md.

For root: debootstrap, mounts and chroot need it. Everything is
made below one folder and removed at the end, also after a failure; only downloads of pip, Maven and apt are kept there.
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cdc_pipeline_tests.fresh import report
from cdc_pipeline_tests.fresh.system import PLAIN, ROOT, Failed, Login, System

CHECKOUT = Path(__file__).resolve().parents[2]
# The least that somebody must have: the others are root's, or come into the cache.
GIVEN = {ROOT.name: ["make"], PLAIN.name: ["make", "python3"]}
DEMO = ["make", "demo", "ARGS=--once --seconds 20"]
# Some of each kind: servers, packages, a Java program of the tests' own, Dagster in a browser.
PART = " ".join(
    f"cdc_pipeline_tests/{name}"
    for name in (
        "unit",
        "integration/test_local_stack.py",
        "integration/test_debian_packages.py",
        "integration/test_mariadb.py",
        "integration/oracle",
        "acceptance/test_browser.py",
    )
)


@dataclass
class Trial:
    """One system, one user: what was done, and how it ended."""

    suite: str
    login: Login
    date: str
    system: str = ""
    python: str = ""
    got: str = ""
    outcome: dict[str, str] = field(default_factory=dict)

    @property
    def user(self) -> str:
        return "root" if self.login is ROOT else "plain user"

    @property
    def good(self) -> bool:
        return all(outcome.startswith("passed") for outcome in self.outcome.values())


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make test-fresh", description=__doc__)
    parser.add_argument("--systems", nargs="+", default=["bookworm", "trixie"], help="suites of Debian or Ubuntu")
    parser.add_argument("--users", nargs="+", default=["root", "plain"], choices=["root", "plain"])
    parser.add_argument("--whole", action="store_true", help="run every test, not one of each kind")
    parser.add_argument("--tests", default=PART, help="what of the tests is run instead")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp/cdc-pipeline-fresh"))
    options = parser.parse_args(arguments)
    lacking = [program for program in ("debootstrap", "unshare", "chroot", "setpriv") if not shutil.which(program)]
    if os.geteuid() != 0 or lacking:
        print(f"make test-fresh is for root, and needs debootstrap (missing: {lacking or 'root'})", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    tests = "" if options.whole else options.tests
    trials = []
    for suite in options.systems:
        trials += _try_system(suite, options.users, tests, options.folder.resolve())
    report.write(trials, tests="all" if options.whole else "some of each kind" if tests == PART else tests)
    return 0 if all(trial.good for trial in trials) else 1


def _try_system(suite: str, users: Sequence[str], tests: str, folder: Path) -> list[Trial]:
    """Make the system once; each user gets one of their own."""
    logs = folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    base = System(folder / f"{suite}-base", suite, _shared(folder / "downloads"))
    base.remove()
    trials = []
    try:
        _say(f"{suite}: debootstrap")
        base.make(logs / f"{suite}-base.log")
        for login in (ROOT, PLAIN):
            if (login is ROOT and "root" in users) or (login is PLAIN and "plain" in users):
                trials.append(_try_user(base, login, tests, folder))
    finally:
        base.remove()
    return trials


def _try_user(base: System, login: Login, tests: str, folder: Path) -> Trial:
    trial = Trial(base.suite, login, datetime.datetime.now(datetime.UTC).date().isoformat())
    place = folder / f"{base.suite}-{login.name}"
    log = folder / "logs" / f"{place.name}.log"
    log.unlink(missing_ok=True)
    System(place, base.suite, {}).remove()
    system = base.copy_to(place)
    try:
        _prepare(system, login, log)
        trial.system = system.says(". /etc/os-release; echo $PRETTY_NAME", log)
        for name, command in (("make demo", DEMO), ("make test", ["make", "test", f"ARGS={tests}"])):
            _step(trial, system, name, command, log)
            if not trial.good:
                break
        trial.python = system.says(f"{login.project}/.venv/bin/python --version", log).removeprefix("Python ")
        trial.got = _got(log)
    finally:
        system.remove()
    return trial


def _prepare(system: System, login: Login, log: Path) -> None:
    """Give the user the checkout, and the little that nobody can do without."""
    given = GIVEN[login.name]
    _say(f"{system.suite}, {login.name}: apt-get install {' '.join(given)}")
    system.run(["apt-get", "-qq", "update"], log)
    system.run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", *given], log)
    if login is PLAIN:
        system.run(
            ["sh", "-c", "rm -rf /var/lib/apt/lists/*"], log
        )  # as in an image: who is not root cannot update them
    system.put(CHECKOUT, login)
    for place, goal in system.shared.items():
        if goal.startswith(login.home):
            system.run(["mkdir", "-p", goal], log, login)
            owner = system.inside(goal).stat()
            for path in (place, *place.rglob("*")):
                os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _step(trial: Trial, system: System, name: str, command: list[str], log: Path) -> None:
    _say(f"{system.suite}, {trial.login.name}: {name}")
    inside = ["sh", "-c", 'cd project && exec "$@"', "sh", *command]
    try:
        seconds = system.run(inside, log, trial.login)
    except Failed as error:
        trial.outcome[name] = "failed"
        _say(str(error))
    else:
        trial.outcome[name] = f"passed in {seconds / 60:.0f} min"
        _say(trial.outcome[name])


def _got(log: Path) -> str:
    """What was told to be missing."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("missing: ")]
    return "; ".join(line.removeprefix("missing: ").split(";")[0] for line in lines)


def _shared(downloads: Path) -> dict[Path, str]:
    """Downloads that are kept from one run to the next, and where the system sees them."""
    shared = {downloads / "apt": "/var/cache/apt/archives"}
    for login in (ROOT, PLAIN):
        shared[downloads / login.name / "pip"] = f"{login.home}/.cache/pip"
        shared[downloads / login.name / "maven"] = f"{login.home}/.m2/repository"
    for place in shared:
        place.mkdir(parents=True, exist_ok=True)
    return shared


def _say(line: str) -> None:
    print(f"{datetime.datetime.now():%H:%M:%S} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
