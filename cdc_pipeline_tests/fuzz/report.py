"""What a run came to, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cdc_pipeline_tests.fuzz.features import INVENTORY
from cdc_pipeline_tests.fuzz.judge import Finding
from cdc_pipeline_tests.fuzz.plan import to_json
from cdc_pipeline_tests.fuzz.runner import Result
from cdc_pipeline_tests.fuzz.script import script


def known(finding: Finding) -> list[str]:
    """The faults that are known and not mended, and that this finding may be."""
    return [
        f"{name}: {INVENTORY[name].known}" for name in finding.features if name in INVENTORY and INVENTORY[name].known
    ]


def lines(result: Result) -> Iterator[str]:
    plan = result.plan
    seen = f"{result.compared} tables, {result.rows} rows, {len(result.findings)} finding(s)"
    yield f"seed {plan.seed} {plan.source} to {plan.target}: {result.seconds:.0f} s, {seen}"
    for finding in result.findings:
        detail = finding.detail.replace("\n", "\n      ")
        yield f"  {finding.kind} {finding.table}: {detail}"
        yield f"    features: {', '.join(finding.features)}"
        yield from (f"    perhaps known, {text}" for text in known(finding))
    for table, reason in result.refused.items():
        yield f"  refused, and told: {table}: {reason[:200]}"


def save(result: Result, folder: Path) -> Path:
    """The plan, for `--plan`, and beside it a script for people."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = result.plan
    path = folder / f"{plan.source}-{plan.target}-{plan.seed}.json"
    path.write_text(to_json(plan))
    told = "".join(f"# {line}\n" for text in lines(result) for line in text.splitlines())
    path.with_suffix(".txt").write_text(told + script(plan))
    return path.with_suffix(".txt")


class Tally:
    """How often each feature was in a plan, and what came of all plans."""

    def __init__(self) -> None:
        self.features: Counter[str] = Counter()
        self.failed: list[int] = []
        self.plans = self.tables = self.rows = 0

    def add(self, result: Result) -> None:
        self.features.update(name for name in result.plan.features if name in INVENTORY)
        self.plans, self.tables, self.rows = self.plans + 1, self.tables + result.compared, self.rows + result.rows
        if result.findings:
            self.failed.append(result.plan.seed)

    def __str__(self) -> str:
        seen = f"{self.plans} plans, {self.tables} tables and {self.rows} rows compared, {len(self.features)} features"
        return f"{seen}: failed: {self.failed}" if self.failed else f"{seen}: all equal, or told"
