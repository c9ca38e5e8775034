"""Draws a chart of horizontal bars as SVG: text that a diff can show, readable on light and on dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

ROW, BAR, LABELS, WIDTH, VALUES, TOP = 26, 16, 210, 400, 90, 34
STYLE = (
    "text{font:13px sans-serif;fill:#24292f}.title{font-weight:bold}.ours{fill:#2f6fde}.other{fill:#9aa4b2}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.other{fill:#6e7681}}"
)


@dataclass(frozen=True)
class Bar:
    label: str
    value: float
    ours: bool = False


def chart(title: str, bars: Sequence[Bar]) -> str:
    """The longest bar takes the whole width; each one tells its value."""
    height, longest = TOP + ROW * len(bars) + 6, max(bar.value for bar in bars)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LABELS + WIDTH + VALUES} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<text class="title" x="8" y="20">{escape(title)}</text>',
    ]
    for number, bar in enumerate(bars):
        top, length = TOP + ROW * number, max(1.0, WIDTH * bar.value / longest)
        middle, kind = top + BAR - 3, "ours" if bar.ours else "other"
        lines += [
            f'<text x="{LABELS - 8}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect class="{kind}" x="{LABELS}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2"/>',
            f'<text x="{LABELS + length + 6:.1f}" y="{middle}">{bar.value:,.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
