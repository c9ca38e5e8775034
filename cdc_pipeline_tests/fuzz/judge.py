"""Equal, or told: what source and target hold at the end, and what the product said on the way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cdc_pipeline_tests.fuzz.canonical import canonical, kind_of
from cdc_pipeline_tests.fuzz.contents import Shown
from cdc_pipeline_tests.fuzz.documented import is_accident, is_refused_in_step_1, stop_is_told

SILENT = "silent"
_ESSENCE = 80  # characters
_SHOWN = 3  # rows that differ, in a finding
_LONGEST = 120  # characters of a value in it

Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Difference:
    """What one table's target lacks, and what it has too much: `missing` and `extra` are some of these rows."""

    count: int
    detail: str


@dataclass(frozen=True)
class Finding:
    """One failure of the rule. `kind` is `silent`, `stop`, `crash` or `hang`; `table` empty where all are concerned."""

    kind: str
    table: str
    detail: str
    features: tuple[str, ...] = ()

    @property
    def signature(self) -> tuple[str, str, str]:
        """What stays the same while a plan is shrunk: of a stop, what it says without numbers and values."""
        said = "" if self.kind == SILENT else self.detail.partition("Error: ")[2] or self.detail
        return self.kind, self.table, re.sub(r"[0-9]+|'[^']*'", "", said)[:_ESSENCE]


@dataclass
class Evidence:
    """What a run has seen. `refused` are tables that the product refused, with its reason, before they were copied."""

    family: str  # of the source
    sources: dict[str, Shown] = field(default_factory=dict)
    targets: dict[str, Shown] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
    outcomes: list[Any] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)  # tables whose copy failed, with the reason
    gone: tuple[str, ...] = ()  # tables that were copied, and are in the source no more
    stopped: str = ""  # what ended the run before its end, as the product said it


def compare(family: str, source: Shown, target: Shown) -> Difference | None:
    """By the multiset of rows, every column of the source."""
    absent = [name for name in source.names if name not in target.names]
    further = [name for name in target.names if name not in source.names]
    if absent or further:
        return Difference(1, f"columns: the target lacks {absent}, and has {further} besides")
    kinds = [kind_of(family, declared) for declared in source.types]
    order = [target.names.index(name) for name in source.names]
    mine = Counter(
        tuple(canonical(kind, value, source=True) for kind, value in zip(kinds, row, strict=True))
        for row in source.rows
    )
    theirs = Counter(
        tuple(canonical(kind, row[at], source=False) for kind, at in zip(kinds, order, strict=True))
        for row in target.rows
    )
    missing, extra = list((mine - theirs).elements()), list((theirs - mine).elements())
    if not missing and not extra:
        return None
    return Difference(len(missing) + len(extra), _described(source.names, missing, extra))


def _described(names: Sequence[str], missing: list[Row], extra: list[Row]) -> str:
    lines = [f"{len(missing)} row(s) of the source are not in the target, {len(extra)} of the target not in the source"]
    left = list(extra)
    for row in missing[:_SHOWN]:
        twin = max(left, key=lambda other, row=row: sum(map(_same, row, other)), default=None)
        if twin is None or not any(map(_same, row, twin)):
            lines.append(f"missing: {_row(names, row)}")
            continue
        left.remove(twin)
        differing = [n for n, (one, other) in enumerate(zip(row, twin, strict=True)) if one != other]
        where = ", ".join(f"{names[n]} is {_short(twin[n])} instead of {_short(row[n])}" for n in differing)
        lines.append(f"different: {_row(names, row)}: {where}")
    lines += [f"extra: {_row(names, row)}" for row in left[:_SHOWN]]
    return "\n".join(lines)


def _same(one: str | None, other: str | None) -> bool:
    return one is not None and one == other


def _row(names: Sequence[str], row: Row) -> str:
    return "(" + ", ".join(f"{name}={_short(value)}" for name, value in zip(names, row, strict=True)) + ")"


def _short(value: str | None) -> str:
    text = "NULL" if value is None else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)})"


def judge(evidence: Evidence, losses: Mapping[str, str]) -> list[Finding]:
    """`losses` are the tables whose differences a documented limit explains, with its name."""
    findings = list(_of_outcomes(evidence))
    findings += [Finding("stop", table, said) for table, said in evidence.failed.items() if not stop_is_told(said)]
    told = _told(evidence)
    for table, source in evidence.sources.items():
        if table in evidence.refused or table in evidence.failed or table in losses:
            continue
        target = evidence.targets.get(table)
        difference = Difference(1, "there is no target table") if target is None else compare(
            evidence.family, source, target
        )  # fmt: skip
        if difference is not None and not told.get(table) and not evidence.stopped:
            findings.append(Finding(SILENT, table, difference.detail))
    missing = [] if evidence.stopped else [table for table in evidence.gone if not told.get(table)]
    findings += [Finding(SILENT, table, "it is gone from the source, and status does not say so") for table in missing]
    return findings


def _of_outcomes(evidence: Evidence) -> list[Finding]:
    """Stops that no documentation names. What `status` shows of tables counts as well as what commands said."""
    findings = []
    for outcome in evidence.outcomes:
        what = f"{' '.join(outcome.command)} (exit code {outcome.code})"
        if outcome.code is None:
            findings.append(Finding("hang", "", f"{what}: did not end\n{outcome.output[-1500:]}"))
        elif outcome.has_traceback:
            findings.append(Finding("crash", "", f"{what}\n{outcome.output[-1500:]}"))
        elif outcome.code not in (0, 1) and not is_refused_in_step_1(outcome.error) and not stop_is_told(outcome.error):
            findings.append(Finding("stop", "", f"{what}: {outcome.error[:1500] or outcome.output[-500:]}"))
    return findings


def _told(evidence: Evidence) -> dict[str, str]:
    """Tables of which `status` says that they are not equal, with what it says."""
    told: dict[str, str] = {}
    errors = "\n".join(evidence.status.get("errors", []))
    for table in evidence.status.get("tables", []):
        name = str(table["source"]).partition(".")[2]
        said = table["error"] or (f"{table['set_aside']} set aside" if table["set_aside"] else "")
        if said and not is_accident(said):
            told[name] = said
    connector = evidence.status.get("connector", {})
    if connector.get("error") and stop_is_told(str(connector["error"])):
        told |= {table: str(connector["error"]) for table in evidence.sources}
    for table in evidence.sources:
        if f".{table}:" in errors or f".{table}," in errors:
            told.setdefault(table, errors)
    return told
