"""Replication files and the environment -> frozen, validated models.

One YAML file describes one replication; its stem is the replication's name. `${NAME}` in any text is taken from
the environment; what a Kafka Connect config provider resolves, `${provider:path:key}`, is left for Connect. Unknown
keys are errors that name the key and the line. This is the only module that reads `os.environ`.
"""

from __future__ import annotations

import fnmatch
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from cdc_pipeline.choices import DELETED_AT, Choices, fingerprint_of_salt
from cdc_pipeline.condition import columns_of, parse
from cdc_pipeline.errors import ConfigError
from cdc_pipeline.model import TableId

FOLDER_VARIABLE = "CDC_PIPELINE_REPLICATIONS"
DATABASE_KINDS = ("mysql", "mariadb", "postgresql", "oracle")

# Debezium properties that the promise rests on: a replication file may not set them.
RESERVED_CONNECTOR_KEYS = frozenset(
    (
        "bigint.unsigned.handling.mode",
        "binary.handling.mode",
        "column.exclude.list",
        "column.include.list",
        "connector.class",
        "converters",
        "bigint.unsigned.handling.mode",
        "enable.time.adjuster",
        "database.dbname",
        "database.hostname",
        "database.include.list",
        "database.password",
        "database.pdb.name",
        "database.port",
        "database.url",
        "database.user",
        "decimal.handling.mode",
        "errors.tolerance",
        "event.deserialization.failure.handling.mode",
        "event.processing.failure.handling.mode",
        "field.name.adjustment.mode",
        "header.converter",
        "heartbeat.action.query",
        "header.converter.schemas.enable",
        "heartbeat.interval.ms",
        "inconsistent.schema.handling.mode",
        "hstore.handling.mode",
        "include.unknown.datatypes",
        "interval.handling.mode",
        "key.converter",
        "key.converter.schemas.enable",
        "legacy.decimal.handling.strategy",
        "lob.enabled",
        "log.mining.strategy",
        "message.key.columns",
        "message.prefix.exclude.list",
        "message.prefix.include.list",
        "money.fraction.digits",
        "name",
        "offset.mismatch.strategy",
        "plugin.name",
        "producer.override.buffer.memory",
        "producer.override.max.request.size",
        "provide.transaction.metadata",
        "publication.autocreate.mode",
        "publication.name",
        "schema.history.internal.kafka.bootstrap.servers",
        "schema.history.internal.kafka.topic",
        "schema.history.internal.skip.unparseable.ddl",
        "skipped.operations",
        "slot.name",
        "snapshot.mode",
        "table.exclude.list",
        "table.include.list",
        "tasks.max",
        "time.precision.mode",
        "tombstones.on.delete",
        "topic.delimiter",
        "topic.heartbeat.prefix",
        "topic.naming.strategy",
        "topic.prefix",
        "transforms",
        "unavailable.value.placeholder",
        "value.converter",
        "value.converter.schemas.enable",
    )
)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Endpoint(_Model):
    """One database: an SQLAlchemy-style URL (`mysql://user@host:3306/shop`), the password beside it."""

    url: SecretStr
    password: SecretStr | None = None
    password_file: Path | None = None
    options: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="passed on to the database driver's connect()"
    )
    seen_by_connect_as: str | None = Field(None, description="host:port, where the Connect worker sees another one")

    @field_validator("url")
    @classmethod
    def _known_database(cls, value: SecretStr) -> SecretStr:
        try:
            url = make_url(value.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError("not a URL; write it like mysql://user@host:3306/database") from None
        if url.get_backend_name() not in DATABASE_KINDS:
            raise ValueError(f"unknown database {url.get_backend_name()!r}; known: {', '.join(DATABASE_KINDS)}")
        if not url.database:
            raise ValueError("names no database; write it like mysql://user@host:3306/database")
        return value

    @model_validator(mode="after")
    def _one_password(self) -> Endpoint:
        if self.password is not None and self.password_file is not None:
            raise ValueError("password and password_file exclude each other")
        return self

    @property
    def kind(self) -> str:
        return make_url(self.url.get_secret_value()).get_backend_name()

    def resolve(self) -> URL:
        """The URL with its password, without a driver name: which driver serves it is the database's matter.

        Raises ConfigError if `password_file` cannot be read.
        """
        url = make_url(self.url.get_secret_value()).set(drivername=self.kind)
        if self.password is not None:
            url = url.set(password=self.password.get_secret_value())
        if self.password_file is not None:
            try:
                url = url.set(password=self.password_file.read_text().strip())
            except OSError as error:
                raise ConfigError(file=self.password_file, line="", problem=error.strerror) from error
        return url

    @property
    def display(self) -> str:
        """The URL without its password."""
        return make_url(self.url.get_secret_value()).set(password=None, drivername=self.kind).render_as_string()

    @property
    def database(self) -> str:
        return make_url(self.url.get_secret_value()).database or ""


class Kafka(_Model):
    bootstrap_servers: str
    properties: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="librdkafka's, such as security.protocol"
    )
    seen_by_connect_as: str | None = None
    # What a broker takes in one request (socket.request.max.bytes) is 100 MiB unless somebody has raised it.
    largest_event_mb: int | None = Field(
        default=96,
        ge=1,
        le=900,
        description="MiB of one event, a row before and after as JSON; null: what the cluster says",
    )

    @property
    def largest_event(self) -> int | None:
        """In bytes."""
        return self.largest_event_mb and self.largest_event_mb * 1024 * 1024


class Connect(_Model):
    """A Kafka Connect cluster. `source_password` is what stands in the connector's JSON instead of the source's
    password: a config-provider reference such as `${file:/run/secrets/shop.properties:password}`."""

    url: str
    user: str | None = None
    password: SecretStr | None = None
    source_password: str | None = Field(None, repr=False)
    verify_tls: bool | str = True


class Heartbeat(_Model):
    """What travels from source to target while nobody writes."""

    seconds: int = Field(5, ge=1, le=3600, description="between two of them")
    table: str | None = Field(None, description="[database.]table of a MySQL or MariaDB source to beat in")


class TableRule(_Model):
    """A table or a pattern of tables (`orders`, `shop_*`, `sales.orders`), and what to do with it."""

    pattern: str
    target: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rename: dict[str, str] = Field(default_factory=dict)
    hash: tuple[str, ...] = ()
    mask: dict[str, str] = Field(default_factory=dict)
    where: str = ""
    delete: Literal["hard", "soft"] = "hard"

    @field_validator("where")
    @classmethod
    def _is_a_condition(cls, value: str) -> str:
        parse(value)
        return value

    @field_validator("rename", "mask")
    @classmethod
    def _says_something(cls, value: dict[str, str]) -> dict[str, str]:
        empty = next((name for name, text in value.items() if not text or "\0" in text), None)
        if empty is not None:
            raise ValueError(f"{empty} needs a text of at least one character, and none of them NUL")
        return value

    @model_validator(mode="after")
    def _choices_go_together(self) -> TableRule:
        """As far as the file alone tells; projection.py asks the table."""
        if self.include and self.exclude:
            raise ValueError("include and exclude exclude each other: what is not included is left out")
        both = sorted(set(self.hash) & self.mask.keys())
        if both:
            raise ValueError(f"{both[0]} is both hashed and masked")
        asked = columns_of(parse(self.where)) if self.where else frozenset()
        for option, names in {"rename": self.rename, "hash": self.hash, "mask": self.mask, "where": asked}.items():
            gone = sorted(n for n in names if n in self.exclude or (self.include and n not in self.include))
            if gone:
                raise ValueError(f"{option}: column {gone[0]} is left out of what is replicated")
        return self

    @model_validator(mode="after")
    def _new_names_differ(self) -> TableRule:
        names = [name.lower() for name in self.rename.values()]
        twice = next((name for name in self.rename.values() if names.count(name.lower()) > 1), None)
        if twice is not None:
            raise ValueError(f"rename: two columns would be called {twice}")
        if self.delete == "soft" and DELETED_AT in names:
            raise ValueError(f"rename: {DELETED_AT} is the column that delete: soft adds")
        return self

    def choices(self, salt: str) -> Choices:
        """Of each table that the rule matches; the salt counts only where something is hashed."""
        secret = salt if self.hash else ""
        return Choices(
            include=self.include,
            exclude=self.exclude,
            rename=tuple(self.rename.items()),
            hash=self.hash,
            mask=tuple(self.mask.items()),
            where=self.where,
            soft_delete=self.delete == "soft",
            salt=fingerprint_of_salt(secret),
        )

    def matches(self, table: TableId, default_schema: str) -> bool:
        """A pattern that names no schema means the default one."""
        if "." in self.pattern and fnmatch.fnmatchcase(str(table), self.pattern):
            return True
        return table.schema == default_schema and fnmatch.fnmatchcase(table.name, self.pattern)

    @property
    def is_pattern(self) -> bool:
        return any(character in self.pattern for character in "*?[")


class ReplicationConfig(_Model):
    """One replication, as its owner wrote it."""

    name: str
    client: int
    database: int
    config: int
    source: Endpoint
    target: Endpoint
    kafka: Kafka
    connect: Connect
    connector: dict[str, str] = Field(default_factory=dict, repr=False)
    heartbeat: Heartbeat = Field(default_factory=lambda: Heartbeat.model_validate({}))
    tables: tuple[TableRule, ...]
    hash_salt: SecretStr | None = Field(None, description="a secret in front of each text that is hashed")
    group: str | None = Field(None, description="overrides the consumer group's generated name")
    parallel_tables: int = Field(4, ge=1, le=64, description="how many tables the initial copy reads at a time")
    foreign_keys: bool = Field(False, description="make the source's foreign keys in the target too")
    schema_changes: Literal["evolve", "stop", "ignore"] = Field(
        "evolve", description="whether a table that changes in the source is synced again by itself, stops, or goes on"
    )
    apply: Literal["batches", "transactional"] = Field(
        "batches", description="whether a reader of the target may see a part of one of the source's transactions"
    )
    quarantine_rows: int = Field(100, ge=0, description="a table stops when events of more rows are set aside")
    batch_events: int = Field(5000, ge=1, description="at most so many events in one target transaction")

    @field_validator("tables", mode="before")
    @classmethod
    def _table_rules(cls, value: Any) -> Any:
        if not isinstance(value, list) or not value:
            raise ValueError("must be a list of table names or patterns")
        return tuple(_table_rule(entry) for entry in value)

    @field_validator("connector", mode="before")
    @classmethod
    def _connector_properties(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError("must map Debezium properties to values")
        for key in value:
            if key in RESERVED_CONNECTOR_KEYS:
                raise ValueError(f"{key} is set by cdc-pipeline itself, because exactness rests on it; remove it")
        return {str(k): str(v).lower() if isinstance(v, bool) else str(v) for k, v in value.items()}

    @model_validator(mode="after")
    def _patterns_have_no_fixed_target(self) -> ReplicationConfig:
        for rule in self.tables:
            if rule.is_pattern and rule.target and "{table}" not in rule.target:
                raise ValueError(f"tables: {rule.pattern} may match many tables, its target must contain {{table}}")
        return self

    @model_validator(mode="after")
    def _salt_can_be_kept_secret(self) -> ReplicationConfig:
        if self.source.kind == "oracle" and self.hash_salt and any(rule.hash for rule in self.tables):
            raise ValueError("hash_salt: with an Oracle source, its server would show the salt to others; leave it out")
        return self

    @property
    def ignores_changes(self) -> bool:
        return self.schema_changes == "ignore"

    @property
    def salt(self) -> str:
        return self.hash_salt.get_secret_value() if self.hash_salt else ""

    @model_validator(mode="after")
    def _only_mysql_and_mariadb_beat_in_a_table(self) -> ReplicationConfig:
        reasons = {
            "postgresql": "PostgreSQL needs none: its log takes messages",
            "oracle": "Oracle has not been tried with one",
        }
        if self.heartbeat.table and self.source.kind in reasons:
            raise ValueError(f"heartbeat.table: only of a MySQL or MariaDB source; {reasons[self.source.kind]}")
        return self

    @property
    def heartbeat_table(self) -> TableId | None:
        if self.heartbeat.table is None:
            return None
        schema, _, name = self.heartbeat.table.rpartition(".")
        return TableId(schema or self.source.database, name)

    @property
    def heartbeat_topic(self) -> str | None:
        """Where the source's heartbeats come; None where it sends none."""
        if self.heartbeat_table is not None:
            return self.topic(self.heartbeat_table)
        return f"{self.topic_prefix}.message" if self.source.kind == "postgresql" else None

    @property
    def marks_topic(self) -> str | None:
        """Where Debezium tells of the source's transactions, if they are applied whole."""
        return f"{self.topic_prefix}.transaction" if self.apply == "transactional" else None

    @property
    def connector_name(self) -> str:
        return f"client_{self.client}_db_{self.database}_connector"

    @property
    def topic_prefix(self) -> str:
        return f"client_{self.client}_db_{self.database}"

    @property
    def slot_name(self) -> str:
        """Names the PostgreSQL slot and publication; 63 lower-case characters at most, which two integers keep."""
        return f"cdc_pipeline_{self.client}_{self.database}"

    @property
    def group_prefix(self) -> str:
        return f"cdc_consumer_{self.client}_{self.config}_"

    def fresh_group(self) -> str:
        """A consumer group that nobody used before: each start of a stream has its own."""
        return self.group or f"{self.group_prefix}{int(time.time())}"

    def topic(self, table: TableId) -> str:
        """The topic that Debezium writes this table's changes to; it replaces what Kafka does not allow."""
        return re.sub(r"[^a-zA-Z0-9._-]", "_", f"{self.topic_prefix}.{table.schema}.{table.name}")

    def target_name(self, table: TableId, rule: TableRule) -> str:
        """`[schema.]name` of the target table: the rule's, or `{source_db}_{table}`."""
        if rule.target:
            return rule.target.replace("{table}", table.name).replace("{schema}", table.schema)
        return f"{self.source.database.rsplit('/', 1)[-1]}_{table.name}"


def _table_rule(entry: Any) -> Any:
    match entry:
        case str():
            return {"pattern": entry}
        case {**options} if len(options) == 1 and isinstance(next(iter(options.values())), dict):
            ((pattern, rule),) = options.items()
            return {"pattern": pattern, **rule}
        case {"pattern": _} | TableRule():
            return entry
    raise ValueError(f"{entry!r} is neither a table's name nor `name: {{target: …}}`")


def replications_folder() -> Path:
    return Path(os.environ.get(FOLDER_VARIABLE, "replications"))


def replication_files(folder: Path | None = None) -> list[Path]:
    folder = folder or replications_folder()
    return sorted(path for path in folder.glob("*.y*ml") if path.suffix in (".yaml", ".yml"))


def find_replication(name: str | None = None, folder: Path | None = None) -> ReplicationConfig:
    """The replication of that name, or the only one there is.

    Raises ConfigError, with the names there are, if there is none or more than one.
    """
    folder = folder or replications_folder()
    files = {path.stem: path for path in replication_files(folder)}
    names = ", ".join(files) or "none"
    if name is None:
        if len(files) != 1:
            problem = f"{len(files)} replications here ({names}); name one with -r"
            raise ConfigError(file=folder, line="", problem=problem)
        name = next(iter(files))
    if name not in files:
        raise ConfigError(file=folder, line="", problem=f"no replication {name!r} here ({names})")
    return load_replication(files[name])


def load_replication(path: Path) -> ReplicationConfig:
    """Read one replication file. Raises ConfigError that names the key and the line, and no secret."""
    try:
        text = path.read_text()
        node = yaml.compose(text)
        data = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(file=path, line="", problem=error.strerror) from error
    except UnicodeDecodeError as error:
        raise ConfigError(file=path, line="", problem="not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        if isinstance(error, ComposerError | ConstructorError):  # these quote the value, which may be a secret
            problem = "a value that begins with *, & or ! must stand in quotes"
        raise ConfigError(file=path, line=line, problem=problem) from None
    if not isinstance(data, dict) or node is None:
        raise ConfigError(file=path, line="", problem="empty; see README.md for what stands in it")
    lines = dict(_lines(node, ()))
    data = _from_environment(data, path, lines, ())
    try:
        return ReplicationConfig.model_validate({"name": path.stem, **data})
    except ValidationError as error:
        raise _explain(error, path, lines) from None


def _lines(node: yaml.Node, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """The line of every key and item of a YAML document, by its path."""
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from (
                (p, key.start_mark.line + 1 if p == (*place, key.value) else n)
                for p, n in _lines(value, (*place, key.value))
            )
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*place, index))


def _from_environment(value: Any, path: Path, lines: dict, place: tuple[str | int, ...]) -> Any:
    """`${NAME}` replaced by the environment's value, in every text of the document."""
    if isinstance(value, dict):
        return {k: _from_environment(v, path, lines, (*place, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_from_environment(v, path, lines, (*place, i)) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            line = f", line {lines[place]}" if place in lines else ""
            problem = f"{'.'.join(map(str, place))}: the environment has no variable {match[1]}"
            raise ConfigError(file=path, line=line, problem=problem)
        return os.environ[match[1]]

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", variable, value)


def _written(place: tuple[str | int, ...], lines: dict) -> tuple[str | int, ...]:
    """Where it stands in the file: a table's options stand under its name."""
    if place[:1] != ("tables",) or len(place) < 3:
        return place
    return next((p for p in lines if p[:2] == place[:2] and p[3:] == place[2:]), place)


def _explain(error: ValidationError, path: Path, lines: dict) -> ConfigError:
    """All findings of pydantic in one error, each with its line; never with the value, which may be a secret."""
    findings = []
    for finding in error.errors(include_input=False, include_url=False, include_context=False):
        place = finding["loc"]
        known = next((p for n in range(len(place), -1, -1) if (p := _written(place[:n], lines)) in lines), ())
        key = ".".join(str(part) for part in place)
        message = {
            "extra_forbidden": "unknown key",
            "missing": "is missing",
        }.get(finding["type"], finding["msg"].removeprefix("Value error, "))
        findings.append((lines.get(known, 1), f"{key}: {message}" if key else message))
    first = findings[0][0]
    text = "; ".join(m if line == first else f"line {line}: {m}" for line, m in findings)
    return ConfigError(file=path, line=f", line {first}", problem=text)
