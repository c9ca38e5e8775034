"""Sessions that serve again and again while many tables are copied, where a new connection for each question would take
longer than the questions (MySQL with TLS: 20 ms on one machine). One that comes out of the pool is as a new one.

At the end of its use a session gives up what others may wait for: its transaction and its locks. Before its next use it
is made anew, in the same round trip that tells whether it still lives; in place of one that does not, a new connection
is opened, and nobody notices.
"""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import QueuePool

_USED = "cdc_pipeline_used"


class Renewable(Protocol):
    """A database whose sessions can be made as new. Both get the driver's own connection."""

    def new_engine(self, **pool: Any) -> Engine: ...

    def release_session(self, connection: Any) -> None:
        """End the transaction, and let go of every lock."""

    def renew_session(self, connection: Any) -> None:
        """Whatever the session has set, made or been told is gone; what every session of ours needs is set."""


def pooled_engine(database: Renewable) -> Engine:
    """As many connections as are in use at once, without a limit: a thread that waited for one might wait for itself.
    The last one that came back is the next to go, so that what the server has in that session's caches is used."""
    engine = database.new_engine(poolclass=QueuePool, pool_size=0, pool_use_lifo=True, pool_reset_on_return=None)
    driver_error: type[Exception] = engine.dialect.loaded_dbapi.Error

    @event.listens_for(engine, "reset")
    def release(connection: Any, record: Any, _state: Any) -> None:
        record.info[_USED] = True
        try:
            database.release_session(connection)
        except driver_error as error:  # it has died, of which whoever used it has heard
            record.invalidate(error)

    @event.listens_for(engine, "checkout")
    def renew(connection: Any, record: Any, _proxy: Any) -> None:
        if _USED not in record.info:
            return
        try:
            database.renew_session(connection)
        except driver_error as error:
            raise DisconnectionError("it has died in the pool") from error

    return engine
