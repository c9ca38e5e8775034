"""docs/compatibility.md: a line for each version, of the last time that it was tried."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from cdc_pipeline import floors
from cdc_pipeline_tests.compatibility.outcomes import Outcomes
from cdc_pipeline_tests.compatibility.trials import ROLES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"
# What a trial has to note to count as proven, as source and as target alike.
STEPS = (
    "every type",
    "hand-off under load, also of a table without a key",
    "kill of the consumer",
    "hand-off, kill: equal",
    "schema change",
    "verify with repair",
    "re-sync",
)
_HEADS = {
    "databases": "| server | version told | as source | as target | tried |\n|---|---|---|---|---|\n",
    "workers": "| Kafka, Connect, Debezium | MySQL | MariaDB | PostgreSQL | tried |\n|---|---|---|---|---|\n",
}


def verdict(noted: Mapping[str, str] | None) -> str:
    """In a cell: proven, refused with the sentence that step 1 says, or what failed."""
    if not noted:
        return ""
    if "refused" in noted:
        return f"refused: {noted['refused']}"
    missing = [step for step in STEPS if noted.get(step) != "passed"]
    if missing or "failed" in noted:
        return f"**fails**: {', '.join(missing) or noted['failed']}"
    absent = noted.get("types that the server does not have")
    return f"proven (it does not have {absent})" if absent else "proven"


def of_databases(outcomes: Outcomes, date: str) -> list[str]:
    """Lines of servers in both roles."""
    servers = dict.fromkeys(trial.partition("-")[2] for trial in outcomes)
    lines = []
    for server in servers:
        noted = {role: outcomes.get(f"{role}-{server}") for role in ROLES}
        told = next((each["version"] for each in noted.values() if each and "version" in each), "")
        lines.append(_line([f"`{server}`", told, *(verdict(noted[role]) for role in ROLES), date]))
    return lines


def of_workers(names: Iterable[str], outcomes: Outcomes, date: str) -> str:
    """The line of a Kafka, a Connect and its plugins: each kind of database as a source."""
    kinds = {tuple(trial.split("-")[:2]): noted for trial, noted in outcomes.items()}
    cells = [verdict(kinds.get(("source", kind))) for kind in ("mysql", "mariadb", "postgresql")]
    return _line([" ".join(f"`{name}`" for name in names), *cells, date])


def write(table: str, lines: Iterable[str]) -> None:
    """Put these lines in the place of earlier ones of the same servers; and the floors as the code has them."""
    text = DOCUMENT.read_text()
    begin, end = f"<!-- {table}: make test-servers writes below -->\n", f"<!-- {table}: above -->\n"
    before, _, rest = text.partition(begin)
    old, _, after = rest.partition(end)
    rows: dict[str, str] = {}
    for line in [*old.removeprefix(_HEADS[table]).splitlines(keepends=True), *lines]:
        rows[_first(line)] = _merged(rows.get(_first(line)), line)
    DOCUMENT.write_text(before + begin + _HEADS[table] + "".join(rows[name] for name in sorted(rows)) + end + after)


def floor_lines() -> str:
    """The table of what step 1 refuses."""
    named = {
        **{f"{floor.product} as source or target": floor for floor in floors.DATABASES.values()},
        floors.CONNECT.product: floors.CONNECT,
        **{f"`{plugin.rpartition('.')[2]}`": floor for plugin, floor in floors.PLUGINS.items()},
    }
    rows = (_line([name, f"before {floor.oldest}", floor.reason]) for name, floor in named.items())
    return "| | step 1 refuses | because |\n|---|---|---|\n" + "".join(rows)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"


def _merged(before: str | None, line: str) -> str:
    """What was not tried this time stays as it was."""
    if before is None:
        return line
    return " | ".join(new or old for old, new in zip(before.split(" | "), line.split(" | "), strict=True))


def _first(line: str) -> str:
    return line.split(" | ", maxsplit=1)[0]
