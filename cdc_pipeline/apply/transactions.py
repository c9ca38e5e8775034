"""Messages of many topics -> whole transactions of the source, in the order of their commits. Pure.

Debezium tells the beginning and the end of each transaction in a topic of its own, with how many events each table's
topic has of it (`provide.transaction.metadata`), and names the transaction in each event. Topics are fetched in any
order; within one, order holds. A topic that was rewound by a re-sync, or an event that comes again, tells of
transactions that were passed before: those are complete by themselves, as far as that topic goes.
"""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

REMEMBERED = 100_000  # names of transactions that were passed
SAMPLES = 200  # of what is queued behind an event that nobody knows


@dataclass(frozen=True)
class Told:
    """One event as it was fetched. `transaction` is None for what stands alone, `order` its number among those of its
    table in the transaction."""

    topic: str
    offset: int
    transaction: str | None
    order: int
    message: Any


@dataclass(frozen=True)
class Mark:
    """The beginning (without `counts`) or the end of a transaction; `counts` are the events of each topic."""

    offset: int
    transaction: str
    counts: Mapping[str, int] | None
    message: Any


@dataclass
class Unit:
    """What must be seen at once, of each topic in its order. `end` is its last mark."""

    runs: dict[str, list[Any]] = field(default_factory=dict)
    end: Any = None


@dataclass
class Piece:
    """Units in their order; of a transaction that comes in parts, its name. `is_part`: there is more of it to come."""

    units: list[Unit]
    is_part: bool = False
    transaction: str = ""

    @property
    def runs(self) -> dict[str, list[Any]]:
        return merged(self.units)


def merged(units: Iterable[Unit]) -> dict[str, list[Any]]:
    """The messages of each topic."""
    runs: dict[str, list[Any]] = {}
    for unit in units:
        for topic, messages in unit.runs.items():
            runs.setdefault(topic, []).extend(messages)
    return runs


class Assembler:
    """Takes what is fetched, gives what may be applied. Topics have one partition each.

    A topic's transactions come in the order of their marks. So an event whose transaction is not known, in front of one
    whose marks have come, is of a transaction that was passed; and a topic that goes on with a later transaction has no
    more of the current one. Where neither shows (nobody writes), what lies still for a while does (`look`): Kafka's
    partitions tell nothing about each other's order, and the producer fills them one by one.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.queues: dict[str, deque[Told]] = {}
        self.positions: dict[str, int] = {}
        self.ends: dict[str, int] = {}  # of the topics, at the last look
        self.settled: dict[str, int] = {}  # how far each was fetched at the look before it
        self.marks: deque[Mark] = deque()
        self.marks_position = 0
        self.marks_end: int | None = None
        self.marks_settled = 0
        self._positions: tuple[dict[str, int], int] = ({}, 0)  # at the last look
        self.passed: OrderedDict[str, None] = OrderedDict()
        self._waiting: Counter[str] = Counter()  # transactions that have marks in the queue
        self._follow(None)

    def _follow(self, transaction: str | None) -> None:
        """Nothing of this one is here yet."""
        self.current = transaction
        self.gathered: dict[str, list[Any]] = {}
        self.seen: dict[str, int] = {}  # the order of the last event of each topic
        self.is_open = False  # a part of it was given away already

    # -- what goes in -------------------------------------------------------------------------------------------

    def begin(self, topic: str, offset: int) -> None:
        """Fetching this topic begins here, perhaps again."""
        self.leave(topic)
        self.queues[topic] = deque()
        self.positions[topic] = offset

    def leave(self, topic: str) -> None:
        """Nothing is waited for in this topic any more."""
        self._positions[0].pop(topic, None)
        for known in (self.queues, self.positions, self.ends, self.settled):
            known.pop(topic, None)

    def begin_marks(self, offset: int) -> None:
        self.marks_position = offset

    def look(self, ends: Mapping[str, int], marks_end: int) -> None:
        """Where the topics end now. To be called while something waits, in intervals in which whatever is on its way to
        Kafka gets there."""
        self.settled, self.marks_settled = self._positions
        self.ends, self.marks_end = dict(ends), marks_end
        self._positions = dict(self.positions), self.marks_position

    def add(self, told: Told) -> None:
        if told.topic in self.queues and told.offset >= self.positions[told.topic]:
            self.queues[told.topic].append(told)
            self.positions[told.topic] = told.offset + 1

    def mark(self, mark: Mark) -> None:
        if mark.offset >= self.marks_position:
            self.marks.append(mark)
            self._waiting[mark.transaction] += 1
            self.marks_position = mark.offset + 1

    @property
    def is_waiting(self) -> bool:
        return bool(self.marks or self.gathered or any(self.queues.values()))

    # -- what comes out -----------------------------------------------------------------------------------------

    def take(self) -> Piece | None:
        """Whole transactions, about `most` events of them; of one that has more than that, a part."""
        units: list[Unit] = []
        size = 0
        while size < self.most:
            alone = self._alone()
            units += alone
            size += sum(len(run) for unit in alone for run in unit.runs.values())
            if self.current is None and not self._begin():
                break
            self._gather()
            name, was_open = self.current, self.is_open
            unit = self._end()
            if unit is None:
                break
            units.append(unit)
            size += sum(map(len, unit.runs.values()))
            if was_open:  # this was the rest of it
                return Piece(units, transaction=name or "")
        if self.is_open or (not units and self._gathered_size() >= self.most):
            return self._part(units)
        return Piece(units) if units else None

    def _gathered_size(self) -> int:
        return sum(map(len, self.gathered.values()))

    def _part(self, units: list[Unit]) -> Piece | None:
        if self._gathered_size() >= self.most:
            units = [*units, Unit(self.gathered)]
            self.gathered = {}
            self.is_open = True
        return Piece(units, is_part=True, transaction=self.current or "") if units else None

    def _alone(self) -> list[Unit]:
        """What the topics have in front that needs not wait for any mark."""
        units = []
        for topic in self.queues:
            while run := self._front(topic):
                for _ in run:
                    self.queues[topic].popleft()
                units.append(Unit({topic: [told.message for told in run]}))
        return units

    def _front(self, topic: str) -> Sequence[Told]:
        queue = self.queues[topic]
        if not queue:
            return ()
        first = queue[0]
        name = first.transaction
        if name is None:
            return (first,)
        if name == self.current or name in self._waiting or not self._was_passed(first):
            return ()
        run: list[Told] = []
        for told in queue:
            if told.transaction != name or len(run) >= self.most:
                return run
            run.append(told)
        # The whole of it must be here: up to where the topic ended when all of it had come.
        return run if name in self.passed or run[-1].offset + 1 >= self.ends.get(topic, 0) else ()

    def _was_passed(self, told: Told) -> bool:
        if told.transaction in self.passed:
            return True
        has_all_marks = self.marks_end is not None and self.marks_position >= self.marks_end
        if has_all_marks and told.offset < self.settled.get(told.topic, 0):
            return True
        queue = self.queues[told.topic]
        samples = islice(queue, 1, None, max(1, len(queue) // SAMPLES))
        return any(self._is_known(behind.transaction) for behind in samples)

    def _is_known(self, name: str | None) -> bool:
        return name is not None and (name == self.current or name in self._waiting or name in self.passed)

    def _pop_mark(self) -> Mark:
        mark = self.marks.popleft()
        self._waiting[mark.transaction] -= 1
        if not self._waiting[mark.transaction]:
            del self._waiting[mark.transaction]
        return mark

    def _begin(self) -> bool:
        """Make the next transaction the current one. An end that comes alone is one of which the connector, started in
        the midst of it, tells the rest."""
        while self.marks:
            if self.marks[0].transaction not in self.passed:
                self._follow(self.marks[0].transaction)
                return True
            self._pop_mark()
        return False

    def _gather(self) -> None:
        for topic, queue in self.queues.items():
            while queue and queue[0].transaction == self.current:
                told = queue.popleft()
                self.gathered.setdefault(topic, []).append(told.message)
                self.seen[topic] = told.order

    def _end(self) -> Unit | None:
        """The current transaction, if all of it is here."""
        while self.marks:
            mark = self.marks[0]
            if mark.transaction != self.current:  # MariaDB tells no end of a statement such as DDL
                return self._pass(None)
            if mark.counts is None:
                self._pop_mark()
            elif all(self._has_all(mark, topic, count) for topic, count in mark.counts.items()):
                self._pop_mark()
                return self._pass(mark.message)
            else:
                return None
        return None

    def _has_all(self, mark: Mark, topic: str, count: int) -> bool:
        if topic not in self.queues or self.seen.get(topic) == count:
            return True
        if self.queues[topic]:  # of a later transaction, unless that one was passed and waits for its rest
            head = self.queues[topic][0]
            return head.transaction in self._waiting or not self._was_passed(head)
        return mark.offset < self.marks_settled and self.positions[topic] >= self.ends.get(topic, sys.maxsize)

    def _pass(self, end: Any) -> Unit:
        unit = Unit(self.gathered, end)
        if self.current is not None:
            self.passed[self.current] = None
            if len(self.passed) > REMEMBERED:
                self.passed.popitem(last=False)
        self._follow(None)
        return unit
