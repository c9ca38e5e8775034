"""Every error that a person can meet, one class each.

The first line of a class's docstring is the message; its `{fields}` are filled from the keyword arguments of
the constructor. `hint` says what to do about it. `retryable` is the one place that decides what is tried
again: a retryable error is one where the same call may succeed later without anybody changing anything.

No message may contain a secret: pass URLs through `model.Endpoint.display` before they come here.
"""

from __future__ import annotations


class CdcPipelineError(Exception):
    """{reason}"""

    hint: str = ""
    retryable: bool = False

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        message = (type(self).__doc__ or "{reason}").split("\n", 1)[0].format(**fields)
        hint = self.hint.format(**fields)
        super().__init__(f"{message} {hint}".strip())


class ConfigError(CdcPipelineError):
    """{file}{line}: {problem}"""


class ValidationFailed(CdcPipelineError):
    """{count} check(s) failed:{listed}"""


class DatabaseUnavailable(CdcPipelineError):
    """{database} cannot be reached: {reason}"""

    hint = "Check that the server runs and that host and port are right."
    retryable = True


class AccessDenied(CdcPipelineError):
    """{database} refused the login of user {user}."""

    hint = "Check the user name and the password (the environment variable that holds it may be stale)."


class StatementFailed(CdcPipelineError):
    """{database}: {reason}"""


class LoadRefused(StatementFailed):
    """{database}: row {row} of what is loaded: {reason}"""

    # Counted from 1. `column` is empty where the server names none.


class ValueRefused(CdcPipelineError):
    """{source}, row {key}: {what} in {table}: {reason}."""

    hint = "Mend the value, or give the target's column a type that can hold it (docs/types.md)."


class UnsupportedType(CdcPipelineError):
    """Column {column} of {table} has the type {type}, which cannot be replicated: {reason}."""

    hint = "Or leave the table out of the replication."


class TargetNotEmpty(CdcPipelineError):
    """Target {target} already has {rows} rows, and nothing says which changes of {table} they hold."""

    hint = "Reload it with --force-resync, or vouch with --adopt that it equals the source now. Nothing was changed."


class GeneratedColumnMissing(CdcPipelineError):
    """Target {table} must generate {columns} itself, because no event carries the value; its columns do not."""

    hint = "Drop the target table, so that the copy makes it, or set `target:`."


class CopyIncomplete(CdcPipelineError):
    """Copy of {table}: {read} rows read, {loaded} loaded."""


class NotStarted(CdcPipelineError):
    """Replication {replication} has never been started: its target has no state tables."""

    hint = "Run `cdc-pipeline start`."


class NotCopied(CdcPipelineError):
    """The connector cannot be registered: not copied yet: {tables}."""

    hint = "Run the initial copy first: `cdc-pipeline start`, or materialize initial_copy."


class PositionLost(CdcPipelineError):
    """The source's log no longer reaches back to {position}: {reason}"""

    hint = "Changes in between cannot be captured any more. Re-sync every table: start --force-resync."


class DefinitionChanged(CdcPipelineError):
    """Table {table} was altered between its copy and the registration of the connector."""

    hint = "Copy it again: start --force-resync."


class ConnectUnavailable(CdcPipelineError):
    """Kafka Connect at {url} cannot be reached: {reason}"""

    hint = "Check that the worker runs."
    retryable = True


class ConnectRefused(CdcPipelineError):
    """Kafka Connect refused {request}: {status} {reason}"""


class ConnectorFailed(CdcPipelineError):
    """Connector {connector} failed: {reason}"""

    hint = "Mend what it names, then run `cdc-pipeline register`."


class OffsetMismatch(CdcPipelineError):
    """Connector {connector} did not take its start offset: wrote {wrote}, read back {read}."""


class KafkaUnavailable(CdcPipelineError):
    """Kafka at {servers} cannot be reached: {reason}"""

    hint = "Check that the broker runs and that bootstrap_servers is right."
    retryable = True


class OffsetLost(CdcPipelineError):
    """Kafka no longer has offset {offset} of {topic} [{partition}]: it begins at {beginning}, ends at {end}."""

    hint = "The consumer slept past the topic's retention, or the topic was made anew. Re-sync: start --force-resync."


class ConsumerFenced(CdcPipelineError):
    """Another consumer took over {topic} [{partition}], or its table is being copied again."""

    retryable = True


class IllegalTransition(CdcPipelineError):
    """Table {table} cannot go from {before} to {after}."""


class ConsumerAlreadyRuns(CdcPipelineError):
    """The stream of {replication} is already consumed by run {run_id} (last heartbeat {age:.0f} s ago)."""


class EventNotUnderstood(CdcPipelineError):
    """Event at {topic} [{partition}] offset {offset} cannot be read: {reason}"""


class ValueNotRepresentable(CdcPipelineError):
    """Column {column}: {value} is not a value of {type}."""


class LocalStackError(CdcPipelineError):
    """{server}: {reason}"""
