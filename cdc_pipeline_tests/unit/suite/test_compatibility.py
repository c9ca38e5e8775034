"""What docs/compatibility.md says is what the trials noted, and what step 1 enforces."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc_pipeline_tests.compatibility import page
from cdc_pipeline_tests.compatibility.trials import TRIALS, VERSIONS

PASSED: dict[str, str] = dict.fromkeys(page.STEPS, "passed")


@pytest.mark.parametrize(
    ("noted", "cell"),
    [
        (PASSED, "proven"),
        ({**PASSED, "types that the server does not have": "xid8"}, "proven (it does not have xid8)"),
        ({**PASSED, "re-sync": "failed", "failed": "test_core"}, "**fails**: re-sync"),
        ({**PASSED, "failed": "test_core"}, "**fails**: test_core"),
        (dict.fromkeys(page.STEPS[:2], "passed"), f"**fails**: {', '.join(page.STEPS[2:])}"),
        ({"refused": "is too old"}, "refused: is too old"),
        (None, ""),
    ],
)
def test_nothing_is_proven_that_did_not_pass(noted: dict[str, str] | None, cell: str) -> None:
    assert page.verdict(noted) == cell


def test_a_line_takes_the_place_of_the_earlier_one_of_its_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "page.md"
    document.write_text(page.DOCUMENT.read_text())
    monkeypatch.setattr(page, "DOCUMENT", document)
    page.write("databases", page.of_databases({"source-mysql-9.9": PASSED, "target-mysql-9.8": {}}, "day 1"))
    page.write("databases", page.of_databases({"source-mysql-9.9": {**PASSED, "version": "9.9.1"}}, "day 2"))
    page.write("databases", page.of_databases({"target-mysql-9.8": {"refused": "too old"}}, "day 2"))
    page.write("databases", page.of_databases({"source-mysql-9.8": PASSED}, "day 3"))
    text = document.read_text()
    assert text.count("`mysql-9.9`") == 1
    assert "| `mysql-9.9` | 9.9.1 | proven |  | day 2 |\n" in text
    assert "| `mysql-9.8` |  | proven | refused: too old | day 3 |\n" in text, "what was not tried again stays"
    assert text.startswith(page.DOCUMENT.read_text().partition("<!-- databases")[0])


def test_a_worker_has_a_cell_for_each_kind_of_source() -> None:
    outcomes = {"source-postgresql-18": {"refused": "too | old"}, "source-mysql-9.7": PASSED}
    line = page.of_workers(["kafka-3.9", "connect-3.9"], outcomes, "today")
    assert line == "| `kafka-3.9` `connect-3.9` | proven |  | refused: too \\| old | today |\n"


def test_the_page_has_the_floors_of_the_code() -> None:
    between = page.DOCUMENT.read_text().partition("<!-- floors -->\n")[2].partition("<!-- floors: above -->")[0]
    assert between == page.floor_lines()


def test_every_version_of_the_table_is_tried_in_both_roles() -> None:
    assert {trial.server for trial in TRIALS} > set(VERSIONS)
    for server in VERSIONS:
        assert {trial.role for trial in TRIALS if trial.server == server} == {"source", "target"}
