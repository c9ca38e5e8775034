"""What `apply: transactional` costs beside the default: the same changes of one source, applied both ways in turn.

    .venv/bin/python benchmarks/transactions.py [--rounds 3] [--transactions 20000] [--rows 4]

Each round writes the changes once, to MySQL, waits until two connectors have told them to Kafka, and applies them to
PostgreSQL through two replications, one of each kind, in an order that alternates. Both targets are verified before a
figure counts. Prints the rate of each and the median of the rounds' ratios; a machine's own noise is in both alike.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack

import bench
import results
from sqlalchemy import Engine

from cdc_pipeline.replication import Replication

NAME = "bench_transactions"
KINDS = ("batches", "transactional")


def write(engine: Engine, number: int, transactions: int, rows: int) -> None:
    """Each transaction inserts some rows into one table and updates one in the other."""
    with engine.connect() as connection:
        for transaction in range(transactions):
            first = (number * transactions + transaction) * rows
            values = ", ".join(f"({first + row}, 'row {first + row}', {row}.25)" for row in range(rows))
            connection.exec_driver_sql(f"INSERT INTO a VALUES {values}")
            connection.exec_driver_sql(f"UPDATE b SET amount = amount + 1 WHERE id = {transaction % 1000}")
            connection.commit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--transactions", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=4, help="inserted by each; one more is updated")
    arguments = parser.parse_args()
    way = bench.direction("mysql-postgresql")
    with bench.stack() as endpoints, ExitStack() as made:
        engine = bench.new_database(endpoints, way.source, f"{NAME}_source")
        bench.new_database(endpoints, way.target, f"{NAME}_target")
        columns = "(id INT PRIMARY KEY, name VARCHAR(40), amount DECIMAL(12, 2))"
        values = ", ".join(f"({n}, 'row {n}', 0)" for n in range(1000))
        bench.run(engine, f"CREATE TABLE a {columns}", f"CREATE TABLE b {columns}", f"INSERT INTO b VALUES {values}")
        both = {
            kind: made.enter_context(
                bench.replication(
                    endpoints, way, NAME, [f"{{{table}: {{target: {kind}_{table}}}}}" for table in ("a", "b")],
                    client=str(910 + number), apply=kind,
                )
            )
            for number, kind in enumerate(KINDS)
        }  # fmt: skip
        measure(both, engine, arguments)


def measure(both: dict[str, Replication], engine: Engine, arguments: argparse.Namespace) -> None:
    for replication in both.values():
        replication.check()
        replication.prepare()
        list(replication.copy())
        replication.register()
    ratios = []
    for number in range(arguments.rounds):
        write(engine, number, arguments.transactions, arguments.rows)
        for replication in both.values():
            bench.told(replication)
        seconds = {}
        for kind in KINDS if number % 2 == 0 else KINDS[::-1]:
            began = time.monotonic()
            both[kind].consume(until_caught_up=True)
            seconds[kind] = time.monotonic() - began
            bench.require_equal(both[kind])
        ratios.append(seconds["transactional"] / seconds["batches"])
        events = arguments.transactions * (arguments.rows + 1)
        rates = ", ".join(f"{kind} {events / spent:,.0f} events/s" for kind, spent in seconds.items())
        print(f"round {number + 1}: {rates}; transactional takes {ratios[-1]:.2f} times as long", flush=True)
    events = f"{arguments.transactions:,} transactions of {arguments.rows + 1} rows in two tables"
    told = f"`apply: transactional`, {events}: {results.Spread.of(ratios).text()} times as long as `batches`"
    print(told)
    results.write("transactions", [told])


if __name__ == "__main__":
    main()
