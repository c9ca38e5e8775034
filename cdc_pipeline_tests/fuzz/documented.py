"""What the documentation tells: losses that the judge takes for equal, and stops that it takes for told.

Each entry has the sentence that tells it, and where it stands; a test looks it up. So a sentence that goes takes its
entry with it, and the judge becomes stricter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Told:
    """`where` is a file of the project, `sentence` a part of it. `pattern` is what a stop's message looks like."""

    where: str
    sentence: str
    pattern: str = ""


# Differences that a documented limit explains. Those of values are in canonical.py; these are of whole tables, and are
# named by the features that bring them about.
LOSSES = {
    "zero_date": Told("docs/types.md", "MySQL's dates with a zero in them arrive as NULL"),
    "timetz": Told("docs/types.md", "kept in UTC"),
    "array_bounds": Told("docs/types.md", "counted from 1"),
    "json_double": Told("docs/types.md", "a whole double of 10,000,000 or more becomes an integer"),
    "json_moment": Told("docs/types.md", "Dates and times inside MySQL's JSON that CAST has made, not text"),
    "cascade": Told("README.md", "so those rows stay in the target; such a key is named by the copy"),
    "statement_format": Told("README.md", "what a session writes with `binlog_format = STATEMENT`"),
    "partition_by_hand": Told(
        "README.md", "a partition that is attached with rows, detached or dropped, or emptied alone"
    ),
    "made_anew": Told("README.md", "One that is dropped and made anew just as it was is not noticed"),
}

# Stops, by what is said of them. A refusal in step 1 is a named check and needs no entry.
STOPS = (
    Told(
        "README.md",
        "With another `binlog_row_image` than `FULL` the\n  connector stops and says so",
        "binlog_row_image",
    ),
    Told("README.md", "A dropped\n  table stops; its target stays", "is gone from the source; its target stays"),
    Told("README.md", "whose value the target cannot take", "events are set aside"),
    Told(
        "docs/types.md",
        "error that names table, key, column and value",
        "Mend the value, or give the target's column a type|is not a value of",
    ),
    Told("README.md", "A table without a key stops instead", "cannot go on"),
)

# Stops whose message says itself what to do: it is done, as an operator would.
ADVISED = (("was altered between its copy and the registration of the connector", ("--force-resync",)),)

# A check of step 1 that only passes on what a server has said to one of our own questions is no check.
_ACCIDENT = re.compile(
    r"Traceback|NullPointerException|KeyError|AttributeError|IndexError|TypeError|AssertionError|"
    r"syntax error|You have an error in your SQL|ProgrammingError"
)


def is_refused_in_step_1(text: str) -> bool:
    return "check(s) failed" in text and not is_accident(text)


def is_accident(text: str) -> bool:
    """Whether a message shows that something broke, rather than that something was found."""
    return bool(_ACCIDENT.search(text))


def stop_is_told(text: str) -> bool:
    return not is_accident(text) and any(each.pattern and re.search(each.pattern, text) for each in STOPS)
