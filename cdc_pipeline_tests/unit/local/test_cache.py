"""The cache: whole folders or none, one filler at a time, and a plain word where it cannot be."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from cdc_pipeline.errors import LocalStackError
from cdc_pipeline.local.cache import cache, kept, one_at_a_time


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CDC_PIPELINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def silent(_line: str) -> None:
    pass


def test_what_fails_leaves_nothing_behind(place: Path) -> None:
    def fail(draft: Path) -> None:
        (draft / "half").touch()
        raise LocalStackError(server="test", reason="no network")

    with pytest.raises(LocalStackError, match="no network"):
        kept("thing", "a thing", fail, silent)
    assert not list(place.glob("thing*"))
    assert (kept("thing", "a thing", lambda draft: (draft / "whole").touch(), silent) / "whole").exists()


def test_a_place_that_cannot_be_made_is_told(place: Path) -> None:
    place.write_text("a file")
    with pytest.raises(LocalStackError, match=r"cannot be made .*CDC_PIPELINE_CACHE may name another place"):
        cache()


def _is_free(answer: multiprocessing.Queue[bool]) -> None:
    import fcntl  # noqa: PLC0415

    with (cache() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            answer.put(False)
        else:
            answer.put(True)


def locked_for_others() -> bool:
    answer: multiprocessing.Queue[bool] = multiprocessing.Queue()
    other = multiprocessing.Process(target=_is_free, args=(answer,))
    other.start()
    other.join()
    return not answer.get()


def test_who_fills_may_fill_what_that_needs_and_others_wait() -> None:
    with one_at_a_time():
        with one_at_a_time():
            pass
        assert locked_for_others()
    assert not locked_for_others()
