"""Whole transactions from topics that are fetched in any order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_pipeline.apply.transactions import Assembler, Mark, Piece, Told

TOPICS = ("a", "b", "c")


@dataclass
class Log:
    """What Kafka has: each topic's events, and the marks."""

    topics: dict[str, list[Told]] = field(default_factory=lambda: {topic: [] for topic in TOPICS})
    marks: list[Mark] = field(default_factory=list)

    def begin(self, name: str) -> None:
        self.marks.append(Mark(len(self.marks), name, None, f"begin {name}"))

    def end(self, name: str, **counts: int) -> None:
        self.marks.append(Mark(len(self.marks), name, counts, f"end {name}"))

    def tell(self, topic: str, name: str | None, order: int) -> None:
        queue = self.topics[topic]
        queue.append(Told(topic, len(queue), name, order, (name, topic, order)))

    def transaction(self, name: str, **counts: int) -> None:
        self.begin(name)
        for topic, count in counts.items():
            for order in range(1, count + 1):
                self.tell(topic, name, order)
        self.end(name, **counts)

    def assembler(self, most: int = 1000, **offsets: int) -> Assembler:
        """One that has fetched nothing yet."""
        made = Assembler(most)
        made.begin_marks(offsets.pop("marks", 0))
        for topic in TOPICS:
            made.begin(topic, offsets.get(topic, 0))
        return made

    def look(self, assembler: Assembler) -> None:
        """Twice: what lay there the first time lies still."""
        ends = {topic: len(queue) for topic, queue in self.topics.items()}
        for _ in range(2):
            assembler.look(ends, len(self.marks))

    def fetch(self, assembler: Assembler, *topics: str) -> None:
        for topic in topics or TOPICS:
            for told in self.topics[topic]:
                assembler.add(told)

    def fetch_marks(self, assembler: Assembler, upto: int | None = None) -> None:
        for mark in self.marks[:upto]:
            assembler.mark(mark)


def all_of(assembler: Assembler) -> list[Piece]:
    pieces = []
    while (piece := assembler.take()) is not None:
        pieces.append(piece)
    return pieces


def units_of(pieces: Iterable[Piece]) -> list[list[tuple[str | None, str, int]]]:
    """The messages of each unit."""
    return [[m for run in unit.runs.values() for m in run] for piece in pieces for unit in piece.units]


def test_a_transaction_waits_for_all_its_tables_and_its_end() -> None:
    log = Log()
    log.transaction("t1", a=2, b=1)
    assembler = log.assembler()
    log.fetch(assembler, "a")
    assert assembler.take() is None
    log.fetch_marks(assembler, upto=1)
    log.fetch(assembler, "b")
    assert assembler.take() is None  # it may have more
    log.fetch_marks(assembler)
    (piece,) = all_of(assembler)
    assert piece.runs == {"a": [("t1", "a", 1), ("t1", "a", 2)], "b": [("t1", "b", 1)]}
    assert [unit.end for unit in piece.units] == ["end t1"]
    assert not assembler.is_waiting


def test_it_waits_for_an_event_that_is_not_fetched_yet() -> None:
    log = Log()
    log.transaction("t1", a=1, b=1)
    assembler = log.assembler()
    log.fetch_marks(assembler)
    log.fetch(assembler, "a")
    assert assembler.take() is None
    log.fetch(assembler, "b")
    assert len(units_of(all_of(assembler))) == 1


@given(data=st.data())
def test_whatever_is_fetched_when_only_whole_transactions_come_in_their_order(data: st.DataObject) -> None:
    log = Log()
    counts = data.draw(st.lists(st.dictionaries(st.sampled_from(TOPICS), st.integers(1, 3)), max_size=8))
    for number, of_topics in enumerate(counts):
        log.transaction(f"t{number}", **of_topics)
    assembler = log.assembler(most=data.draw(st.integers(4, 20)))
    waiting = {**{topic: list(queue) for topic, queue in log.topics.items()}, "marks": list(log.marks)}
    units = []
    while any(waiting.values()):
        topic = data.draw(st.sampled_from(sorted(topic for topic, queue in waiting.items() if queue)))
        item = waiting[topic].pop(0)
        assembler.mark(item) if isinstance(item, Mark) else assembler.add(item)
        if data.draw(st.booleans()):
            units += units_of(all_of(assembler))
    units += units_of(all_of(assembler))
    told = [unit for unit in units if unit]
    wanted = [
        {(f"t{number}", topic, order) for topic, count in of_topics.items() for order in range(1, count + 1)}
        for number, of_topics in enumerate(counts)
        if of_topics
    ]
    merged = [set(unit) for unit in told]
    # Parts of one transaction come one after the other.
    names = [unit[0][0] for unit in told]
    assert names == sorted(names, key=lambda name: int((name or "t")[1:]))
    assert [
        set().union(*(m for m, n in zip(merged, names, strict=True) if n == name)) for name in dict.fromkeys(names)
    ] == wanted
    assert not assembler.is_waiting


def test_a_large_transaction_comes_in_parts_that_are_told_as_such() -> None:
    log = Log()
    log.transaction("t1", a=1)
    log.transaction("t2", a=25, b=5)
    log.transaction("t3", a=1)
    assembler = log.assembler(most=10)
    parts = []
    for told in log.topics["a"]:
        assembler.add(told)
        log.fetch_marks(assembler)
        parts += all_of(assembler)
    log.fetch(assembler)
    parts += all_of(assembler)
    assert [(piece.is_part, piece.transaction) for piece in parts] == [
        (False, ""), (True, "t2"), (True, "t2"), (False, "t2"), (False, ""),
    ]  # fmt: skip
    assert [sum(map(len, piece.runs.values())) for piece in parts] == [1, 10, 10, 10, 1]


def test_what_a_rewound_topic_tells_again_needs_no_mark() -> None:
    """After a re-sync of `a`: its events of transactions that were passed come by whole transactions of that table."""
    log = Log()
    log.transaction("t1", a=2, b=1)
    log.transaction("t2", a=1)
    log.transaction("t3", b=1)
    assembler = log.assembler(marks=len(log.marks), b=2)
    for told in log.topics["a"][:1]:
        assembler.add(told)
    log.look(assembler)
    assert assembler.take() is None  # the rest of t1 is not here yet
    log.fetch(assembler, "a")
    assert units_of(all_of(assembler)) == [[("t1", "a", 1), ("t1", "a", 2)]]
    log.look(assembler)
    assert units_of(all_of(assembler)) == [[("t2", "a", 1)]]


def test_what_comes_in_front_of_a_known_transaction_was_passed() -> None:
    log = Log()
    log.transaction("t1", a=2)
    log.transaction("t2", a=1)
    log.transaction("t3", a=1, b=1)
    assembler = log.assembler(marks=4)
    log.fetch(assembler)
    assert assembler.take() is None
    log.fetch_marks(assembler)
    units = units_of(all_of(assembler))
    assert units == [[("t1", "a", 1), ("t1", "a", 2)], [("t2", "a", 1)], [("t3", "a", 1), ("t3", "b", 1)]]


def test_events_ahead_of_their_marks_are_not_taken_for_passed_ones() -> None:
    log = Log()
    log.transaction("t1", a=1)
    log.transaction("t2", a=1)
    assembler = log.assembler()
    log.fetch(assembler)
    log.look(assembler)
    assert assembler.take() is None
    log.fetch_marks(assembler, upto=3)
    assert units_of(all_of(assembler)) == [[("t1", "a", 1)]]
    log.fetch_marks(assembler)
    assert units_of(all_of(assembler)) == [[("t2", "a", 1)]]


def test_a_topic_that_begins_behind_a_transaction_is_not_waited_for() -> None:
    """It was just copied: what the copy holds is not told."""
    log = Log()
    log.transaction("t1", a=3, b=1)
    assembler = log.assembler(a=3)
    log.fetch(assembler)
    log.fetch_marks(assembler)
    assert assembler.take() is None
    log.look(assembler)
    assert units_of(all_of(assembler)) == [[("t1", "b", 1)]]


def test_a_topic_that_goes_on_with_a_later_transaction_is_not_waited_for() -> None:
    log = Log()
    log.transaction("t1", a=3, b=1)
    log.transaction("t2", a=1)
    assembler = log.assembler(a=3)
    log.fetch(assembler)
    log.fetch_marks(assembler)
    assert units_of(all_of(assembler)) == [[("t1", "b", 1)], [("t2", "a", 1)]]


def test_a_table_that_is_left_is_not_waited_for() -> None:
    log = Log()
    log.transaction("t1", a=1, b=1)
    assembler = log.assembler()
    assembler.leave("a")
    log.fetch(assembler, "b")
    log.fetch_marks(assembler)
    assert units_of(all_of(assembler)) == [[("t1", "b", 1)]]


def test_a_connector_that_tells_the_end_again_is_not_waited_for() -> None:
    """It ended in mid-transaction, and told the rest, of which we have all."""
    log = Log()
    log.begin("t1")
    for order in (1, 2, 3, 2, 3):
        log.tell("a", "t1", order)
    log.end("t1", a=3)
    log.begin("t1")
    log.end("t1", a=3)
    log.transaction("t2", a=1)
    assembler = log.assembler()
    log.fetch(assembler)
    log.fetch_marks(assembler)
    told = [message for unit in units_of(all_of(assembler)) for message in unit]
    assert told == [*(("t1", "a", order) for order in (1, 2, 3, 2, 3)), ("t2", "a", 1)]
    assert not assembler.is_waiting


@pytest.mark.parametrize("known", [True, False])
def test_what_stands_alone_comes_at_once(known: bool) -> None:
    """A TRUNCATE in MySQL is in no transaction that Debezium tells of."""
    log = Log()
    log.tell("a", None, 0)
    log.tell("a", "t1", 1)
    assembler = log.assembler()
    if known:
        log.begin("t1")
        log.fetch_marks(assembler)
    log.fetch(assembler)
    assert units_of(all_of(assembler)) == [[(None, "a", 0)]]


def test_a_transaction_without_an_end_is_over_when_the_next_begins() -> None:
    """MariaDB's statements."""
    log = Log()
    log.begin("ddl")
    log.transaction("t2", a=1)
    assembler = log.assembler()
    log.fetch(assembler)
    log.fetch_marks(assembler)
    assert [unit for unit in units_of(all_of(assembler)) if unit] == [[("t2", "a", 1)]]
