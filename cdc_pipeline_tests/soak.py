"""A workload that does to its tables whatever applications do, and a chaos of operators and accidents: by a seed.

Half of the seeds apply whole transactions: there somebody looks at the bank all the time, and its sum is always right.
"""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from sqlalchemy import Connection

from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.values import CASES, FAMILY, SET_UP, Case
from cdc_pipeline_tests.workload import Writer, running, wait_for_transactions

ACCOUNTS, SEATS, PLAIN = 60, 30, ("accounts", "journal", "tickets", "things")
ENDS_WITHIN = 60  # seconds, of a consumer that is told to; a batch and a copy's grace are over by then
LOG_END = 20_000  # characters
LONG = 3000  # characters: PostgreSQL keeps such a text beside its row, and does not log it if it stays as it is
_LONG = re.compile(r"\[\]|^path$")
_ZERO_DATE = re.compile("0000-|-00")  # which MySQL takes only in a mode of its own
DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql")]


@dataclass
class World:
    """The tables of one seed. `things` has columns of types that the seed chooses."""

    scenario: Scenario
    seed: int
    types: Sequence[Case] = field(init=False)

    def __post_init__(self) -> None:
        chooser = random.Random(self.seed)
        # A table whose arrays or paths are long needs another replica identity; the types' own test has those.
        cases = [case for case in CASES[self.source] if not _LONG.search(case.declared) and self.literals(case)]
        self.types = chooser.sample(cases, 8)

    @property
    def is_transactional(self) -> bool:
        return self.seed // len(DIRECTIONS) % 2 == 1

    @property
    def source(self) -> str:
        return self.scenario.kinds["source"]

    def literals(self, case: Case) -> list[str]:
        return [
            v
            for v in case.values_for(FAMILY[self.scenario.kinds["target"]])
            if not _ZERO_DATE.search(v) and len(v) < 500
        ]

    def create(self) -> None:
        columns = ", ".join(f"c{number} {case.declared}" for number, case in enumerate(self.types))
        self.scenario.run(
            "source",
            *SET_UP[self.source],
            "CREATE TABLE accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL, owner VARCHAR(40), note TEXT)",
            "CREATE TABLE journal (account INT, amount DECIMAL(12, 2), label VARCHAR(20))",
            "CREATE TABLE tickets (day INT, name VARCHAR(20), seat INT UNIQUE, price DECIMAL(8, 2), "
            "PRIMARY KEY (day, name))",
            f"CREATE TABLE things (id INT PRIMARY KEY, {columns})",
            *(["ALTER TABLE journal REPLICA IDENTITY FULL"] if self.source == "postgresql" else []),
            "INSERT INTO accounts VALUES "
            + ", ".join(f"({n}, 1000, 'owner {n}', REPEAT('n{n} ', {LONG // 4}))" for n in range(ACCOUNTS)),
            "INSERT INTO tickets VALUES " + ", ".join(f"(1, 'guest {n}', {n}, 10.50)" for n in range(SEATS)),
        )


class Application(Writer):
    """One session. Money only moves between accounts, so that the sum stays."""

    def __init__(self, world: World, number: int) -> None:
        super().__init__(world.scenario, world.seed * 10 + number)
        self.world = world
        self.next_id = 1_000_000 * (number + 1)

    def _transaction(self, connection: Connection) -> None:
        if self.random.random() < 0.01:
            self._run(connection, [f"TRUNCATE TABLE {self.random.choice(['journal', 'things'])}"])
        else:
            self._run(connection, [sql for _ in range(self.random.randint(1, 4)) for sql in self._changes()])

    def _run(self, connection: Connection, statements: Sequence[str]) -> None:
        try:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))
            if self.random.random() < 0.1:
                connection.rollback()
            else:
                connection.commit()
                self.transactions += 1
        except Exception as error:
            if not any(word in str(error).lower() for word in ("deadlock", "lock wait", "duplicate", "unique")):
                raise
            connection.rollback()  # the other sessions' business, not this test's

    def _changes(self) -> list[str]:
        return self.random.choice(
            [self._transfer, self._transfer, self._journal, self._tickets, self._things, self._rename_account]
        )()

    def _transfer(self) -> list[str]:
        one, other = sorted(self.random.sample(range(ACCOUNTS), 2))
        amount = self.random.randint(-50, 50)
        return [
            f"UPDATE accounts SET balance = balance - {amount} WHERE id = {one}",
            f"UPDATE accounts SET balance = balance + {amount} WHERE id = {other}",
            f"INSERT INTO journal (account, amount, label) VALUES ({one}, {amount}, 'moved')",
        ]

    def _journal(self) -> list[str]:
        account = self.random.randrange(7)
        limited = f"account = {account} AND label = 'equal'"
        if self.world.source == "postgresql":
            limited = f"ctid IN (SELECT ctid FROM journal WHERE {limited} LIMIT 1)"
        else:
            limited += " LIMIT 1"
        return self.random.choice(
            [
                [
                    f"INSERT INTO journal (account, amount, label) VALUES ({account}, 1.00, 'equal'), "
                    f"({account}, 1.00, 'equal')"
                ],
                [f"DELETE FROM journal WHERE {limited}"],
                [f"UPDATE journal SET amount = amount + 1 WHERE account = {account} AND label = 'equal'"],
            ]
        )

    def _tickets(self) -> list[str]:
        one, other = self.random.sample(range(SEATS), 2)
        first, second = f"name = 'guest {one}' AND day = 1", f"name = 'guest {other}' AND day = 1"
        return self.random.choice(
            [
                # Two guests change seats: no order of single upserts passes the unique index.
                [
                    f"UPDATE tickets SET seat = NULL WHERE {first}",
                    f"UPDATE tickets SET seat = {one} WHERE {second} AND seat = {other}",
                    f"UPDATE tickets SET seat = {other} WHERE {first}",
                ],
                [
                    f"DELETE FROM tickets WHERE {first}",
                    f"INSERT INTO tickets (day, name, seat, price) VALUES (1, 'guest {one}', {one}, 9.75)",
                ],
                [f"UPDATE tickets SET day = 3 - day WHERE name = 'guest {one}'"],
                [f"UPDATE tickets SET price = price + 0.25 WHERE {second}"],
            ]
        )

    def _things(self) -> list[str]:
        number = self.random.randrange(len(self.world.types))
        value = self.random.choice([*self.world.literals(self.world.types[number]), "NULL"])
        known = self.next_id - self.random.randrange(1, 30)
        self.next_id += 1
        return self.random.choice(
            [
                [f"INSERT INTO things (id, c{number}) VALUES ({self.next_id}, {value})"],
                [f"UPDATE things SET c{number} = {value} WHERE id = {known}"],
                [f"UPDATE things SET id = {self.next_id} WHERE id = {known}"],
                [f"DELETE FROM things WHERE id = {known}"],
            ]
        )

    def _rename_account(self) -> list[str]:
        account = self.random.randrange(ACCOUNTS)
        return [f"UPDATE accounts SET owner = 'owner {self.random.random()}' WHERE id = {account}"]


class Operators:
    """Consumers that are started and killed, tables that are synced again: one thing after the other."""

    def __init__(self, world: World, replication: Replication) -> None:
        self.world = world
        self.replication = replication
        self.random = random.Random(world.seed)
        self.consumers: list[subprocess.Popen[bytes]] = []
        self.done: list[str] = []
        self.log = world.scenario.folder / "consumers.log"

    def act(self) -> None:
        choices = [self.kill, self.resync, self.alter, *([] if self.world.is_transactional else [self.join, self.end])]
        action = self.random.choice(choices)
        self.done.append(action.__name__)
        action()

    def start(self, *arguments: str) -> None:
        command = [sys.executable, "-X", "faulthandler", "-m", "cdc_pipeline.cli", "consume", *arguments]
        with self.log.open("ab") as log:
            environment = {**self.world.scenario.environment(), "PYTHONUNBUFFERED": "1"}
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        self.consumers.append(process)

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Raises AssertionError, and has the process write what each of its threads was at, if it does not end."""
        try:
            process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            process.wait()
            raise AssertionError(f"a consumer did not end within {ENDS_WITHIN} s") from None

    def kill(self) -> None:
        for process in self.consumers:
            process.send_signal(signal.SIGKILL)
            process.wait()
        self.consumers.clear()
        self.start()

    def join(self) -> None:
        self.start("--join")

    def end(self) -> None:
        """Of one, so that the others take its tables over."""
        if len(self.consumers) > 1:
            process = self.consumers.pop()
            process.terminate()
            self.wait(process)

    def resync(self) -> None:
        table = self.random.choice(PLAIN)
        self.done[-1] += f" {table}"
        for result in self.replication.copy([table], force_resync=True):
            if result.error:
                raise result.error

    def alter(self) -> None:
        table, number = self.random.choice(PLAIN), len(self.done)
        self.done[-1] += f" {table}"
        default = self.random.choice(["", " DEFAULT 5", " DEFAULT 7 NOT NULL"])
        self.world.scenario.run("source", f"ALTER TABLE {table} ADD COLUMN more{number} INT{default}")

    def stop(self) -> None:
        consumers, self.consumers = self.consumers, []
        for process in consumers:
            process.terminate()
        for process in consumers:
            self.wait(process)


class Auditor(threading.Thread):
    """Looks at the target's bank all the time."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(name="auditor")
        self.scenario = scenario
        self.stop = threading.Event()
        self.seen: set[int] = set()
        self.error: BaseException | None = None

    def run(self) -> None:
        query = f"SELECT sum(balance) FROM {self.scenario.target_table('accounts')}"
        try:
            with self.scenario.engine("target").connect() as connection:
                while not self.stop.wait(0.01):
                    self.seen.add(int(connection.exec_driver_sql(query).scalar_one()))
        except BaseException as error:  # noqa: BLE001 - shown by the test that owns the thread
            self.error = error


@contextmanager
def audited(world: World) -> Iterator[None]:
    """Raises AssertionError if the bank's sum was ever wrong."""
    auditor = Auditor(world.scenario)
    with running([auditor]):
        yield
    if auditor.seen != {ACCOUNTS * 1000}:
        raise AssertionError(f"the bank's sums were {auditor.seen}, and must be {ACCOUNTS * 1000} always")


def at_work(world: World, sessions: int = 2) -> AbstractContextManager[Sequence[Application]]:
    """Applications write inside the block; on leaving, all their transactions have ended."""
    return running([Application(world, number) for number in range(sessions)])


def soak(scenario: Scenario, seed: int, actions: int) -> None:
    """Raises AssertionError if the target does not end as the source is."""
    world = World(scenario, seed)
    world.create()
    apply = "transactional" if world.is_transactional else "batches"
    replication = scenario.replication(*PLAIN, quarantine_rows="0", apply=apply, batch_events="500")
    operators = Operators(world, replication)
    try:
        _soak(world, replication, operators, actions)
    except BaseException as error:
        said = operators.log.read_text(errors="replace")[-LOG_END:] if operators.log.exists() else ""
        error.add_note(f"{', '.join(operators.done)}\n{said}")
        raise


def _soak(world: World, replication: Replication, operators: Operators, actions: int) -> None:
    scenario = world.scenario
    with at_work(world) as applications:
        replication.check()
        replication.prepare()
        failed = [f"{result.table.source}: {result.error}" for result in replication.copy() if result.error]
        if failed:
            raise AssertionError(f"the initial copy failed: {failed}")
        replication.register()
        operators.start()
        try:
            with audited(world) if world.is_transactional else nullcontext():
                for _ in range(actions):
                    wait_for_transactions(applications, operators.random.randint(5, 60))
                    operators.act()
                wait_for_transactions(applications, 10)
        finally:
            operators.stop()
    with audited(world) if world.is_transactional else nullcontext():
        replication.consume(until_caught_up=True)
    scenario.assert_equal(replication)
    assert replication.set_aside() == []
    accounts = scenario.target_table("accounts")
    (total,) = scenario.rows("target", f"SELECT sum(balance) FROM {accounts}")[0]
    assert total == ACCOUNTS * 1000
