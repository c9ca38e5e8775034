"""What is fetched at once is applied in batches that fit into memory, in its order and with nothing left out."""

from __future__ import annotations

from typing import Any

import pytest

from cdc_pipeline.apply import consumer


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([], [[]]),
        ([10], [[10]]),
        ([500], [[500]]),
        ([30, 30, 30], [[30, 30, 30]]),
        ([30, 30, 30, 30], [[30, 30], [30, 30]]),
        ([60, 60, 60, 60], [[60, 60], [60], [60]]),
        ([500, 1, 1, 1], [[500], [1, 1, 1]]),
        ([1, 1, 1, 500], [[1, 1, 1, 500]]),
        ([0, 0, 0], [[0, 0, 0]]),  # tombstones
    ],
)
def test_batches_take_about_as_much_memory(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], parts: list[list[int]]
) -> None:
    monkeypatch.setattr(consumer, "MOST_MEMORY", 2300)  # 100 bytes of short values
    messages: list[Any] = [b"x" * size for size in sizes]
    assert [[len(message) for message in batch] for batch in consumer._batches(messages)] == parts


def test_long_values_take_less_of_it_than_many_short_ones() -> None:
    messages: list[Any] = [b"x" * (1 << 20)] * 100
    assert [len(batch) for batch in consumer._batches(messages)] == [50, 50]
    messages = [b"x" * 2000] * 20_000
    assert [len(batch) for batch in consumer._batches(messages)] == [3334, 3333, 3333, 3334, 3333, 3333]
