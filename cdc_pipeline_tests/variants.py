"""Tests that take long in each of their variants: `make test` runs one of them, `make test-deep` the others.

A variant is a set of parameters, such as a direction. Which one runs by day follows from the test's name, so that all
directions have their share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest


class Variants:
    """Marks as `deep` all variants but one of each test that is marked `long`."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: Sequence[pytest.Item]) -> None:
        """Before pytest looks at the marks (`-m`)."""
        variants: dict[str, list[pytest.Item]] = {}
        for item in items:
            if item.get_closest_marker("long"):
                variants.setdefault(item.nodeid.partition("[")[0], []).append(item)
        for name, same in variants.items():
            by_day = int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(same)
            for item in (*same[:by_day], *same[by_day + 1 :]):
                item.add_marker(pytest.mark.deep)
