"""What Connect's answers come down to, and what of a configuration people may see."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cdc_pipeline.capture.connect_api import ConnectApi, _finding, _first_cause, is_running, mask
from cdc_pipeline.config import Connect
from cdc_pipeline.errors import ConnectRefused

TRACE = """\
org.apache.kafka.connect.errors.ConnectException: An exception occurred
\tat io.debezium.connector.mysql.MySqlConnectorTask.start(MySqlConnectorTask.java:1)
Caused by: io.debezium.DebeziumException: Failed to read next byte
\tat io.debezium.Some.thing(Thing.java:2)
Caused by: java.sql.SQLException: Access denied for user 'cdc'@'%'
\t... 12 more
"""


@contextmanager
def answering(*answers: tuple[int, str]) -> Iterator[ConnectApi]:
    """A worker that gives these answers, one after the other."""
    left = list(answers)

    class Worker(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = left.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Not to stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Worker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            api = ConnectApi(Connect.model_validate({"url": f"http://127.0.0.1:{server.server_port}"}))
            yield api
            api.session.close()
        finally:
            server.shutdown()


def test_a_call_that_meets_a_rebalance_is_made_again() -> None:
    """The answers of Kafka 4.3; when a worker gives them nobody can choose."""
    conflict = '{"message": "Cannot complete request because of a conflicting operation (e.g. worker rebalance)"}'
    expected = '{"message": "Request cannot be completed because a rebalance is expected"}'
    stale = '{"message": "Cannot complete request momentarily due to stale configuration (typically caused by …)"}'
    with answering((409, conflict), (500, expected), (409, stale), (200, '{"name": "shop"}')) as api:
        assert api.config("shop") == {"name": "shop"}


def test_another_error_is_told_at_once() -> None:
    answer = '{"message": "Request timed out"}'
    with answering((500, answer)) as api, pytest.raises(ConnectRefused, match="Request timed out"):
        api.config("shop")


@pytest.mark.parametrize(
    ("trace", "cause"),
    [
        (TRACE, "java.sql.SQLException: Access denied for user 'cdc'@'%'"),
        ("java.lang.Error: at once\n\tat x.y(Z.java:1)\n", "java.lang.Error: at once"),
        ("one line", "one line"),
        ("", ""),
    ],
)
def test_the_deepest_cause_of_a_trace_is_what_went_wrong(trace: str, cause: str) -> None:
    assert _first_cause(trace) == cause


def test_a_row_that_was_logged_in_part_is_explained() -> None:
    trace = "io.debezium.DebeziumException: Error processing row in users, internal schema size 4, but row size 1 , re"
    assert _first_cause(trace).startswith("an event of table users has 1 of its 4 columns, so a session has set binlog")


def test_a_worker_that_lets_connectors_set_no_producer_properties_is_explained() -> None:
    """In the words of Kafka 4.3. A registration would be answered with an error 500 and a NullPointerException."""
    refused = "The 'None' policy does not allow 'max.request.size' to be overridden in the connector configuration."
    found = _finding("producer.override.max.request.size", refused)
    assert found.startswith(f"producer.override.max.request.size: {refused} ")
    assert "connector.client.config.override.policy=All" in found
    assert "largest_event_mb: null" in found
    assert _finding("max.batch.size", "Invalid value many") == "max.batch.size: Invalid value many"


def test_a_configuration_is_shown_without_its_secrets() -> None:
    masked = mask(
        {
            "database.user": "cdc",
            "database.password": "hunter2",
            "schema.history.internal.consumer.sasl.jaas.config": "hunter2",
            "ssl.client.secret": "hunter2",
            "oauth.token": "hunter2",
        }
    )
    assert "hunter2" not in str(masked)
    assert masked["database.user"] == "cdc"


def test_a_reference_to_a_secret_is_none_itself() -> None:
    reference = "${file:/run/secrets/shop.properties:password}"
    assert mask({"database.password": reference}) == {"database.password": reference}


@pytest.mark.parametrize(
    ("connector", "tasks", "running"),
    [
        ("RUNNING", ["RUNNING"], True),
        ("RUNNING", [], False),
        ("RUNNING", ["FAILED"], False),  # Connect says RUNNING of a connector whose task is dead
        ("RUNNING", ["RUNNING", "UNASSIGNED"], False),
        ("PAUSED", ["RUNNING"], False),
    ],
)
def test_a_connector_runs_if_all_of_its_tasks_do(connector: str, tasks: list[str], running: bool) -> None:
    status = {"connector": connector, "tasks": [{"id": n, "state": state} for n, state in enumerate(tasks)]}
    assert is_running(status) is running
