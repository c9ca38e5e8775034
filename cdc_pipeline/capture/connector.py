"""A replication -> the JSON of its Debezium connector. Pure: one small builder per source.

Every property that a builder sets is one that exactness, identity or latency rests on; the owner's `connector:`
section may add others. Facts: measured with Debezium 3.6.1 (MariaDB 3.4.0) on Kafka 4.3.0; docs/decisions.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import URL

from cdc_pipeline.config import ReplicationConfig
from cdc_pipeline.databases.postgresql.heartbeat import BEAT, PREFIX
from cdc_pipeline.model import Replicated, TableId

# What Debezium writes for an unchanged value that PostgreSQL did not log; nobody's data holds this text.
UNAVAILABLE = "__cdc_pipeline_unavailable_7f1c9d2e__"

# Names that users of earlier Debezium versions know; 3.6 answers them with an error 500.
SNAPSHOT_MODES = {"never": "no_data", "schema_only": "no_data", "schema_only_recovery": "recovery"}
STREAMING = "no_data"  # change data only, from the preset offset
PRODUCER_MEMORY = 32 * 1024 * 1024
REBUILD_HISTORY = "recovery"  # the same, but reads the table definitions anew first: a preset offset needs it once


def translate_snapshot_mode(mode: str) -> str:
    """`never` and `schema_only` as today's Debezium calls them; other names are its own."""
    return SNAPSHOT_MODES.get(mode, mode)


def get_connector_config_for_database(
    config: ReplicationConfig, tables: Sequence[Replicated], snapshot_mode: str = STREAMING, *, keyless: bool = False
) -> dict[str, str]:
    """The connector's configuration for these tables of the replication's source, whichever database it is. `keyless`:
    one of them has no primary key."""
    builders = {
        "mysql": get_mysql_connector_config,
        "mariadb": get_mariadb_connector_config,
        "postgresql": get_postgresql_connector_config,
        "oracle": get_oracle_connector_config,
    }
    sources = [table.source for table in tables]
    built = builders[config.source.kind](config, sources, translate_snapshot_mode(snapshot_mode))
    if config.marks_topic is not None:
        built["provide.transaction.metadata"] = "true"
    elif keyless and config.source.kind == "postgresql":
        # Rows that one COPY wrote have one LSN; only their number in the transaction tells whether one comes again.
        built |= {**_transactions(config), "provide.transaction.metadata": "true"}
    excluded = ",".join(pattern for table in tables for pattern in _excluded_columns(table))
    return {**built, **({"column.exclude.list": excluded} if excluded else {})}


def _excluded_columns(table: Replicated) -> list[str]:
    """Patterns of the columns that shall not reach Kafka, `schema.table.column` for every source. Where the owner says
    what to include, all others, also those that the table may get one day. Debezium would take `Name` for `name`, which
    are two columns to PostgreSQL."""
    prefix = _literally(f"{table.source}.")
    if table.choices.include:
        return [_exactly(f"{prefix}(?!(?:{'|'.join(map(_literally, table.choices.include))})$).*")]
    return [_exactly(prefix + _literally(name)) for name in table.choices.exclude]


def _exactly(pattern: str) -> str:
    """Debezium's lists ignore case, and a dot of theirs does not match a line break."""
    return f"(?s-i:{pattern})"


def _literally(name: str) -> str:
    """A regular expression for this name alone that survives Debezium's lists. They are split at commas and trimmed,
    and Connect replaces what looks like a reference to a secret, so no such character stays as it is."""
    return "".join(c if c.isalnum() or c == "_" or not c.isascii() else f"\\x{ord(c):02x}" for c in name)


def get_mysql_connector_config(
    config: ReplicationConfig, tables: Sequence[TableId], snapshot_mode: str = STREAMING
) -> dict[str, str]:
    table = config.heartbeat_table
    tables = [*tables, *([table] if table else [])]
    return {
        **_common(config, tables, default_port=3306),
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "snapshot.mode": translate_snapshot_mode(snapshot_mode),
        "database.server.id": str(5_000_000 + config.client * 1000 + config.database),
        "database.include.list": ",".join(sorted({_exactly(_literally(table.schema)) for table in tables})),
        "bigint.unsigned.handling.mode": "long",  # read back as unsigned in apply/values.py
        "enable.time.adjuster": "false",  # it would turn the year 1 into 2001
        **_schema_history(config),
        # The definitions are read as they are now, whatever the position; a global lock would add nothing to that.
        **({"snapshot.locking.mode": "none"} if translate_snapshot_mode(snapshot_mode) == REBUILD_HISTORY else {}),
        **config.connector,
    }


def get_mariadb_connector_config(
    config: ReplicationConfig, tables: Sequence[TableId], snapshot_mode: str = STREAMING
) -> dict[str, str]:
    """What MySQL's has, but for the way in which the offset moves.

    Debezium's MariaDB connector (3.4.0, and its main branch) takes a statement such as TRUNCATE for a
    transaction that does not end. While it is the last one, each heartbeat of the idle server counts as one more event
    of it; a heartbeat record stores the count, and after a restart so many events are skipped, the rows of the next
    transactions among them (measured: three rows lost). So no heartbeat records while the server sends heartbeats: the
    offset moves with the records of the transactions' begin and end, whose count is right. Only while the schema
    history is rebuilt it is the other way round, as nothing else says then that the connector streams.
    """
    mysql = get_mysql_connector_config(config, tables, snapshot_mode)
    mysql["connector.class"] = "io.debezium.connector.mariadb.MariaDbConnector"
    if mysql["snapshot.mode"] == REBUILD_HISTORY:
        return {
            **mysql,
            "connect.keep.alive": "false",
            "connect.keep.alive.interval.ms": "1",  # of the server's heartbeats 0.8 of it, rounded down: none
        }
    return {
        **_transactions(config),
        **mysql,
        "heartbeat.interval.ms": "0",
        "provide.transaction.metadata": "true",
    }


def get_postgresql_connector_config(
    config: ReplicationConfig, tables: Sequence[TableId], snapshot_mode: str = STREAMING
) -> dict[str, str]:
    return {
        **_common(config, tables, default_port=5432),
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "snapshot.mode": translate_snapshot_mode(snapshot_mode),
        "database.dbname": config.source.database,
        "plugin.name": "pgoutput",
        "slot.name": config.slot_name,
        "publication.name": config.slot_name,
        "publication.autocreate.mode": "disabled",  # ours is made before the slot; see PostgreSqlSource
        "offset.mismatch.strategy": "trust_offset",  # a recreated slot is an error, not a silent hole
        "unavailable.value.placeholder": UNAVAILABLE,
        "include.unknown.datatypes": "true",  # multiranges and the like, as the hexadecimal digits of their text
        "hstore.handling.mode": "json",
        # Moves the slot on while only other tables, or other databases of the server, are written to.
        "heartbeat.interval.ms": str(config.heartbeat.seconds * 1000),
        "heartbeat.action.query": BEAT,
        "message.prefix.include.list": PREFIX,
        **config.connector,
    }


def get_oracle_connector_config(
    config: ReplicationConfig, tables: Sequence[TableId], snapshot_mode: str = STREAMING
) -> dict[str, str]:
    """Its plugin accepts it; it never ran against a server of ours: README, "What is tested". Where the source's URL
    says `?cdb=`, the connector logs in there, and reads the log of the pluggable database that the URL names."""
    url = config.source.resolve()
    root = url.query.get("cdb")
    pluggable = {"database.pdb.name": config.source.database} if root else {}
    return {
        **_common(config, tables, default_port=1521),
        "connector.class": "io.debezium.connector.oracle.OracleConnector",
        "snapshot.mode": translate_snapshot_mode(snapshot_mode),
        "database.dbname": str(root or config.source.database),
        **pluggable,
        "log.mining.strategy": "online_catalog",  # `hybrid` does not go with LOBs
        "lob.enabled": "true",  # else they are left out of every event
        "legacy.decimal.handling.strategy": "false",  # a NUMBER without digits after the point is text too
        "unavailable.value.placeholder": UNAVAILABLE,
        **_schema_history(config),
        **config.connector,
    }


def offset_partition(config: ReplicationConfig) -> dict[str, str]:
    """The key under which Debezium keeps this connector's offset."""
    return {"server": config.topic_prefix}


def _common(config: ReplicationConfig, tables: Sequence[TableId], default_port: int) -> dict[str, str]:
    url = config.source.resolve()
    host, port = _address(config, url, default_port)
    return {
        "tasks.max": "1",
        "topic.prefix": config.topic_prefix,
        "database.hostname": host,
        "database.port": port,
        "database.user": url.username or "",
        "database.password": config.connect.source_password or url.password or "",
        "table.include.list": ",".join(_exactly(_literally(str(table))) for table in tables),
        # One canonical text for a value, by copy and by stream: these say how the stream spells it.
        "decimal.handling.mode": "string",
        "time.precision.mode": "adaptive_time_microseconds",
        "binary.handling.mode": "hex",
        "interval.handling.mode": "string",
        "skipped.operations": "none",  # TRUNCATE too
        "tombstones.on.delete": "false",
        "provide.transaction.metadata": "false",
        # A header has the key that a row had before.
        **_json_converter("key"),
        **_json_converter("value"),
        **_json_converter("header"),
        "extended.headers.enabled": "false",  # four more that nobody reads, a fifth of what an event takes
        # Source commit to Kafka in 15 ms in the median; with Debezium's default of 500 it is 290 to 730.
        "poll.interval.ms": "10",
        # Keeps the offset moving while the captured tables rest.
        "heartbeat.interval.ms": "1000",
        **_largest_event(config),
    }


def _json_converter(part: str) -> dict[str, str]:
    """JSON without schemas. By default a NULL becomes the column's default on its way (KIP-581)."""
    name = f"{part}.converter"
    return {
        name: "org.apache.kafka.connect.json.JsonConverter",
        f"{name}.schemas.enable": "false",
        f"{name}.replace.null.with.default": "false",
    }


def _largest_event(config: ReplicationConfig) -> dict[str, str]:
    """A producer that takes what the topics do; its memory must hold one event whole (32 MiB by default)."""
    largest = config.kafka.largest_event
    if largest is None:
        return {}
    memory = max(largest, PRODUCER_MEMORY)
    return {"producer.override.max.request.size": str(largest), "producer.override.buffer.memory": str(memory)}


def _transactions(config: ReplicationConfig) -> dict[str, str]:
    """The topic of the transactions' begins and ends gets two records for each one. Unless they are applied whole,
    nobody reads it; else it is made beforehand, and keeps its records as long as the tables' topics do."""
    if config.marks_topic is not None:
        return {}
    return {
        "topic.creation.default.replication.factor": "-1",
        "topic.creation.default.partitions": "-1",
        "topic.creation.groups": "transactions",
        "topic.creation.transactions.include": re.escape(f"{config.topic_prefix}.transaction"),
        "topic.creation.transactions.retention.ms": "3600000",
    }


def _schema_history(config: ReplicationConfig) -> dict[str, str]:
    """The connector reads the definitions of all tables when it is made, and then the log from the start position: a
    column of anybody's table that was renamed in between is not there to be renamed, which would end the stream of all
    tables. So what Debezium cannot follow is passed over; whether a table of ours has changed we look for ourselves.
    Not where columns are hidden: with a definition out of date, a value might come under another column's name.
    """
    servers = config.kafka.seen_by_connect_as or config.kafka.bootstrap_servers
    hides = any(rule.hash or rule.mask or rule.exclude or rule.include for rule in config.tables)
    history: dict[str, Any] = {
        "kafka.topic": history_topic(config),
        "kafka.bootstrap.servers": servers,
        "skip.unparseable.ddl": str(not hides).lower(),
    }
    return {f"schema.history.internal.{key}": value for key, value in history.items()}


def history_topic(config: ReplicationConfig) -> str:
    return f"{config.topic_prefix}.schema_history"


def _address(config: ReplicationConfig, url: URL, default_port: int) -> tuple[str, str]:
    """Host and port of the source as the Connect worker sees them."""
    if config.source.seen_by_connect_as:
        host, _, port = config.source.seen_by_connect_as.rpartition(":")
        return (host, port) if host else (port, str(default_port))
    return url.host or "", str(url.port or default_port)
