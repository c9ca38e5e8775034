"""Packages of Debian and Ubuntu as plain folders: fetched by name, verified, unpacked, without being root.

`fetch` asks apt for packages and all that they depend on, and unpacks them into one folder of the cache; the machine's
own packages stay as they are. apt works with lists, a cache and a state of its own, and verifies signatures and
hashes as ever. Two ways to ask:

- without a suite: packages of the machine's own release, less what the machine has. The programs run as the machine's
  own do, with `environment` for their libraries.
- with a suite (`sid`, `trixie`, `experimental`): packages of that suite of Debian with everything that they need, down
  to the C library. They run by their own loader: `command`. The archive's address is the one of the machine's own
  sources, and its signatures are told by Debian's keyring.

A suite moves on: what was fetched stays until its folder is deleted, and `versions` says what it is. No script of a
package runs, so what such a script would have made (caches, alternatives, certificates for Java) is not there.
Standard library only: the Makefile asks for programs before there is a .venv.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import apt
from cdc_pipeline.local.cache import cache, kept, run_client
from cdc_pipeline.local.site import Report

_MERGED = ("bin", "sbin", "lib", "lib64")  # folders that are links into /usr on every release of today
_VERSIONS = "versions.json"


@dataclass(frozen=True)
class Tree:
    """Packages unpacked into one folder, as if it were the root of a machine."""

    folder: Path

    @property
    def loader(self) -> Path | None:
        """The tree's own ld-linux; None where the packages use the C library of the machine."""
        found = sorted(self.folder.glob("usr/lib/*/ld-linux-*.so.*")) or sorted(self.folder.glob("usr/lib/ld-linux*"))
        return found[0] if found else None

    @property
    def libraries(self) -> list[Path]:
        """The folders with shared libraries: the usual ones first, then those of single packages."""
        usual = [*sorted(self.folder.glob("usr/lib/*-linux-gnu*")), self.folder / "usr" / "lib"]
        own = {file.parent for file in (self.folder / "usr" / "lib").rglob("lib*.so*") if "jvm" not in file.parts}
        return [*(folder for folder in usual if folder.is_dir()), *sorted(own - set(usual))]

    @property
    def library_path(self) -> str:
        return ":".join(str(folder) for folder in self.libraries)

    @property
    def environment(self) -> dict[str, str]:
        """For programs of the tree that run by the machine's own loader."""
        return {} if self.loader else {"LD_LIBRARY_PATH": self.library_path}

    @property
    def versions(self) -> dict[str, str]:
        """The version of each package."""
        return json.loads((self.folder / _VERSIONS).read_text())

    def command(self, program: str | Path) -> list[str]:
        """What runs a program of the tree, with the tree's own C library where it has one: `usr/sbin/mysqld`."""
        path = str(self.folder / program)
        return [str(self.loader), "--library-path", self.library_path, path] if self.loader else [path]


def is_possible() -> bool:
    """Whether this machine has what fetching takes."""
    return all(shutil.which(program) for program in ("apt-get", "dpkg-deb", "tar"))


def is_debian() -> bool:
    """Whether this machine's own sources are Debian's, so that other suites of it are to be had there."""
    try:
        return platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        return False


def fetch(packages: Sequence[str], report: Report, suite: str | None = None) -> Tree:
    """The packages and what they depend on, unpacked; at the first call they are fetched."""
    if not is_possible():
        raise LocalStackError(server=packages[0], reason="only a machine with apt-get and dpkg-deb can fetch packages.")
    name = "-".join((_prefix(suite), *packages))
    folder = kept(name, ", ".join(packages), lambda draft: _fill(draft, packages, suite, report), report)
    return Tree(folder)


def fetched() -> list[Tree]:
    """What has been fetched of the machine's own release."""
    return [Tree(folder) for folder in sorted(cache().glob(f"{_prefix(None)}-*")) if folder.suffix != ".new"]


def _fill(draft: Path, packages: Sequence[str], suite: str | None, report: Report) -> None:
    archives = draft / "archives"
    (archives / "partial").mkdir(parents=True)
    configuration = apt.for_suite(suite, packages, archives, report) if suite else apt.for_this_release(archives)
    run_client(["apt-get", "-c", str(configuration), "install", *packages])
    _unpack(sorted(archives.glob("*.deb")), draft)
    shutil.rmtree(archives)


def _unpack(files: list[Path], root: Path) -> None:
    """Unpack the files whole, in a tree of today's form, whose links lead to what is in it."""
    for name in _MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    versions = {}
    for file in files:
        package, version = run_client(["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(file)]).split()
        versions[package] = version
        _extract(file, root)
    for path in _everything(root):
        if path.is_symlink():
            _lead_inside(path, root)
        elif path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
            path.chmod(path.stat().st_mode & 0o777)  # nobody becomes root by a program of the cache
    (root / _VERSIONS).write_text(json.dumps(versions, indent=2) + "\n")


def _extract(file: Path, root: Path) -> None:
    """Like `dpkg-deb -x`, which would put a folder in the place of the link /lib of a merged tree."""
    reader = ["dpkg-deb", "--fsys-tarfile", str(file)]
    with subprocess.Popen(reader, stdout=subprocess.PIPE) as archive:
        options = ["--keep-directory-symlink", "--no-same-owner", "--warning=no-timestamp"]
        done = subprocess.run(
            ["tar", "-xpf", "-", "-C", root, *options],
            stdin=archive.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    if archive.returncode or done.returncode:
        raise LocalStackError(server=file.name, reason=f"it could not be unpacked: {done.stderr.strip()}")


def _everything(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        yield from (Path(folder, name) for name in (*folders, *files))


def _lead_inside(link: Path, root: Path) -> None:
    """Let a link to /etc/… lead to the tree's own /etc/…, if it has that."""
    goal = os.readlink(link)
    inside = root / goal.lstrip("/")
    if goal.startswith("/") and os.path.lexists(inside):
        link.unlink()
        link.symlink_to(os.path.relpath(inside, link.parent.resolve()))


def _prefix(suite: str | None) -> str:
    return f"debian-{suite or apt.this_release()}"
