"""Oracle's pure parts. Nothing else of it is tested: there is no server here (README, "What is tested")."""

from __future__ import annotations

import pytest

from cdc_pipeline.config import Endpoint
from cdc_pipeline.databases import open_source, open_target
from cdc_pipeline.databases.oracle import OracleDialect, ScnWatermark
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.model import ColumnType, Kind, Position, TableId

ENDPOINT = Endpoint.model_validate({"url": "oracle://cdc:geheim@localhost:1521/ORCL"})


def test_oracle_opens_by_its_url_and_shows_no_password() -> None:
    for database in (open_source(ENDPOINT), open_target(ENDPOINT)):
        assert database.default_schema == "CDC"
        assert "geheim" not in database.display


def test_a_watermark_holds_what_committed_at_or_before_it() -> None:
    watermark = ScnWatermark(1000)
    assert watermark.holds({"commit_scn": "999"})
    assert watermark.holds({"commit_scn": "1000"})
    assert not watermark.holds({"commit_scn": "1001"})
    assert open_source(ENDPOINT).watermark(watermark.to_text()) == watermark


@pytest.mark.parametrize(
    ("declared", "type"),
    [
        ("NUMBER", ColumnType(Kind.DECIMAL)),
        ("NUMBER(10,2)", ColumnType(Kind.DECIMAL, 10, 2)),
        ("VARCHAR2(20)", ColumnType(Kind.TEXT, 20)),
        ("TIMESTAMP(3)", ColumnType(Kind.TIMESTAMP, 3)),
        ("TIMESTAMP(6) WITH TIME ZONE", ColumnType(Kind.INSTANT, 6)),
        ("DATE", ColumnType(Kind.TIMESTAMP, 0)),
        ("SDO_GEOMETRY", None),
    ],
)
def test_types_of_oracles_catalogue(declared: str, type: ColumnType | None) -> None:
    assert OracleDialect().canonical_type(declared) == type


def test_names_are_quoted_and_what_cannot_be_is_refused() -> None:
    assert OracleDialect().table(TableId("SALES", "order %")) == '"SALES"."order %"'
    with pytest.raises(CdcPipelineError, match="no double quote"):
        OracleDialect().quote('a"b')


def test_a_position_is_reached_when_the_connectors_scn_is() -> None:
    source = open_source(ENDPOINT)
    assert source.reached({"scn": "100"}, Position({"scn": "100"}))
    assert not source.reached({"scn": "99"}, Position({"scn": "100"}))
