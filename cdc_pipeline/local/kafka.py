"""One Kafka node that is broker and controller at once (KRaft)."""

from __future__ import annotations

import base64
import os
import secrets

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from cdc_pipeline.local import downloads, ports, processes
from cdc_pipeline.local.ports import LOOPBACK
from cdc_pipeline.local.server import Server
from cdc_pipeline.local.site import Site

HEAP = os.environ.get("CDC_PIPELINE_KAFKA_HEAP", "512m")

# One change event may hold a whole row before and after: far above Kafka's 1 MB. Connect is set to match.
LARGEST_MESSAGE = 20 * 1024 * 1024

_LOGGING = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="warn" shutdownHook="disable">
  <Appenders>
    <Console name="log" target="SYSTEM_OUT"><PatternLayout pattern="%d{ISO8601} %-5p %c{1.}: %m%n"/></Console>
  </Appenders>
  <Loggers>
    <Root level="info"><AppenderRef ref="log"/></Root>
    <!-- Each client prints its whole configuration, hundreds of lines at every start of a task. -->
    <Logger name="org.apache.kafka.common.config.AbstractConfig" level="warn"/>
    <Logger name="org.apache.kafka.clients" level="warn"/>
    <Logger name="org.apache.kafka.common.utils.AppInfoParser" level="warn"/>
    <!-- A line for each request, and readiness asks often. -->
    <Logger name="org.apache.kafka.connect.runtime.rest.RestServer" level="warn"/>
  </Loggers>
</Configuration>
"""


class Kafka(Server):
    """The broker; topics appear when somebody writes to them, with one partition.

    A home has one at a time, so all versions of it have the same ports, and nobody who uses it has to be told.
    """

    kind = "kafka"

    @property
    def ports(self) -> tuple[str, ...]:
        return ("kafka", "kafka-controller")

    def prepare(self, site: Site) -> None:
        """Write the configuration, and format the log directory once."""
        files = site.make_files()
        write_properties(site, self._properties(site))
        if (files / "data" / "meta.properties").exists():
            return
        site.report(f"{self.name}: formatting its log directory")
        # A cluster id is 16 bytes in base64; a first byte of 1 keeps it from beginning with a dash.
        cluster = base64.urlsafe_b64encode(b"\1" + secrets.token_bytes(15)).decode().rstrip("=")
        options = ["format", "--ignore-formatted", "-t", cluster, "-c", str(files / "server.properties")]
        processes.run(site, java_command(site, self.version(site), "kafka.tools.StorageTool", "128m", options))

    def start(self, site: Site) -> None:
        options = [str(site.files / "server.properties")]
        processes.spawn(site, java_command(site, self.version(site), "kafka.Kafka", HEAP, options))
        processes.wait_until_ready(site, lambda: self.answers(site))

    def answers(self, site: Site) -> bool:
        """Whether the broker tells its topics."""
        if not ports.answers(site.ports["kafka"]):  # spares the client's own patient retries
            return False
        client = AdminClient({"bootstrap.servers": self.url(site), "log_level": 0, "socket.timeout.ms": 3000})
        try:
            return bool(client.list_topics(timeout=3).brokers)
        except KafkaException:
            return False

    def url(self, site: Site) -> str:
        return f"{LOOPBACK}:{site.ports['kafka']}"

    def _properties(self, site: Site) -> dict[str, object]:
        controller = f"{LOOPBACK}:{site.ports['kafka-controller']}"
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.url(site)},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.url(site)}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": site.files / "data",
            "auto.create.topics.enable": "true",
            "num.partitions": 1,
            "default.replication.factor": 1,
            "min.insync.replicas": 1,
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0,
            "log.retention.hours": 14 * 24,
            "message.max.bytes": LARGEST_MESSAGE,
            "replica.fetch.max.bytes": LARGEST_MESSAGE,
            **self.asked.settings,
        }


def write_properties(site: Site, properties: dict[str, object]) -> None:
    """Write `server.properties` and the logging configuration beside it."""
    lines = "".join(f"{name}={value}\n" for name, value in properties.items())
    (site.files / "server.properties").write_text(lines)
    (site.files / "log4j2.xml").write_text(_LOGGING)


def java_command(site: Site, version: str, main: str, heap: str, options: list[str]) -> list[str]:
    """Run a class of Kafka's; all of Kafka and Connect is on one class path."""
    jars = downloads.kafka_jars(site.report, version)  # first: Debian's Maven brings a Java
    return [
        str(downloads.java(site.report)),
        f"-Xmx{heap}",
        "-XX:+ExitOnOutOfMemoryError",
        f"-Dlog4j2.configurationFile={site.files / 'log4j2.xml'}",
        "-cp",
        f"{jars}/*",
        main,
        *options,
    ]
