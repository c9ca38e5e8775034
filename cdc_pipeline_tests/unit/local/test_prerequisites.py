"""What is looked for before there is a .venv, and by what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cdc_pipeline.local import debian, downloads, prerequisites, programs, tools, versions

CHECKOUT = Path(prerequisites.__file__).parents[2]


def packages(purpose: str) -> list[str]:
    return [tool.package for tool in prerequisites.of(purpose)]


def test_python_alone_can_look() -> None:
    """-S: no package is there, as before there is a .venv."""
    program = (
        "import cdc_pipeline.local.environment; from cdc_pipeline.local.prerequisites import main; main(['setup'])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def nothing_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, on a machine that has no MySQL, and takes the one from Maven."""
    monkeypatch.setenv("CDC_PIPELINE_CACHE", str(tmp_path))
    monkeypatch.setattr(programs, "installed", lambda _name: None)
    monkeypatch.setitem(versions.DEFAULTS, "mysql", ("installed", "8.0"))
    return tmp_path


@pytest.mark.usefixtures("nothing_fetched")
def test_each_purpose_has_its_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    demo = ["maven", "default-jre-headless", "libaio1", "libnuma1", "libcrypt1", "libstdc++6"]
    assert packages("setup") == [tools.ENSUREPIP.package]
    assert packages("demo") == [tools.ENSUREPIP.package, *demo]
    assert packages("test") == [tools.ENSUREPIP.package, *demo, "chromium", "libsystemd0"]


def test_maven_is_not_needed_for_what_is_there(nothing_fetched: Path) -> None:
    for name, wanted in {"kafka": {}, "plugins": {}, "mysql": {"mysql": "0.6"}}.items():
        assert "maven" in packages("demo")
        (nothing_fetched / downloads._folder(name, wanted)).mkdir()
    assert "maven" not in packages("demo")
    assert "maven" in packages("test")


@pytest.mark.usefixtures("nothing_fetched")
def test_mysqls_libraries_are_needed_by_the_one_from_maven_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(versions.DEFAULTS, "mysql", ("9.7", "8.0"))
    monkeypatch.setattr(debian, "is_possible", lambda: True)
    monkeypatch.setattr(debian, "is_debian", lambda: True)
    assert "libaio1" not in packages("demo")
    monkeypatch.setattr(debian, "is_debian", lambda: False)  # Ubuntu fetches packages too, its own
    assert "libaio1" in packages("demo")
    monkeypatch.setattr(debian, "is_debian", lambda: True)
    monkeypatch.setattr(debian, "is_possible", lambda: False)
    assert "libaio1" in packages("demo")
    monkeypatch.setitem(versions.DEFAULTS, "mysql", ("installed", "8.0"))
    monkeypatch.setattr(programs, "installed", lambda _name: programs.Programs(Path("/usr")))
    assert "libaio1" not in packages("demo")
