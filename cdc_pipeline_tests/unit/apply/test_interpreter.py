"""What a stream changes of the process it is in is put back at its end."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from cdc_pipeline.apply.interpreter import OBJECTS, SWITCH_SECONDS, for_a_stream

Settings = tuple[float, tuple[int, int, int], bool]


def settings() -> Settings:
    return round(sys.getswitchinterval(), 5), gc.get_threshold(), gc.get_freeze_count() > 0


@pytest.fixture(params=[0.005, 0.0002])
def before(request: pytest.FixtureRequest) -> Iterator[Settings]:
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(request.param)
    yield settings()
    sys.setswitchinterval(interval)
    gc.set_threshold(*thresholds)


def test_settings_are_those_of_a_stream_until_the_last_one_ends(before: Settings) -> None:
    interval, (_, *older), _ = before
    during = (min(interval, SWITCH_SECONDS), (OBJECTS, *older), True)
    first, second = ExitStack(), ExitStack()
    first.enter_context(for_a_stream())
    assert settings() == during
    second.enter_context(for_a_stream())
    first.close()
    assert settings() == during
    second.close()
    assert settings() == before


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("objects", [0, OBJECTS * 2])
def test_who_wants_fewer_collections_has_them(objects: int) -> None:
    gc.set_threshold(objects)
    with for_a_stream():
        assert gc.get_threshold()[0] == objects
    assert gc.get_threshold()[0] == objects
