"""Runs plans of seeds, or one of a file; `make fuzz` is the way to it, docs/fuzzing.md says what comes of it."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cdc_pipeline_tests.fuzz.features import INVENTORY, Steering, check_names, losses
from cdc_pipeline_tests.fuzz.plan import Plan, from_json
from cdc_pipeline_tests.fuzz.planning import make, make_all
from cdc_pipeline_tests.fuzz.product import Product
from cdc_pipeline_tests.fuzz.report import Tally, lines, save
from cdc_pipeline_tests.fuzz.runner import Result, run, versions
from cdc_pipeline_tests.fuzz.script import script
from cdc_pipeline_tests.fuzz.shrink import shrink

_TREE = Path(__file__).parents[2]
_FOUND = Path(".local") / "fuzz"


def numbers(text: str) -> Iterator[int]:
    """`3,100-120` as numbers."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cdc_pipeline_tests.fuzz", description=__doc__)
    parser.add_argument("--seeds", help="3,100-120 (1-10; with --minutes, some that nobody has tried)")
    parser.add_argument("--minutes", type=float, help="go on with further seeds for so long")
    parser.add_argument("--source", default="mysql")
    parser.add_argument("--target", default="postgresql")
    parser.add_argument("--only", default="", help="features, by comma; `--list` names them")
    parser.add_argument("--all", help="plans that have every feature of these groups at once: key,type")
    parser.add_argument("--without", default="")
    parser.add_argument("--without-known", action="store_true", help="leave out what is known and not mended")
    parser.add_argument("--disrupt", action="store_true", help="also kill servers and change settings of whole servers")
    parser.add_argument("--shrink", type=float, metavar="MINUTES", help="make the first finding of a seed small")
    parser.add_argument(
        "--product", type=Path, default=_TREE, help="the tree that is tried, with its servers (this one)"
    )
    parser.add_argument("--plan", type=Path, help="run the plan of this file")
    parser.add_argument("--show", action="store_true", help="print the plans as scripts and run nothing")
    parser.add_argument("--log", action="store_true", help="print what each run did, refused statements too")
    parser.add_argument("--list", action="store_true", help="list the features")
    return parser.parse_args()


class Fuzzer:
    """One product, its servers, and what a person asked for."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.product = Product(asked.product.resolve())
        self.urls = self.product.endpoints()
        self.is_ours = not self.urls  # the servers, which end when we do
        if not {asked.source, asked.target, "kafka", "connect"} <= self.urls.keys():
            self.product.up(*({"mariadb"} & {asked.source, asked.target}))
            self.urls = self.product.endpoints()
        self.losses = losses()
        self.steering = _steering(asked, versions(self.urls))

    def run(self, plan: Plan) -> Result:
        return run(plan, self.product, self.urls, self.losses)

    def one(self, seed: int) -> Result:
        plan = _plan(self.asked, seed, self.steering)
        result = self.run(plan)
        print("\n".join(lines(result)), flush=True)
        if self.asked.log:
            print("\n".join(f"    {line}" for line in result.log), flush=True)
        if result.findings:
            print(f"  {save(result, _FOUND)}", flush=True)
            if self.asked.shrink:
                self._shrink(result)
        return result

    def _shrink(self, result: Result) -> None:
        """The first finding, as long as there is time."""
        goal = result.findings[0].signature
        deadline = time.monotonic() + self.asked.shrink * 60
        smallest = result

        def fails(candidate: Plan) -> bool:
            nonlocal smallest
            if time.monotonic() > deadline:
                return False
            found = self.run(candidate)
            is_it = goal in [finding.signature for finding in found.findings]
            smallest = found if is_it else smallest
            return is_it

        shrink(result.plan, fails, goal[1])
        path = save(smallest, _FOUND / "small")
        print(f"  made small: {path}\n{path.read_text()}", flush=True)


def _steering(asked: argparse.Namespace, versions: dict[str, tuple[int, ...]]) -> Steering:
    only, without = (frozenset(filter(None, text.split(","))) for text in (asked.only, asked.without))
    check_names([*only, *without])
    return Steering(
        asked.source,
        asked.target,
        only,
        without,
        known=not asked.without_known,
        disrupts=asked.disrupt,
        versions=versions,
    )


def _plan(asked: argparse.Namespace, seed: int, steering: Steering) -> Plan:
    if asked.plan:
        return from_json(asked.plan.read_text())
    return make_all(asked.all.split(","), seed, steering) if asked.all else make(seed, steering)


def _list() -> None:
    for each in INVENTORY.values():
        marks = [f"known: {each.known}" if each.known else "", "disrupts" if each.disrupts else ""]
        print(f"{each.group:12} {each.name:40} {'; '.join(filter(None, marks))}".rstrip())


def main() -> int:
    asked = _arguments()
    untried = str(int(time.time()) % 1_000_000) if asked.minutes else "1-10"
    seeds = list(numbers(asked.seeds or untried))
    if asked.list:
        _list()
        return 0
    if asked.show:
        steering = _steering(asked, {})
        print("\n".join(script(_plan(asked, seed, steering)) for seed in seeds))
        return 0
    deadline = time.monotonic() + asked.minutes * 60 if asked.minutes else None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what a plan has made is removed all the same
    fuzzer, tally = Fuzzer(asked), Tally()
    try:
        while seeds:
            seed = seeds.pop(0)
            tally.add(fuzzer.one(seed))
            if deadline and time.monotonic() > deadline:
                break
            if deadline and not seeds:
                seeds.append(seed + 1)
    finally:
        fuzzer.product.close()
        if fuzzer.is_ours:
            fuzzer.product.down()
        print(tally)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
