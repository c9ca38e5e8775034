"""Writers that keep the shop busy: customers buy, pay, cancel and look around, in transactions over several tables, of
which some are rolled back.

Two connections write at once, because the exactness of a snapshot shows only where transactions overlap.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from cdc_pipeline.demo import shop
from cdc_pipeline.errors import CdcPipelineError

WRITERS = 2
ROLLED_BACK = 0.08  # of all transactions
_LOST_A_RACE = (1205, 1213, 1451, 1452)  # lock wait timeout, deadlock, and foreign keys that another writer broke
_UNLIKELY_ID = 2**62


class Workload:
    """Starts with `start`, ends with `stop`; `changes` counts the rows that committed transactions changed."""

    def __init__(self, connect: Callable[[], Connection], rate: int) -> None:
        """`rate` is changes per second, of all writers together."""
        self._should_stop = threading.Event()
        self._writers = [_Writer(connect, rate / WRITERS, seed, self._should_stop) for seed in range(WRITERS)]

    def start(self) -> None:
        for writer in self._writers:
            writer.start()

    def stop(self) -> None:
        """Return when both writers have ended, each after a whole transaction. Harmless if they have."""
        self._should_stop.set()
        for writer in self._writers:
            if writer.is_alive():
                writer.join()

    @property
    def is_running(self) -> bool:
        return any(writer.is_alive() for writer in self._writers)

    @property
    def changes(self) -> int:
        return sum(writer.changes for writer in self._writers)

    @property
    def rollbacks(self) -> int:
        return sum(writer.rollbacks for writer in self._writers)

    def require_health(self) -> None:
        """Raise what ended a writer, if anything has."""
        for writer in self._writers:
            if writer.failure is not None:
                raise CdcPipelineError(reason=f"A writer of the shop failed: {writer.failure}")


class _Writer(threading.Thread):
    """One connection that writes, at its share of the rate."""

    def __init__(self, connect: Callable[[], Connection], rate: float, seed: int, should_stop: threading.Event) -> None:
        super().__init__(name=f"shop writer {seed}", daemon=True)
        self._connect = connect
        self._rate = rate
        self._chance = random.Random(seed)
        self._should_stop = should_stop
        self.changes = 0
        self.rollbacks = 0
        self.failure: pymysql.MySQLError | None = None

    def run(self) -> None:
        try:
            with self._connect() as connection, connection.cursor() as cursor:
                self._write(connection, cursor)
        except pymysql.MySQLError as error:
            self.failure = error

    def _write(self, connection: Connection, cursor: Cursor) -> None:
        customer = _Shopper(cursor, self._chance)
        due = time.monotonic()
        while not self._should_stop.wait(max(0.0, due - time.monotonic())):
            changed = self._transaction(connection, customer)
            # Measured from when it was due, so that slow transactions do not lower the rate; but never so far back
            # that a pause is made up for with a burst.
            due = max(due, time.monotonic() - 1.0) + max(1, changed) / self._rate

    def _transaction(self, connection: Connection, customer: _Shopper) -> int:
        """One transaction; returns how many rows it changed for good."""
        connection.begin()
        try:
            changed = customer.act()
        except (pymysql.err.OperationalError, pymysql.err.IntegrityError) as error:
            connection.rollback()
            if error.args[0] not in _LOST_A_RACE:
                raise
            self.rollbacks += 1
            return 0
        if self._chance.random() < ROLLED_BACK:
            connection.rollback()
            self.rollbacks += 1
            return 0
        connection.commit()
        self.changes += changed
        return changed


@dataclass
class _Shopper:
    """What can happen in the shop. Each method runs in the caller's transaction and returns the rows it changed."""

    cursor: Cursor
    chance: random.Random
    ids: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for table in ("customers", "addresses", "products", "orders"):
            self.cursor.execute(f"SELECT MAX(id) FROM {table}")
            self.ids[table] = (self.cursor.fetchone() or (1,))[0]

    def act(self) -> int:
        actions = {
            self.buys: 20, self.pays: 15, self.receives: 15, self.cancels: 5, self.signs_up: 5, self.edits_profile: 10,
            self.leaves: 2, self.looks_around: 20, self.stays_longer: 6, self.forgets_visits: 8,
            self.product_changes: 8,
        }  # fmt: skip
        return self.chance.choices(list(actions), weights=list(actions.values()))[0]()

    def _any(self, table: str) -> int:
        return 1 + self.chance.randrange(self.ids[table])

    def _run(self, statement: str, *values: object) -> int:
        return self.cursor.execute(statement, values)

    def _add(self, table: str, row: shop.Row) -> int:
        """Insert a row with the next automatic id (None in its first column); returns that id."""
        self._run(f"INSERT INTO {table} VALUES ({', '.join(['%s'] * len(row))})", *row)
        return self.cursor.lastrowid

    def buys(self) -> int:
        """An order with its lines, less stock, and often the payment: four tables in one transaction."""
        row = shop.order(self.chance, 0, self.ids)
        self._run("SELECT id, customer_id FROM addresses WHERE id = %s", row[2])
        found = self.cursor.fetchone()
        if found is None:
            return 0
        now = datetime.now(UTC).replace(tzinfo=None)
        order = self._add("orders", (None, found[1], found[0], "new", *row[4:7], now, None))
        self.ids["orders"] = max(order, self.ids["orders"])
        changed = 1
        # In the order of products, so that two buyers do not lock each other out.
        lines = sorted(shop.order_lines(self.chance, order, self.ids["products"]), key=lambda line: line[2])
        for line in lines:
            changed += self._run("INSERT INTO order_lines VALUES (%s, %s, %s, %s, %s, %s)", *line)
            changed += self._run("UPDATE products SET stock = stock - %s WHERE id = %s", line[3], line[2])
        if self.chance.random() < 0.6:
            self._add("payments", (*shop.payment(self.chance, None, order)[:6], now))
            changed += 1
        return changed

    def pays(self) -> int:
        order = self._any("orders")
        changed = self._run("UPDATE orders SET status = 'paid' WHERE id = %s AND status = 'new'", order)
        if changed:
            self._add("payments", shop.payment(self.chance, None, order))
            return changed + 1
        return self._run("UPDATE payments SET is_refunded = 1 - is_refunded WHERE order_id = %s", order)

    def receives(self) -> int:
        note = self.chance.choice(shop.NOTES)
        status = self.chance.choice(("shipped", "delivered", "returned"))
        statement = "UPDATE orders SET status = %s, note = %s, shipped_at = NOW() WHERE id = %s"
        return self._run(statement, status, note, self._any("orders"))

    def cancels(self) -> int:
        """The order and everything of it, in one transaction."""
        order = self._any("orders")
        changed = self._run("DELETE FROM payments WHERE order_id = %s", order)
        changed += self._run("DELETE FROM order_lines WHERE order_id = %s", order)
        return changed + self._run("DELETE FROM orders WHERE id = %s", order)

    def signs_up(self) -> int:
        row = list(shop.customer(self.chance, _UNLIKELY_ID))
        row[:2] = None, f"{self.chance.getrandbits(80):x}@example.org"
        customer = self._add("customers", tuple(row))
        self._add("addresses", (None, *shop.address(self.chance, 0, customer)[1:]))
        return 2

    def edits_profile(self) -> int:
        row = shop.customer(self.chance, self._any("customers"))
        statement = "UPDATE customers SET name = %s, newsletter = %s, credit = %s, preferences = %s WHERE id = %s"
        return self._run(statement, row[2], row[4], row[5], row[7], row[0])

    def leaves(self) -> int:
        """A customer who has ordered nothing goes, with the addresses."""
        customer = self._any("customers")
        self._run("SELECT 1 FROM orders WHERE customer_id = %s LIMIT 1", customer)
        if self.cursor.fetchone():
            return 0
        changed = self._run("DELETE FROM addresses WHERE customer_id = %s", customer)
        return changed + self._run("DELETE FROM customers WHERE id = %s", customer)

    def looks_around(self) -> int:
        """Some views, now and then one of them twice: a table without a key may hold equal rows."""
        now = datetime.now(UTC).replace(tzinfo=None)
        rows = [shop.page_view(self.chance, self.ids["customers"], now) for _ in range(self.chance.randint(1, 6))]
        if self.chance.random() < 0.2:
            rows.append(rows[0])
        return shop.insert(self.cursor, "page_views", iter(rows))

    def stays_longer(self) -> int:
        statement = "UPDATE page_views SET milliseconds = milliseconds + 1000 WHERE customer_id = %s"
        return self._run(statement, self._any("customers"))

    def forgets_visits(self) -> int:
        return self._run("DELETE FROM page_views ORDER BY viewed_at LIMIT %s", self.chance.randint(1, 5))

    def product_changes(self) -> int:
        row = shop.product(self.chance, self._any("products"))
        statement = "UPDATE products SET price = %s, description = %s, attributes = %s, thumbnail = %s WHERE id = %s"
        return self._run(statement, row[4], row[3], row[8], row[9], row[0])
