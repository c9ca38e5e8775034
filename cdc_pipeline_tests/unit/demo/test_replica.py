"""The replication file that the demo writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc_pipeline.demo import replica, services, shop
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.local import processes
from cdc_pipeline.local.site import secrets_folder, write_private
from cdc_pipeline.local.stack import Endpoints

ENDPOINTS = Endpoints(
    mysql="mysql+pymysql://root:root-secret@127.0.0.1:3306/",
    postgresql="postgresql+psycopg2://postgres:postgres-secret@127.0.0.1:5432/postgres",
    kafka="127.0.0.1:9092",
    connect="http://127.0.0.1:8083",
)


def test_it_loads_and_holds_no_password(tmp_path: Path) -> None:
    write_private(secrets_folder(tmp_path) / replica.SOURCE_PASSWORD_FILE, "shop-secret")
    (tmp_path / "demo").mkdir()
    write_private(tmp_path / "demo" / replica.TARGET_PASSWORD_FILE, "dwh-secret")

    config = replica.write_replication(replica.Servers(ENDPOINTS), tmp_path)

    text = replica.replication_file(tmp_path).read_text()
    assert "-secret" not in text
    assert "cdc@127.0.0.1" in text
    assert (config.client, config.database, config.config) == (2, 5, 6)
    assert config.source.resolve().password == "shop-secret"
    assert config.target.resolve().password == "dwh-secret"
    assert config.source.display == "mysql://cdc@127.0.0.1:3306/shop"
    assert config.target.display == "postgresql://cdc@127.0.0.1:5432/dwh"
    assert [rule.pattern for rule in config.tables] == list(shop.TABLES)
    assert config.connect.source_password == f"${{directory:{tmp_path}/secrets:{replica.SOURCE_PASSWORD_FILE}}}"


def test_a_server_that_is_gone_is_named() -> None:
    with pytest.raises(CdcPipelineError, match="mysql does not answer"):
        replica.Servers(Endpoints())


def test_a_slow_machine_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 2.5)
    text = services._patient(services.INSTANCE_FILE.read_text())
    assert "  start_timeout_seconds: 450\n  cancel_timeout_seconds: 150\n" in text
    assert "free_slots_after_run_end_seconds: 30\n" in text
