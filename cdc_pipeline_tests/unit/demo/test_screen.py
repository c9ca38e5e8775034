"""The live table, from the answer of `status` to what is printed."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from cdc_pipeline.demo.screen import Moment, Screen, moment
from cdc_pipeline.model import Comparison, TableId

STATUS: dict[str, Any] = {
    "connector": {"state": "RUNNING", "tasks": [{"id": 0, "state": "FAILED"}]},
    "consumer": {"state": "RETRYING"},
    "tables": [
        {
            "source": "shop.orders", "inserted": 1000, "updated": 200, "deleted": 34, "lag_events": 5,
            "lag_seconds": 1.25, "state": "STREAMING",
        }
    ],
    "errors": ["shop.orders: [lost] its way"],
}  # fmt: skip


@pytest.fixture
def now() -> Moment:
    rows = {"shop.orders": 20_000, "shop.payments": 7}
    return moment(
        STATUS, rows, {"shop.orders": 19_995}, ui="http://127.0.0.1:1", doing="Streaming", changes=9, rollbacks=1
    )


def printed(now: Moment, *, terminal: bool) -> str:
    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=terminal, width=120, highlight=False))
    with screen.table():
        screen.show(now)
    return out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_a_table_shows_rows_events_lag_and_state(now: Moment, terminal: bool) -> None:
    text = printed(now, terminal=terminal)

    for part in ("shop.orders", "20,000", "19,995", "1,234", "STREAMING", "running, task failed", "retrying"):
        assert part in text


@pytest.mark.parametrize("terminal", [True, False])
def test_a_table_that_nobody_has_seen_yet_has_a_dash_for_rows(now: Moment, terminal: bool) -> None:
    line = next(line for line in printed(now, terminal=terminal).splitlines() if "shop.payments" in line)

    assert "7" in line
    assert "-" in line


@pytest.mark.parametrize("terminal", [True, False])
def test_errors_are_shown_as_they_are(now: Moment, terminal: bool) -> None:
    assert "! shop.orders: [lost] its way" in printed(now, terminal=terminal)


def test_plain_lines_come_only_every_few_seconds(now: Moment) -> None:
    out = io.StringIO()
    screen = Screen(Console(file=out, force_terminal=False, width=200))
    with screen.table():
        for _ in range(3):
            screen.show(now)

    assert out.getvalue().count("shop.orders  ") == 1


def test_the_result_names_what_differs() -> None:
    out = io.StringIO()
    orders, lines = TableId("shop", "orders"), TableId("shop", "lines")
    Screen(Console(file=out, width=300, highlight=False)).show_result(
        [
            Comparison(orders, orders, 1200, 1200, "abc", "abc"),
            Comparison(lines, lines, 5, 4, "a", "b", missing=1, samples=("7", "8")),
        ]
    )

    equal, different = out.getvalue().splitlines()
    assert "equal      shop.orders      1,200 rows, checksum abc" in equal
    assert "DIFFERENT  shop.lines" in different
    assert "4 in the target: 1 missing, 0 extra, 0 different (7; 8)" in different
