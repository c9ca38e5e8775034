"""Work in several threads, none of which keeps its process alive."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import wait

import pytest

from cdc_pipeline.threads import in_threads


def test_each_item_is_worked_on_once_and_so_many_at_a_time() -> None:
    together, lock, most = threading.Barrier(3, timeout=60), threading.Lock(), [0, 0]

    def work(item: int) -> int:
        with lock:
            most[0] += 1
            most[1] = max(most)
        together.wait()
        with lock:
            most[0] -= 1
        return item * 2

    futures = in_threads(work, range(9), 3, "three")
    assert [future.result() for future in futures] == [item * 2 for item in range(9)]
    assert most == [0, 3]


def test_what_went_wrong_is_raised_where_the_result_is_asked_for() -> None:
    failed, well = in_threads(lambda item: 1 // item, [0, 1], 1, "one")
    with pytest.raises(ZeroDivisionError):
        failed.result()
    assert well.result() == 1


def test_what_is_cancelled_before_its_turn_is_left_out() -> None:
    may, done = threading.Event(), []

    def work(item: int) -> None:
        may.wait(60)
        done.append(item)

    futures = in_threads(work, range(3), 1, "one")
    assert futures[1].cancel()
    may.set()
    wait(futures)
    assert done == [0, 2]


def test_the_process_ends_while_they_work() -> None:
    program = (
        "import threading\nfrom cdc_pipeline.threads import in_threads\n"
        "in_threads(lambda _: threading.Event().wait(), [1, 2], 2, 'for ever')\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
