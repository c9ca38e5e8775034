"""Tests of several processes share the servers, and those that are alone do not."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

from cdc_pipeline_tests.servers import FIRST_NUMBER, LAST_NUMBER, Servers

CONFTEST = """
import json, os, time
from pathlib import Path
import pytest
from cdc_pipeline_tests.groups import Groups
from cdc_pipeline_tests.part import add_options
from cdc_pipeline_tests.turns import Turns

HERE = Path(__file__).parent

def pytest_addoption(parser):
    add_options(parser)

def pytest_configure(config):
    config.addinivalue_line("markers", "alone: uses the servers alone")
    config.pluginmanager.register(Turns(HERE / "locks"))
    config.pluginmanager.register(Groups(HERE))

@pytest.fixture(scope="session")
def servers():
    return HERE

@pytest.fixture(scope="module")
def kept(servers):
    "Lives from the first test of its module to the last."
    began = time.monotonic()
    yield
    note("a module's fixture", began, servers)

def note(name, began, servers):
    with (servers / "times").open("a") as file:
        file.write(json.dumps([name, os.getpid(), began, time.monotonic()]) + chr(10))

@pytest.fixture
def used(servers, request):
    began = time.monotonic()
    yield
    note(request.node.name, began, servers)
"""
TESTS = """
import time
import pytest

@pytest.mark.alone
@pytest.mark.parametrize("number", range(3))
def test_alone(used, number):
    time.sleep(0.05)

@pytest.mark.parametrize("number", range(12))
def test_with_others(used, number):
    time.sleep(0.1)
"""
MODULE = """
import time
import pytest

@pytest.mark.parametrize("number", range(4))
def test_of_a_module(used, kept, number):
    time.sleep(0.05)
"""


def test_no_other_test_uses_the_servers_while_one_is_alone(tmp_path: Path) -> None:
    """Also none of another process; and no fixture of a module is left there meanwhile."""
    for name, text in (("conftest.py", CONFTEST), ("test_one.py", TESTS), ("test_two.py", MODULE)):
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "3", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    used = [json.loads(line) for line in (tmp_path / "times").read_text().splitlines()]
    assert len(used) == 3 + 12 + 4 + 1
    assert len({process for _, process, _, _ in used}) > 1
    overlapping = {
        frozenset((one[0].partition("[")[0], other[0].partition("[")[0]))
        for one, other in combinations(used, 2)
        if one[2] < other[3] and other[2] < one[3]
    }
    assert not [names for names in overlapping if "test_alone" in names]
    assert frozenset(("test_with_others",)) in overlapping, "the others do not wait for each other"
    assert len({process for name, process, _, _ in used if name.startswith("test_alone")}) == 1
    assert len({process for name, process, _, _ in used if "module" in name}) == 1


def test_no_two_processes_get_the_same_number(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from cdc_pipeline_tests.servers import Servers\n"
        "servers = Servers(Path(sys.argv[1]), Path(sys.argv[1]))\n"
        "for _ in range(50): print(servers.next_number())"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    numbers = [int(line) for process in processes for line in process.communicate(timeout=300)[0].splitlines()]
    assert sorted(numbers) == list(range(FIRST_NUMBER, FIRST_NUMBER + 150))


def test_numbers_end_where_the_server_ids_of_mysql_do(tmp_path: Path) -> None:
    servers = Servers(tmp_path, tmp_path)
    servers.next_number()
    (tmp_path / "tests" / "number").write_text(str(LAST_NUMBER - 1))
    assert 5_000_000 + servers.next_number() * 1000 + 999 < 2**32
    with pytest.raises(AssertionError, match="server ids end here"):
        servers.next_number()
