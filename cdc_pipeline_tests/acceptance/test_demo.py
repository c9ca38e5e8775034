"""The demo as its users start it: a whole process that starts others, and leaves none behind."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc_pipeline.demo import shop
from cdc_pipeline.local import ports
from cdc_pipeline.local import stack as local_stack
from cdc_pipeline_tests.demo import STREAMS, RunningDemo

# One demo at a time: its databases and its replication have names of their own.
pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("stack"), pytest.mark.group("demo")]


@pytest.fixture
def demos() -> Iterator[list[RunningDemo]]:
    """Those that a test has started; what a failed test leaves is ended in order."""
    running: list[RunningDemo] = []
    yield running
    for demo in running:
        if demo.process.poll() is None:
            demo.process.send_signal(signal.SIGTERM)
            demo.wait()
        if demo.process.stdout is not None:
            demo.process.stdout.close()


def test_once_compares_every_table_and_ends_all_it_started(demos: list[RunningDemo]) -> None:
    demo = RunningDemo("--once", "--seconds", "5")
    demos.append(demo)

    assert demo.wait() == 0, demo.text
    for table in shop.TABLES:
        assert any(f"equal      shop.{table} " in line for line in demo.said), demo.text
    assert f"{len(shop.TABLES)} of {len(shop.TABLES)} tables are equal" in demo.text
    assert demo.started
    assert demo.alive == []
    assert_no_secret(demo.text)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like the checkout, with its servers and its .venv, and nobody's replication in it."""
    for name in ("CDC_PIPELINE_REPLICATIONS", "CDC_PIPELINE_LOCAL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / ".local").symlink_to(local_stack.default_home().resolve())
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


def in_another_terminal(checkout: Path, command: str) -> tuple[int, str]:
    """The exit code, and what is said."""
    done = subprocess.run(
        ["sh", "-c", command], cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.returncode, done.stdout


def test_commands_in_another_terminal_find_the_demos_replication(demos: list[RunningDemo], checkout: Path) -> None:
    """What README.md tells under "A row is wrong", as it is written there."""
    demo = RunningDemo("--rate", "20")
    demos.append(demo)
    streams = any(STREAMS in line for line in demo.lines())
    assert streams, demo.text
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    broken_by = re.search(r"^\$ (\.venv/bin/cdc-pipeline local sql postgresql/dwh .*)$", readme, re.MULTILINE)
    assert broken_by
    verify = ".venv/bin/cdc-pipeline verify"

    assert in_another_terminal(checkout, broken_by[1]) == (0, "1 row\n")
    code, said = in_another_terminal(checkout, verify)
    assert code == 1, said
    assert re.search(r"shop\.addresses", said), said
    code, said = in_another_terminal(checkout, f"{verify} --repair")
    assert code == 0, said
    code, said = in_another_terminal(checkout, f"{verify} addresses")
    assert code == 0, said
    code, said = in_another_terminal(checkout, ".venv/bin/cdc-pipeline status")
    assert code == 0, said
    assert "shop.addresses" in said
    assert_no_secret(said)

    demo.process.send_signal(signal.SIGINT)
    assert demo.wait() == 0, demo.text
    code, said = in_another_terminal(checkout, ".venv/bin/cdc-pipeline status")
    assert (code, "0 replications here" in said) == (2, True), said


@pytest.mark.deep
def test_ctrl_c_in_mid_stream_ends_all_it_started(demos: list[RunningDemo]) -> None:
    demo = RunningDemo()
    demos.append(demo)
    streams = any(STREAMS in line for line in demo.lines())
    assert streams, demo.text

    demo.process.send_signal(signal.SIGINT)

    assert demo.wait() == 0, demo.text
    assert demo.started
    assert demo.alive == []
    running = vars(local_stack.status(local_stack.default_home()))
    assert all(running[name] for name in local_stack.DEFAULT), "the stack was not the demo's to end"


def test_a_port_in_use_is_said_before_anything_is_started(demos: list[RunningDemo]) -> None:
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        demo = RunningDemo("--port", str(port))
        demos.append(demo)

        assert demo.wait() == 2
    assert f"Port {port} is in use" in demo.text
    assert demo.started == set()


def assert_no_secret(text: str) -> None:
    home = local_stack.default_home()
    for file in (*(home / "secrets").iterdir(), *(home / "demo").glob("*.password")):
        assert file.read_text().strip() not in text
