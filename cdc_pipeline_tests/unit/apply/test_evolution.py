"""Copies beside the consumer: one after the other, whatever becomes of one."""

from __future__ import annotations

import time

import pytest

from cdc_pipeline.apply.evolution import Changes, Evolution
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.model import TableId

ODD, PLAIN = TableId("shop", "odd"), TableId("shop", "plain")


def test_a_defect_in_one_copy_is_told_and_the_next_table_is_copied(caplog: pytest.LogCaptureFixture) -> None:
    def copy(table: TableId) -> CdcPipelineError | None:
        if table == ODD:
            raise KeyError("surprise")
        return None

    evolution = Evolution(Changes, copy, copies=True)
    ended: dict[TableId, CdcPipelineError | None] = {}
    for table in (ODD, PLAIN):
        evolution.begin(table)
        while table not in ended:
            ended.update(evolution.ended())
            time.sleep(0.01)
    assert "shop.odd could not be copied: KeyError('surprise')" in str(ended[ODD])
    assert ended[PLAIN] is None
    assert "Traceback" in caplog.text
    while evolution.is_busy:
        time.sleep(0.01)
