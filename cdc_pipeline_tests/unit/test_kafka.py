"""What people may see of the owner's Kafka properties, and what librdkafka is told."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from cdc_pipeline import kafka
from cdc_pipeline.config import Kafka
from cdc_pipeline.errors import KafkaUnavailable
from cdc_pipeline.kafka import Broker, mask


def test_every_secret_property_is_masked_and_the_rest_is_shown() -> None:
    properties = {
        "security.protocol": "SASL_SSL",
        "sasl.username": "cdc",
        "sasl.password": "hunter2",
        "ssl.key.password": "hunter2",
        "ssl.key.pem": "hunter2",
        "sasl.oauthbearer.client.secret": "hunter2",
        "sasl.oauthbearer.token.endpoint.url": "hunter2",
        "sasl.jaas.config": "hunter2",
    }
    masked = mask(properties)
    assert "hunter2" not in str(masked)
    assert masked.keys() == properties.keys()
    assert masked["security.protocol"] == "SASL_SSL"
    assert masked["sasl.username"] == "cdc"


def test_the_owners_properties_reach_librdkafka_but_not_in_place_of_ours() -> None:
    broker = Broker(Kafka(bootstrap_servers="b:9092", properties={"sasl.username": "cdc", "group.id": "theirs"}))
    properties = broker.properties(**{"group.id": "ours"})
    assert properties["bootstrap.servers"] == "b:9092"
    assert properties["sasl.username"] == "cdc"
    assert properties["group.id"] == "ours"


@pytest.mark.parametrize(("megabytes", "takes"), [(96, 101_711_872), (200, 210_763_776), (1, 100_000_000)])
def test_an_answer_with_the_largest_event_is_taken(megabytes: int, takes: int) -> None:
    broker = Broker(Kafka(bootstrap_servers="b:9092", largest_event_mb=megabytes))
    assert broker._room() == {"receive.message.max.bytes": takes}


def test_the_owners_own_room_for_an_answer_is_left_alone() -> None:
    properties = {"receive.message.max.bytes": 500_000_000}
    assert Broker(Kafka(bootstrap_servers="b:9092", properties=properties))._room() == {}


@pytest.mark.parametrize("question", ["ends", "partitions", "create_topics", "delete_topics"])
def test_a_cluster_that_does_not_answer_is_named(question: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "TIMEOUT_SECONDS", 0.2)
    broker = Broker(Kafka(bootstrap_servers="127.0.0.1:1"))
    with pytest.raises(KafkaUnavailable, match=r"Kafka at 127\.0\.0\.1:1 cannot be reached"):
        getattr(broker, question)(["items"])


class NewTopic:
    """A cluster with one topic, which answers with these errors before it tells where the topic ends."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)

    def __call__(self, _: Any) -> NewTopic:
        return self

    def describe_topics(self, _: Any, **__: Any) -> dict[str, Future[Any]]:
        answer: Future[Any] = Future()
        answer.set_result(SimpleNamespace(partitions=[SimpleNamespace(id=0)]))
        return {"items": answer}

    def list_offsets(self, _: Any, **__: Any) -> dict[TopicPartition, Future[Any]]:
        answer: Future[Any] = Future()
        if self.errors:
            answer.set_exception(KafkaException(KafkaError(self.errors.pop(0))))
        else:
            answer.set_result(SimpleNamespace(offset=7))
        return {TopicPartition("items", 0): answer}


def test_a_partition_that_has_no_leader_yet_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "RETRY_SECONDS", 0.0)
    cluster = NewTopic(KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION)
    monkeypatch.setattr(kafka, "AdminClient", cluster)
    assert Broker(Kafka(bootstrap_servers="b:9092")).ends(["items"]) == {("items", 0): 7}


def test_another_error_of_a_broker_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = NewTopic(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    monkeypatch.setattr(kafka, "AdminClient", cluster)
    with pytest.raises(KafkaUnavailable):
        Broker(Kafka(bootstrap_servers="b:9092")).ends(["items"])


def test_topics_are_made_when_every_broker_knows_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "RETRY_SECONDS", 0.0)
    unknown = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    known = SimpleNamespace(partitions=[SimpleNamespace(id=0)])
    answers: list[Any] = [unknown, unknown, unknown, known]  # before they are made, and twice afterwards

    class Cluster(NewTopic):
        def create_topics(self, topics: list[Any]) -> dict[str, Future[Any]]:
            made: Future[Any] = Future()
            made.set_result(None)
            return {topic.topic: made for topic in topics}

        def describe_topics(self, _: Any, **__: Any) -> dict[str, Future[Any]]:
            answer: Future[Any] = Future()
            told = answers.pop(0)
            answer.set_exception(told) if isinstance(told, Exception) else answer.set_result(told)
            return {"items": answer}

    monkeypatch.setattr(kafka, "AdminClient", Cluster())
    Broker(Kafka(bootstrap_servers="b:9092")).create_topics(["items"])
    assert answers == []
