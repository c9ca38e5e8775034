"""The sample shop: seven related tables and their first rows, the same ones every time.

The types are those that real shops have: money, moments with and without a zone, JSON, enumerations, booleans, bytes,
texts with accents, emoji, newlines, tabs and backslashes, and many nulls. `page_views` has no primary key; logs often
have none. No foreign key cascades: MySQL does not write a cascade's changes to its binary log, so nobody could capture
them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from pymysql.cursors import Cursor

Row = tuple[Any, ...]

TABLES = {
    "customers": """
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        email VARCHAR(190) NOT NULL UNIQUE,
        name VARCHAR(120) NOT NULL,
        birthday DATE,
        newsletter TINYINT(1) NOT NULL DEFAULT 0,
        credit DECIMAL(10, 2) NOT NULL DEFAULT 0,
        score DOUBLE,
        preferences JSON,
        created_at DATETIME(3) NOT NULL,
        updated_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)""",
    "addresses": """
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        customer_id BIGINT UNSIGNED NOT NULL,
        kind ENUM('billing', 'shipping', 'both') NOT NULL,
        street VARCHAR(200) NOT NULL,
        postcode VARCHAR(12) NOT NULL,
        city VARCHAR(80) NOT NULL,
        country CHAR(2) NOT NULL,
        delivery_note TEXT,
        FOREIGN KEY (customer_id) REFERENCES customers (id)""",
    "products": """
        id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        sku CHAR(10) NOT NULL UNIQUE,
        name VARCHAR(200) NOT NULL,
        description MEDIUMTEXT,
        price DECIMAL(10, 2) NOT NULL,
        weight_kg DECIMAL(8, 4),
        stock INT NOT NULL DEFAULT 0,
        is_active TINYINT(1) NOT NULL DEFAULT 1,
        attributes JSON,
        thumbnail VARBINARY(64),
        added_on DATE NOT NULL""",
    "orders": """
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        customer_id BIGINT UNSIGNED NOT NULL,
        address_id BIGINT UNSIGNED NOT NULL,
        status ENUM('new', 'paid', 'packed', 'shipped', 'delivered', 'returned') NOT NULL DEFAULT 'new',
        total DECIMAL(12, 2) NOT NULL,
        is_gift TINYINT(1),
        note TEXT,
        ordered_at DATETIME(6) NOT NULL,
        shipped_at TIMESTAMP NULL,
        FOREIGN KEY (customer_id) REFERENCES customers (id),
        FOREIGN KEY (address_id) REFERENCES addresses (id)""",
    "order_lines": """
        order_id BIGINT UNSIGNED NOT NULL,
        line SMALLINT UNSIGNED NOT NULL,
        product_id INT UNSIGNED NOT NULL,
        quantity SMALLINT NOT NULL,
        unit_price DECIMAL(10, 2) NOT NULL,
        discount DECIMAL(5, 4),
        PRIMARY KEY (order_id, line),
        FOREIGN KEY (order_id) REFERENCES orders (id),
        FOREIGN KEY (product_id) REFERENCES products (id)""",
    "payments": """
        id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
        order_id BIGINT UNSIGNED NOT NULL,
        method ENUM('card', 'transfer', 'cash', 'voucher') NOT NULL,
        amount DECIMAL(12, 2) NOT NULL,
        reference BINARY(8) NOT NULL,
        is_refunded TINYINT(1) NOT NULL DEFAULT 0,
        paid_at TIMESTAMP(3) NULL,
        FOREIGN KEY (order_id) REFERENCES orders (id)""",
    "page_views": """
        viewed_at DATETIME(6) NOT NULL,
        visitor CHAR(16) NOT NULL,
        customer_id BIGINT UNSIGNED,
        path VARCHAR(300) NOT NULL,
        referrer VARCHAR(300),
        milliseconds INT,
        KEY (viewed_at),
        KEY (customer_id)""",
}

# How many rows a table begins with, for each order: about seven in all.
PER_ORDER = {"customers": 0.25, "addresses": 0.35, "products": 0.02, "orders": 1, "payments": 0.9, "page_views": 2}
LINES_PER_ORDER = (1, 4)

GIVEN = ("Zoë", "José", "Łukasz", "Søren", "Ngọc", "Aïcha", "李娜", "Мария", "Gökçe", "Siobhán", "Emma", "Björn")
FAMILY = ("O’Neill", "García", "Müller", "Đặng", "Nowak", "Çelik", "田中", "Иванова", "D'Angelo", "Smith", "Strauß")
CITIES = (("Kraków", "PL"), ("Malmö", "SE"), ("São Paulo", "BR"), ("Zürich", "CH"), ("東京", "JP"), ("Leeds", "GB"))
THINGS = ("Teapot", "Lampe", "Crêpière", "Fjällräven", "Kåsa", "☕ Mug", "Ägghållare", "Notebook", "Żyrandol", "Cable")
NOTES = (
    None,
    None,
    None,
    "Please ring twice 🔔",
    "Leave it at n° 7,\nbehind the gate",
    "tab\there, backslash \\ there, and a \\N that is no null",
    "“Happy birthday” 🎂🎉",
    "",
)
PATHS = ("/", "/cart", "/search?q=teapot%20blue", "/checkout", "/über-uns", "/product/")
FIRST_DAY = datetime(2025, 1, 1)


def create(cursor: Cursor) -> None:
    """The empty tables, in an order in which every foreign key finds its table."""
    for name, columns in TABLES.items():
        cursor.execute(f"CREATE TABLE {name} ({columns}) ENGINE = InnoDB CHARACTER SET utf8mb4")


def fill(cursor: Cursor, orders: int) -> int:
    """The first rows, for a shop of so many orders; returns how many rows there are in all."""
    chance = random.Random(42)
    counts = {name: max(1, int(orders * share)) for name, share in PER_ORDER.items()}
    makers: dict[str, Callable[[int], Row]] = {
        "customers": lambda number: customer(chance, number),
        "addresses": lambda number: address(chance, number, 1 + number % counts["customers"]),
        "products": lambda number: product(chance, number),
        "orders": lambda number: order(chance, number, counts),
        "payments": lambda number: payment(chance, number, 1 + chance.randrange(orders)),
        "page_views": lambda _: page_view(chance, counts["customers"], moment(chance)),
    }
    total = 0
    for name in TABLES:
        if name in makers:
            rows: Iterator[Row] = (makers[name](number) for number in range(1, counts[name] + 1))
        else:
            rows = (line for number in range(1, orders + 1) for line in order_lines(chance, number, counts["products"]))
        total += insert(cursor, name, rows)
    return total


def insert(cursor: Cursor, table: str, rows: Iterator[Row]) -> int:
    """Whole rows, in multi-row statements of about a megabyte (PyMySQL makes them)."""
    kept = list(rows)
    places = ", ".join(["%s"] * len(kept[0]))
    return cursor.executemany(f"INSERT INTO {table} VALUES ({places})", kept) or 0


def moment(chance: random.Random) -> datetime:
    """Some moment of the shop's first year, to the microsecond."""
    return FIRST_DAY + timedelta(microseconds=chance.randrange(365 * 24 * 3600 * 1_000_000))


def customer(chance: random.Random, number: int) -> Row:
    preferences = {
        "theme": chance.choice(["dark", "light"]),
        "tags": ["vip", "été ☀"][: chance.randrange(3)],
        "size": None,
    }
    return (
        number,
        f"customer{number}@example.org",
        f"{chance.choice(GIVEN)} {chance.choice(FAMILY)}",
        chance.choice((None, moment(chance).date().replace(year=chance.randrange(1930, 2008), day=1))),
        chance.randrange(2),
        chance.randrange(-5_000, 500_000) / 100,
        chance.choice((None, chance.random() * 100)),
        chance.choice((None, json.dumps(preferences, ensure_ascii=False))),
        moment(chance),
        moment(chance),
    )


def address(chance: random.Random, number: int, customer_id: int) -> Row:
    city, country = chance.choice(CITIES)
    kind = chance.choice(("billing", "shipping", "both"))
    street = f"{chance.choice(FAMILY)} Street {chance.randrange(1, 200)}"
    return number, customer_id, kind, street, f"{chance.randrange(99999):05}", city, country, chance.choice(NOTES)


def product(chance: random.Random, number: int) -> Row:
    name = f"{chance.choice(THINGS)} № {number}"
    return (
        number,
        f"SKU-{number:06}",
        name,
        chance.choice((None, f"{name}:\n\t• dishwasher-safe\n\t• 100 % café-proof ✅\n" * chance.randrange(1, 6))),
        chance.randrange(99, 99_999) / 100,
        chance.choice((None, chance.randrange(1, 500_000) / 10_000)),
        chance.randrange(1_000),
        chance.randrange(10) > 0,
        json.dumps(
            {"colour": chance.choice(["bleu", "røde", "黒"]), "sizes": [1, 2.5], "eco": True}, ensure_ascii=False
        ),
        chance.choice((None, chance.randbytes(chance.randrange(64)))),
        moment(chance).date(),
    )


def order(chance: random.Random, number: int, counts: dict[str, int]) -> Row:
    address_id = 1 + chance.randrange(counts["addresses"])
    return (
        number,
        1 + address_id % counts["customers"],  # the one whose address it is: see `fill`
        address_id,
        chance.choice(("new", "paid", "packed", "shipped", "delivered", "returned")),
        chance.randrange(100, 1_000_000) / 100,
        chance.choice((None, 0, 1)),
        chance.choice(NOTES),
        moment(chance),
        chance.choice((None, moment(chance))),
    )


def order_lines(chance: random.Random, order_id: int, products: int) -> Iterator[Row]:
    for line in range(1, chance.randint(*LINES_PER_ORDER) + 1):
        price, discount = chance.randrange(99, 99_999) / 100, chance.choice((None, None, 0.05, 0.125, 0.3333))
        yield order_id, line, 1 + chance.randrange(products), chance.randrange(1, 10), price, discount


def payment(chance: random.Random, number: int | None, order_id: int) -> Row:
    method = chance.choice(("card", "transfer", "cash", "voucher"))
    amount, refunded = chance.randrange(100, 1_000_000) / 100, chance.randrange(20) == 0
    return number, order_id, method, amount, chance.randbytes(8), refunded, chance.choice((None, moment(chance)))


def page_view(chance: random.Random, customers: int, viewed_at: datetime) -> Row:
    return (
        viewed_at,
        f"{chance.getrandbits(64):016x}",
        chance.choice((None, 1 + chance.randrange(customers))),
        chance.choice(PATHS),
        chance.choice((None, "https://example.org/?utm=été")),
        chance.choice((None, chance.randrange(60_000))),
    )
