"""Where one server lives inside the state folder, and as which user.

    <home>/ports.json                 the port of every server, kept over restarts
    <home>/secrets/<server>.password  0600; Connect reads them through its config providers
    <home>/<server>/server.log        what the server prints
    <home>/<server>/process.json      pid and start time of the server, while it runs
    <home>/<server>/files/            the server's own files, owned by the user it runs as

PostgreSQL and mysqld refuse to run as root. Started by root they run as `nobody`, who must own their files
and reach them; where a checkout lies in a folder closed to others (/root), `files` is a symbolic link to a
private folder below /var/tmp.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cdc_pipeline.errors import LocalStackError

Report = Callable[[str], None]

OUTSIDE = Path("/var/tmp")
OPEN_TO_ALL = 0o755
PRIVATE = 0o700


@dataclass(frozen=True)
class Account:
    """The user whom a server runs as instead of root."""

    name: str
    uid: int
    gid: int

    def can_enter(self, folder: Path) -> bool:
        """Whether this user may traverse `folder` and every folder above it."""
        resolved = folder.resolve()
        return all(self._may_traverse(part.stat()) for part in (resolved, *resolved.parents))

    def _may_traverse(self, status: os.stat_result) -> bool:
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        return bool(status.st_mode & stat.S_IXOTH)


def default_home() -> Path:
    """$CDC_PIPELINE_LOCAL, or `.local` of the project that the current directory is in."""
    chosen = os.environ.get("CDC_PIPELINE_LOCAL")
    if chosen:
        return Path(chosen)
    here = Path.cwd()
    project = next((folder for folder in (here, *here.parents) if (folder / "pyproject.toml").exists()), here)
    return project / ".local"


def demos_replications(home: Path) -> Path:
    """Where the demo has the file of its replication, as long as there is that replication."""
    return home / "demo" / "replications"


def unprivileged_account() -> Account | None:
    """The user to become when we are root; None when we are an ordinary user already."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise LocalStackError(
            server="root",
            reason="there is no user `nobody` for the servers to run as; start as another user.",
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


@dataclass(frozen=True)
class Site:
    """One server's place in the state folder; `ports` holds those of all servers, by name."""

    home: Path
    server: str
    ports: dict[str, int]
    report: Report

    @property
    def folder(self) -> Path:
        return self.home / self.server

    @property
    def files(self) -> Path:
        return (self.folder / "files").resolve()

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def port(self) -> int:
        return self.ports[self.server]

    def make_folder(self) -> None:
        """Make the server's folder; open, because another user may have to reach the files inside."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(OPEN_TO_ALL)

    def make_files(self, account: Account | None = None) -> Path:
        """Make `files`, owned by `account`; outside the state folder where `account` cannot reach it."""
        self.make_folder()
        link = self.folder / "files"
        if not link.exists():
            link.unlink(missing_ok=True)  # a link to a folder that somebody cleaned away
            if account is None or account.can_enter(self.folder):
                link.mkdir(mode=PRIVATE)
            else:
                outside = tempfile.mkdtemp(prefix=f"cdc-pipeline-{self.server}-", dir=OUTSIDE)
                link.symlink_to(outside)
        if account is not None:
            os.chown(self.files, account.uid, account.gid)
        return self.files

    def remove(self) -> list[Path]:
        """Delete everything of this server, and name it before it goes."""
        password = self.home / "secrets" / f"{self.server}.password"
        link = self.folder / "files"
        outside = [self.files] if link.is_symlink() and self.files.is_dir() else []
        doomed = [path for path in (*outside, self.folder, password) if path.exists()]
        for path in doomed:
            self.report(f"deleting {path}")
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        return doomed


def password_of(home: Path, server: str) -> str:
    """The server's password, made at the first call."""
    path = secrets_folder(home) / f"{server}.password"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text()


def secrets_folder(home: Path) -> Path:
    """The only folder that Connect's config providers may read."""
    folder = home / "secrets"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(PRIVATE)
    return folder


def write_private(path: Path, text: str, owner: Account | None = None) -> None:
    """Write a file that nobody else may read, not even for a moment, and never half of it."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    if owner is not None:
        os.chown(draft, owner.uid, owner.gid)
    draft.replace(path)


def read_ports(home: Path) -> dict[str, int]:
    """The ports of all servers that were ever started here."""
    path = home / "ports.json"
    return json.loads(path.read_text()) if path.exists() else {}


def write_ports(home: Path, ports: dict[str, int]) -> None:
    write_private(home / "ports.json", json.dumps(ports, indent=2) + "\n")
