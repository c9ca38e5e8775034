"""Of a test that takes long in each variant, one runs by day."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CONFTEST = """
from cdc_pipeline_tests.variants import Variants

def pytest_configure(config):
    for marker in ("long", "deep"):
        config.addinivalue_line("markers", marker)
    config.pluginmanager.register(Variants())
"""
TESTS = """
import pytest

@pytest.mark.long
@pytest.mark.parametrize("way", range(3))
def test_long(way):
    pass

@pytest.mark.long
def test_of_one_variant():
    pass

@pytest.mark.parametrize("way", range(3))
def test_short(way):
    pass
"""


def run(folder: Path, *arguments: str) -> set[str]:
    """The tests that ran."""
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *arguments, str(folder)]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"::(\S+) PASSED", told))


def test_each_variant_is_run_by_day_or_is_deep(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_some.py").write_text(TESTS)
    by_day, deep = run(tmp_path, "-m", "not deep"), run(tmp_path, "-m", "deep")
    assert len([name for name in by_day if name.startswith("test_long")]) == 1
    assert len(deep) == 2
    assert by_day | deep == {f"test_{name}[{way}]" for name in ("long", "short") for way in range(3)} | {
        "test_of_one_variant"
    }
    assert run(tmp_path, "-m", "not deep") == by_day, "the same ones each time"
