"""What is written for the benchmark of the stream: tables, and statements of which each is a transaction."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import bench

ROWS = 20_000  # there before the changes
AT_A_TIME = 200  # rows changed by one statement
LARGE = 1 << 20  # bytes of a large value
TABLES = 10  # that are written to in turn
KINDS = ("INT", "VARCHAR(30)", "DECIMAL(12, 2)")  # of the wide table's columns, in turn

Statements = Iterator[str]


def inserts(first: int, count: int) -> Statements:
    for start in range(first, first + count, AT_A_TIME):
        values = ", ".join(_value(line) for line in bench.rows(start, min(AT_A_TIME, first + count - start)))
        yield f"INSERT INTO orders VALUES {values}"


def mixed(first: int, count: int) -> Statements:
    """Half inserts, two fifths updates of random rows, a tenth deletes."""
    pick = random.Random(first)
    yield from inserts(first, count // 2)
    for _ in range(count * 2 // 5 // AT_A_TIME):
        yield _update(pick.sample(range(ROWS), AT_A_TIME))
    for start in range(first, first + count // 10, AT_A_TIME):
        yield f"DELETE FROM orders WHERE id BETWEEN {start} AND {start + AT_A_TIME - 1}"


def hot(first: int, count: int) -> Statements:
    """Updates of which most meet few rows (Zipf)."""
    pick = random.Random(first)
    for _ in range(count // AT_A_TIME):
        keys = {min(ROWS, int(pick.paretovariate(0.3))) - 1 for _ in range(AT_A_TIME)}
        spare = (key for key in range(2 * AT_A_TIME) if key not in keys)
        yield _update(sorted(keys.union(key for key, _ in zip(spare, range(AT_A_TIME - len(keys)), strict=False))))


def deletes(first: int, count: int) -> Statements:
    """Rows that are put there and taken away again."""
    yield from inserts(first, count // 2)
    for start in range(first, first + count // 2, AT_A_TIME):
        yield f"DELETE FROM orders WHERE id BETWEEN {start} AND {start + AT_A_TIME - 1}"


def wide(first: int, count: int) -> Statements:
    """Rows of a hundred columns."""
    for start in range(first, first + count, AT_A_TIME):
        numbers = range(start, min(start + AT_A_TIME, first + count))
        yield f"INSERT INTO wide VALUES {', '.join(wide_row(number) for number in numbers)}"


def wide_row(number: int, columns: int = 100) -> str:
    """The key, then numbers, texts and decimals in turn."""
    values = (str(number + place) if place % 3 else f"'text {number + place}'" for place in range(2, columns + 1))
    return f"({number}, {', '.join(values)})"


def wide_columns(columns: int = 100) -> str:
    kinds = (KINDS[(place + 1) % 3] for place in range(2, columns + 1))
    return ", ".join(["id BIGINT PRIMARY KEY", *(f"c{place} {kind}" for place, kind in enumerate(kinds, 2))])


def large(first: int, count: int) -> Statements:
    """Values of a megabyte, one a statement."""
    for number in range(first, first + count):
        yield f"INSERT INTO large VALUES ({number}, '{(f'{number} lorem ipsum ' * LARGE)[:LARGE]}')"


def ten_tables(first: int, count: int) -> Statements:
    """Small statements that go to one table after the other."""
    for number, start in enumerate(range(first, first + count, AT_A_TIME // 10)):
        numbers = range(start, min(start + AT_A_TIME // 10, first + count))
        values = ", ".join(f"({n}, 'row {n}', {n}.25)" for n in numbers)
        yield f"INSERT INTO many_{number % TABLES} VALUES {values}"


@dataclass(frozen=True)
class Workload:
    """`share` of the changes asked for: as many as take about as long."""

    statements: Callable[[int, int], Statements]
    tables: tuple[str, ...] = ("orders",)
    share: float = 1.0
    one_transaction: bool = False


MANY = tuple(f"many_{number}" for number in range(TABLES))
WORKLOADS: dict[str, Workload] = {
    "inserts": Workload(inserts),
    "mixed": Workload(mixed),
    "hot": Workload(hot),
    "deletes": Workload(deletes),
    "wide": Workload(wide, ("wide",), 2 / 5),
    "large": Workload(large, ("large",), 1 / 500),
    "ten tables": Workload(ten_tables, MANY, 3),
    "one transaction": Workload(inserts, one_transaction=True),
}


def definitions(kind: str) -> dict[str, str]:
    """Of all tables that some workload writes to."""
    text = "LONGTEXT" if kind == "mysql" else "TEXT"
    many = dict.fromkeys(MANY, "id BIGINT PRIMARY KEY, name VARCHAR(40), amount DECIMAL(12, 2)")
    orders, lasting = bench.COLUMNS[kind], f"id BIGINT PRIMARY KEY, body {text}"
    return {"orders": orders, "wide": wide_columns(), "large": lasting, **many}


def _update(keys: Sequence[int]) -> str:
    return f"UPDATE orders SET amount = amount + 1, active = 1 - active WHERE id IN ({', '.join(map(str, keys))})"


def _value(line: str) -> str:
    """A line of COPY text as an INSERT's row."""
    fields = line.rstrip("\n").split("\t")
    return f"({', '.join('NULL' if field == bench.NULL else _quoted(field) for field in fields)})"


def _quoted(field: str) -> str:
    return "'" + field.replace("\\n", "\n").replace("\\t", " ").replace("\\", "/") + "'"
