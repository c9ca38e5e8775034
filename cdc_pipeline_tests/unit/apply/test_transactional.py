"""Whole transactions, while what is claimed changes: whatever is fetched again is taken in from its beginning."""

from __future__ import annotations

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from cdc_pipeline.apply.applier import Applier
from cdc_pipeline.apply.assignment import Assignment
from cdc_pipeline.apply.collector import Runs
from cdc_pipeline.apply.transactional import TransactionalApplier
from cdc_pipeline.databases.source import Source
from cdc_pipeline.kafka import Broker
from cdc_pipeline.model import TableId
from cdc_pipeline.state import OffsetRecord, State

TOPICS = {"accounts": TableId("bank", "accounts"), "things": TableId("bank", "things")}
MARKS = "marks"


class Log:
    """A source whose TRUNCATE is told like other changes."""

    truncates_alone = False

    def transaction_name(self, id: str) -> str:
        return id


class Kafka:
    """Each topic's messages, fetched from where the consumer is told to."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.log: dict[str, list[Message]] = {topic: [] for topic in (*TOPICS, MARKS)}
        for message in messages:
            self.log[str(message.topic())].append(message)
        self.positions = dict.fromkeys(self.log, 0)

    def fetch(self, topic: str, most: int = 100) -> list[Message]:
        position = self.positions[topic]
        found = self.log[topic][position : position + most]
        self.positions[topic] += len(found)
        return found

    def seek(self, partition: TopicPartition) -> None:
        self.positions[partition.topic] = partition.offset

    def pause(self, _: object) -> None: ...

    def resume(self, _: object) -> None: ...


class Written:
    """An applier that keeps what it is given to write."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.batches: list[list[str]] = []

    def write(self, runs: Runs) -> None:
        values = [message.value() for key, run in sorted(runs.items()) if key[0] != MARKS for message in run]
        self.batches.append([json.loads(value or b"{}")["name"] for value in values])
        for key, run in runs.items():
            claimed = self.assignment.record(key)
            self.assignment.move({key: claimed.moved((run[-1].offset() or 0) + 1, 0, (0, 0, 0), None)})


def message(topic: str, offset: int, **body: Any) -> Message:
    return Message(topic=topic, partition=0, offset=offset, value=json.dumps(body).encode())


def change(topic: str, offset: int, transaction: str, order: int, name: str) -> Message:
    told = {"id": transaction, "data_collection_order": order}
    return message(topic, offset, op="c", transaction=told, name=name)


def mark(offset: int, transaction: str, **counts: int) -> Message:
    tables = [{"data_collection": str(TOPICS[topic]), "event_count": count} for topic, count in counts.items()]
    return message(MARKS, offset, id=transaction, status="END" if counts else "BEGIN", data_collections=tables)


@pytest.mark.parametrize("gone_after", [1, 2])
def test_a_table_that_goes_amid_a_transaction_takes_nothing_of_another_one_with_it(gone_after: int) -> None:
    """What is in hand just then lies behind what has to be fetched again."""
    kafka = Kafka([
        mark(0, "t1"), mark(1, "t1", accounts=3, things=1),
        *(change("accounts", n, "t1", n + 1, f"account {n}") for n in range(3)),
        change("things", 0, "t1", 1, "thing"),
    ])  # fmt: skip
    assignment = Assignment(
        cast(Source, Log()), cast(State, SimpleNamespace(target=None, quarantine=None)), cast(Broker, None), "me",
        TOPICS, unavailable="?", salt="", marks_topic=MARKS,
    )  # fmt: skip
    assignment.claimed = {(topic, 0): OffsetRecord(topic, 0, 0, 1, "me", None, 0, 0, 0) for topic in TOPICS}
    assignment.marks = OffsetRecord(MARKS, 0, 0, 1, "me", None, 0, 0, 0)
    written = Written(assignment)
    applier = TransactionalApplier(
        cast(Applier, written), assignment, cast(Source, Log()), cast(Broker, None), cast(Consumer, kafka),
        marks_topic=MARKS, tables=TOPICS, most=100, say=print,
    )  # fmt: skip

    applier.apply([*kafka.fetch(MARKS, 1), *kafka.fetch("accounts", gone_after)])
    in_hand = [*kafka.fetch(MARKS), *kafka.fetch("accounts")]
    del assignment.claimed["things", 0]
    applier.apply(in_hand)
    while messages := [*kafka.fetch("accounts", 1), *kafka.fetch(MARKS, 1)]:
        applier.apply(messages)
    assert written.batches == [["account 0", "account 1", "account 2"]]
