"""What people may see of the owner's Kafka properties, and what librdkafka is told."""

from __future__ import annotations

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
