"""What operators and accidents do."""

from __future__ import annotations

from cdc_pipeline_tests.fuzz.features import feature
from cdc_pipeline_tests.fuzz.maker import Maker


@feature("act", base=True)
def catch_up(maker: Maker) -> None:
    maker.block(maker.act("catch_up", "catch_up"))


@feature("act")
def restart_connector(maker: Maker) -> None:
    maker.block(maker.act("restart_connector", "restart_connector"))
