"""Every error that a person can meet, one class each.

The first line of a class's docstring is the message; its `{fields}` are filled from the keyword arguments of
the constructor. `hint` says what to do about it. `retryable` is the one place that decides what is tried
again: a retryable error is one where the same call may succeed later without anybody changing anything. Of what the
stream meets, `is_about_one_event` says that the event alone is to blame and may be set aside; other errors stop its
table. `ends_session` says that the database session was closed, so that nothing can be rolled back in it.

No message may contain a secret: pass URLs through `model.Endpoint.display` before they come here.
"""

from __future__ import annotations


class CdcPipelineError(Exception):
    """{reason}"""

    hint: str = ""
    retryable: bool = False
    is_about_one_event: bool = False
    ends_session: bool = False

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        self.message = (type(self).__doc__ or "{reason}").split("\n", 1)[0].format(**fields)
        hint = self.hint.format(**fields)
        super().__init__(f"{self.message} {hint}".strip())


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


class FileDemanded(CdcPipelineError):
    """{database} demands the file {name} of this machine, which no statement of ours sends; it got nothing."""

    ends_session = True
    hint = (
        "A MySQL server that does so is not the one you mean, or is not yours any more. Check the URL, and have the "
        "server's certificate verified (`options`: `ssl_ca`, `ssl_verify_identity`)."
    )


class StatementFailed(CdcPipelineError):
    """{database}: {reason}"""


class RowRefused(StatementFailed):
    """{database}: {reason}"""

    # The statement is right, and the server does not take a value or a combination of them.
    is_about_one_event = True


class LoadRefused(RowRefused):
    """{database}: row {row} of what is loaded: {reason}"""

    # Counted from 1. `column` is empty where the server names none.


class ValueRefused(CdcPipelineError):
    """{source}, row {key}: {what} in {table}: {reason}."""

    hint = "Mend the value, or give the target's column a type that can hold it (docs/types.md)."
    is_about_one_event = True


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


class ResyncImpossible(CdcPipelineError):
    """Target {table} cannot be replaced, because of {reasons}; nor can its rows be replaced in place: {problem}."""

    hint = "Remove what stands in the way, sync again, and make it anew. Nothing was changed."


class ResyncOvertaken(CdcPipelineError):
    """The re-sync of {table} found the table replaced, altered or given up by somebody else meanwhile."""

    hint = "Sync it again."


class CopyOvertaken(CdcPipelineError):
    """The copy of {table} lost the connection that kept others away, and another one is copying it now."""

    hint = "Nothing is to be done: that one goes on."


class TableBusy(CdcPipelineError):
    """Target {table} could not be replaced, because others kept it locked: {reason}"""

    hint = "Look for long transactions on it, then sync it again. Nothing was changed."
    retryable = True


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


class TopicShared(CdcPipelineError):
    """Table {table} would share its topic {topic} with {others}."""

    hint = (
        "In Kafka's names every character but letters, digits, '-', '.' and '_' is replaced, and '.' counts as '_'. "
        "Rename a table in the source, or leave one out."
    )


class ChoicesImpossible(CdcPipelineError):
    """Table {table} cannot be replicated as its options say: {problems}."""

    hint = "Change them in the replication's file."


class ChoicesChanged(CdcPipelineError):
    """The options of table {table} (or hash_salt) are not those that it was copied with."""

    hint = "Copy it again (resync, or start --force-resync), or take the change back."


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


class TopicTooNarrow(CdcPipelineError):
    """Topic {topic} takes events of at most {limit} bytes, and Kafka refused {wanted}: {reason}"""

    hint = "Set its max.message.bytes yourself, or state a lower kafka.largest_event_mb (null: what the topic has)."


class OffsetLost(CdcPipelineError):
    """Kafka no longer has offset {offset} of {topic} [{partition}]: it begins at {beginning}, ends at {end}."""

    hint = "The consumer slept past the topic's retention, or the topic was made anew. Re-sync: start --force-resync."


class ConsumerFenced(CdcPipelineError):
    """Another consumer took over {topic} [{partition}], or its table is being copied again."""

    retryable = True


class TablesStopped(CdcPipelineError):
    """{count} table(s) cannot go on: {reasons}"""

    hint = "Mend what it says, then `cdc-pipeline resume` (or re-sync the table)."


class TooManySetAside(CdcPipelineError):
    """{table} has events of {rows} rows in quarantine, and more come: {last}"""

    hint = "See `cdc-pipeline quarantine list`."


class TargetChanged(CdcPipelineError):
    """Target table {target} is not as it was copied: {problem}."""

    hint = "Put it back, or re-sync the table."


class ColumnsChanged(CdcPipelineError):
    """The columns of {table} have changed ({change})."""

    hint = "Copy it again: cdc-pipeline resync {table}."


class TableChanged(CdcPipelineError):
    """Table {table} is defined otherwise than it was when it was copied."""

    hint = "Copy it again: cdc-pipeline resync {table}."


class SourceTableGone(CdcPipelineError):
    """Table {table} is gone from the source; its target stays as it is."""

    hint = "Take it out of the replication, or re-sync it when it is back."


class IllegalTransition(CdcPipelineError):
    """Table {table} cannot go from {before} to {after}."""


class ConsumerAlreadyRuns(CdcPipelineError):
    """The stream of {replication} is already consumed by run {run_id} (last heartbeat {age:.0f} s ago)."""


class CannotJoin(CdcPipelineError):
    """{replication} applies whole transactions, which one consumer alone can do."""

    hint = "Leave out --join, or the replication's `apply: transactional`."


class EventNotUnderstood(CdcPipelineError):
    """Event at {topic} [{partition}] offset {offset} cannot be read: {reason}"""


class EventOfAnotherTable(CdcPipelineError):
    """Event at {topic} [{partition}] offset {offset} is of {other}, not of {table}. It was not applied."""

    hint = (
        "Something else writes to this topic, or it was another table's before. Find out what does, delete the topic, "
        "and re-sync the table."
    )


class ValueNotRepresentable(CdcPipelineError):
    """Column {column}: {value} is not a value of {type}."""

    is_about_one_event = True


class LocalStackError(CdcPipelineError):
    """{server}: {reason}"""


class ToolsMissing(LocalStackError):
    """This machine lacks {tools}. On Debian and Ubuntu, as root: apt-get install --no-install-recommends {packages}"""
