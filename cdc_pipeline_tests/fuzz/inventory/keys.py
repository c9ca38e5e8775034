"""Keys of tables, of every kind and none."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from cdc_pipeline_tests.fuzz.draft import Draft
from cdc_pipeline_tests.fuzz.features import LIKE_MYSQL, MYSQL, POSTGRESQL, Feature, add, feature
from cdc_pipeline_tests.fuzz.maker import Maker
from cdc_pipeline_tests.fuzz.plan import Clause, Column

Literals = Callable[[int], tuple[str, ...]]
_UUIDS = uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")


def _uuid(number: int) -> str:
    return str(uuid.uuid5(_UUIDS, str(number)))


def _of(values: Sequence[str]) -> Literals:
    """The hostile values first, then numbered ones."""
    return lambda n: (values[n - 1] if n <= len(values) else f"'v{n}'",)


PADDED = ["'k'", "'k '", "'K'", "' k'", "'k\t'", "'ss'", "'ß'", "'é'", "'e\u0301'", "''", "' '", "'ı'", "'I'"]


def _key(name: str, declared: str, literals: Literals, **values: object) -> None:
    def make(maker: Maker, draft: Draft) -> None:
        draft.key = [Column("id", f"{declared} NOT NULL", name, nullable=False)]
        draft.next_key = literals

    add(Feature(name, "key", make, **{"weight": 4, **values}))  # type: ignore[arg-type]


@feature("key", weight=60, base=True)
def key_int(maker: Maker, draft: Draft) -> None:
    draft.key = [Column("id", "INT NOT NULL", "key_int", nullable=False)]


_PADS = "the target's utf8mb4_bin takes 'k' and 'k ' for one key"
_key("key_text", "VARCHAR(40)", lambda n: (f"'key {n}'",))
_key("key_padded", "VARCHAR(40)", _of(PADDED), sources=(POSTGRESQL,), targets=(POSTGRESQL,))
_key("key_padded_into_mysql", "VARCHAR(40)", _of(PADDED), sources=(POSTGRESQL,), targets=LIKE_MYSQL, known=_PADS)
_key(
    "key_padded_0900_pg",
    "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_cs",
    _of(PADDED),
    sources=(MYSQL,),
    targets=(POSTGRESQL,),
)
_NO_PAD = "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_as_cs"
_key("key_padded_0900", _NO_PAD, _of(PADDED), sources=(MYSQL,), targets=LIKE_MYSQL, known=_PADS)
_key(
    "key_ci",
    "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
    lambda n: (f"'Key {n}'",),
    sources=LIKE_MYSQL,
)
_key("key_latin1", "VARCHAR(40) CHARACTER SET latin1", lambda n: (f"'ü{n}'",), sources=LIKE_MYSQL)
_key("key_char", "CHAR(12)", lambda n: (f"'{n}'",))
_key("key_decimal", "DECIMAL(20, 5)", lambda n: (f"{n * 1234567 / 100000:.5f}",))
_key("key_negative", "BIGINT", lambda n: (str(-(2**63) + n - 1 if n % 2 else 2**63 - n),))
_key("key_unsigned", "BIGINT UNSIGNED", lambda n: (str(2**64 - n if n % 2 else n),), sources=LIKE_MYSQL)
_key("key_date", "DATE", lambda n: (f"'{1582 + n:04}-10-{n % 28 + 1:02}'",))
_key("key_datetime", "DATETIME(6)", lambda n: (f"'2024-03-31 02:30:00.{n:06}'",), sources=LIKE_MYSQL)
_key("key_time", "TIME(3)", lambda n: (f"'{n % 24:02}:00:00.{n:03}'",))
_key("key_binary", "VARBINARY(20)", lambda n: (f"x'{n:06x}00'",), sources=LIKE_MYSQL)
_key("key_binary_fixed", "BINARY(6)", lambda n: (f"x'{n:04x}'",), sources=LIKE_MYSQL)
_key("key_enum", "ENUM('a', 'b', 'c', 'd', 'e', 'f', 'g')", lambda n: (str((n - 1) % 7 + 1),), sources=LIKE_MYSQL)
_key("key_bit", "BIT(33)", lambda n: (str(2**32 + n),), sources=LIKE_MYSQL)
_key("key_year", "YEAR", lambda n: (str(1901 + n % 254),), sources=LIKE_MYSQL)
_key("key_double", "DOUBLE", lambda n: (f"{n / 10}e{n}",), sources=LIKE_MYSQL)
_key("key_numeric", "NUMERIC", lambda n: (f"{n}.{'0' * (n % 4)}",), sources=(POSTGRESQL,))
_key("key_float", "DOUBLE PRECISION", lambda n: (f"'{n / 10}e{n}'",), sources=(POSTGRESQL,))
_key("key_uuid", "UUID", lambda n: (f"'{_uuid(n)}'",), sources=(POSTGRESQL,))
_key("key_bytea", "BYTEA", lambda n: (f"'\\x{n:06x}00'",), sources=(POSTGRESQL,))
_key("key_timestamptz", "TIMESTAMPTZ", lambda n: (f"'2024-10-27 02:30:00.{n:06}+02'",), sources=(POSTGRESQL,))
_key("key_boolean", "BOOLEAN", lambda n: (("true", "false")[n % 2],), sources=(POSTGRESQL,))
_key("key_bpchar", "CHAR(5)", lambda n: (f"'{n} '",), sources=(POSTGRESQL,))
_key("key_inet", "INET", lambda n: (f"'10.0.{n // 256}.{n % 256}'",), sources=(POSTGRESQL,))
_key("key_interval", "INTERVAL", lambda n: (f"'{n} mons -{n} days'",), sources=(POSTGRESQL,))
_LONG_IN_MYSQL = {
    "key_array": ("INTEGER[]", lambda n: (f"'{{{n},{n}}}'",)),
    "key_range": ("INT4RANGE", lambda n: (f"'[{n},{n + 5})'",)),
    "key_jsonb": ("JSONB", lambda n: (f"'{{\"n\": {n}.0}}'",)),
}
for _name, (_declared, _literals) in _LONG_IN_MYSQL.items():
    _key(_name, _declared, _literals, sources=(POSTGRESQL,), targets=(POSTGRESQL,))
    _long = "a key whose type MySQL cannot index whole is found by its copy alone"
    _key(f"{_name}_into_mysql", _declared, _literals, sources=(POSTGRESQL,), targets=LIKE_MYSQL, known=_long)
_key("key_timetz", "TIMETZ", lambda n: (f"'{n % 24:02}:00:00.{n:03}+02'",), sources=(POSTGRESQL,))
_key("key_bit_text", "BIT(12)", lambda n: (f"B'{n:012b}'",), sources=(POSTGRESQL,))
_key("key_money", "MONEY", lambda n: (f"'{n}.50'",), sources=(POSTGRESQL,))
_key("key_oid", "OID", lambda n: (str(4294967295 - n),), sources=(POSTGRESQL,))


@feature("key", weight=10)
def key_composite(maker: Maker, draft: Draft) -> None:
    draft.key = [
        Column("part", "INT NOT NULL", nullable=False),
        Column("name", "VARCHAR(30) NOT NULL", nullable=False),
        Column("day", "DATE NOT NULL", nullable=False),
    ]
    draft.next_key = lambda n: (str(n % 3), f"'n{n}'", f"'2024-01-{n % 28 + 1:02}'")


@feature("key", weight=12)
def key_none(maker: Maker, draft: Draft) -> None:
    """No key at all, and rows that are equal."""
    draft.has_key = False
    draft.key = [Column("id", "INT", "key_none")]
    draft.next_key = lambda n: (str(n % 3),)
    maker.full_identity(draft)


@feature("key")
def key_none_but_unique(maker: Maker, draft: Draft) -> None:
    """A unique index where a key should be."""
    draft.has_key = False
    draft.key = [Column("id", "INT NOT NULL", "key_none_but_unique", nullable=False)]
    draft.clauses.append(Clause("UNIQUE («0»)", ("id",)))
    maker.full_identity(draft)


@feature("key", weight=3, sources=(POSTGRESQL,))
def key_none_no_identity(maker: Maker, draft: Draft) -> None:
    """Step 1 asks for REPLICA IDENTITY FULL."""
    draft.has_key = False
    draft.key = [Column("id", "INT", "key_none_no_identity")]


@feature("key", weight=6, sources=(POSTGRESQL,))
def key_identity_index(maker: Maker, draft: Draft) -> None:
    """The identity is another unique index than the key."""
    draft.key = [Column("id", "INT NOT NULL", nullable=False), Column("other", "INT NOT NULL", nullable=False)]
    draft.next_key = lambda n: (str(n), str(1000 - n))
    index = f"identity_{len(maker.tables)}"
    draft.after.append(Clause(f"CREATE UNIQUE INDEX {index} ON «table» («0»)", ("other",)))
    draft.after.append(Clause(f"ALTER TABLE «table» REPLICA IDENTITY USING INDEX {index}", ("other",)))


@feature("key", weight=5, sources=LIKE_MYSQL)
def key_auto_increment(maker: Maker, draft: Draft) -> None:
    draft.key = [Column("id", "BIGINT UNSIGNED NOT NULL AUTO_INCREMENT", nullable=False)]


@feature("key", weight=5, sources=(POSTGRESQL,))
def key_identity(maker: Maker, draft: Draft) -> None:
    draft.key = [Column("id", "BIGINT GENERATED BY DEFAULT AS IDENTITY", nullable=False)]
