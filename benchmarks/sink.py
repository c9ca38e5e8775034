"""Debezium's JDBC sink connector, which applies changes too: a peer for our consumer.

It needs each value's schema in the event. So a second source connector of the same Debezium reports the same tables'
changes as JSON with schemas, in topics of its own. The sink runs alone in a Connect worker of its own, whose memory is
then what the sink needs; the plugin is fetched for the benchmark into `.local/peers`.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import bench
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from sqlalchemy import Engine

from cdc_pipeline.capture.connect_api import ConnectApi
from cdc_pipeline.config.endpoints import Connect as ConnectEndpoint
from cdc_pipeline.local import ports, processes, site
from cdc_pipeline.local.connect import Connect
from cdc_pipeline.local.stack import silent

# The newest that is published together with its plugin; the source connectors are of 3.6.1.
ARTIFACT = "io.debezium:debezium-connector-jdbc:3.6.0.Final:tar.gz:plugin"
UNPACK = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack"
NAME = "bench_sink"
LARGEST = str(20 << 20)  # bytes of an event, as the embedded broker takes them
STORED = ("config", "offset", "status")  # what a Connect worker keeps in topics
BATCH = "20000"  # events: as many as our consumer takes at a time by default
JSON = {
    f"{side}.converter{rest}": value
    for side in ("key", "value")
    for rest, value in (("", "org.apache.kafka.connect.json.JsonConverter"), (".schemas.enable", "true"))
}


def plugin() -> Path:
    folder = bench.PROJECT / ".local" / "peers" / "jdbc-sink"
    if not folder.exists():
        maven = shutil.which("mvn") or "mvn"
        draft = folder.with_suffix(".new")
        command = [maven, "-B", "-q", UNPACK, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={draft}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=bench.PROJECT / ".local")
        draft.rename(folder)
    return folder


class Worker(Connect):
    """A second Connect worker at the same broker, which has the sink's plugin too."""

    def _properties(self, site: site.Site) -> dict[str, object]:
        own = {f"{kind}.storage.topic": f"bench-connect-{kind}" for kind in STORED}
        return {**super()._properties(site), **own, "group.id": "cdc-pipeline-bench", "plugin.path": plugin()}


@contextmanager
def worker(endpoints: bench.Endpoints) -> Iterator[tuple[ConnectApi, site.Site]]:
    home = bench.PROJECT / ".local" / "bench"
    broker = int((endpoints.kafka or "").rpartition(":")[2])
    place, server = site.Site(home, Connect.kind, {"kafka": broker, Connect.kind: ports.find_free()}, silent), Worker()
    server.prepare(place)
    try:
        server.start(place)
        yield ConnectApi(ConnectEndpoint(url=server.url(place), source_password=None)), place
    finally:
        server.stop(place)


@dataclass
class Sink:
    """The sink's connector, and how far it is."""

    sink: ConnectApi
    place: site.Site
    kafka: str
    topics: Sequence[str]

    def apply(self) -> float:
        """Seconds from where its task runs until it has committed the end of every topic; it does that twice a
        second. It is stopped again then."""
        self.sink.resume(NAME)
        self.sink.wait_running(NAME)
        began = time.monotonic()
        settings = {"bootstrap.servers": self.kafka, "group.id": f"connect-{NAME}"}
        consumer = Consumer(settings)
        try:
            ends = {topic: consumer.get_watermark_offsets(TopicPartition(topic, 0))[1] for topic in self.topics}
            while not self._has_committed(consumer, ends):
                self.sink.wait_running(NAME)  # raises if it has failed
                time.sleep(0.1)
        finally:
            consumer.close()
        seconds = time.monotonic() - began
        self.sink.stop(NAME)
        self.sink.wait_stopped(NAME)
        return seconds

    def _has_committed(self, consumer: Consumer, ends: dict[str, int]) -> bool:
        committed = consumer.committed([TopicPartition(topic, 0) for topic in ends], timeout=10)
        return all(place.offset >= ends[place.topic] or ends[place.topic] == 0 for place in committed)

    def memory(self) -> float:
        """The most MiB that its worker has had."""
        process = processes.running(self.place)
        assert process is not None
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024


@contextmanager
def jdbc_sink(endpoints: bench.Endpoints, source: Engine, target: Engine, tables: Sequence[str]) -> Iterator[Sink]:
    """Both connectors, the sink's stopped; removed at the end with their topics."""
    topics = [f"{NAME}.{source.url.database}.{table}" for table in tables]
    made = [*topics, *others_of(NAME), *(f"bench-connect-{kind}" for kind in STORED)]
    kafka, api = str(endpoints.kafka), ConnectApi(ConnectEndpoint(url=str(endpoints.connect), source_password=None))
    remove_connector(api, NAME)  # what a run has left that was killed
    remove_topics(kafka, made)
    admin = AdminClient({"bootstrap.servers": kafka})
    for future in admin.create_topics([NewTopic(topic, 1) for topic in topics]).values():
        future.result()
    with ExitStack() as stack:
        stack.callback(remove_topics, kafka, made)
        sink, place = stack.enter_context(worker(endpoints))
        for one in (api, sink):
            stack.callback(remove_connector, one, NAME)
        api.put_config(NAME, source_config(kafka, source, tables))
        api.wait_running(NAME)
        sink.create_stopped(NAME, sink_config(target, topics))
        yield Sink(sink, place, kafka, topics)


def remove_connector(api: ConnectApi, name: str) -> None:
    """With its offsets: another one of that name would go on from there."""
    if api.exists(name):
        api.stop(name)
        api.wait_stopped(name)
        api.delete_offsets(name)
        api.delete(name)


def others_of(prefix: str) -> list[str]:
    """The topics that a source connector of this prefix makes beside those of its tables."""
    return [prefix, f"{prefix}.history", f"__debezium-heartbeat.{prefix}"]


def remove_topics(kafka: str, topics: Sequence[str]) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})  # without a name it would be gone before its futures are done
    for future in admin.delete_topics(list(topics)).values():
        future.exception()  # one that is not there is as good as removed


def source_config(kafka: str, source: Engine, tables: Sequence[str], **more: str) -> dict[str, str]:
    """Debezium's defaults, but for what our connector has too: its pace, its largest event."""
    url = source.url
    return {
        "name": NAME,
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "tasks.max": "1",
        "topic.prefix": NAME,
        "database.hostname": str(url.host),
        "database.port": str(url.port),
        "database.user": str(url.username),
        "database.password": str(url.password),
        "database.server.id": "5999901",
        "database.include.list": str(url.database),
        "table.include.list": ",".join(f"{url.database}.{table}" for table in tables),
        "snapshot.mode": "no_data",
        "schema.history.internal.kafka.topic": f"{NAME}.history",
        "schema.history.internal.kafka.bootstrap.servers": kafka,
        "time.precision.mode": "adaptive_time_microseconds",
        "tombstones.on.delete": "false",
        "heartbeat.interval.ms": "1000",
        "poll.interval.ms": "10",
        "producer.override.max.request.size": LARGEST,
        "producer.override.buffer.memory": str(96 << 20),
        **JSON,
        **more,
    }


def sink_config(target: Engine, topics: Sequence[str]) -> dict[str, str]:
    """Exact, as ours is (an upsert by key, deletes too), and with what makes it fast: batches as large as ours, one
    change for each row of a batch, and the drivers' own way to send many rows at once. (Not `dialect.postgres.unnest…`,
    which sends a batch as arrays: 3.6.0 fails with it at the first time of microseconds.)"""
    url, kind = target.url, target.url.get_backend_name()
    together = "reWriteBatchedInserts=true" if kind == "postgresql" else "rewriteBatchedStatements=true"
    return {
        "name": NAME,
        "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector",
        "tasks.max": "1",
        "topics": ",".join(topics),
        "connection.url": f"jdbc:{kind}://{url.host}:{url.port}/{url.database}?{together}",
        "connection.username": str(url.username),
        "connection.password": str(url.password),
        "insert.mode": "upsert",
        "delete.enabled": "true",
        "primary.key.mode": "record_key",
        "schema.evolution": "none",
        "collection.name.format": "sink_${source.table}",
        "batch.size": BATCH,
        "use.reduction.buffer": "true",
        "consumer.override.max.poll.records": BATCH,
        **JSON,
    }
