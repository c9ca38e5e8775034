"""With `apply: transactional` a reader of the target sees whole transactions of the source, across tables, at every
moment, whatever is killed; and nothing is lost or repeated."""

from __future__ import annotations

import itertools
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from cdc_pipeline.errors import CannotJoin, ValidationFailed
from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import applied, cdc_pipeline
from cdc_pipeline_tests.waiting import wait_until
from cdc_pipeline_tests.workload import running, wait_for_transactions

MakeScenario = Callable[..., Scenario]
DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql")]
EVERYWHERE = [*DIRECTIONS, ("mariadb", "postgresql")]
ACCOUNTS, BALANCE = 50, 1000
NUMBERS = itertools.count(1)  # of clerks: each opens accounts of its own
BANK = ("current", "savings", "transfers")
WHOLE = {"apply": "transactional", "foreign_keys": "true", "quarantine_rows": "0"}


def open_bank(shop: Scenario, accounts: int = ACCOUNTS) -> None:
    """Money moves between the tables; each account has a transfer that refers to it, and `transfers` has no key."""
    rows = ", ".join(f"({n}, {BALANCE})" for n in range(accounts))
    shop.run(
        "source",
        "CREATE TABLE current (id INT PRIMARY KEY, balance BIGINT NOT NULL)",
        "CREATE TABLE savings (id INT PRIMARY KEY, balance BIGINT NOT NULL)",
        "CREATE TABLE transfers (account INT NOT NULL, amount INT, FOREIGN KEY (account) REFERENCES current (id))",
        *(["ALTER TABLE transfers REPLICA IDENTITY FULL"] if shop.kinds["source"] == "postgresql" else []),
        f"INSERT INTO current VALUES {rows}",
        f"INSERT INTO savings VALUES {rows}",
    )


def start(shop: Scenario, **replaced: str) -> Replication:
    replication = shop.replication(*BANK, **{**WHOLE, **replaced})
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    return replication


class Clerk(threading.Thread):
    """One session. Each transaction moves money, and some open an account, which has no savings."""

    first_id = 100_000

    def __init__(self, shop: Scenario, number: int) -> None:
        super().__init__(name=f"clerk {number}")
        self.shop = shop
        self.random = random.Random(number)
        self.next_id = self.first_id * (number + 1)
        self.stop = threading.Event()
        self.transactions = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            engine = self.shop.engine("source").execution_options(isolation_level="READ COMMITTED")
            with engine.connect() as connection:
                while not self.stop.wait(0.005):
                    for statement in self._statements():
                        connection.exec_driver_sql(statement)
                    connection.commit()
                    self.transactions += 1
        except BaseException as error:  # noqa: BLE001 - shown by the test that owns the thread
            self.error = error

    def _statements(self) -> list[str]:
        amount, account = self.random.randint(1, 99), self.random.randrange(ACCOUNTS)
        if self.random.random() < 0.3:  # a new account gets money from an old one
            self.next_id += 1
            return [
                f"UPDATE savings SET balance = balance - {amount} WHERE id = {account}",
                f"INSERT INTO current VALUES ({self.next_id}, {amount})",
                f"INSERT INTO transfers VALUES ({self.next_id}, {amount})",
            ]
        return [
            f"UPDATE current SET balance = balance - {amount} WHERE id = {account}",
            f"INSERT INTO transfers VALUES ({account}, {amount})",
            f"UPDATE savings SET balance = balance + {amount} WHERE id = {account}",
        ]


@contextmanager
def clerks_at_work(shop: Scenario) -> Iterator[Clerk]:
    """One session: two would lock each other's accounts."""
    clerk = Clerk(shop, next(NUMBERS))
    with running([clerk]):
        yield clerk


class Reader(threading.Thread):
    """Looks at the target all the time: the sum of all money, and transfers of accounts that are not there."""

    def __init__(self, shop: Scenario) -> None:
        super().__init__(name="reader")
        self.shop = shop
        current, savings, transfers = (shop.target_table(table) for table in BANK)
        self.query = (
            f"SELECT (SELECT sum(balance) FROM {current}) + (SELECT sum(balance) FROM {savings}), "
            f"(SELECT count(*) FROM {transfers} t WHERE NOT EXISTS (SELECT 1 FROM {current} c WHERE c.id = t.account))"
        )
        self.stop = threading.Event()
        self.seen: set[tuple[int, int]] = set()
        self.looks = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with self.shop.engine("target").connect() as connection:
                while not self.stop.wait(0.01):
                    total, orphans = connection.exec_driver_sql(self.query).one()
                    self.seen.add((int(total), int(orphans)))
                    self.looks += 1
        except BaseException as error:  # noqa: BLE001 - shown by the test that owns the thread
            self.error = error


@contextmanager
def reading(shop: Scenario) -> Iterator[Reader]:
    reader = Reader(shop)
    with running([reader]):
        yield reader


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), EVERYWHERE)
def test_a_reader_sees_whole_transactions_whatever_is_killed(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    open_bank(shop)
    with clerks_at_work(shop) as clerk:
        replication = start(shop, batch_events="50")
        wait_for_transactions([clerk], 20)
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
    with reading(shop) as reader, clerks_at_work(shop) as clerk:
        for _ in range(3):
            before = applied(replication)
            with cdc_pipeline(shop, "consume") as consumer:
                wait_until(lambda before=before: applied(replication) > before + 60, "applying")
                consumer.send_signal(signal.SIGKILL)
                consumer.wait()
        wait_for_transactions([clerk], 20)
        replication.consume(until_caught_up=True)
    assert reader.looks > 50
    assert reader.seen == {(2 * ACCOUNTS * BALANCE, 0)}
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
    assert replication.set_aside() == []


def move_all(shop: Scenario) -> None:
    """One transaction with many more events than a batch."""
    with shop.engine("source").connect().execution_options(isolation_level="READ COMMITTED") as connection:
        for table, change in (("current", "- 7"), ("savings", "+ 7"), ("current", "- 3"), ("savings", "+ 3")):
            connection.exec_driver_sql(f"UPDATE {table} SET balance = balance {change} WHERE id < {Clerk.first_id}")
        connection.commit()


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_a_transaction_larger_than_a_batch_comes_at_once(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    open_bank(shop, 3000)
    replication = start(shop, batch_events="200")
    with reading(shop) as reader:
        move_all(shop)
        with cdc_pipeline(shop, "consume") as consumer:
            wait_until(lambda: consumer.poll() is None and is_consuming(replication), "consuming")
            consumer.kill()  # in the midst of it, or in front of it: nobody can tell from outside
        progress = replication.consume(until_caught_up=True)
    assert progress.applied + progress.dropped <= 12_000
    assert reader.seen == {(2 * 3000 * BALANCE, 0)}
    shop.assert_equal(replication)


def is_consuming(replication: Replication) -> bool:
    return any(record.owner for record in replication.parts.state.offsets_of().values())


def test_by_batches_a_reader_does_see_a_part(scenario: MakeScenario) -> None:
    """What the other tests would see if transactions were not kept together."""
    shop = scenario()
    open_bank(shop, 3000)
    replication = start(shop, batch_events="200", apply="batches")
    with reading(shop) as reader:
        move_all(shop)
        replication.consume(until_caught_up=True)
    assert len(reader.seen) > 1
    shop.assert_equal(replication)


@pytest.mark.long
@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_a_table_that_is_synced_again_joins_the_others(scenario: MakeScenario, source: str, target: str) -> None:
    shop = scenario(source, target)
    open_bank(shop)
    replication = start(shop)
    with clerks_at_work(shop) as clerk, cdc_pipeline(shop, "consume"):
        wait_until(lambda: applied(replication) > 50, "applying")
        for table in BANK:
            (result,) = replication.copy([table], force_resync=True)
            assert result.error is None
            wait_for_transactions([clerk], 10)
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
    with reading(shop) as reader:
        move_all(shop)
        replication.consume(until_caught_up=True)
    assert reader.seen == {(2 * ACCOUNTS * BALANCE, 0)}


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_truncate_and_what_changes_no_table_of_ours_hold_nothing_up(
    scenario: MakeScenario, source: str, target: str
) -> None:
    shop = scenario(source, target)
    open_bank(shop)
    shop.run("source", "CREATE TABLE others (id INT)")
    replication = start(shop)
    with shop.engine("source").connect().execution_options(isolation_level="READ COMMITTED") as connection:
        for statement in ("INSERT INTO transfers VALUES (1, 1)", "INSERT INTO others VALUES (1)"):
            connection.exec_driver_sql(statement)
        connection.commit()
    shop.run("source", "INSERT INTO others VALUES (2)", "TRUNCATE TABLE transfers", "INSERT INTO others VALUES (3)")
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
    shop.run("source", "INSERT INTO transfers VALUES (2, 2)", "TRUNCATE TABLE transfers")
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)


def test_a_replication_that_ran_by_batches_goes_on_by_transactions(scenario: MakeScenario) -> None:
    shop = scenario()
    open_bank(shop)
    with clerks_at_work(shop) as clerk:
        start(shop, apply="batches")
        wait_for_transactions([clerk], 20)
        replication = start(shop)
        wait_for_transactions([clerk], 20)
    replication.consume(until_caught_up=True)
    shop.assert_equal(replication)
    start(shop, apply="batches").consume(until_caught_up=True)
    shop.assert_equal(replication)


def test_an_event_that_does_not_fit_is_set_aside_and_the_others_go_on(scenario: MakeScenario) -> None:
    shop = scenario()
    open_bank(shop)
    replication = start(shop, quarantine_rows="10")
    current = shop.target_table("current")
    shop.run("target", f"ALTER TABLE {current} ADD CONSTRAINT small CHECK (balance < 100000)")
    shop.run("source", "UPDATE current SET balance = 200000 WHERE id = 3")
    with clerks_at_work(shop) as clerk:
        wait_for_transactions([clerk], 20)
    replication.consume(until_caught_up=True)
    assert {item.row_key for item in replication.set_aside()} == {'{"id": 3}'}
    different = [comparison for comparison in shop.compare(replication) if not comparison.equal]
    assert [(each.table.name, each.different, each.missing) for each in different] == [("current", 1, 0)]
    shop.run("target", f"ALTER TABLE {current} DROP CONSTRAINT small")
    replication.retry_set_aside()
    shop.assert_equal(replication)


def test_a_large_transaction_that_does_not_fit_is_applied_in_parts(scenario: MakeScenario) -> None:
    """One of its rows is set aside, in the last part that is written; the table's other rows are not held up."""
    shop = scenario()
    open_bank(shop, 1000)
    replication = start(shop, quarantine_rows="10", batch_events="200")
    savings = shop.target_table("savings")
    shop.run("target", f"ALTER TABLE {savings} ADD CONSTRAINT small CHECK (balance < 100000)")
    with shop.engine("source").connect().execution_options(isolation_level="READ COMMITTED") as connection:
        for statement in ("current SET balance = balance - 7", "savings SET balance = balance + 7"):
            connection.exec_driver_sql(f"UPDATE {statement}")
        connection.exec_driver_sql("UPDATE savings SET balance = 200000 WHERE id = 3")
        connection.commit()
    shop.run("source", "INSERT INTO transfers VALUES (1, 1)")
    replication.consume(until_caught_up=True)
    assert {item.row_key for item in replication.set_aside()} == {'{"id": 3}'}
    different = [comparison for comparison in shop.compare(replication) if not comparison.equal]
    assert [(each.table.name, each.different, each.missing) for each in different] == [("savings", 1, 0)]
    shop.run("target", f"ALTER TABLE {savings} DROP CONSTRAINT small")
    replication.retry_set_aside()
    shop.assert_equal(replication)


def test_what_cannot_be_applied_whole_is_refused(scenario: MakeScenario) -> None:
    shop = scenario()
    open_bank(shop)
    replication = start(shop)
    with pytest.raises(CannotJoin):
        replication.consume(join=True)
    topic = str(replication.config.marks_topic)
    admin = AdminClient({"bootstrap.servers": str(shop.stack.kafka)})
    admin.create_partitions([NewPartitions(topic, 2)])[topic].result(10)
    wait_until(lambda: len(replication.parts.broker.partitions([topic])[topic]) == 2, "made")
    with pytest.raises(ValidationFailed, match=f"topic {topic}"):
        replication.check()
