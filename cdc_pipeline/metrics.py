"""What `cdc-pipeline status` tells, for Prometheus: asked anew with each scrape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from cdc_pipeline.parts import Parts
from cdc_pipeline.status import get_unified_status

ROWS = ("inserted", "updated", "deleted")


class StatusCollector(Collector):
    """Of these replications. What cannot be reached has no samples but `cdc_pipeline_errors`."""

    def __init__(self, replications: Sequence[Parts]) -> None:
        self.replications = replications

    def collect(self) -> Iterator[Metric]:
        statuses = {parts.config.name: get_unified_status(parts) for parts in self.replications}
        yield from of_statuses(statuses)

    def describe(self) -> Iterator[Metric]:
        """Without a question to anybody."""
        yield from of_statuses({})


def of_statuses(statuses: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    connector = GaugeMetricFamily("cdc_pipeline_connector_up", "1 if it and its task run.", labels=["replication"])
    consumer = GaugeMetricFamily("cdc_pipeline_consumer_up", "1 if a consumer applies.", labels=["replication"])
    lag = GaugeMetricFamily("cdc_pipeline_lag_seconds", "How far the target is behind.", labels=["replication"])
    heartbeat = GaugeMetricFamily("cdc_pipeline_heartbeat_age_seconds", "Of the last one.", labels=["replication"])
    errors = GaugeMetricFamily("cdc_pipeline_errors", "What status names as wrong.", labels=["replication"])
    rate = GaugeMetricFamily("cdc_pipeline_events_per_second", "Applied lately.", labels=["replication"])
    labels = ["replication", "table"]
    waiting = GaugeMetricFamily("cdc_pipeline_table_lag_events", "Events in Kafka yet to apply.", labels=labels)
    aside = GaugeMetricFamily("cdc_pipeline_table_set_aside", "Events in quarantine.", labels=labels)
    rows = CounterMetricFamily("cdc_pipeline_table_events", "Events applied.", labels=[*labels, "operation"])
    for name, status in statuses.items():
        tasks = [task["state"] for task in status["connector"]["tasks"]]
        connector.add_metric([name], {status["connector"]["state"], *tasks} == {"RUNNING"} and bool(tasks))
        consumer.add_metric([name], status["consumer"]["state"] == "RUNNING")
        lag.add_metric([name], status["lag_seconds"])
        errors.add_metric([name], len(status["errors"]))
        if status["heartbeat_age_seconds"] is not None:
            heartbeat.add_metric([name], status["heartbeat_age_seconds"])
        if status["consumer"].get("events_per_second") is not None:
            rate.add_metric([name], status["consumer"]["events_per_second"])
        for table in status["tables"]:
            waiting.add_metric([name, table["source"]], table["lag_events"])
            aside.add_metric([name, table["source"]], table["set_aside"])
            for operation in ROWS:
                rows.add_metric([name, table["source"], operation], table[operation])
    yield from (connector, consumer, lag, heartbeat, errors, rate, waiting, aside, rows)
