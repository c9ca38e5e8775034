"""Writers that never rest: what a test runs against a source while copies, connectors and consumers come and go."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from sqlalchemy import Connection

if TYPE_CHECKING:
    from cdc_pipeline_tests.scenario import Scenario

PACE_SECONDS = 0.005  # between transactions: without a pause, writers on two cores outrun what captures them
TABLES = ("accounts", "journal")


def create_tables(scenario: Scenario, rows: int = 500) -> None:
    """`accounts` has a key; `journal` has none, and many equal rows."""
    scenario.run(
        "source",
        "CREATE TABLE accounts (id INT PRIMARY KEY, owner VARCHAR(40) NOT NULL, balance DECIMAL(12, 2), note TEXT)",
        "CREATE TABLE journal (account INT, amount DECIMAL(12, 2), label VARCHAR(20))",
        *(["ALTER TABLE journal REPLICA IDENTITY FULL"] if scenario.kinds["source"] == "postgresql" else []),
        *(
            "INSERT INTO accounts VALUES "
            + ", ".join(f"({i}, 'owner {i}', {i}.50, 'seed')" for i in range(start, min(start + 500, rows)))
            for start in range(0, rows, 500)
        ),
        "INSERT INTO journal VALUES " + ", ".join(f"({i % 7}, 1.00, 'seed')" for i in range(100)),
    )


class Runner(Protocol):
    """A thread that goes on until it shall stop, and keeps what it failed with."""

    stop: threading.Event
    error: BaseException | None

    def start(self) -> None: ...

    def join(self) -> None: ...


class Session(Runner, Protocol):
    """One that writes transactions, and counts those that it has committed."""

    name: str
    transactions: int

    def is_alive(self) -> bool: ...


T = TypeVar("T", bound=Runner)


class Writer(threading.Thread):
    """One session that writes transactions of one to five changes, a tenth of which it rolls back."""

    def __init__(self, scenario: Scenario, number: int) -> None:
        super().__init__(name=f"writer {number}")
        self.scenario = scenario
        self.random = random.Random(number)
        self.next_id = 1_000_000 * (number + 1)
        self.stop = threading.Event()
        self.transactions = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            engine = self.scenario.engine("source").execution_options(isolation_level="READ COMMITTED")
            with engine.connect() as connection:
                while not self.stop.wait(PACE_SECONDS):
                    self._transaction(connection)
        except BaseException as error:  # noqa: BLE001 - shown by the test that owns the thread
            self.error = error

    def _transaction(self, connection: Connection) -> None:
        try:
            for _ in range(self.random.randint(1, 5)):
                connection.exec_driver_sql(self._change())
        except Exception as error:
            if not any(word in str(error).lower() for word in ("deadlock", "lock wait")):
                raise
            connection.rollback()  # the other writers' business, not this test's
            return
        if self.random.random() < 0.1:
            connection.rollback()
        else:
            connection.commit()
            self.transactions += 1

    def _change(self) -> str:
        pick, account = self.random.random(), self.random.randrange(400)
        if pick < 0.3:
            self.next_id += 1
            return f"INSERT INTO accounts VALUES ({self.next_id}, 'new', {account}.25, NULL)"
        if pick < 0.55:
            return f"UPDATE accounts SET balance = balance + 1, note = 'n{self.next_id}' WHERE id = {account}"
        if pick < 0.65:
            return f"DELETE FROM accounts WHERE id = {self.next_id - self.random.randrange(20)}"
        if pick < 0.7:
            return f"UPDATE accounts SET id = id + 500000 WHERE id = {self.next_id}"
        if pick < 0.85:
            return f"INSERT INTO journal VALUES ({account % 7}, 1.00, 'live')"
        if pick < 0.95:
            return f"UPDATE journal SET label = 'moved' WHERE account = {account % 7} AND label = 'live'"
        if self.scenario.kinds["source"] != "postgresql":
            return f"DELETE FROM journal WHERE account = {account % 7} AND label = 'moved' LIMIT 1"
        return (
            "DELETE FROM journal WHERE ctid IN "
            f"(SELECT ctid FROM journal WHERE account = {account % 7} AND label = 'moved' LIMIT 1)"
        )


@contextmanager
def running(threads: Sequence[T]) -> Iterator[Sequence[T]]:
    """They run inside the block; on leaving, all have ended. Raises what one of them ended with."""
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.stop.set()
        for thread in threads:
            thread.join()
    for thread in threads:
        if thread.error is not None:
            raise thread.error


def writing(scenario: Scenario, writers: int = 3) -> AbstractContextManager[Sequence[Writer]]:
    """Writers run inside the block; on leaving, all their transactions have ended."""
    return running([Writer(scenario, number) for number in range(writers)])


def wait_for_transactions(threads: Sequence[Session], more: int) -> None:
    """Until every writer has committed so many more transactions."""
    goals = [thread.transactions + more for thread in threads]
    for thread, goal in zip(threads, goals, strict=True):
        while thread.transactions < goal:
            if not thread.is_alive():
                raise AssertionError(f"{thread.name} ended: {thread.error!r}")
            thread.stop.wait(0.01)
