"""Who hears of trouble, and of which, as a replication file says it."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from cdc_pipeline.config.base import Model


def _require_http(url: SecretStr) -> SecretStr:
    """The URL itself is a secret to whom it is sent: it is not repeated."""
    if not url.get_secret_value().startswith(("http://", "https://")):
        raise ValueError("must begin with https:// or http://")
    return url


class Email(Model):
    to: tuple[str, ...] = Field(min_length=1)
    sender: str
    server: str = Field(pattern=r"^[^\s:/]+:\d+$", description="host:port")
    user: str | None = None
    password: SecretStr | None = None
    tls: bool = Field(True, description="STARTTLS, or TLS from the beginning on port 465")


class Alerts(Model):
    slack: SecretStr | None = Field(None, description="the URL of an incoming webhook")
    webhooks: tuple[SecretStr, ...] = Field((), description="URLs that get a JSON object")
    email: Email | None = None
    lag_seconds: int = Field(300, ge=1, description="more is trouble")
    log_mb: int = Field(
        10_240, ge=1, description="MiB of its log that a PostgreSQL source keeps for us; more is trouble"
    )
    dagster_url: str = Field("", description="where people open Dagster, for the links in messages")

    @field_validator("slack")
    @classmethod
    def _slack_is_http(cls, value: SecretStr | None) -> SecretStr | None:
        return value and _require_http(value)

    @field_validator("webhooks")
    @classmethod
    def _webhooks_are_http(cls, values: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return tuple(map(_require_http, values))
