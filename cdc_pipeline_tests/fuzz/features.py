"""The inventory: every kind of thing that a plan can have, by name, and how a person steers which are used."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

MYSQL, MARIADB, POSTGRESQL = "mysql", "mariadb", "postgresql"
ALL = (MYSQL, MARIADB, POSTGRESQL)
LIKE_MYSQL = (MYSQL, MARIADB)
GROUPS = ("name", "key", "type", "column", "table", "row", "setting", "transaction", "ddl", "act")


@dataclass(frozen=True)
class Feature:
    """One member of the inventory. `makes` puts it into a plan; its arguments are its group's.

    `base` features are what every plan is made of, whatever is asked for. `known` is a fault that is known and not yet
    mended. `loss` names the documented limit (documented.py) that explains what it makes different. One that `disrupts`
    stops a server, or changes a setting, that others on the same servers have as well.
    """

    name: str
    group: str
    makes: Any
    weight: int = 10
    sources: tuple[str, ...] = ALL
    targets: tuple[str, ...] = ALL
    base: bool = False
    known: str = ""
    loss: str = ""
    disrupts: bool = False


INVENTORY: dict[str, Feature] = {}

F = TypeVar("F", bound=Callable[..., Any])


def add(feature: Feature) -> Feature:
    if feature.name in INVENTORY or feature.group not in GROUPS:
        raise ValueError(f"feature {feature.name} of {feature.group}")
    INVENTORY[feature.name] = feature
    return feature


def feature(group: str, **values: Any) -> Callable[[F], F]:
    """Makes a function a feature of its own name."""

    def register(function: F) -> F:
        add(Feature(function.__name__, group, function, **values))
        return function

    return register


@dataclass(frozen=True)
class Steering:
    """Which features a plan may have, and between which servers it runs (their versions, where they matter)."""

    source: str = MYSQL
    target: str = POSTGRESQL
    only: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    known: bool = True
    disrupts: bool = False
    versions: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def allows(self, feature: Feature) -> bool:
        if self.source not in feature.sources or self.target not in feature.targets or feature.name in self.without:
            return False
        if feature.base or feature.name in self.only:
            return True
        if self.only or (feature.known and not self.known):
            return False
        return self.disrupts or not feature.disrupts

    @cached_property
    def _allowed(self) -> dict[str, list[Feature]]:
        allowed = [each for each in INVENTORY.values() if self.allows(each)]
        return {group: [each for each in allowed if each.group == group] for group in GROUPS}

    @cached_property
    def _asked_for(self) -> dict[str, list[Feature]]:
        return {group: [e for e in found if e.name in self.only] for group, found in self._allowed.items()}

    def of(self, group: str) -> list[Feature]:
        return self._allowed[group]

    def asked_for(self, group: str) -> list[Feature]:
        """Those that a person named."""
        return self._asked_for[group]

    def version(self, kind: str) -> tuple[int, ...]:
        return self.versions.get(kind, (99,))


def weighted(chooser: random.Random, features: Sequence[Feature]) -> Feature:
    return chooser.choices(features, [each.weight for each in features])[0]


def losses() -> dict[str, str]:
    """Of each feature that brings about a difference which is documented: which one."""
    return {name: each.loss for name, each in INVENTORY.items() if each.loss}


def check_names(names: Iterable[str]) -> None:
    """Raises ValueError for one that is no feature."""
    unknown = sorted(set(names) - set(INVENTORY))
    if unknown:
        raise ValueError(f"no such feature: {', '.join(unknown)}; `--list` names all")
