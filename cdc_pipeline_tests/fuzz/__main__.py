"""`python -m cdc_pipeline_tests.fuzz --seeds 1-50 --source mysql --target postgresql`; --help tells the rest."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cdc_pipeline_tests.fuzz.features import INVENTORY, Steering, check_names
from cdc_pipeline_tests.fuzz.plan import from_json, to_json
from cdc_pipeline_tests.fuzz.planning import make
from cdc_pipeline_tests.fuzz.product import Product
from cdc_pipeline_tests.fuzz.runner import Result, run

_TREE = Path(__file__).parents[2]


def numbers(text: str) -> Iterator[int]:
    """`3,100-120` as numbers."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cdc_pipeline_tests.fuzz", description=__doc__)
    parser.add_argument("--seeds", default="1-10", help="3,100-120")
    parser.add_argument("--minutes", type=float, help="go on with further seeds for so long")
    parser.add_argument("--source", default="mysql")
    parser.add_argument("--target", default="postgresql")
    parser.add_argument("--only", default="", help="features, by comma; `--list` names them")
    parser.add_argument("--without", default="")
    parser.add_argument("--without-known", action="store_true", help="leave out what is known and not mended")
    parser.add_argument("--disrupt", action="store_true", help="also stop servers and change settings of whole servers")
    parser.add_argument("--product", type=Path, default=_TREE, help="the tree that is tried (this one)")
    parser.add_argument("--plan", type=Path, help="run the plan of this file")
    parser.add_argument("--show", action="store_true", help="print the plans and run nothing")
    parser.add_argument("--log", action="store_true", help="print what each run did, refused statements too")
    parser.add_argument("--list", action="store_true", help="list the features")
    return parser.parse_args()


def main() -> int:
    asked = _arguments()
    if asked.list:
        for each in INVENTORY.values():
            print(f"{each.group:12} {each.name}{'  known: ' + each.known if each.known else ''}")
        return 0
    split = [frozenset(filter(None, text.split(","))) for text in (asked.only, asked.without)]
    check_names([*split[0], *split[1]])
    steering = Steering(asked.source, asked.target, *split, known=not asked.without_known, disrupts=asked.disrupt)
    deadline = time.monotonic() + asked.minutes * 60 if asked.minutes else None
    seeds = list(numbers(asked.seeds))
    if asked.show:
        for seed in seeds:
            print(to_json(make(seed, steering)))
        return 0
    product = Product(asked.product.resolve())
    urls = product.endpoints()
    losses = {name: each.loss for name, each in INVENTORY.items() if each.loss}
    failed = []
    while seeds:
        seed = seeds.pop(0)
        plan = from_json(asked.plan.read_text()) if asked.plan else make(seed, steering)
        result = run(plan, product, urls, losses)
        report(result)
        if asked.log:
            print("\n".join(f"    {line}" for line in result.log))
        if result.findings:
            failed.append(seed)
        if deadline and not seeds and time.monotonic() < deadline:
            seeds.append(seed + 1)
    product.close()
    print(f"failed: {failed}" if failed else "all equal, or told")
    return 1 if failed else 0


def report(result: Result) -> None:
    plan = result.plan
    seen = f"{result.compared} tables, {result.rows} rows, {len(result.findings)} finding(s)"
    print(f"seed {plan.seed} {plan.source} to {plan.target}: {result.seconds:.0f} s, {seen}", flush=True)
    for finding in result.findings:
        print(f"  {finding.kind} {finding.table}: {finding.detail}\n    {', '.join(finding.features)}")
    for table, reason in result.refused.items():
        print(f"  refused {table}: {reason[:200]}")


if __name__ == "__main__":
    sys.exit(main())
