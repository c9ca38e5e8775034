"""One Kafka Connect worker (distributed mode) with the Debezium plugins."""

from __future__ import annotations

import os

import requests

from cdc_pipeline.local import downloads, processes
from cdc_pipeline.local.kafka import LARGEST_MESSAGE, java_command, write_properties
from cdc_pipeline.local.ports import LOOPBACK
from cdc_pipeline.local.server import Server
from cdc_pipeline.local.site import Site, secrets_folder

HEAP = os.environ.get("CDC_PIPELINE_CONNECT_HEAP", "1g")

_PROVIDERS = "org.apache.kafka.common.config.provider"


class Connect(Server):
    """The worker; connectors name passwords as `${directory:<home>/secrets:mysql.password}`.

    All that it knows is in Kafka, so another version goes on where this one ends. The option `debezium` chooses other
    plugins than those of pom.xml, every other one is a property of the worker: `connect-3.9+debezium=2.7`.
    """

    kind = "connect"
    needs: tuple[str, ...] = ("kafka",)
    keeps_data = False

    @property
    def ports(self) -> tuple[str, ...]:
        return ("connect",)

    def prepare(self, site: Site) -> None:
        site.make_files()
        write_properties(site, self._properties(site))
        downloads.kafka_jars(site.report, self.version(site))

    def start(self, site: Site) -> None:
        main = "org.apache.kafka.connect.cli.ConnectDistributed"
        options = [str(site.files / "server.properties")]
        processes.spawn(site, java_command(site, self.version(site), main, HEAP, options))
        processes.wait_until_ready(site, lambda: self.answers(site))

    def answers(self, site: Site) -> bool:
        """Whether the worker has joined its group and read its topics: before, it refuses connectors."""
        try:
            return requests.get(f"{self.url(site)}/health", timeout=3).status_code == requests.codes.ok
        except requests.RequestException:
            return False

    def url(self, site: Site) -> str:
        return f"http://{LOOPBACK}:{site.ports['connect']}"

    def _properties(self, site: Site) -> dict[str, object]:
        secrets = secrets_folder(site.home)
        asked = self.asked.settings
        plugins = downloads.debezium_plugins(site.report, asked.pop("debezium", None))
        return {
            "bootstrap.servers": f"{LOOPBACK}:{site.ports['kafka']}",
            "listeners": self.url(site),
            "rest.advertised.host.name": LOOPBACK,
            "rest.advertised.port": site.ports["connect"],
            "group.id": "cdc-pipeline-connect",
            "config.storage.topic": "connect-configs",
            "config.storage.replication.factor": 1,
            "offset.storage.topic": "connect-offsets",
            "offset.storage.replication.factor": 1,
            "offset.storage.partitions": 5,
            "status.storage.topic": "connect-status",
            "status.storage.replication.factor": 1,
            "status.storage.partitions": 2,
            "offset.flush.interval.ms": 500,
            # The tasks of a worker that was killed start at once when it is back, not five minutes later.
            "scheduled.rebalance.max.delay.ms": 0,
            "plugin.path": plugins,
            "plugin.discovery": "service_load",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter",
            "key.converter.schemas.enable": "false",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
            "value.converter.schemas.enable": "false",
            "connector.client.config.override.policy": "All",
            "producer.max.request.size": LARGEST_MESSAGE,
            "consumer.max.partition.fetch.bytes": LARGEST_MESSAGE,
            "consumer.fetch.max.bytes": 2 * LARGEST_MESSAGE,
            "config.providers": "file,env,directory",
            "config.providers.file.class": f"{_PROVIDERS}.FileConfigProvider",
            "config.providers.file.param.allowed.paths": secrets,
            "config.providers.env.class": f"{_PROVIDERS}.EnvVarConfigProvider",
            "config.providers.directory.class": f"{_PROVIDERS}.DirectoryConfigProvider",
            "config.providers.directory.param.allowed.paths": secrets,
            **asked,
        }
