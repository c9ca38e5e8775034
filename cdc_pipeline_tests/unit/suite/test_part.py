"""A run that is too short for all tests begins with others for each commit."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

# The clock goes on by one with each test that begins.
CONFTEST = """
from pathlib import Path
from types import SimpleNamespace
from cdc_pipeline_tests import part
from cdc_pipeline_tests.groups import Groups

HERE = Path(__file__).parent
part.time = SimpleNamespace(time=lambda: len(list(HERE.glob("begun-*"))))

def pytest_addoption(parser):
    part.add_options(parser)

def pytest_configure(config):
    config.addinivalue_line("markers", "group(name): together")
    config.addinivalue_line("markers", "alone: without others")
    config.pluginmanager.register(Groups(HERE))
    config.pluginmanager.register(part.Part(config))
"""
TESTS = """
from pathlib import Path
import pytest

@pytest.fixture
def servers(request):
    (Path(__file__).parent / f"begun-{request.node.name}").touch()

@pytest.mark.parametrize("number", range(20))
def test_one(servers, number):
    pass

@pytest.mark.group("together")
@pytest.mark.parametrize("number", range(3))
def test_of_a_group(servers, number):
    pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    return tmp_path


def run(project: Path, *options: str) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *options, "."]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def order(said: list[str]) -> list[str]:
    return [line.split()[0] for line in said if " PASSED" in line]


def test_each_commit_has_an_order_of_its_own_and_groups_stay_together(project: Path) -> None:
    orders = {commit: order(run(project, f"--part={commit}")) for commit in ("0a1b2c3", "d4e5f60", "0a1b2c3")}
    one, other = orders.values()
    assert sorted(one) == sorted(other)
    assert len(one) == 23
    assert one != other
    assert order(run(project, "--part=0a1b2c3")) == one
    for each in (one, other):
        places = [place for place, test in enumerate(each) if "of_a_group" in test]
        assert places == list(range(places[0], places[0] + 3))


@pytest.mark.parametrize("processes", [(), ("-n", "2")])
def test_no_test_begins_when_the_time_is_over_and_how_many_have_run_is_told(
    project: Path, processes: tuple[str, ...]
) -> None:
    said = run(project, "--part=0a1b2c3", f"--minutes={7 / 60}", *processes)
    told = re.search(r"(\d+) of 23 tests have run: .* within 0\.11\d* minutes \(their order is that of 0a1b2c3\)",
                     "\n".join(said))  # fmt: skip
    assert told
    assert 7 <= int(told[1]) <= 9
    assert re.search(rf"=+ {told[1]} passed in ", said[-1])
