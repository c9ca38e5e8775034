"""What it costs to find a few wrong rows in a large table, beside reading all of it, and to mend them.

    .venv/bin/python benchmarks/verify.py [--direction mysql-postgresql] [--rows 1000000] [--wrong 100]

The floor is what a comparison row by row has to read: the key and the hash of every row, from both servers.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bench
import results

from cdc_pipeline.databases.database import Database
from cdc_pipeline.model import Comparison, TableId
from cdc_pipeline.replication import Replication
from cdc_pipeline.threads import at_once

NAME = "bench_verify"


@contextmanager
def rows_read() -> Iterator[list[int]]:
    """How many rows' hashes come over the network meanwhile."""
    original, read = Database.row_hashes, [0]
    lock = threading.Lock()  # both tables are read at the same time

    def counted(*arguments: Any, **more: Any) -> Iterator[Any]:
        for found in original(*arguments, **more):
            with lock:
                read[0] += 1
            yield found

    Database.row_hashes = counted  # type: ignore[method-assign]
    try:
        yield read
    finally:
        Database.row_hashes = original  # type: ignore[method-assign]


def verified(made: Replication, *, repair: bool) -> tuple[Comparison, float, int]:
    """What was found, the seconds, and the hashes read."""
    with rows_read() as read:
        began = time.monotonic()
        (comparison,) = made.verify(repair=repair)
        return comparison, time.monotonic() - began, read[0]


def by_row(made: Replication) -> float:
    """Seconds to read every row's key and hash from both servers at the same time."""
    (table,) = made.tables

    def read(side: tuple[Database, TableId]) -> None:
        database, name = side
        shape = database.shape(name)
        assert shape is not None
        columns = [(column.name, column.type) for column in shape.columns if column.type is not None]
        for _ in database.row_hashes(database.dialect.table(name), columns, shape.key):
            continue

    began = time.monotonic()
    at_once(read, (made.parts.source, table.source), (made.parts.target, table.target), "read")
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--direction", type=bench.direction, default="mysql-postgresql")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--wrong", type=int, default=100)
    arguments = parser.parse_args()
    way, step = arguments.direction, arguments.rows // arguments.wrong
    with bench.stack() as endpoints:
        source = bench.new_database(endpoints, way.source, f"{NAME}_source")
        target = bench.new_database(endpoints, way.target, f"{NAME}_target")
        bench.run(source, f"CREATE TABLE orders ({bench.COLUMNS[way.source]})")
        bench.fill(source, "orders", bench.rows(0, arguments.rows))
        with bench.replication(endpoints, way, NAME, ["orders"], client="915") as made:
            for prepare in (made.check, made.prepare, lambda: list(made.copy())):
                prepare()
            equal, without, _ = verified(made, repair=False)
            assert equal.equal
            bench.run(target, f"DELETE FROM {made.tables[0].target.name} WHERE MOD(id, {step}) = 1")
            found, seconds, hashes = verified(made, repair=False)
            assert (found.missing, found.extra, found.different) == (arguments.wrong, 0, 0), found
            mended, mending, _ = verified(made, repair=True)
            assert mended.mended == arguments.wrong, mended
            floor = by_row(made)
    told = [
        f"{way}, {arguments.rows:,} rows, {arguments.wrong} of them missing: found in {seconds:.1f} s and {hashes:,} "
        f"hashes read, mended in {mending:.1f} s",
        f"with no row wrong {without:.1f} s; to read all hashes of both {floor:.1f} s and {2 * arguments.rows:,}",
    ]
    print("\n".join(told))
    results.write("verify", told)


if __name__ == "__main__":
    main()
