"""The sample data: the same each time, whole, and as awkward as real data."""

from __future__ import annotations

import re
from typing import Any, cast

from pymysql.cursors import Cursor

from cdc_pipeline.demo import shop


class RecordingCursor:
    """Keeps what would be inserted."""

    def __init__(self) -> None:
        self.rows: dict[str, list[shop.Row]] = {}

    def executemany(self, statement: str, rows: list[shop.Row]) -> int:
        table = statement.split()[2]
        assert statement.count("%s") == len(rows[0])
        self.rows[table] = rows
        return len(rows)


def filled(orders: int) -> tuple[int, dict[str, list[shop.Row]]]:
    cursor: Any = RecordingCursor()
    return shop.fill(cast(Cursor, cursor), orders), cursor.rows


def test_the_same_rows_each_time() -> None:
    assert filled(50) == filled(50)


def test_a_demo_has_more_than_a_hundred_thousand_rows() -> None:
    total, rows = filled(20_000)

    assert total == sum(len(each) for each in rows.values()) > 100_000


def test_every_table_is_filled_with_as_many_values_as_it_has_columns() -> None:
    _, rows = filled(50)

    assert list(rows) == list(shop.TABLES)
    for table, definition in shop.TABLES.items():
        columns = [line for line in definition.strip().splitlines() if re.match(r"\s*[a-z_]+ [A-Z]", line)]
        assert {len(row) for row in rows[table]} == {len(columns)}


def test_an_order_goes_to_an_address_of_its_customer() -> None:
    _, rows = filled(200)
    owners = {row[0]: row[1] for row in rows["addresses"]}

    assert all(owners[row[2]] == row[1] for row in rows["orders"])


def test_nothing_cascades() -> None:
    """MySQL does not log what a cascade changes."""
    assert "CASCADE" not in " ".join(shop.TABLES.values())


def test_texts_are_awkward() -> None:
    _, rows = filled(500)
    everything = repr(rows)

    assert all(part in everything for part in ("\\n", "\\t", "\\\\N", "🎂", "é", "None"))
