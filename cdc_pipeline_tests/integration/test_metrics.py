"""What Prometheus gets to see, from a process of its own."""

from __future__ import annotations

from collections.abc import Callable

import requests

from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.streaming import cdc_pipeline

MakeScenario = Callable[..., Scenario]


def scraped(made: Scenario) -> dict[str, float]:
    with cdc_pipeline(made, "metrics", "--port", "0") as server:
        assert server.stdout is not None
        url = server.stdout.readline().split(": ")[0]
        text = requests.get(url, timeout=60).text
        server.terminate()
        assert server.wait(timeout=30) == 0
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_a_scrape_tells_what_status_tells(scenario: MakeScenario) -> None:
    made = scenario()
    made.run("source", "CREATE TABLE users (id INT PRIMARY KEY)", "INSERT INTO users VALUES (1)")
    name, table = made.name, f"{made.schema}.users"
    replication: Replication = made.replication("users")
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    before = scraped(made)
    assert before[f'cdc_pipeline_connector_up{{replication="{name}"}}'] == 0
    replication.register()
    made.run("source", "INSERT INTO users VALUES (2), (3)", "DELETE FROM users WHERE id = 2")
    replication.consume(until_caught_up=True)
    after = scraped(made)
    assert after[f'cdc_pipeline_connector_up{{replication="{name}"}}'] == 1
    assert after[f'cdc_pipeline_consumer_up{{replication="{name}"}}'] == 0
    events = 'cdc_pipeline_table_events_total{{operation="{}",replication="{}",table="{}"}}'
    found = [after[events.format(operation, name, table)] for operation in ("inserted", "updated", "deleted")]
    assert found == [2, 0, 1]
    assert after[f'cdc_pipeline_table_lag_events{{replication="{name}",table="{table}"}}'] == 0
    assert after[f'cdc_pipeline_errors{{replication="{name}"}}'] == 0
