"""What a replication file may say of the clock."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cdc_pipeline.config.schedules import Schedules


def test_unless_told_otherwise_rows_are_verified_each_night_and_counted_each_hour() -> None:
    schedules = Schedules.model_validate({})
    assert (schedules.verify, schedules.count, dict(schedules.resync)) == ("0 3 * * *", "0 * * * *", {})


def test_off_is_what_yaml_calls_false() -> None:
    schedules = Schedules.model_validate({"verify": False, "count": None, "resync": {"users": "@weekly"}})
    assert (schedules.verify, schedules.count, schedules.resync["users"]) == (None, None, "@weekly")


@pytest.mark.parametrize("cron", ["often", "* * * *", "0 3 * * * *", "$(id) * * * *", 5, True, ["* * * * *"]])
def test_what_is_no_cron_schedule_says_what_one_is(cron: object) -> None:
    with pytest.raises(ValidationError, match="must be a cron schedule of five fields"):
        Schedules.model_validate({"verify": cron})


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", ""])
def test_a_time_zone_must_be_known(name: str) -> None:
    with pytest.raises(ValidationError, match="is no time zone"):
        Schedules.model_validate({"timezone": name})


@pytest.mark.parametrize("cron", ["*/5 0-6 1,15 JAN-DEC MON#1", "@hourly", "0  3 *   * *"])
def test_usual_schedules_are_taken(cron: str) -> None:
    assert Schedules.model_validate({"count": cron}).count == " ".join(cron.split())
