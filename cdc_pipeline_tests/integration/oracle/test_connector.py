"""The connector's JSON for Oracle, judged by Debezium's own Oracle plugin: all that it finds wrong is that no database
answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from cdc_pipeline.capture.connect_api import ConnectApi
from cdc_pipeline.capture.connector import get_connector_config_for_database
from cdc_pipeline.choices import Choices
from cdc_pipeline.config import Connect, ReplicationConfig, load_replication
from cdc_pipeline.local.stack import Endpoints
from cdc_pipeline.model import Replicated, TableId

TABLES = [TableId("SHOP", "ITEMS"), TableId("SHOP", "ORDER$LINES")]
CHOSEN = [Choices(exclude=("CARD", "ODD, NAME")), Choices(include=("ID",))]
REPLICATED = [Replicated(t, t, str(t), choices) for t, choices in zip(TABLES, CHOSEN, strict=True)]
# Nothing answers at port 1.
URLS = ["oracle://cdc:secret@127.0.0.1:1/ORCL", "oracle://c%23%23cdc:secret@127.0.0.1:1/ORCLPDB1?cdb=ORCLCDB"]
# Of Kafka Connect and of parts that the plugin loads by name: it does not list them as its own.
NOT_LISTED = {"name", "connector.class", "tasks.max", "key.converter", "value.converter",
              "key.converter.schemas.enable", "value.converter.schemas.enable",
              "schema.history.internal.kafka.topic", "schema.history.internal.kafka.bootstrap.servers"}  # fmt: skip


def configuration(stack: Endpoints, folder: Path, url: str = URLS[0], mode: str = "no_data") -> dict[str, str]:
    path = folder / "shop.yaml"
    path.write_text(
        f'{{client: 2, database: 5, config: 6, source: {{url: "{url}"}}, target: {{url: "{stack.postgresql}"}}, '
        f'kafka: {{bootstrap_servers: "{stack.kafka}"}}, connect: {{url: "{stack.connect}"}}, tables: ["*"]}}'
    )
    config: ReplicationConfig = load_replication(path)
    return {"name": config.connector_name, **get_connector_config_for_database(config, REPLICATED, mode)}


def problems(stack: Endpoints, config: dict[str, str]) -> list[str]:
    return ConnectApi(Connect.model_validate({"url": stack.connect})).validate(config)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("mode", ["no_data", "recovery", "never", "schema_only"])
def test_the_plugin_finds_nothing_wrong_but_the_connection(
    stack: Endpoints, tmp_path: Path, url: str, mode: str
) -> None:
    (problem,) = problems(stack, configuration(stack, tmp_path, url, mode))
    assert problem.startswith("database.hostname: Unable to connect")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("snapshot.mode", "initial_only_once"),
        ("decimal.handling.mode", "exact"),
        ("lob.enabled", "perhaps"),
        ("topic.prefix", "not a topic"),
        ("heartbeat.interval.ms", "soon"),
    ],
)
def test_it_does_find_what_is_wrong(stack: Endpoints, tmp_path: Path, key: str, value: str) -> None:
    found = problems(stack, {**configuration(stack, tmp_path), key: value})
    assert any(problem.startswith(f"{key}:") for problem in found), found


@pytest.mark.parametrize("url", URLS)
def test_every_property_is_one_of_the_plugin(stack: Endpoints, tmp_path: Path, url: str) -> None:
    """Connect passes over names that nobody knows, so a misspelt one would show nowhere else."""
    config = configuration(stack, tmp_path, url)
    with requests.Session() as session:
        session.trust_env = False
        path = f"{stack.connect}/connector-plugins/OracleConnector/config/validate"
        answer = session.put(path, json=config, timeout=60).json()
    known = {item["definition"]["name"] for item in answer["configs"]}
    assert config.keys() - known - NOT_LISTED == set()
