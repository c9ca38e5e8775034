"""The arbiter of all: random workloads, with re-syncs, kills and rebalances thrown in at random; at the end the target
equals the source. `make soak SEEDS=3,100-120` runs others; a failure says how to repeat it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.soak import DIRECTIONS, soak

ACTIONS = 5
SEEDS = 20
SEEDS_BY_DAY = 4  # both directions, by batches and by whole transactions


def seeds(text: str) -> Iterator[int]:
    """`3,100-120` as numbers."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def chosen() -> Iterator[Any]:
    """Those of the environment, or the usual ones."""
    if os.environ.get("SEEDS"):
        yield from seeds(os.environ["SEEDS"])
        return
    for seed in range(SEEDS):
        yield seed if seed < SEEDS_BY_DAY else pytest.param(seed, marks=pytest.mark.deep)


@pytest.mark.parametrize("seed", list(chosen()))
def test_whatever_happens_the_target_ends_as_the_source_is(scenario: Callable[..., Scenario], seed: int) -> None:
    source, target = DIRECTIONS[seed % len(DIRECTIONS)]
    try:
        soak(scenario(source, target), seed, ACTIONS)
    except BaseException as error:
        error.add_note(f"{source} to {target}. Repeat it with: make soak SEEDS={seed}")
        raise
