"""Names of tables, from a hostile alphabet."""

from __future__ import annotations

from cdc_pipeline_tests.fuzz.draft import Draft
from cdc_pipeline_tests.fuzz.features import feature
from cdc_pipeline_tests.fuzz.maker import Maker


@feature("name", weight=60, base=True)
def name_plain(maker: Maker, draft: Draft) -> None:
    """The name that it has."""
