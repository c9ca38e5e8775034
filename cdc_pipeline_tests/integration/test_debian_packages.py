"""Packages are really fetched: of the machine's own release and of another suite, verified, whole or not at all."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local import debian
from cdc_pipeline.local.cache import cache


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
    monkeypatch.setattr(debian, "_KEYRING", keyring)
    shutil.rmtree(cache() / "apt-trixie", ignore_errors=True)
    with pytest.raises(LocalStackError, match=r"not signed|NO_PUBKEY"):
        debian.fetch(["hostname"], silent, suite="trixie")
    assert not list(cache().glob("debian-trixie-hostname*"))
