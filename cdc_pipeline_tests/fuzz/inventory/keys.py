"""Keys of tables, of every kind and none."""

from __future__ import annotations

from cdc_pipeline_tests.fuzz.draft import Draft
from cdc_pipeline_tests.fuzz.features import feature
from cdc_pipeline_tests.fuzz.maker import Maker
from cdc_pipeline_tests.fuzz.plan import Column


@feature("key", weight=40, base=True)
def key_int(maker: Maker, draft: Draft) -> None:
    draft.key = [Column("id", "INT NOT NULL", "key_int", nullable=False)]
