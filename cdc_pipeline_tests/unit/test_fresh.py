"""What `make test-fresh` writes into its document."""

from __future__ import annotations

from cdc_pipeline_tests.fresh import report
from cdc_pipeline_tests.fresh.__main__ import Trial
from cdc_pipeline_tests.fresh.system import PLAIN, ROOT, Login


def trial(system: str, login: Login, date: str, how: str) -> Trial:
    return Trial(system, login, date, system=system, python="3.13.5", got="Maven", outcome={"make demo": how})


def test_a_trial_takes_the_place_of_the_last_one_of_its_kind_alone() -> None:
    table = report.merged("", [trial("Debian 13", ROOT, "2026-01-01", "failed")], "all")
    table = report.merged(table, [trial("Debian 12", PLAIN, "2026-01-02", "passed in 9 min")], "some")
    table = report.merged(table, [trial("Debian 13", ROOT, "2026-01-03", "passed in 8 min")], "all")
    assert table == (
        "| system | user | Python | tried | told as missing, and got | outcome | tests |\n"
        "|---|---|---|---|---|---|---|\n"
        "| Debian 12 | plain user | 3.13.5 | 2026-01-02 | Maven | `make demo` passed in 9 min | some |\n"
        "| Debian 13 | root | 3.13.5 | 2026-01-03 | Maven | `make demo` passed in 8 min | all |\n"
    )


def test_a_trial_is_good_only_if_each_step_passed() -> None:
    tried = trial("Debian 13", ROOT, "2026-01-01", "passed in 1 min")
    assert tried.good
    tried.outcome["make test"] = "failed"
    assert not tried.good
