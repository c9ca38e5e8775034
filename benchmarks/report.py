"""Writes what the last runs measured into docs/performance.md, between its two marks, and draws its charts.

.venv/bin/python benchmarks/report.py
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import bars
import bench
import machine
import results
from initial_copy import COMMAND, DAGSTER, DIRECTIONS, STEP
from results import Spread, ratios

PAGE = bench.PROJECT / "docs" / "performance.md"
IMAGES = bench.PROJECT / "docs" / "images"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
FLOOR = "ready file"
OURS = (COMMAND, DAGSTER, STEP)
Told = dict[str, Any]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield ""
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"
    yield ""


def heading(name: str, told: Told) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    yield f"`{told['command']}`, {told['day']}."


def copies() -> Iterator[str]:
    for direction in DIRECTIONS:
        told = results.read(f"copy-{direction}")
        if told is None:
            continue
        found = told["found"]
        source, target = (bench.TITLES[kind] for kind in direction.split("-"))
        yield from heading(f"Copy, {source} to {target}", told)
        yield f"{found['rows']:,} rows of ten mixed columns, {found['bytes'] / 2**20:,.0f} MiB."
        yield from table(
            ["way", "rows/s", "seconds", "of these for a table of one row", "times the load of a ready file", "MiB"],
            list(copy_rows(found)),
        )
        for name, reason in found["absent"].items():
            yield f"- {name}: not available here: {reason.replace(f'{bench.PROJECT}/', '')[:300]}"
        yield ""


def by_speed(found: Told) -> list[tuple[str, Told]]:
    return sorted(found["ways"].items(), key=lambda item: statistics.median(item[1]["seconds"]))


def copy_rows(found: Told) -> Iterator[list[str]]:
    floor = found["ways"][FLOOR]["seconds"]
    for name, way in by_speed(found):
        seconds, memory = Spread.of(way["seconds"]), Spread.of(way["memory"])
        yield [
            f"**{name}**" if name in OURS else name,
            f"{found['rows'] / seconds.middle:,.0f}",
            seconds.text(1),
            f"{way['begin']:.1f}",
            ratios(way["seconds"], floor).text(1),
            f"{memory.middle:,.0f}",
        ]


def charts() -> Iterator[str]:
    """Draws them, and shows them in the page."""
    told = results.read("copy-mysql-postgresql")
    if told is None:
        return
    found = told["found"]
    IMAGES.mkdir(exist_ok=True)
    rates, memory = [], []
    for name, way in by_speed(found):
        ours = name in OURS
        rates.append(bars.Bar(name, found["rows"] / statistics.median(way["seconds"]), ours))
        memory.append(bars.Bar(name, statistics.median(way["memory"]), ours))
    about = f"MySQL to PostgreSQL, {found['rows']:,} rows"
    (IMAGES / "copy-rate.svg").write_text(bars.chart(f"Rows a second: {about}", rates))
    (IMAGES / "copy-memory.svg").write_text(bars.chart(f"Peak memory in MiB: {about}", memory))
    yield f"![Rows a second of each way, {about}](images/copy-rate.svg)"
    yield f"![Peak memory of each way, {about}](images/copy-memory.svg)"
    yield ""


def stream() -> Iterator[str]:
    told = results.read("stream")
    if told is None:
        return
    found, sink = told["found"]["workloads"], told["found"]["sink"]
    yield from heading("Stream, beside Debezium and its JDBC sink", told)
    yield "Rates are changes a second, medians. `applied` counts all seconds of a consumer that starts, catches"
    yield "up and ends; the sink's count from where it runs."
    head = [
        "changes",
        "number",
        "captured/s",
        "applied/s",
        "applied : captured",
        "sink/s",
        "applied : sink",
        "MiB",
    ]
    yield from table(head, [stream_row(name, rounds) for name, rounds in found.items()])
    if sink:
        yield f"The sink's Connect worker had {sink['memory']:,.0f} MiB at most; MiB in the table is what the consumer "
        yield "took beyond what Python and the libraries have."
    yield ""


def stream_row(name: str, rounds: Sequence[Told]) -> list[str]:
    captured, applied = ([told[key] for told in rounds] for key in ("captured", "applied"))
    sink = [told["sink"] for told in rounds if "sink" in told]
    return [
        name,
        f"{rounds[0]['changes']:,}",
        f"{statistics.median(captured):,.0f}",
        f"{statistics.median(applied):,.0f}",
        ratios(applied, captured).text(),
        f"{statistics.median(sink):,.0f}" if sink else "",
        ratios(applied, sink).text(1) if sink else "",
        f"{max(told['memory'] for told in rounds):,.0f}",
    ]


def growth() -> Iterator[str]:
    told = results.read("growth")
    if told is None:
        return
    yield from heading("Ten times as much, and a hundred times", told)
    yield "Of proportional: the seconds of ten times as much, by ten times the seconds. Below 1 is better than that."
    rows = []
    for case, found in told["found"].items():
        (base, more), (small, large) = found["seconds"], found["memory"]
        sizes = found["sizes"][0].items()
        size = ", ".join(f"{value:,} {key.rstrip('s') if value == 1 else key}" for key, value in sizes if value)
        rows.append([
            f"{found['times']} × {case.rstrip('0123456789')}", size, Spread.of(base).text(1), Spread.of(more).text(1),
            ratios(more, [found["times"] * seconds for seconds in base]).text(),
            f"{statistics.median(small):,.0f} → {statistics.median(large):,.0f}",
        ])  # fmt: skip
    yield from table(["more", "from", "seconds", "seconds of more", "of proportional", "MiB"], rows)


def wire() -> Iterator[str]:
    told = results.read("wire")
    if told is None:
        return
    found = told["found"]
    yield from heading("Wire format", told)
    yield f"{found['events']:,} events of the table of ten mixed columns, each read into a dict of its row."
    json = found["formats"]["JSON, msgspec"]["rates"]
    rows = [
        [name, f"{of['bytes']:,.0f}", f"{statistics.median(of['rates']):,.0f}", ratios(of["rates"], json).text()]
        for name, of in found["formats"].items()
    ]
    yield from table(["format, library", "bytes an event", "events/s", "times JSON, msgspec"], rows)


def others() -> Iterator[str]:
    """What benchmarks of few figures said."""
    titles = {
        "many_tables": "Many small tables",
        "verify": "Verification of a large table",
        "latency": "Commit in the source to visible in the target",
        "waits": "What the waits on the way cost",
        "transactions": "Transactions",
        "event_log": "Dagster's event log",
    }
    for name, title in titles.items():
        told = results.read(name)
        if told is not None:
            yield from heading(title, told)
            yield ""
            yield from (f"- {line}" for line in told["found"])
            yield ""


def main() -> None:
    with bench.stack() as endpoints:
        on = machine.describe(endpoints)
    parts = [f"Measured on {on}.", "", *charts(), *copies(), *stream(), *growth(), *others(), *wire()]
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("\n".join([before + BEGIN, "", *parts]).rstrip() + f"\n\n{END}{after}")


if __name__ == "__main__":
    main()
