"""A minimal Debian or Ubuntu in a folder.

Each command runs in namespaces of its own for mounts and processes: when it ends, or when we are killed, what was
mounted is unmounted and every process is gone with them. What this machine needs to reach its package registries
(proxies, certificates, the configuration of apt, pip and Maven) is carried in, and stays in the folder.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cdc_pipeline.local.apt import archives_of_this_machine

USER = "someone"
_CARRIED_VARIABLES = re.compile(
    "PIP_.*|.*_proxy|.*_PROXY|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NODE_EXTRA_CA_CERTS|CDC_PIPELINE_PATIENCE"
)
_CARRIED_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
_CARRIED_FOLDERS = ("/usr/local/share/ca-certificates", "/etc/apt/auth.conf.d")
_CARRIED_SETTINGS = re.compile(r"^Acquire::(https?|Check-Date|Check-Valid-Until|Retries)\b.*", re.MULTILINE)
_UBUNTU = ("jammy", "noble", "plucky", "questing")

# Ends every process of its own with it, and collects those that were left without a parent.
_INSIDE = """
mount -t proc proc "$ROOT/proc"
mount -t tmpfs tmpfs "$ROOT/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$ROOT/dev/pts"
for pair in $SHARED; do mount --bind "${pair%%:*}" "$ROOT${pair#*:}"; done
env -i $VARIABLES "$@" &
wait $!
"""


class Failed(Exception):
    """A command in the system did not end well."""


@dataclass(frozen=True)
class Login:
    """Who runs a command, and where the checkout is."""

    name: str
    home: str

    @property
    def project(self) -> str:
        return f"{self.home}/project"


ROOT = Login("root", "/root")
PLAIN = Login(USER, f"/home/{USER}")


class System:
    """One system in a folder; `shared` are folders of this machine that it sees at a place of its own."""

    def __init__(self, folder: Path, suite: str, shared: Mapping[Path, str]) -> None:
        self.folder = folder
        self.suite = suite
        self.shared = shared

    def make(self, log: Path) -> None:
        """Nothing but debootstrap's smallest system, and what reaches the registries."""
        command = ["debootstrap", "--variant=minbase", self.suite, str(self.folder), _archive(self.suite)]
        with log.open("wb") as output:
            if subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode != 0:
                raise Failed(f"debootstrap could not make {self.suite}:\n{tail(log)}")
        self._carry()
        self.run(["useradd", "--create-home", USER], log)

    def copy_to(self, folder: Path) -> System:
        subprocess.run(["cp", "-a", self.folder, folder], check=True)
        return System(folder, self.suite, self.shared)

    def put(self, checkout: Path, login: Login) -> None:
        """The checkout as it is, with what is not committed yet, but without what is ignored."""
        listed = ["git", "-C", checkout, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, capture_output=True, check=True, text=True).stdout.split("\0")
        place = self.inside(login.project)
        for name in filter(None, names):
            if (checkout / name).exists():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(checkout / name, place / name)
        owner = self.folder / login.home.lstrip("/")
        ids = owner.stat()
        subprocess.run(["chown", "-R", f"{ids.st_uid}:{ids.st_gid}", place], check=True)

    def run(self, command: Sequence[str], log: Path, login: Login = ROOT) -> float:
        """Run a command to its end, its output at the end of `log`; return its seconds. Raises Failed."""
        began = time.monotonic()
        chroot = ["chroot", f"--userspec={login.name}", "--groups=", str(self.folder)]
        shell = ["sh", "-c", f"cd {login.home} && exec {shlex.join(command)}"]
        whole = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-euc",
            _INSIDE,
            "sh",
            *chroot,
            *shell,
        ]
        with log.open("ab") as output:
            code = subprocess.run(
                whole, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=self._environment(login),
                check=False,
            ).returncode  # fmt: skip
        if code != 0:
            raise Failed(f"{shlex.join(command)} ended with exit code {code}:\n{tail(log)}")
        return time.monotonic() - began

    def says(self, command: str, log: Path) -> str:
        """What a command of the system prints."""
        answer = log.with_suffix(".answer")
        answer.unlink(missing_ok=True)
        self.run(["sh", "-c", command], answer)
        return answer.read_text().strip()

    def inside(self, path: str) -> Path:
        return self.folder / path.lstrip("/")

    def remove(self) -> None:
        """Delete the folder; never what is mounted in it, should anything still be."""
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        if any(Path(mount).is_relative_to(self.folder) for mount in mounts):
            raise Failed(f"something is mounted below {self.folder}: unmount it, then delete the folder")
        if self.folder.exists():
            subprocess.run(["rm", "-rf", "--one-file-system", self.folder], check=True)

    def _environment(self, login: Login) -> dict[str, str]:
        variables = {name: value for name, value in os.environ.items() if _CARRIED_VARIABLES.fullmatch(name)}
        variables |= {"HOME": login.home, "USER": login.name, "LANG": "C.UTF-8", "TERM": "dumb"}
        variables["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        words = " ".join(f"{name}={value}" for name, value in variables.items() if not re.search(r"\s", value))
        there = {place: goal for place, goal in self.shared.items() if self.inside(goal).is_dir()}
        shared = " ".join(f"{place}:{goal}" for place, goal in there.items())
        return {**os.environ, "ROOT": str(self.folder), "VARIABLES": words, "SHARED": shared}

    def _carry(self) -> None:
        for name in _CARRIED_FILES:
            if Path(name).exists():
                self.inside(name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(name, self.inside(name))
        for name in _CARRIED_FOLDERS:
            if Path(name).exists():
                shutil.copytree(name, self.inside(name), dirs_exist_ok=True)
        settings = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
        lines = "".join(f"{match[0]}\n" for match in _CARRIED_SETTINGS.finditer(settings))
        self.inside("/etc/apt/apt.conf.d/50carried").write_text(lines)
        maven = Path.home() / ".m2" / "settings.xml"
        if maven.exists():
            self.inside("/etc/skel/.m2").mkdir(parents=True)
            shutil.copy(maven, self.inside("/etc/skel/.m2"))


def tail(log: Path, lines: int = 30) -> str:
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


def _archive(suite: str) -> str:
    """The archive that this machine's own sources name; Ubuntu's is another than Debian's."""
    addresses = archives_of_this_machine()
    wanted = "ubuntu" if suite in _UBUNTU else "debian"
    fitting = [address for address in addresses if wanted in address.lower()]
    chosen = os.environ.get("CDC_PIPELINE_FRESH_ARCHIVE") or next(iter(fitting), None)
    if chosen is None:
        raise Failed(f"no source of this machine's apt serves {suite}; CDC_PIPELINE_FRESH_ARCHIVE may name one")
    return chosen
