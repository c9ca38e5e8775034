"""Packages are really fetched, verified, whole or not at all; what a user without root lacks works from there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc_pipeline.errors import LocalStackError, ToolsMissing
from cdc_pipeline.local import apt, debian, environment, prerequisites, programs, tools
from cdc_pipeline.local.cache import cache
from cdc_pipeline.local.tools import Tool

# What every system has.
_OF_THE_C_LIBRARY = re.compile(r"lib(c|m|dl|rt|pthread|gcc_s)\.so\.\d+|ld-linux.*")


@pytest.fixture(scope="module", autouse=True)
def own_cache() -> Iterator[Path]:
    """A cache which another user can reach: apt fetches as one."""
    folder = Path(tempfile.mkdtemp(prefix="cdc-pipeline-test-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDC_PIPELINE_CACHE", str(folder))
        yield folder
    shutil.rmtree(folder)


def silent(_line: str) -> None:
    pass


def test_a_package_of_the_machines_own_release() -> None:
    tree = debian.fetch(["hello"], silent)
    assert "hello" in tree.versions
    assert "libc6" not in tree.versions  # the machine has it
    said = subprocess.run(tree.command("usr/bin/hello"), capture_output=True, text=True, check=True)
    assert said.stdout == "Hello, world!\n"
    reports: list[str] = []
    assert debian.fetch(["hello"], reports.append) == tree
    assert reports == []


def test_a_package_of_another_suite_runs_with_that_suites_c_library() -> None:
    tree = debian.fetch(["hello"], silent, suite="trixie")
    assert {"hello", "libc6"} <= tree.versions.keys()
    said = subprocess.run(tree.command("usr/bin/hello"), capture_output=True, text=True, check=True, env={})
    assert said.stdout == "Hello, world!\n"
    assert tree.loader is not None
    loader = subprocess.run([tree.loader, "--version"], capture_output=True, text=True, check=True)
    assert tree.versions["libc6"].split("-")[0] in loader.stdout


def test_a_package_that_nobody_has_leaves_nothing_behind() -> None:
    with pytest.raises(LocalStackError, match="no-such-package"):
        debian.fetch(["no-such-package"], silent)
    assert not list(cache().glob("debian-*no-such-package*"))


def test_a_suite_that_debian_has_not_signed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = cache() / "nobody.gpg"
    keyring.write_bytes(b"")
    monkeypatch.setattr(apt, "_KEYRING", keyring)
    with pytest.raises(LocalStackError, match=r"not signed|NO_PUBKEY"):
        debian.fetch(["hostname"], silent, suite="sid")
    assert not list(cache().glob("debian-sid-hostname*"))


@pytest.fixture
def without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """apt and dpkg-deb do the same for everybody here; only we would install instead."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)


@pytest.mark.usefixtures("without_root")
def test_all_is_told_at_once_and_then_fetched() -> None:
    said: list[str] = []
    came = "usr/share/doc/hello-traditional/copyright"
    wanted = [
        Tool("a greeting", "hello-traditional", lambda: tools._in_trees(came)),
        Tool("the loader", "libc6", lambda: tools.find_library("libc.so.6")),
        Tool("a host's name", "hostname", lambda: tools._in_trees(came)),
    ]
    tools.get(wanted, said.append)
    assert said[0] == (
        f"missing: a greeting, a host's name; they come into {cache()} "
        "(or, as root: apt-get install --no-install-recommends hello-traditional hostname)"
    )
    assert [line.split(" (")[0] for line in said[1:]] == ["getting hello-traditional"]  # which brought the other one


@pytest.mark.usefixtures("without_root")
def test_a_package_that_no_source_has_is_told_with_all_that_is_missing() -> None:
    wanted = [Tool(name, f"no-such-{name}", lambda: None) for name in ("one", "two")]
    with pytest.raises(ToolsMissing, match=r"one, two .*no-such-one, no-such-two"):
        tools.get(wanted, silent)


@pytest.mark.usefixtures("without_root")
def test_a_program_runs_with_libraries_that_the_machine_lacks() -> None:
    """toilet needs libcaca, which needs libslang: neither does a server or a developer's machine need."""
    debian.fetch(["toilet"], silent)
    program = tools._in_trees("usr/bin/toilet")
    assert program is not None
    assert "libcaca.so.0" in tools.missing_libraries(program, {})
    completed = tools.complete_libraries(program, {}, silent)
    said = subprocess.run([program, "--version"], env=completed, capture_output=True, text=True, check=True)
    assert "TOIlet" in said.stdout


@pytest.mark.usefixtures("without_root")
def test_an_environment_gets_its_pip_from_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)  # as Debian's Python is without python3-venv
    assert tools.find_pip() is None
    debian.fetch(["python3-pip-whl"], silent)
    environment.make(tmp_path / "venv")
    said = subprocess.run(
        [tmp_path / "venv" / "bin" / "python", "-m", "pip", "--version"], capture_output=True, text=True, check=True
    )
    assert str(tmp_path) in said.stdout


def test_a_librarys_new_name_is_asked_for() -> None:
    """Debian 13 has libaio1t64, and nothing there provides the old name."""
    debian.fetch(["hello"], silent, suite="trixie")
    configuration = str(cache() / "apt-trixie" / "apt.conf")
    assert apt._name_here("libaio1", ["-c", configuration]) == "libaio1t64"
    assert apt._name_here("libcurl4", ["-c", configuration]) == "libcurl4t64"  # which provides it, too
    assert apt._name_here("libnuma1", ["-c", configuration]) == "libnuma1"
    assert apt._name_here("default-mta", ["-c", configuration]) is not None  # a name that others provide
    assert apt._name_here("no-such-package", ["-c", configuration]) is None


@pytest.mark.parametrize(("kind", "version", "name"), [("mysql", "8.0", "mysqld"), ("mariadb", "11.4", "mariadbd")])
def test_the_libraries_that_are_asked_for_before_are_those_of_the_servers(
    monkeypatch: pytest.MonkeyPatch, kind: str, version: str, name: str
) -> None:
    monkeypatch.delenv("CDC_PIPELINE_CACHE")  # the servers are there already
    there = programs.of(kind, version, silent)
    server, variables, named = there.find(name), there.environment, prerequisites.LIBRARIES[kind]
    said = subprocess.run(
        ["ldd", "-v", server], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    listed = {line.split()[0] for line in said.stdout.splitlines() if line}
    of_the_server = re.search(rf"^\t{re.escape(str(server))}:\n((?:\t\t.*\n)+)", said.stdout, re.MULTILINE)
    assert of_the_server is not None, said.stdout
    needed = dict(re.findall(r"^\t\t(\S+) .*=> (\S+)", of_the_server[1], re.MULTILINE))
    machines = {name for name, path in needed.items() if not Path(path).is_relative_to(server.parent.parent)}
    # ldd tells from the version of its symbols that the server itself needs a library; libcrypt may have none.
    assert {name for name in machines if not _OF_THE_C_LIBRARY.fullmatch(name)} <= set(named) <= listed
