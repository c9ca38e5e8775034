"""The rows that a replication has but one of: what its owner wants, where its stream began, its source's heartbeat."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, update

from cdc_pipeline.state.records import Desired
from cdc_pipeline.state.schema import VERSION, StateTables


class ReplicationRow(StateTables):
    def create(self) -> None:
        """Make the tables and this replication's row. Harmless if they are there."""
        self.target.prepare_state()
        self._make_tables()
        with self.target.connect() as connection:
            if self._replication(connection) is None:
                row = {"replication": self.replication, "version": VERSION, "desired": Desired.RUNNING}
                connection.execute(insert(self.replications).values(row))
            if connection.execute(select(self.heartbeats).where(self._is_ours)).one_or_none() is None:
                connection.execute(insert(self.heartbeats).values(replication=self.replication))
            connection.commit()

    def _replication(self, connection: Connection) -> Any:
        table = self.replications
        return connection.execute(select(table).where(table.c.replication == self.replication)).one_or_none()

    @property
    def start_position(self) -> str | None:
        return self._read("start_position")

    @property
    def captured_tables(self) -> list[str]:
        return [table for table in (self._read("captured_tables") or "").split("\n") if table]

    @property
    def desired(self) -> Desired:
        return Desired(self._read("desired") or Desired.RUNNING)

    @property
    def kept_out(self) -> dict[str, str]:
        """New tables of the source that the consumer does not take up, each with the reason."""
        return json.loads(self._read("kept_out") or "{}")

    def set_kept_out(self, reasons: Mapping[str, str]) -> None:
        self.set(kept_out=json.dumps(dict(reasons)) if reasons else None)

    def _read(self, field: str) -> Any:
        with self.target.connect() as connection:
            row = self._replication(connection)
            return None if row is None else getattr(row, field)

    def set(self, **fields: str | None) -> None:
        table = self.replications
        with self.target.connect() as connection:
            connection.execute(update(table).where(table.c.replication == self.replication).values(**fields))
            connection.commit()

    # -- heartbeats of the source -------------------------------------------------------------------------------

    @property
    def _is_ours(self) -> Any:
        return self.heartbeats.c.replication == self.replication

    def beat_seen(self, connection: Connection, source_time: float) -> None:
        """A heartbeat that left the source then has come, and so has all that it follows in the caller's transaction.
        Times never move back: a topic may tell a heartbeat again."""
        table = self.heartbeats
        is_later = or_(table.c.source_time.is_(None), table.c.source_time < source_time)
        values = {"source_time": source_time, "applied_at": func.now()}
        connection.execute(update(table).where(self._is_ours, is_later).values(**values))

    def last_beat(self) -> float | None:
        """The source's time of the last heartbeat that has come."""
        with self.target.connect() as connection:
            return connection.execute(select(self.heartbeats.c.source_time).where(self._is_ours)).scalar()
