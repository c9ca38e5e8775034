"""Events of the shape that Debezium documents for Oracle. No server of ours sent them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdc_pipeline.apply import oracle_values
from cdc_pipeline.apply.batch import BatchBuilder
from cdc_pipeline.apply.decode import decode
from cdc_pipeline.databases.oracle.dialect import OracleDialect
from cdc_pipeline.databases.oracle.watermark import ScnWatermark
from cdc_pipeline.model import Column, TableId, TableShape

UNAVAILABLE = "__unavailable__"
# declared type -> Debezium's value, canonical text
VALUES: dict[str, tuple[Any, str | None]] = {
    "NUMBER(10,0)": ("1", "1"),
    "NUMBER": ("-123.4500", "-123.4500"),
    "NUMBER(*,0)": ("99999999999999999999999999999999999999", "9" * 38),
    "NUMBER(10,2)": ("0.50", "0.50"),
    "NUMBER(5,-2)": (123400, "123400"),  # a whole number in spite of decimal.handling.mode=string
    "NUMBER(30,-5)": ("12300000", "12300000"),
    "FLOAT(126)": ("3.14159", "3.14159"),
    "BINARY_FLOAT": (0.5, "0.5"),
    "BINARY_DOUBLE": ("NaN", "NaN"),  # Kafka's JSON writes what JSON has no number for as text
    "CHAR(5 CHAR)": ("ab   ", "ab   "),
    "NVARCHAR2(20)": ("ä😀", "ä😀"),
    "CLOB": ("long", "long"),
    "RAW(16)": ("00FF", "\\x00ff"),
    "BLOB": ("5c4e", "\\x5c4e"),
    "DATE": (1711848600000, "2024-03-31 01:30:00"),
    "TIMESTAMP(3)": (-1, "1969-12-31 23:59:59.999000"),
    "TIMESTAMP(6)": (253402300799999999, "9999-12-31 23:59:59.999999"),
    "TIMESTAMP(6) WITH TIME ZONE": ("2024-01-31T23:59:59.500000Z", "2024-01-31 23:59:59.500000"),
    "TIMESTAMP(6) WITH LOCAL TIME ZONE": ("2024-01-31T23:59:59Z", "2024-01-31 23:59:59"),
    "INTERVAL YEAR(2) TO MONTH": ("P-3Y-6M0DT0H0M0S", "P-3Y-6M"),
    # 59.123456 as a double of Java's, cut after nine digits
    "INTERVAL DAY(2) TO SECOND(6)": ("P0Y0M1DT2H3M59.123455999S", "P1DT2H3M59.123456S"),
    "ROWID": ("AAAFd1AAFAAAABSAA/", "AAAFd1AAFAAAABSAA/"),
}
SOURCE = {
    "connector": "oracle", "schema": "SHOP", "table": "ITEMS", "txId": "0a0017001f030000", "scn": "4711",
    "commit_scn": "4812", "lcr_position": None, "rs_id": "001234.00012345.0124", "ssn": 0, "redo_thread": 1,
    "user_name": "SHOP", "row_id": "AAAFd1AAFAAAABSAA/",
}  # fmt: skip


def shape(key: tuple[str, ...] = ("C0",)) -> TableShape:
    dialect = OracleDialect()
    columns = tuple(
        Column(f"C{number}", declared, dialect.canonical_type(declared)) for number, declared in enumerate(VALUES)
    )
    return TableShape(TableId("SHOP", "ITEMS"), columns, key)


def message(operation: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> bytes:
    return json.dumps({"op": operation, "before": before, "after": after, "source": SOURCE, "ts_ms": 1}).encode()


def rows(values: dict[str, Any]) -> list[tuple[str | None, ...]]:
    event = decode("t", 0, 1, b'{"C0": "1"}', message("c", None, values))
    assert event is not None
    builder = BatchBuilder(shape(), UNAVAILABLE)
    builder.add(event)
    return builder.build().rows


def test_every_type_arrives_in_its_canonical_text() -> None:
    (row,) = rows({f"C{number}": value for number, (value, _) in enumerate(VALUES.values())})
    assert dict(zip(VALUES, row, strict=True)) == {declared: text for declared, (_, text) in VALUES.items()}


def test_null_is_null_in_every_column() -> None:
    (row,) = rows({f"C{number}": None if number else "1" for number in range(len(VALUES))})
    assert row == ("1", *[None] * (len(VALUES) - 1))


def test_an_unchanged_lob_is_left_as_it_is() -> None:
    """Text columns have the placeholder itself, binary ones its hexadecimal digits (`binary.handling.mode=hex`)."""
    values = {f"C{number}": value for number, (value, _) in enumerate(VALUES.values())}
    clob, blob = (list(VALUES).index(name) for name in ("CLOB", "BLOB"))
    values |= {f"C{clob}": UNAVAILABLE, f"C{blob}": UNAVAILABLE.encode().hex()}
    event = decode("t", 0, 1, b'{"C0": "1"}', message("u", values, values))
    assert event is not None
    builder = BatchBuilder(shape(), UNAVAILABLE)
    builder.add(event)
    (names,) = builder.build().partials
    assert set(shape().names) - set(names) == {f"C{clob}", f"C{blob}"}


def test_the_commits_number_tells_what_a_snapshot_holds() -> None:
    event = decode("t", 0, 1, None, message("d", {"C0": "1"}, None))
    assert event is not None
    assert ScnWatermark(4812).holds(event.source)
    assert not ScnWatermark(4811).holds(event.source)  # though the change itself is older than that


def test_truncate_arrives_without_images() -> None:
    event = decode("t", 0, 1, None, message("t", None, None))
    assert event is not None
    builder = BatchBuilder(shape(), UNAVAILABLE)
    builder.add(event)
    assert builder.build().truncate


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.10", "0.10"),
        (12300, "12300"),
        ({"scale": 2, "value": "BNI="}, "12.34"),
        ({"scale": -2, "value": "ew=="}, "12300"),
        ({"scale": 3, "value": "/w=="}, "-0.001"),
        ({"scale": 0, "value": "SztMqFoixXnsJ4J//////w=="}, str(int.from_bytes(bytes.fromhex(
            "4b3b4ca85a22c579ec27827fffffffff"), "big"))),
    ],
)  # fmt: skip
def test_a_number_comes_as_text_as_a_whole_number_or_with_its_scale(value: Any, text: str) -> None:
    assert oracle_values.decimal(value) == text


@pytest.mark.parametrize("value", [True, None, "NaN", "one", [1]])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError, ArithmeticError)):
        oracle_values.decimal(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("2024-01-31T12:00:00.5+02:00", "2024-01-31 10:00:00.500000"),
        ("2024-01-01T00:00:00.000001-05:30", "2024-01-01 05:30:00.000001"),
        ("2024-01-31T12:00:00Z", "2024-01-31 12:00:00"),
        ("0001-01-01T00:00:00Z", "0001-01-01 00:00:00"),
    ],
)
def test_an_instant_comes_in_the_zone_that_it_was_written_in(value: str, text: str) -> None:
    assert oracle_values.instant(value) == text


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        oracle_values.instant("2024-01-31T12:00:00")
