"""Asks apt for packages without touching what apt has of the machine: lists, state and cache are ours.

The machine's sources and their keys, its proxies and certificates count. Two ways to ask: of the machine's own release,
with the packages that it has, or of one suite of Debian, as a machine that has no package yet. Standard library only.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache as once_a_process
from pathlib import Path

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local.cache import cache, run_client
from cdc_pipeline.local.site import Report

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_STATUS = Path("/var/lib/dpkg/status")

# Suites that hold only what differs from another one.
_ABOVE = {"experimental": "sid"}

# Everything that apt would read or write in the machine's folders is moved into one of ours. Its own configuration
# counts otherwise: proxies, certificates, logins.
_OURS = """\
Dir::State "{folder}";
Dir::State::Lists "{folder}/lists";
Dir::State::status "{status}";
Dir::Cache "{folder}/cache";
Dir::Cache::srcpkgcache "";
Dir::Cache::archives "{archives}";
Dir::Log "{folder}";
Debug::NoLocking "true";
APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
APT::Get::Download-Only "true";
Acquire::Retries "3";
Acquire::PDiffs "false";
Acquire::GzipIndexes "true";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""
_OF_A_SUITE = """\
Dir::Etc::sourcelist "{folder}/suite.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "{folder}/preferences";
Dir::Etc::preferencesparts "/dev/null";
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
#clear APT::Architectures;
"""


def names_here(packages: Sequence[str]) -> list[str]:
    """How the machine's release calls these packages of libraries and programs.

    Releases of 2024 and later have renamed libraries for 64-bit times: libaio1 is libaio1t64. The others are asked who
    provides a name. Lists of our own are fetched where the machine's do not know a name: a new machine's are empty.
    """
    named: dict[str, str] = {}
    for ask in (lambda: [], lambda: ["-c", str(for_this_release(_folder(f"apt-{this_release()}") / "archives"))]):
        options = ask()
        named |= {package: name for package in packages if (name := _name_here(package, options))}
        if len(named) == len(set(packages)):
            return [named[package] for package in packages]
    unknown = ", ".join(package for package in packages if package not in named)
    raise LocalStackError(server="apt", reason=f"no source of this machine's packages has {unknown}.")


def _name_here(package: str, options: list[str]) -> str | None:
    renamed = f"{package}t64"
    listing = run_client(["apt-cache", *options, "policy", package, renamed])
    candidates = dict(re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (\S+)", listing, re.MULTILINE))
    for name in (package, renamed):
        if candidates.get(name, "(none)") != "(none)":
            return name
    if package in candidates:  # no package, but a name that others provide
        said = run_client(["apt-cache", *options, "showpkg", package])
        provided = re.search(r"^Reverse Provides: ?\n(\S+) ", said, re.MULTILINE)
        return provided[1] if provided else None
    return None


def for_this_release(archives: Path) -> Path:
    """Configure apt for the machine's own sources. One that fails is passed over: packages may come from the others."""
    folder = _folder(f"apt-{this_release()}")
    configuration = folder / "apt.conf"
    configuration.write_text(_OURS.format(folder=folder, archives=archives, status=_STATUS))
    with suppress(LocalStackError):
        _update(configuration)
    return configuration


@once_a_process
def _update(configuration: Path, _address: str = "") -> None:
    """Fetch the lists of what the sources have; once is enough for all that one process fetches."""
    run_client(["apt-get", "-c", str(configuration), "update"])


def for_suite(suite: str, packages: Sequence[str], archives: Path, report: Report) -> Path:
    """Configure apt for one suite of Debian, on a machine that has no package yet."""
    folder = _folder(f"apt-{suite}")
    configuration = folder / "apt.conf"
    (folder / "status").write_text("")
    text = (_OURS + _OF_A_SUITE).format(folder=folder, archives=archives, status=folder / "status")
    configuration.write_text(text + f'APT::Architectures {{ "{_architecture()}"; }};\n')
    (folder / "preferences").write_text("")
    failure = None
    for address in archives_of_this_machine():
        (folder / "suite.sources").write_text(_sources(address, suite))
        try:
            _update(configuration, address)
        except LocalStackError as error:
            report(f"{address} does not serve {suite}")
            failure = error
        else:
            (folder / "preferences").write_text(_preferences(suite, packages, configuration))
            return configuration
    raise failure or LocalStackError(server=suite, reason="no source of this machine's apt is Debian's archive.")


def _sources(address: str, suite: str) -> str:
    suites = f"{suite} {_ABOVE[suite]}" if suite in _ABOVE else suite
    signed = f"Signed-By: {_KEYRING}\n" if _KEYRING.exists() else ""
    return f"Types: deb\nURIs: {address}\nSuites: {suites}\nComponents: main\n{signed}"


def _preferences(suite: str, packages: Sequence[str], configuration: Path) -> str:
    """Of a suite above another one, take what is built from the source of these packages, and the least of the rest."""
    if suite not in _ABOVE:
        return ""
    said = run_client(["apt-cache", "-c", str(configuration), "show", *packages])
    sources = {*packages, *re.findall(r"^Source: (\S+)", said, re.MULTILINE)}
    return "".join(f"Package: src:{name}\nPin: release a={suite}\nPin-Priority: 990\n\n" for name in sorted(sources))


def archives_of_this_machine() -> list[str]:
    """Addresses of the machine's own sources that may be Debian's archive: the signature tells whether one is."""
    form = "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)"
    listing = run_client(["apt-get", "indextargets", "--format", form, "Identifier: Packages"])
    targets = [line.split("\t") for line in listing.splitlines() if line.count("\t") == 2]
    # Of the release itself: its updates for security stand in another archive.
    found = [uri for uri, release, component in targets if component == "main" and "-" not in release]
    return list(dict.fromkeys(found))


def _folder(name: str) -> Path:
    """Where apt keeps the lists of a release between two fetches."""
    folder = cache() / name
    for below in ("lists/partial", "cache"):
        (folder / below).mkdir(parents=True, exist_ok=True)
    return folder


def this_release() -> str:
    """The name of the machine's own release, in folders of the cache; never that of a suite."""
    release = {}
    with suppress(OSError):
        release = platform.freedesktop_os_release()
    return f"this-{release.get('VERSION_CODENAME') or release.get('ID', 'linux')}"


def _architecture() -> str:
    return run_client(["dpkg", "--print-architecture"]).strip()
