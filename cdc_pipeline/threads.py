"""Threads that wait for databases. A process that shall end may be amid a copy or a scan of many hours, which may be
killed anywhere: so the interpreter does not wait for these at its end, as it would for those of a ThreadPoolExecutor.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_threads(work: Callable[[T], R], items: Iterable[T], most: int, name: str) -> list[Future[R]]:
    """Begin to do this with each item, with so many at a time. One whose future is cancelled before its turn is left
    out."""
    waiting: SimpleQueue[tuple[T, Future[R]]] = SimpleQueue()
    futures = []
    for item in items:
        futures.append(Future[R]())
        waiting.put((item, futures[-1]))

    def run() -> None:
        while True:
            try:
                item, future = waiting.get_nowait()
            except Empty:
                return
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = work(item)
            except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
                future.set_exception(error)
            else:
                future.set_result(result)

    for number in range(min(most, len(futures))):
        threading.Thread(target=run, name=f"{name} {number}", daemon=True).start()
    return futures


def at_once(work: Callable[[T], R], one: T, other: T, name: str) -> tuple[R, R]:
    """Both results. Raises what the first has raised, or else the second."""
    first, second = in_threads(work, (one, other), 2, name)
    return first.result(), second.result()
