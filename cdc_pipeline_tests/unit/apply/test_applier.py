"""One batch in flight, the next one collected; and what becomes of that one when the first does not come through."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, cast

import pytest
from confluent_kafka import Message, TopicPartition

from cdc_pipeline.apply.applier import Applier
from cdc_pipeline.apply.assignment import Assignment, TableStream
from cdc_pipeline.apply.batch import BatchBuilder
from cdc_pipeline.apply.decode import MOVED_FROM
from cdc_pipeline.apply.progress import Progress
from cdc_pipeline.databases.mysql.trail import BinlogTrail
from cdc_pipeline.databases.mysql.watermark import BinlogWatermark
from cdc_pipeline.databases.source import Source
from cdc_pipeline.databases.target import Writer
from cdc_pipeline.errors import CdcPipelineError, ConsumerFenced, DatabaseUnavailable, RowRefused, StatementFailed
from cdc_pipeline.kafka import Broker
from cdc_pipeline.model import Column, ColumnType, Kind, RowBatch, TableId, TableShape
from cdc_pipeline.quarantine import Quarantine, SetAside
from cdc_pipeline.state import OffsetRecord, State, TableRecord, TableState

PATIENCE = 30
TOPICS = {topic: TableId("shop", topic) for topic in ("a", "b")}


class Log:
    """A source of which nothing is asked but the trails."""

    def trail(self, text: str | None) -> BinlogTrail:
        return BinlogTrail.parse(text)


class Shelf:
    """The quarantine."""

    def __init__(self) -> None:
        self.items: list[SetAside] = []

    def add(self, _connection: object, items: Sequence[SetAside]) -> None:
        self.items += items


class Server:
    """State and writer at once: what is committed, and errors that come instead. While `gate` is shut, a batch waits
    within its transaction."""

    target = quarantine = None

    def __init__(self) -> None:
        self.offsets = {topic: OffsetRecord(topic, 0, 0, 1, "me", None, 0, 0, 0) for topic in TOPICS}
        self.rows: dict[str, list[str | None]] = {topic: [] for topic in TOPICS}
        self.commits = 0
        self.gate, self.waits = threading.Event(), threading.Event()
        self.gate.set()
        self.fails: list[CdcPipelineError] = []  # the next batches, whatever is in them
        self.refuses: dict[str, CdcPipelineError] = {}  # rows with these names
        self.connection = self
        self._offsets: dict[str, OffsetRecord] = {}
        self._rows: list[tuple[str, list[str | None]]] = []

    def begin(self) -> AbstractContextManager[Server]:
        self._offsets, self._rows = {}, []
        return nullcontext(self)

    def advance(self, _connection: object, claimed: OffsetRecord, moved: OffsetRecord) -> None:
        self.waits.set()
        assert self.gate.wait(PATIENCE)
        if self.fails:
            raise self.fails.pop(0)
        if self.offsets[claimed.topic] != claimed:
            raise ConsumerFenced(topic=claimed.topic, partition=0)
        self._offsets[claimed.topic] = moved

    def prepare(self, table: TableId, shape: TableShape) -> None: ...

    def apply(self, table: TableId, rows: RowBatch) -> int:
        names = [row[1] for row in rows.rows]
        for name in names:
            if name in self.refuses:
                raise self.refuses[name]
        self._rows.append((table.name, names))
        return 0

    def commit(self) -> None:
        self.commits += 1
        self.offsets |= self._offsets
        for topic, names in self._rows:
            self.rows[topic] += names


class Rig:
    """An applier whose tables have been claimed, beside its server."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self.server, self.shelf = Server(), Shelf()
        self.said: list[str] = []
        self.assignment = Assignment(
            cast(Source, Log()), cast(State, self.server), cast(Broker, None), "me", TOPICS, unavailable="?", salt=""
        )
        for topic, table in TOPICS.items():
            shape = TableShape(
                table, tuple(Column(name, "text", ColumnType(Kind.TEXT)) for name in ("id", "name")), ("id",)
            )
            record = TableRecord(table, table, TableState.STREAMING, "", shape, 0, 0, 0, "")
            stream = TableStream(record, BinlogWatermark("log.1", 0), BatchBuilder(shape, "?"), {})
            self.assignment.streams[topic] = stream
            self.assignment.claimed[topic, 0] = self.server.offsets[topic]
        self.progress = Progress("group")
        self.applier = Applier(
            self.assignment, cast(Source, Log()), cast(State, self.server), cast(Writer, self.server), self.progress,
            thread, most_set_aside=10, say=self.said.append,
        )  # fmt: skip
        self.applier.quarantine = cast(Quarantine, self.shelf)

    @contextmanager
    def in_flight(self, *messages: Message) -> Iterator[None]:
        """These are being written, until the block's end."""
        self.server.gate.clear()
        self.server.waits.clear()
        assert self.applier.apply(messages) == {}
        assert self.server.waits.wait(PATIENCE)
        yield
        self.server.gate.set()

    def next_offsets(self) -> dict[str, int]:
        """By what the consumer knows, which is what is stored."""
        claimed = self.assignment.claimed
        assert {topic: claimed[topic, 0] for topic in TOPICS} == self.server.offsets
        return {topic: record.next_offset for topic, record in self.server.offsets.items()}


@pytest.fixture
def rig() -> Iterator[Rig]:
    with ThreadPoolExecutor(1) as thread:
        yield Rig(thread)


def insert(topic: str, offset: int, name: str, key: int | None = None, moved_from: int | None = None) -> Message:
    row = {"id": str(offset if key is None else key), "name": name}
    source = {"db": "shop", "table": topic, "file": "log.1", "pos": offset + 1, "row": 0}
    body = {"op": "c", "before": None, "after": row, "source": source}
    arguments: dict[str, Any] = {
        "topic": topic, "partition": 0, "offset": offset, "timestamp": (1, 1000), "error": None,
        "headers": [] if moved_from is None else [(MOVED_FROM, json.dumps({"id": str(moved_from)}).encode())],
        "key": json.dumps({"id": row["id"]}).encode(), "value": json.dumps(body).encode(),
    }  # fmt: skip
    return Message(**arguments)


def test_the_next_batch_is_collected_while_one_is_written(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(1) as main, rig.in_flight(insert("a", 0, "first")):
        parsed = threading.Event()
        collect = rig.applier.collector.collect

        def watched(*arguments: Any) -> Any:
            collected = collect(*arguments)
            parsed.set()
            return collected

        monkeypatch.setattr(rig.applier.collector, "collect", watched)
        second = main.submit(rig.applier.apply, [insert("a", 1, "second"), insert("b", 0, "third")])
        assert parsed.wait(PATIENCE)
        assert not second.done()
        assert rig.server.commits == 0
        rig.server.gate.set()
        assert second.result(PATIENCE) == {}
    assert rig.applier.drain() == {}
    assert rig.server.rows == {"a": ["first", "second"], "b": ["third"]}
    assert rig.server.commits == 2
    assert rig.next_offsets() == {"a": 2, "b": 1}
    assert rig.progress.inserted == 3


def test_what_comes_again_behind_a_batch_in_flight_is_dropped(rig: Rig) -> None:
    with rig.in_flight(insert("a", 0, "first")):
        again = insert("a", 0, "first"), insert("a", 1, "first", key=0)  # the same message; the same event once more
        again[1].set_value(again[0].value())
    assert rig.applier.apply(again) == {}
    rig.applier.drain()
    assert rig.server.rows["a"] == ["first"]
    assert rig.progress.dropped == 1
    assert rig.next_offsets()["a"] == 2


@pytest.mark.parametrize(
    "error", [ConsumerFenced(topic="a", partition=0), DatabaseUnavailable(database="shop", reason="gone")]
)
def test_an_error_leaves_nothing_of_the_batch_in_flight_nor_of_the_next(rig: Rig, error: CdcPipelineError) -> None:
    rig.server.fails = [error]
    with rig.in_flight(insert("a", 0, "first")):
        pass
    with pytest.raises(type(error)):
        rig.applier.apply([insert("a", 1, "second")])
    assert rig.applier.drain() == {}
    assert rig.server.commits == 0
    assert rig.next_offsets() == {"a": 0, "b": 0}


def test_a_row_that_is_set_aside_is_waited_for_by_what_was_collected_before_that(rig: Rig) -> None:
    rig.server.refuses = {"poison": RowRefused(database="shop", reason="too long")}
    with rig.in_flight(insert("a", 0, "fine"), insert("a", 1, "poison"), insert("b", 0, "other")):
        pass
    assert rig.applier.apply([insert("a", 2, "later", key=1), insert("a", 3, "last")]) == {}
    assert rig.applier.drain() == {}
    assert [item.offset for item in rig.shelf.items] == [1, 2]
    assert rig.server.rows == {"a": ["fine", "last"], "b": ["other"]}
    assert rig.next_offsets() == {"a": 4, "b": 1}
    with rig.in_flight(insert("a", 4, "too late", key=1)):  # and what is made beside those that wait waits
        pass
    rig.applier.apply([insert("a", 5, "even later", key=1)])
    rig.applier.drain()
    assert [item.offset for item in rig.shelf.items] == [1, 2, 4, 5]


def test_a_row_that_got_another_key_in_the_batch_in_flight_waits_under_that_one(rig: Rig) -> None:
    rig.assignment.streams["a"].waiting = {'{"id": "1"}': '{"id": "1"}'}
    with rig.in_flight(insert("a", 0, "moved", key=5, moved_from=1)):
        pass
    rig.applier.apply([insert("a", 1, "behind it", key=5), insert("a", 2, "another")])
    rig.applier.drain()
    assert [(item.offset, item.row_key) for item in rig.shelf.items] == [(0, '{"id": "1"}'), (1, '{"id": "1"}')]
    assert rig.server.rows["a"] == ["another"]


def test_of_a_table_that_cannot_go_on_nothing_later_is_applied(rig: Rig) -> None:
    rig.server.refuses = {"poison": StatementFailed(database="shop", reason="no such table")}
    with rig.in_flight(insert("a", 0, "fine"), insert("a", 1, "poison")):
        pass
    stopped = rig.applier.apply([insert("a", 2, "later"), insert("b", 0, "other")])
    assert stopped == {"a": rig.server.refuses["poison"]}
    assert rig.applier.drain() == {}
    assert rig.server.rows == {"a": ["fine"], "b": ["other"]}
    assert rig.next_offsets() == {"a": 1, "b": 1}


def test_a_batch_that_comes_through_counts_before_the_group_takes_its_partitions(rig: Rig) -> None:
    with rig.in_flight(insert("a", 0, "first"), insert("b", 0, "other")):
        opener = threading.Thread(target=rig.server.gate.set)
        opener.start()
        rig.assignment.revoked([TopicPartition("a", 0)])
        opener.join()
    assert rig.assignment.claimed == {("b", 0): rig.server.offsets["b"]}
    assert rig.applier.apply([insert("a", 1, "not ours"), insert("b", 1, "ours")]) == {}
    rig.applier.drain()
    assert rig.server.rows == {"a": ["first"], "b": ["other", "ours"]}


def test_a_batch_that_failed_before_its_partition_was_claimed_anew_is_not_applied_again(rig: Rig) -> None:
    """It is fetched again, from where it is stored."""
    rig.server.refuses = {"poison": RowRefused(database="shop", reason="too long")}
    with rig.in_flight(insert("a", 0, "poison"), insert("b", 0, "other")):
        pass
    rig.assignment.before_rebalance()
    assert rig.server.commits == 0
    anew = replace(rig.server.offsets["a"], epoch=2)
    rig.assignment.claimed["a", 0] = rig.server.offsets["a"] = anew
    assert rig.applier.apply([insert("a", 0, "fetched again")]) == {}
    rig.applier.drain()
    assert rig.server.rows == {"a": ["fetched again"], "b": ["other"]}
    assert rig.shelf.items == []
    assert rig.next_offsets() == {"a": 1, "b": 1}


def test_what_cannot_be_collected_waits_for_the_batch_in_flight_and_stops_its_table(rig: Rig) -> None:
    broken = insert("a", 1, "second")
    broken.set_value(b"{}")
    broken.set_key(b"")
    with rig.in_flight(insert("a", 0, "first")):
        pass
    assert list(rig.applier.apply([broken, insert("b", 0, "other")])) == ["a"]
    assert rig.server.rows == {"a": ["first"], "b": ["other"]}
    assert rig.next_offsets() == {"a": 1, "b": 1}
