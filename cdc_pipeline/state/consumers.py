"""The consumers' leases: who consumes, whether it lives, and who may take its place."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, func, insert, select, update

from cdc_pipeline.state.records import ConsumerRecord, ConsumerState, Work
from cdc_pipeline.state.schema import StateTables


class Consumers(StateTables):
    def consumer(self) -> ConsumerRecord | None:
        """The one that leads: of several, a living one that did not join another; of dead ones, the last."""
        return next(iter(self.consumers_known()), None)

    def consumers_known(self) -> list[ConsumerRecord]:
        """All that live, and those that did when the last one began; the one that leads comes first."""
        with self.target.connect() as connection:
            return self._consumers(connection)

    def _consumers(self, connection: Connection) -> list[ConsumerRecord]:
        table = self.consumers
        query = select(table, func.now().label("clock")).where(table.c.replication == self.replication)
        records = [
            ConsumerRecord(
                row.run_id, row.consumer_group, ConsumerState(row.state), row.host, row.pid, row.started_at,
                (row.clock.replace(tzinfo=None) - row.heartbeat).total_seconds(), row.attempt, row.error or "",
                bool(row.joined), Work.from_text(row.work) if row.work else None,
            )
            for row in connection.execute(query)
        ]  # fmt: skip
        return sorted(records, key=lambda record: (not record.is_alive, record.joined, record.age))

    def take_lease(self, run_id: str, group: str, host: str, pid: int, *, join: bool = False) -> ConsumerRecord | None:
        """Become the consumer, or with `join` one more of them. Returns the one that leads if it is alive and shall not
        be joined, else None.

        A holder on this very host whose process is gone is dead at once; any other one when its heartbeat is old.
        Should that ever be wrong (two containers of one host name), the loser is fenced, not the data harmed.
        """
        with self.target.connect() as connection:
            # The replication's row always exists, so it serializes even the first two consumers.
            row = select(self.replications.c.version).where(self.replications.c.replication == self.replication)
            connection.execute(row.with_for_update()).one()
            others = [record for record in self._consumers(connection) if record.run_id != run_id]
            alive = [record for record in others if record.is_alive_seen_from(host)]
            if alive and not join:
                return alive[0]
            gone = [record.run_id for record in others if record not in alive]
            self._forget_consumers(connection, [run_id, *gone])  # one of these that lives all the same hears it
            values = {
                "run_id": run_id, "joined": int(bool(alive)), "consumer_group": group, "host": host, "pid": pid,
                "state": ConsumerState.STARTING, "started_at": func.now(), "heartbeat": func.now(), "attempt": 0,
            }  # fmt: skip
            connection.execute(insert(self.consumers).values(replication=self.replication, **values))
            connection.commit()
        return None

    def _forget_consumers(self, connection: Connection, run_ids: Iterable[str]) -> None:
        table = self.consumers
        is_one = (table.c.replication == self.replication, table.c.run_id.in_(list(run_ids)))
        connection.execute(delete(table).where(*is_one))

    def beat(
        self, run_id: str, state: ConsumerState, attempt: int = 0, error: str = "", work: Work | None = None
    ) -> bool:
        """Say that the consumer lives, how it is, and what it has done if that is known. False if another one has taken
        it for dead."""
        table = self.consumers
        is_mine = (table.c.replication == self.replication, table.c.run_id == run_id)
        with self.target.connect() as connection:
            values = {"heartbeat": func.now(), "state": state, "attempt": attempt, "error": error}
            values |= {"work": work.to_text()} if work else {}
            mine = connection.execute(update(table).where(*is_mine).values(**values)).rowcount == 1
            connection.commit()
        return mine
