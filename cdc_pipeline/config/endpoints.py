"""Where a replication's servers are: its databases, Kafka, Connect; and the heartbeats that it sends through them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator, model_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from cdc_pipeline.config.base import Model
from cdc_pipeline.errors import ConfigError

DATABASE_KINDS = ("mysql", "mariadb", "postgresql", "oracle")
# What of a driver's connect() every session has from us: that values arrive as they are, that transactions end where
# we end them, and that a server gets no file of this machine rests on it.
_MYSQL = {
    "autocommit", "charset", "client_flag", "conv", "cursorclass", "defer_connect", "init_command", "local_infile",
    "sql_mode", "use_unicode",
}  # fmt: skip
_POSTGRESQL = {
    "async", "async_", "client_encoding", "connection_factory", "cursor_factory", "options", "replication",
}  # fmt: skip
SET_BY_US = {"mysql": _MYSQL, "mariadb": _MYSQL, "postgresql": _POSTGRESQL}


class Endpoint(Model):
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

    @model_validator(mode="after")
    def _leaves_our_settings_alone(self) -> Endpoint:
        stated = {*self.options, *make_url(self.url.get_secret_value()).query}
        if ours := sorted(stated & SET_BY_US.get(self.kind, set())):
            raise ValueError(
                f"{', '.join(ours)}: every session of the pipeline sets this itself, and is only exact and safe so; "
                "leave it out of the options and of the URL"
            )
        return self

    @cached_property
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


class Kafka(Model):
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


class Connect(Model):
    """A Kafka Connect cluster. `source_password` is what stands in the connector's JSON instead of the source's
    password: a config-provider reference such as `${file:/run/secrets/shop.properties:password}`."""

    url: str
    user: str | None = None
    password: SecretStr | None = None
    source_password: str | None = Field(None, repr=False)
    verify_tls: bool | str = True


class Heartbeat(Model):
    """What travels from source to target while nobody writes."""

    seconds: int = Field(5, ge=1, le=3600, description="between two of them")
    table: str | None = Field(None, description="[database.]table of a MySQL or MariaDB source to beat in")
