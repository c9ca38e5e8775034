"""The heartbeat of a PostgreSQL source: a message in its log, which needs no table. Pure."""

from __future__ import annotations

PREFIX = "cdc_pipeline"  # of all messages of ours; what an application writes with another one is not captured
BEAT = f"SELECT pg_logical_emit_message(true, '{PREFIX}', 'heartbeat')"
