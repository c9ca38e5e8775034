"""The Kafka broker: topics, their ends, consumer groups. The one place besides the consumer that talks to it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupState, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from cdc_pipeline.config import Kafka
from cdc_pipeline.errors import KafkaUnavailable, TopicTooNarrow

TIMEOUT_SECONDS = 10.0
LARGEST_MESSAGE = "max.message.bytes"  # of a topic
ANSWER = "receive.message.max.bytes"  # librdkafka's
LIBRDKAFKA_TAKES = 100_000_000  # bytes of one, unless told otherwise
RETRY_SECONDS = 0.1
# What a broker says of a partition that has just been made, or whose broker has just gone, until it has its leader.
_LEADERLESS = (KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART)
ROOM_BESIDE_THE_LARGEST = 1024 * 1024  # for what an answer has around its events


class Broker:
    """Short answers about one cluster. Raises KafkaUnavailable where it does not answer."""

    def __init__(self, config: Kafka) -> None:
        self.config = config

    def properties(self, **more: Any) -> dict[str, Any]:
        """librdkafka's configuration: the owner's properties, ours, and these."""
        return {
            **self.config.properties,
            "bootstrap.servers": self.config.bootstrap_servers,
            "logger": _silent,
            "socket.timeout.ms": int(TIMEOUT_SECONDS * 1000),
            **more,
        }

    @cached_property
    def _client(self) -> AdminClient:
        """One for all questions: a new one takes 50 ms until it is connected, a question one."""
        return AdminClient(self.properties())

    @contextmanager
    def _admin(self) -> Iterator[AdminClient]:
        try:
            yield self._client
        except KafkaException as error:
            reason = error.args[0].str() if error.args else str(error)
            raise KafkaUnavailable(servers=self.config.bootstrap_servers, reason=reason) from error
        except TimeoutError as error:
            reason = f"no answer within {TIMEOUT_SECONDS:g} s."
            raise KafkaUnavailable(servers=self.config.bootstrap_servers, reason=reason) from error

    def ping(self) -> None:
        with self._admin() as admin:
            admin.list_topics(timeout=TIMEOUT_SECONDS)

    def partitions(self, topics: Iterable[str]) -> dict[str, list[int]]:
        """The partitions of those of these topics that exist."""
        with self._admin() as admin:
            return _partitions(admin, topics)

    def create_topics(self, topics: Iterable[str]) -> None:
        """One partition each (a TRUNCATE event has no key and would overtake in a second one), for events as large as
        the owner says. Those there stay, but for a lower limit. Raises TopicTooNarrow."""
        there = self.partitions(topics)
        missing, largest = sorted(set(topics) - there.keys()), self.config.largest_event
        limit = {} if largest is None else {LARGEST_MESSAGE: str(largest)}
        with self._admin() as admin:
            if missing:
                futures = admin.create_topics([NewTopic(topic, num_partitions=1, config=limit) for topic in missing])
                for future in futures.values():
                    future.result(TIMEOUT_SECONDS)
                _wait_until_known(admin, missing)
            if there and largest is not None:
                _widen(admin, sorted(there), largest)

    def keep_records(self, topic: str) -> None:
        """As long as the cluster keeps those of others: what a topic was told of its own about that holds no more."""
        entry = ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE)
        with self._admin() as admin:
            futures = admin.incremental_alter_configs(
                [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]
            )
            for future in futures.values():
                future.result(TIMEOUT_SECONDS)

    def delete_topics(self, topics: Iterable[str]) -> None:
        existing = sorted(self.partitions(topics))
        with self._admin() as admin:
            if existing:
                for future in admin.delete_topics(existing).values():
                    future.result(TIMEOUT_SECONDS)

    def ends(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """The offset that the next event of each partition will have."""
        return self._offsets(topics, OffsetSpec.latest())

    def beginnings(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """The first offset that Kafka still has of each partition."""
        return self._offsets(topics, OffsetSpec.earliest())

    def _offsets(self, topics: Iterable[str], which: OffsetSpec | None) -> dict[tuple[str, int], int]:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        with self._admin() as admin:
            partitions = [TopicPartition(t, p) for t, numbers in _partitions(admin, topics).items() for p in numbers]
            wanted: dict[TopicPartition, Any] = dict.fromkeys(partitions, which)
            while wanted:
                futures = admin.list_offsets(wanted, request_timeout=TIMEOUT_SECONDS)
                try:
                    results = {p: future.result(TIMEOUT_SECONDS) for p, future in futures.items()}
                except KafkaException as error:
                    if error.args[0].code() not in _LEADERLESS or time.monotonic() > deadline:
                        raise
                    time.sleep(RETRY_SECONDS)
                else:
                    return {(p.topic, p.partition): result.offset for p, result in results.items()}
        return {}

    def delete_idle_groups(self, prefix: str, keep: str) -> list[str]:
        """Delete the groups with this prefix that have no member, but `keep`."""
        with self._admin() as admin:
            listing = admin.list_consumer_groups(request_timeout=TIMEOUT_SECONDS).result(TIMEOUT_SECONDS)
            idle = [
                group.group_id
                for group in listing.valid
                if group.group_id.startswith(prefix)
                and group.group_id != keep
                and group.state == ConsumerGroupState.EMPTY
            ]
            if idle:
                for future in admin.delete_consumer_groups(idle).values():
                    future.result(TIMEOUT_SECONDS)
        return sorted(idle)

    def consumer(self, group: str, **more: Any) -> Consumer:
        return Consumer(self.properties(**{"group.id": group, **self._room(), **more}))

    def _room(self) -> dict[str, int]:
        """The broker sends the first event of an answer whatever its size; librdkafka must take that answer."""
        if ANSWER in self.config.properties:
            return {}
        largest = self.config.largest_event or 0
        return {ANSWER: max(LIBRDKAFKA_TAKES, largest + ROOM_BESIDE_THE_LARGEST)}


def _partitions(admin: AdminClient, topics: Iterable[str]) -> dict[str, list[int]]:
    """Asks for these topics alone: a cluster may have thousands of others."""
    wanted = list(dict.fromkeys(topics))
    if not wanted:
        return {}
    found: dict[str, list[int]] = {}
    for topic, described in admin.describe_topics(TopicCollection(wanted), request_timeout=TIMEOUT_SECONDS).items():
        try:
            found[topic] = sorted(partition.id for partition in described.result(TIMEOUT_SECONDS).partitions)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return found


def _wait_until_known(admin: AdminClient, topics: Sequence[str]) -> None:
    """The controller has made them; a broker that is asked hears of it a moment later. Raises TimeoutError."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(_partitions(admin, topics)) < len(topics):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(RETRY_SECONDS)


def _widen(admin: AdminClient, topics: Iterable[str], largest: int) -> None:
    """Topics that an earlier version made, or somebody else: an event that Kafka refuses would end the connector."""
    described = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics])
    for resource, future in described.items():
        try:
            limit = int(future.result(TIMEOUT_SECONDS)[LARGEST_MESSAGE].value)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                continue  # who may not look leaves it to whoever may
            raise
        if limit < largest:
            _set_limit(admin, resource.name, limit, largest)


def _set_limit(admin: AdminClient, topic: str, limit: int, wanted: int) -> None:
    entry = ConfigEntry(LARGEST_MESSAGE, str(wanted), incremental_operation=AlterConfigOpType.SET)
    change = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    try:
        for altered in admin.incremental_alter_configs([change]).values():
            altered.result(TIMEOUT_SECONDS)
    except KafkaException as error:
        reason = error.args[0].str()
        raise TopicTooNarrow(topic=topic, limit=limit, wanted=wanted, reason=reason) from error


class _Silent:
    """librdkafka logs to stderr each time a broker is away; what matters of it comes as an exception."""

    def log(self, *_: Any, **__: Any) -> None:
        return None


_silent = _Silent()


def mask(properties: Mapping[str, Any]) -> dict[str, Any]:
    """librdkafka properties without their secrets, for people."""
    secret = ("password", "secret", "token", "key.pem", "jaas")
    return {key: "****" if any(word in key for word in secret) else value for key, value in properties.items()}
