"""The replication file that the demo writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc_pipeline.demo import replica, shop
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.local.stack import Endpoints

ENDPOINTS = Endpoints(
    mysql="mysql+pymysql://root:root-secret@127.0.0.1:3306/",
    postgresql="postgresql+psycopg2://postgres:postgres-secret@127.0.0.1:5432/postgres",
    kafka="127.0.0.1:9092",
    connect="http://127.0.0.1:8083",
)


def test_it_loads_and_holds_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(replica.SOURCE_PASSWORD, "shop-secret")
    monkeypatch.setenv(replica.TARGET_PASSWORD, "dwh-secret")

    config = replica.write_replication(replica.Servers(ENDPOINTS), tmp_path)

    text = (replica.replications_folder(tmp_path) / "shop.yaml").read_text()
    assert "-secret" not in text
    assert "cdc@127.0.0.1" in text
    assert (config.client, config.database, config.config) == (2, 5, 6)
    assert config.source.resolve().password == "shop-secret"
    assert config.source.display == "mysql://cdc@127.0.0.1:3306/shop"
    assert config.target.display == "postgresql://cdc@127.0.0.1:5432/dwh"
    assert [rule.pattern for rule in config.tables] == list(shop.TABLES)
    assert config.connect.source_password == f"${{directory:{tmp_path}/secrets:{replica.PASSWORD_FILE}}}"


def test_a_server_that_is_gone_is_named() -> None:
    with pytest.raises(CdcPipelineError, match="mysql does not answer"):
        replica.Servers(Endpoints())
