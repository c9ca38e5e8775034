"""The demo as its users start it: a whole process that starts others, and leaves none behind."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest

from cdc_pipeline.demo import shop
from cdc_pipeline.local import ports
from cdc_pipeline.local import stack as local_stack
from cdc_pipeline_tests.demo import STREAMS, RunningDemo

# One demo at a time: its databases and its replication have names of their own.
pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("stack"), pytest.mark.xdist_group("demo")]


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
    for file in (local_stack.default_home() / "secrets").iterdir():
        assert file.read_text().strip() not in text
