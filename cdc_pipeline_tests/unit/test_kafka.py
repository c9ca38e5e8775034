"""What people may see of the owner's Kafka properties, and what librdkafka is told."""

from __future__ import annotations

import pytest

from cdc_pipeline.config import Kafka
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
