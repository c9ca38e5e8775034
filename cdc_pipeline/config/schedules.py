"""What Dagster does by the clock, as a replication file says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, field_validator

from cdc_pipeline.config.base import Model

_CRON = re.compile(r"@(hourly|daily|weekly|monthly|yearly|annually)|[\w*/,-]+( [\w*/,#-]+){4}", re.ASCII)


def _cron(value: Any) -> str | None:
    """YAML makes `off` false."""
    if value is None or value is False:
        return None
    text = " ".join(value.split()) if isinstance(value, str) else ""
    if not _CRON.fullmatch(text):
        raise ValueError('must be a cron schedule of five fields, such as "0 3 * * *", or off')
    return text


Cron = Annotated[str | None, BeforeValidator(_cron, json_schema_input_type=str | bool | None)]


class Schedules(Model):
    """Each is a cron schedule, or off."""

    verify: Cron = Field("0 3 * * *", description="when to compare every row of source and target")
    count: Cron = Field("0 * * * *", description="when to compare how many rows they have")
    resync: Mapping[str, Cron] = Field(
        default_factory=dict, description="when to copy a table anew, by its source name"
    )
    timezone: str = Field("UTC", description="of all of them, such as Europe/Berlin")

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("is no time zone, such as Europe/Berlin") from None
        return value
