"""What `apply: transactional` costs beside the default: the same changes of one source, applied both ways in turn.

    .venv/bin/python benchmarks/transactions.py [--rounds 3] [--transactions 20000] [--rows 5]

Starts the embedded stack if it does not run. Each round writes the changes once, to MySQL, waits until two connectors
have told them to Kafka, and applies them to PostgreSQL through two replications, one of each kind, in an order that
alternates. Prints the rate of each and the median of the rounds' ratios; a machine's own noise is in both alike.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from pathlib import Path

from sqlalchemy import NullPool, create_engine
from sqlalchemy.engine import make_url

from cdc_pipeline.config import load_replication
from cdc_pipeline.local import stack as local_stack
from cdc_pipeline.replication import Replication

NAME = "bench_transactions"
KINDS = ("batches", "transactional")
TABLES = ("a", "b")


def replication_of(folder: Path, endpoints: local_stack.Endpoints, kind: str) -> Replication:
    source = make_url(endpoints.mysql).set(database=NAME).render_as_string(hide_password=False)
    target = make_url(endpoints.postgresql).set(database=NAME).render_as_string(hide_password=False)
    path = folder / f"{kind}.yaml"
    path.write_text(
        f'client: {910 + KINDS.index(kind)}\ndatabase: 1\nconfig: 1\nsource: {{url: "{source}"}}\n'
        f'target: {{url: "{target}"}}\nkafka: {{bootstrap_servers: "{endpoints.kafka}"}}\n'
        f'connect: {{url: "{endpoints.connect}"}}\napply: {kind}\n'
        "tables:\n" + "".join(f"  - {table}: {{target: {kind}_{table}}}\n" for table in TABLES)
    )
    return Replication(load_replication(path))


def recreate_databases(endpoints: local_stack.Endpoints) -> None:
    for url, force in ((endpoints.mysql, ""), (endpoints.postgresql, " WITH (FORCE)")):
        engine = create_engine(make_url(url), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {NAME}{force}")
            connection.exec_driver_sql(f"CREATE DATABASE {NAME}")


def write(replication: Replication, number: int, transactions: int, rows: int) -> None:
    """Each transaction inserts half of its rows into one table and updates as many in the other."""
    with replication.parts.source.engine.connect() as connection:
        for transaction in range(transactions):
            first = (number * transactions + transaction) * rows
            values = ", ".join(f"({first + row}, 'row {first + row}', {row}.25)" for row in range(rows))
            connection.exec_driver_sql(f"INSERT INTO a VALUES {values}")
            connection.exec_driver_sql(f"UPDATE b SET amount = amount + 1 WHERE id = {transaction % 1000}")
            connection.commit()


def told(replication: Replication) -> None:
    """Wait until Kafka has all of it."""
    mark, parts = replication.parts.source.mark(), replication.parts
    while not parts.source.reached(parts.connect.offsets(replication.config.connector_name) or {}, mark):
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--transactions", type=int, default=20_000)
    parser.add_argument("--rows", type=int, default=4, help="inserted by each; one more is updated")
    arguments = parser.parse_args()
    logging.getLogger("cdc_pipeline").setLevel(logging.ERROR)
    home = local_stack.default_home()
    was_running = bool(local_stack.status(home).connect)
    endpoints = local_stack.up(home)
    try:
        run(endpoints, arguments)
    finally:
        if not was_running:
            local_stack.down(home)


def run(endpoints: local_stack.Endpoints, arguments: argparse.Namespace) -> None:
    recreate_databases(endpoints)
    with tempfile.TemporaryDirectory() as folder:
        both = {kind: replication_of(Path(folder), endpoints, kind) for kind in KINDS}
        try:
            measure(both, arguments)
        finally:
            for replication in both.values():
                replication.teardown()


def measure(both: dict[str, Replication], arguments: argparse.Namespace) -> None:
    with both["batches"].parts.source.engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE a (id INT PRIMARY KEY, name VARCHAR(40), amount DECIMAL(12, 2))")
        connection.exec_driver_sql("CREATE TABLE b (id INT PRIMARY KEY, name VARCHAR(40), amount DECIMAL(12, 2))")
        values = ", ".join(f"({n}, 'row {n}', 0)" for n in range(1000))
        connection.exec_driver_sql(f"INSERT INTO b VALUES {values}")
        connection.commit()
    for replication in both.values():
        replication.check()
        replication.prepare()
        list(replication.copy())
        replication.register()
    ratios = []
    for number in range(arguments.rounds):
        write(both["batches"], number, arguments.transactions, arguments.rows)
        for replication in both.values():
            told(replication)
        seconds = {}
        for kind in KINDS if number % 2 == 0 else KINDS[::-1]:
            began = time.monotonic()
            both[kind].consume(until_caught_up=True)
            seconds[kind] = time.monotonic() - began
        ratios.append(seconds["transactional"] / seconds["batches"])
        events = arguments.transactions * (arguments.rows + 1)
        rates = ", ".join(f"{kind} {events / spent:,.0f} events/s" for kind, spent in seconds.items())
        print(f"round {number + 1}: {rates}; transactional takes {ratios[-1]:.2f} times as long")
    print(f"median of {arguments.rounds}: {statistics.median(ratios):.2f} times as long")


if __name__ == "__main__":
    main()
