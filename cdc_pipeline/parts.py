"""The parts of one replication, opened when they are first needed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from cdc_pipeline.capture.connect_api import ConnectApi
from cdc_pipeline.config import ReplicationConfig, TableRule
from cdc_pipeline.databases import open_source, open_target
from cdc_pipeline.databases.source import Source
from cdc_pipeline.databases.target import Target
from cdc_pipeline.errors import TopicShared
from cdc_pipeline.kafka import Broker
from cdc_pipeline.model import Replicated, TableId, TableShape
from cdc_pipeline.projection import project
from cdc_pipeline.state import HAS_WATERMARK, State
from cdc_pipeline.topics import shared_topics

log = logging.getLogger("cdc_pipeline")


class Parts:
    """Source, target, state, broker and Connect of a replication."""

    def __init__(self, config: ReplicationConfig) -> None:
        self.config = config

    @cached_property
    def source(self) -> Source:
        source = open_source(self.config.source)
        source.target_family = self.target.definer.family
        source.hash_salt = self.config.salt
        # Replayed events would show a reader halves of transactions.
        source.needs_exact_watermark = self.config.marks_topic is not None
        return source

    @cached_property
    def target(self) -> Target:
        return open_target(self.config.target)

    @cached_property
    def state(self) -> State:
        return State(self.target, self.config.name)

    @cached_property
    def broker(self) -> Broker:
        return Broker(self.config.kafka)

    @cached_property
    def connect(self) -> ConnectApi:
        return ConnectApi(self.config.connect)

    @contextmanager
    def pooled(self) -> Iterator[None]:
        """For what asks both databases something about each table: sessions serve again inside."""
        with self.source.pooled(), self.target.pooled():
            yield

    def say(self, message: str) -> None:
        """One line of the run's log, as a person follows it."""
        log.info("[%s] %s", self.config.connector_name, message)

    def resolve(self, existing: Iterable[TableId]) -> tuple[list[Replicated], list[str]]:
        """The tables that the rules select among the existing ones, and the rules' names that select none."""
        selected: dict[TableId, Replicated] = {}
        tables = [table for table in existing if table != self.config.heartbeat_table]
        unmatched = []
        for rule in self.config.tables:
            matches = [table for table in tables if rule.matches(table, self.source.default_schema)]
            if not matches:
                unmatched.append(rule.pattern)
            for table in matches:
                selected.setdefault(table, self._replicated(table, rule))
        return list(selected.values()), unmatched

    def shared_topics(self, tables: Iterable[Replicated]) -> dict[TableId, TopicShared]:
        """Those of these tables that would not have a topic of their own."""
        return shared_topics(tables, self.config.own_topics)

    def _replicated(self, table: TableId, rule: TableRule) -> Replicated:
        schema, _, name = self.config.target_name(table, rule).rpartition(".")
        target = TableId(schema or self.target.default_schema, name)
        return Replicated(table, target, self.config.topic(table), rule.choices(self.config.salt))

    def shapes(self, tables: Sequence[Replicated]) -> dict[TableId, TableShape]:
        """Of the source's tables, as the target shall have them. Raises ChoicesImpossible."""
        found = self.source.shapes([table.source for table in tables])
        return {table.source: project(found[table.source], table.choices) for table in tables}

    def kept(self) -> dict[TableId, TableShape]:
        """Where changes of the source are ignored: the tables that are copied, as they were then. Their sources may
        have other columns by now."""
        if not self.config.ignores_changes or not self.state.exists():
            return {}
        records = self.state.table_records()
        return {table: r.shape for table, r in records.items() if r.state in HAS_WATERMARK and r.shape}
