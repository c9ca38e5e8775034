"""The hash of a row's compare texts, as every server's `Dialect.row_hash` computes it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256


def row_hash(texts: Iterable[str | None]) -> str:
    """64 hexadecimal digits."""
    joined = "".join("N" if text is None else f"{len(text)}:{text}" for text in texts)
    return sha256(joined.encode()).hexdigest()
