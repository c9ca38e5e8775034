"""What a replication is called in Dagster: one asset group, its keys, and which asset comes from which."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

import dagster as dg

from cdc_pipeline.config import Endpoint, ReplicationConfig
from cdc_pipeline.errors import CdcPipelineError
from cdc_pipeline.model import Replicated, TableId
from cdc_pipeline.parts import Parts

REPLICATION_TAG = "cdc_pipeline/replication"
CONSUMER_TAG = "cdc_pipeline/consumer"  # dagster.yaml allows one run of each value at a time
STREAM_IS_LATE, STREAM_IS_DEAD = timedelta(minutes=5), timedelta(minutes=15)
IDLE_SECONDS = 3600.0  # a table without changes is told to be fresh so often


def identifier(name: str) -> str:
    """A replication's name as Dagster's names must be: letters, digits and underscores."""
    return re.sub(r"\W", "_", name, flags=re.ASCII)


def _key_part(name: str) -> str:
    """A database's name in an asset key, whose parts must be identifiers too. A changed one carries a mark of what it
    was, for `a b` and `a-b` are different tables."""
    part = identifier(name)
    return part if part == name else f"{part}_{zlib.crc32(name.encode()) & 0xFFFF:04x}"


@dataclass(frozen=True)
class Lineage:
    """One replication's tables, and the asset keys that belong to them."""

    config: ReplicationConfig
    tables: tuple[Replicated, ...]
    note: str = ""  # why `tables` may not be all there are
    labels: Mapping[str, str] = field(default_factory=dict)  # of databases whose name alone means several

    @classmethod
    def of(cls, config: ReplicationConfig, labels: Mapping[str, str] | None = None) -> Lineage:
        """Tables that are named are taken at their word, so that the definitions load while the databases are down;
        patterns are looked up in the source."""
        parts = Parts(config)
        named = _named_tables(config, parts.source.default_schema)
        note = ""
        if any(rule.is_pattern for rule in config.tables):
            try:
                named = parts.source.tables()
            except CdcPipelineError as error:
                note = f"The source could not be asked which tables match the patterns: {error}"
        return cls(config, tuple(parts.resolve(named)[0]), note, labels or {})

    @cached_property
    def name(self) -> str:
        return identifier(self.config.name)

    @cached_property
    def start_position(self) -> dg.AssetKey:
        return dg.AssetKey([self.name, "start_position"])

    @cached_property
    def initial_copy(self) -> dg.AssetKey:
        return dg.AssetKey([self.name, "initial_copy"])

    @cached_property
    def connector(self) -> dg.AssetKey:
        return dg.AssetKey([self.name, "connector"])

    @cached_property
    def stream(self) -> dg.AssetKey:
        return dg.AssetKey([self.name, "stream"])

    @cached_property
    def partitions(self) -> dg.StaticPartitionsDefinition:
        return dg.StaticPartitionsDefinition([self.partition(table) for table in self.tables])

    @cached_property
    def tags(self) -> dict[str, str]:
        return {REPLICATION_TAG: self.config.name}

    @cached_property
    def _asset_tags(self) -> dict[str, str]:
        """An asset's tag may say less than a run's."""
        return {REPLICATION_TAG: self.name[:63]}

    def partition(self, table: Replicated) -> str:
        """A table as its owner calls it: with its schema, unless that is the default one."""
        return table.source.name if table.source.schema == self._default_schemas[0] else str(table.source)

    def sources_of(self, partitions: list[str]) -> list[str]:
        """The full source names of these partitions: a short one could mean a table of another schema."""
        return [str(table.source) for table in self.tables if self.partition(table) in partitions]

    def source_key(self, table: Replicated) -> dg.AssetKey:
        return self._key("source", self.config.source, table.source, self._default_schemas[0])

    def target_key(self, table: Replicated) -> dg.AssetKey:
        return self._key("target", self.config.target, table.target, self._default_schemas[1])

    def _key(self, role: str, endpoint: Endpoint, table: TableId, default_schema: str) -> dg.AssetKey:
        database = self.labels.get(_server(endpoint), endpoint.database)
        schema = [] if table.schema == default_schema else [table.schema]
        return dg.AssetKey([role, *(_key_part(name) for name in (database, *schema, table.name))])

    @cached_property
    def _default_schemas(self) -> tuple[str, str]:
        parts = Parts(self.config)
        return parts.source.default_schema, parts.target.default_schema

    # -- assets that only others change -------------------------------------------------------------------------

    def external_assets(self) -> list[dg.AssetSpec]:
        specs = [self._stream_spec()]
        for table in self.tables:
            specs += [self._source_spec(table), self._target_spec(table)]
        return specs

    def _source_spec(self, table: Replicated) -> dg.AssetSpec:
        source = self.config.source
        return dg.AssetSpec(
            self.source_key(table),
            group_name=self.name,
            kinds={source.kind},
            description=f"Table {table.source} of {_place(source)}. Its owner writes it; this replication only reads.",
            metadata=_table_metadata(source, table.source),
            tags=self._asset_tags,
        )

    def _target_spec(self, table: Replicated) -> dg.AssetSpec:
        target = self.config.target
        return dg.AssetSpec(
            self.target_key(table),
            deps=[self.initial_copy, self.stream, self.source_key(table)],
            group_name=self.name,
            kinds={target.kind},
            description=f"Table {table.target} of {_place(target)}: kept equal to {table.source}. "
            "Materialized by its copy, in turn with the other tables while changes arrive, and once an hour without "
            "any, as long as the stream keeps up.",
            metadata=_table_metadata(target, table.target),
            tags=self._asset_tags,
            owners=list(self.config.owners),
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=3 * self.turn, warn_window=2 * self.turn),
        )

    @property
    def turn(self) -> timedelta:
        """How long a table waits at most until it is told of, while it is kept equal."""
        return timedelta(seconds=IDLE_SECONDS) + timedelta(minutes=len(self.tables))

    def _stream_spec(self) -> dg.AssetSpec:
        return dg.AssetSpec(
            self.stream,
            deps=[self.connector],
            group_name=self.name,
            kinds={"kafka"},
            description="The consumer's heartbeat, once a minute while it runs: events per second, lag, and what was "
            f"applied. The sensor {self.name}_keep_consuming keeps it running; the jobs {self.name}_pause, _resume "
            "and _stop say what its owner wants.",
            freshness_policy=dg.FreshnessPolicy.time_window(fail_window=STREAM_IS_DEAD, warn_window=STREAM_IS_LATE),
        )


def _table_metadata(endpoint: Endpoint, table: TableId) -> dict[str, str]:
    """A table of MySQL's stands in its database, one of the others in a schema of it."""
    place = () if table.schema == endpoint.database else (endpoint.database,)
    relation = ".".join([*place, table.schema, table.name])
    return {"server": _place(endpoint), "table": str(table), "dagster/relation_identifier": relation}


def database_labels(endpoints: Iterable[Endpoint]) -> dict[str, str]:
    """Longer names for databases of the same name on different servers: their tables are not the same assets."""
    servers = {_server(endpoint): endpoint.database for endpoint in endpoints}
    shared = {name for name, count in Counter(servers.values()).items() if count > 1}
    return {
        server: identifier(f"{name}_on_{server.partition('/')[0]}")
        for server, name in servers.items()
        if name in shared
    }


def _server(endpoint: Endpoint) -> str:
    """`host:port/database`, whoever logs in."""
    return endpoint.display.partition("://")[2].rpartition("@")[2]


def _named_tables(config: ReplicationConfig, default_schema: str) -> list[TableId]:
    named = []
    for rule in config.tables:
        if not rule.is_pattern:
            schema, _, name = rule.pattern.rpartition(".")
            named.append(TableId(schema or default_schema, name))
    return named


def _place(endpoint: Endpoint) -> str:
    return f"{endpoint.kind}://{_server(endpoint)}"
