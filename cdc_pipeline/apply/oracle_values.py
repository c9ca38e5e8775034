"""Debezium's JSON values of Oracle's own types -> canonical texts. Pure.

Read in the source of Debezium 3.6 and in its documentation, not measured: no server was there.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any


def decimal(value: Any) -> str:
    """Text, as `decimal.handling.mode=string` makes it; a whole number, of a scale below zero; or a value of variable
    scale, `{"scale": 2, "value": base64 of a big-endian whole number}`. Raises ValueError or TypeError."""
    if isinstance(value, dict):
        unscaled = int.from_bytes(base64.b64decode(value["value"], validate=True), "big", signed=True)
        digits = tuple(map(int, str(abs(unscaled))))
        return f"{Decimal((int(unscaled < 0), digits, -int(value['scale']))):f}"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"a number expected, not {type(value).__name__}")
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError("a NUMBER is finite")
    return f"{number:f}"


def instant(value: Any) -> str:
    """`2024-01-31T12:00:00.5+02:00`, in the zone that it was written in, as UTC. Raises ValueError."""
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("an instant with its zone expected")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")
