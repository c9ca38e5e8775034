"""A replication that somebody else's Dagster project declares."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from pydantic import ValidationError

import cdc_pipeline
from cdc_pipeline.defs.component import ReplicationComponent

DEFS = """
type: cdc_pipeline.ReplicationComponent
attributes:
  name: shop
  client: 1
  database: 1
  config: 1
  source: {url: "mysql://u@127.0.0.1:1/shop", password: "${SHOP_PASSWORD}"}
  target: {url: "postgresql://u@127.0.0.1:1/dwh"}
  kafka: {bootstrap_servers: "127.0.0.1:1"}
  connect: {url: "http://127.0.0.1:1"}
  schedules: {count: off}
  tables:
    - users
    - orders: {target: sales.orders}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Dagster project of somebody else, as `create-dagster project` lays it out."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "theirs"\n'
    )
    folder = tmp_path / "theirs" / "defs" / "shop"
    folder.mkdir(parents=True)
    for package in (folder.parents[1], folder.parent):
        (package / "__init__.py").write_text("")
    (folder / "defs.yaml").write_text(DEFS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SHOP_PASSWORD", "very-secret")
    yield tmp_path
    for module in [name for name in sys.modules if name.partition(".")[0] == "theirs"]:
        del sys.modules[module]


@pytest.mark.filterwarnings("ignore:Parameter `execution_type`")  # of Dagster's own merging
def test_a_defs_yaml_declares_a_replication(project: Path) -> None:
    definitions = dg.load_from_defs_folder(path_within_project=project)
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert {"shop/initial_copy", "shop/stream", "target/dwh/shop_users", "target/dwh/sales/orders"} <= keys
    assert {schedule.name for schedule in definitions.schedules or ()} == {"shop_verify_by_the_clock"}
    assert cdc_pipeline.ReplicationComponent is ReplicationComponent


def test_what_is_wrong_is_named_and_no_secret_is(project: Path) -> None:
    file = project / "theirs" / "defs" / "shop" / "defs.yaml"
    file.write_text(DEFS.replace("client: 1", "client: one"))
    with pytest.raises(Exception, match="shop") as refused:
        dg.load_from_defs_folder(path_within_project=project)
    told = "".join(traceback.format_exception(refused.value))
    assert "valid integer" in told
    assert "defs.yaml" in told
    assert "very-secret" not in told
    with pytest.raises(ValidationError) as wrong:
        ReplicationComponent.from_attributes_dict(
            attributes={"name": "shop", "source": {"url": 5, "password": "hidden"}}
        )
    assert "hidden" not in str(wrong.value)


def test_the_schema_takes_what_a_file_may_say() -> None:
    schema = ReplicationComponent.get_model_cls().model_json_schema()
    assert {one["type"] for one in schema["properties"]["tables"]["items"]["anyOf"]} == {"string", "object"}
    verify = schema["$defs"]["Schedules"]["properties"]["verify"]
    assert {one["type"] for one in verify["anyOf"]} == {"string", "boolean", "null"}
    assert set(schema["required"]) >= {"name", "source", "target", "kafka", "connect", "tables"}


def dg_check(project: Path) -> subprocess.CompletedProcess[str]:
    """As its owner checks a project, by Dagster's own command, which shall tell nobody of it."""
    (project / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix, "NO_COLOR": "1", "DAGSTER_HOME": str(project)}
    command = [str(Path(sys.executable).with_name("dg")), "check", "yaml"]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_dg_knows_the_component_and_checks_its_attributes(project: Path) -> None:
    done = dg_check(project)
    assert done.returncode == 0, done.stdout + done.stderr

    file = project / "theirs" / "defs" / "shop" / "defs.yaml"
    file.write_text(DEFS.replace("client: 1", "client: one\n  colour: red"))
    done = dg_check(project)
    assert done.returncode != 0
    assert "'one' is not of type 'integer'" in done.stdout
    assert "'colour' was unexpected" in done.stdout
