"""A heartbeat that came from the source -> when it left there. Pure.

The connector writes it into PostgreSQL's log, the consumer into the owner's table in MySQL, and it comes by the same
way as every change: so it tells how far behind the target is while nobody writes.
"""

from __future__ import annotations

import msgspec


def source_time(value: bytes | None) -> float | None:
    """When the source committed it, in seconds since 1970 by the source's clock; None of what is no heartbeat.

    What cannot be read is passed over: no row depends on it, and a heartbeat that is missing shows by itself.
    """
    try:
        return msgspec.json.decode(value or b"")["source"]["ts_ms"] / 1000
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return None
