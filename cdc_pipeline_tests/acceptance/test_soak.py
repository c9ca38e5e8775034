"""The arbiter of all: random workloads, with re-syncs, kills and rebalances thrown in at random; at the end the target
equals the source. `make soak SEEDS=3,100-120` runs others; a failure says how to repeat it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.soak import DIRECTIONS, soak

ACTIONS = 5


def seeds(text: str) -> Iterator[int]:
    """`3,100-120` as numbers."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


@pytest.mark.parametrize("seed", list(seeds(os.environ.get("SEEDS") or "0-19")))
def test_whatever_happens_the_target_ends_as_the_source_is(scenario: Callable[..., Scenario], seed: int) -> None:
    source, target = DIRECTIONS[seed % len(DIRECTIONS)]
    try:
        soak(scenario(source, target), seed, ACTIONS)
    except BaseException as error:
        error.add_note(f"{source} to {target}. Repeat it with: make soak SEEDS={seed}")
        raise
