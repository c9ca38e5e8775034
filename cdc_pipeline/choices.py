"""What a table's owner may choose: names for it. Standard library only; projection.py makes it so."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Choices:
    """What a table's owner chose to replicate of it (README, "Choose what is replicated"); nothing by default.
    `salt` tells one `hash_salt` from another, and not what it is."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    hash: tuple[str, ...] = ()
    mask: tuple[tuple[str, str], ...] = ()
    where: str = ""
    soft_delete: bool = False
    salt: str = ""


NOTHING_CHOSEN = Choices()
DELETED_AT = "_deleted_at"  # the column that says, where deletes are soft, since when the source lacks the row


class Change(StrEnum):
    """What becomes of a column's value on its way; NULL stays NULL."""

    NONE = ""
    HASH = "hash"  # SHA-256 of the salt and the canonical text, in hexadecimal digits
    MASK = "mask"  # a text in its place
    DELETED_AT = "deleted_at"  # no column of the source: NULL in every row that the source has


HASH_CHARACTERS = 64  # of a SHA-256 in hexadecimal digits


def fingerprint_of_salt(salt: str) -> str:
    """Enough to notice that a salt has changed, too little to find it out by."""
    return hashlib.sha256(f"cdc-pipeline hash_salt {salt}".encode()).hexdigest()[:8] if salt else ""


def hasher(salt: str, *, fixed: bool) -> Callable[[str], str]:
    """The hash of canonical texts. A text of a `fixed` length is hashed without the blanks that fill it."""
    start = hashlib.sha256(salt.encode())

    def hashed(text: str) -> str:
        digest = start.copy()
        digest.update((text.rstrip(" ") if fixed else text).encode())
        return digest.hexdigest()

    return hashed
