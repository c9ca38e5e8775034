"""MariaDB: what differs from MySQL. Rough: the snapshot runs and is measured by hand only; see docs/decisions.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from cdc_pipeline.databases.mysql.database import MySqlDatabase
from cdc_pipeline.databases.mysql.source import MySqlSource
from cdc_pipeline.databases.mysql.target import MySqlTarget
from cdc_pipeline.databases.mysql.watermark import BinlogWatermark
from cdc_pipeline.model import Position, Watermark


@dataclass(frozen=True)
class DomainPosition:
    """A MariaDB GTID position, `domain-server-sequence` for each domain: everything up to each sequence."""

    sequences: Mapping[str, int]

    @classmethod
    def parse(cls, text: str) -> DomainPosition:
        parts = [entry.strip().split("-") for entry in text.split(",") if entry.strip()]
        return cls({domain: int(sequence) for domain, _, sequence in parts})

    def includes(self, other: DomainPosition) -> bool:
        return all(self.sequences.get(domain, -1) >= sequence for domain, sequence in other.sequences.items())


class MariaDbDatabase(MySqlDatabase):
    driver = "mariadb+pymysql"


class MariaDbSource(MariaDbDatabase, MySqlSource):
    def _log_position(self, connection: Connection) -> dict[str, Any]:
        row = connection.exec_driver_sql("SHOW MASTER STATUS").one()
        gtids = self.scalar(connection, f"SELECT BINLOG_GTID_POS('{row[0]}', {int(row[1])})")
        return {"file": row[0], "pos": int(row[1]), **({"gtids": gtids} if gtids else {})}

    def _watermark_now(self, connection: Connection) -> Watermark:
        offset = self._log_position(connection)
        return BinlogWatermark(offset["file"], offset["pos"])

    def check_position(self, position: Position, slot: str) -> None:
        with self.connect() as connection:
            files = [row[0] for row in connection.exec_driver_sql("SHOW BINARY LOGS")]
        kept = position.offset["file"] in files
        self.require_position(kept, position, "the server has purged binary logs (see expire_logs_days)")

    def reached(self, offset: Mapping[str, Any], mark: Position) -> bool:
        if "gtids" in mark.offset and offset.get("gtids"):
            return DomainPosition.parse(offset["gtids"]).includes(DomainPosition.parse(mark.offset["gtids"]))
        return super().reached(offset, Position({k: v for k, v in mark.offset.items() if k != "gtids"}))

    def watermark(self, text: str) -> Watermark:
        data = json.loads(text)
        return BinlogWatermark(data["file"], data["pos"])


class MariaDbTarget(MariaDbDatabase, MySqlTarget):
    pass
