"""What is remembered, in the target database: lifecycle, watermarks, offsets, the consumer's lease.

Everything that says how a replication stands is read from here (and from Connect and Kafka), never from a
process's memory. Rows, offsets and fencing epochs move in one transaction: the functions that take a Connection run
in the caller's.

`records.py` names the states and says what one row holds, `schema.py` defines the tables. What is done with them has a
file for each thing that is remembered, and `claims.py` for what moves a table and its offsets at once. `State` is all
of it.
"""

from __future__ import annotations

from cdc_pipeline.state.claims import Claims
from cdc_pipeline.state.consumers import Consumers
from cdc_pipeline.state.records import (
    ACTIVE,
    HAS_WATERMARK,
    IN_COPY,
    LEASE_SECONDS,
    STREAMS,
    WISHES,
    ConsumerRecord,
    ConsumerState,
    Desired,
    OffsetRecord,
    TableRecord,
    TableState,
    Work,
)
from cdc_pipeline.state.replication import ReplicationRow
from cdc_pipeline.state.schema import VERSION

__all__ = [
    "ACTIVE",
    "HAS_WATERMARK",
    "IN_COPY",
    "LEASE_SECONDS",
    "STREAMS",
    "VERSION",
    "WISHES",
    "ConsumerRecord",
    "ConsumerState",
    "Desired",
    "OffsetRecord",
    "State",
    "TableRecord",
    "TableState",
    "Work",
]


class State(ReplicationRow, Claims, Consumers):
    """The state tables of one replication."""
