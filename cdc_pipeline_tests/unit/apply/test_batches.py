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
def test_batches_have_about_as_many_bytes(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], parts: list[list[int]]
) -> None:
    monkeypatch.setattr(consumer, "MOST_BYTES", 100)
    messages: list[Any] = [b"x" * size for size in sizes]
    assert [[len(message) for message in batch] for batch in consumer._batches(messages)] == parts
