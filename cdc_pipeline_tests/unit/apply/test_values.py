"""Debezium's values become the canonical texts of model.Kind, the same that the copy reads."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc_pipeline.apply.values import all_at_once, converter, unchecked
from cdc_pipeline.errors import ValueNotRepresentable
from cdc_pipeline.model import Column, ColumnType, Kind

EPOCH = datetime(1970, 1, 1)


def text(kind: Kind, value: Any, size: int | None = None, **flags: bool) -> str | None:
    """Of one value, as it is of that value among others."""
    type = ColumnType(kind, size, None, flags.get("unsigned", False), flags.get("fixed", False))
    column = Column("c", f"declared {kind}", type)
    canonical, many = converter(column)(value), all_at_once(unchecked(column))
    assert (list(many([value])), list(many([value, None]))) == ([canonical], [canonical, None])
    return canonical


@pytest.mark.parametrize(
    ("kind", "size", "value", "canonical"),
    [
        (Kind.BOOLEAN, None, True, "1"),
        (Kind.BOOLEAN, None, False, "0"),
        (Kind.BOOLEAN, None, 1, "1"),  # MySQL's TINYINT(1) arrives as a number
        (Kind.INTEGER, 64, -(2**63), "-9223372036854775808"),
        (Kind.INTEGER, 32, 0, "0"),
        (Kind.DECIMAL, 10, "0.10", "0.10"),
        (Kind.DECIMAL, None, "NaN", "NaN"),
        (Kind.DECIMAL, None, "NAN", "NaN"),
        (Kind.DECIMAL, None, "NEGATIVE_INFINITY", "-Infinity"),
        (Kind.FLOAT, 64, 0.1, "0.1"),
        (Kind.FLOAT, 64, 3, "3.0"),
        (Kind.FLOAT, 64, 1e300, "1e+300"),
        (Kind.FLOAT, 64, "Infinity", "Infinity"),
        (Kind.TEXT, None, "a\tb\\", "a\tb\\"),
        (Kind.TEXT, None, "", ""),
        (Kind.ENUM, None, "red", "red"),
        (Kind.BINARY, None, "00FFab", "\\x00ffab"),
        (Kind.BINARY, None, "", "\\x"),
        (Kind.BITS, 1, True, "1"),
        (Kind.BITS, 1, False, "0"),
        (Kind.BITS, 4, base64.b64encode(b"\x05").decode(), "0101"),
        (Kind.BITS, 12, base64.b64encode(b"\x01\x08").decode(), "100000000001"),  # little-endian
        (Kind.BITS, 64, base64.b64encode(b"\xff" * 8).decode(), "1" * 64),
        (Kind.DATE, None, 0, "1970-01-01"),
        (Kind.DATE, None, -1, "1969-12-31"),
        (Kind.DATE, None, 19753, "2024-01-31"),
        (Kind.TIME, 0, 0, "00:00:00"),
        (Kind.TIME, 6, 45_296_789_012, "12:34:56.789012"),
        (Kind.TIME, 3, -45_296_789_000, "-12:34:56.789000"),
        (Kind.TIME, 0, -3_020_399_000_000, "-838:59:59"),  # MySQL's least
        (Kind.TIMESTAMP, 3, 1_706_745_599_500, "2024-01-31 23:59:59.500000"),
        (Kind.TIMESTAMP, 0, 1_706_745_599_000, "2024-01-31 23:59:59"),
        (Kind.TIMESTAMP, 6, 1_706_745_599_500_001, "2024-01-31 23:59:59.500001"),
        (Kind.TIMESTAMP, 3, -1, "1969-12-31 23:59:59.999000"),
        (Kind.TIMESTAMP, 6, -1, "1969-12-31 23:59:59.999999"),
        (Kind.TIMESTAMP, None, -62_135_596_800_000_000, "0001-01-01 00:00:00"),
        (Kind.INSTANT, 6, "2024-01-31T23:59:59.5Z", "2024-01-31 23:59:59.5"),
        (Kind.INSTANT, 0, "1969-12-31T23:59:59Z", "1969-12-31 23:59:59"),
        (Kind.JSON, None, '{"a": 1.0}', '{"a": 1.0}'),
        (Kind.UUID, None, "6f1e…", "6f1e…"),
    ],
)
def test_each_kind_has_its_text(kind: Kind, size: int | None, value: Any, canonical: str) -> None:
    assert text(kind, value, size) == canonical


INFINITIES = [  # as Debezium 3.7.0 sends them, and as 3.6.1 did
    (Kind.DATE, None, (2_146_033_979, -2_147_472_692), (-2_147_472_691,)),
    (Kind.TIMESTAMP, 6, (2**63 - 1, 9_223_372_036_825_200_000), (-(2**63), -9_223_372_036_832_400_000)),
    (
        *(Kind.TIMESTAMP, 3, (9_223_372_036_825_200_000, 9_223_372_036_825_200)),
        (-9_223_372_036_832_400_000, -9_223_372_036_832_400),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "size", "after", "before"), INFINITIES)
def test_infinities_of_two_connectors(
    kind: Kind, size: int | None, after: Sequence[int], before: Sequence[int]
) -> None:
    assert {text(kind, value, size) for value in after} == {"infinity"}
    assert {text(kind, value, size) for value in before} == {"-infinity"}


@pytest.mark.parametrize("kind", list(Kind))
def test_null_is_null_in_every_kind(kind: Kind) -> None:
    assert text(kind, None, 4) is None


@pytest.mark.parametrize(
    ("value", "canonical"),
    [(0, "0"), (2**63 - 1, "9223372036854775807"), (-(2**63), "9223372036854775808"), (-1, "18446744073709551615")],
)
def test_the_upper_half_of_an_unsigned_bigint_comes_back_from_the_negative_numbers(value: int, canonical: str) -> None:
    assert text(Kind.INTEGER, value, 64, unsigned=True) == canonical


def test_smaller_unsigned_integers_do_not_wrap() -> None:
    assert text(Kind.INTEGER, 2**32 - 1, 32, unsigned=True) == "4294967295"


@given(st.integers(0, 2**64 - 1))
def test_every_unsigned_bigint_survives_debeziums_wrap(number: int) -> None:
    sent = number if number < 2**63 else number - 2**64
    assert text(Kind.INTEGER, sent, 64, unsigned=True) == str(number)


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_microseconds_before_and_after_1970_are_the_moments_they_count(microseconds: int) -> None:
    moment = EPOCH + timedelta(microseconds=microseconds)
    assert datetime.fromisoformat(text(Kind.TIMESTAMP, microseconds, 6) or "") == moment


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_milliseconds_before_and_after_1970_are_the_moments_they_count(milliseconds: int) -> None:
    moment = EPOCH + timedelta(milliseconds=milliseconds)
    assert datetime.fromisoformat(text(Kind.TIMESTAMP, milliseconds, 3) or "") == moment


@given(st.integers(-3_020_399_999_999, 3_020_399_999_999))
def test_times_read_back_as_the_microseconds_they_were(microseconds: int) -> None:
    shown = text(Kind.TIME, microseconds, 6) or ""
    hours, minutes, seconds = shown.lstrip("-").split(":")
    total = (int(hours) * 3600 + int(minutes) * 60) * 1_000_000 + round(float(seconds) * 1_000_000)
    assert (-total if shown.startswith("-") else total) == microseconds


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_reads_back_as_the_same_number(number: float) -> None:
    assert float(text(Kind.FLOAT, number, 64) or "") == number


@given(st.integers(1, 64).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, 2**size - 1))))
def test_bits_are_as_many_as_the_column_has(bits: tuple[int, int]) -> None:
    size, number = bits
    sent = base64.b64encode(number.to_bytes((size + 7) // 8, "little")).decode() if size > 1 else bool(number)
    shown = text(Kind.BITS, sent, size) or ""
    assert len(shown) == size
    assert int(shown, 2) == number


@pytest.mark.parametrize(
    ("kind", "size", "value"),
    [
        (Kind.BOOLEAN, None, "yes"),
        (Kind.INTEGER, 32, "12"),
        (Kind.INTEGER, 32, 1.5),
        (Kind.DECIMAL, 10, 1.5),  # a number would have lost its scale
        (Kind.FLOAT, 64, []),
        (Kind.TEXT, None, 5),
        (Kind.ENUM, None, {}),
        (Kind.BINARY, None, "no hex"),
        (Kind.BINARY, None, 5),
        (Kind.BITS, 8, "!!!!"),
        (Kind.BITS, 8, 5),
        (Kind.DATE, None, "2024-01-31"),
        (Kind.DATE, None, -(10**9)),
        (Kind.TIME, 0, "12:00:00"),
        (Kind.TIMESTAMP, 6, "2024-01-31"),
        (Kind.TIMESTAMP, 6, -9_223_372_036_853_775_810),  # wrapped around: the year 294276
        (Kind.TIMESTAMP, 6, -9_223_372_022_400_000_000),
        (Kind.INSTANT, 6, "2024-01-31"),
        (Kind.INSTANT, 6, "2024-01-31T23:59:59+01:00"),
        (Kind.INSTANT, 6, "+292278994-08-16T23:00:00Z"),
        (Kind.INSTANT, 6, 5),
        (Kind.JSON, None, {"a": 1}),
        (Kind.UUID, None, 5),
    ],
)
def test_a_value_that_is_none_of_its_kind_is_refused_by_name(kind: Kind, size: int | None, value: Any) -> None:
    with pytest.raises(ValueNotRepresentable, match=f"Column c: .* is not a value of declared {kind}"):
        text(kind, value, size)


@pytest.mark.parametrize("value", [1.5, "5"])
def test_an_unsigned_bigint_is_a_whole_number(value: Any) -> None:
    with pytest.raises(ValueNotRepresentable):
        text(Kind.INTEGER, value, 64, unsigned=True)


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(ValueNotRepresentable) as failure:
        text(Kind.INTEGER, "x" * 10_000, 32)
    assert len(str(failure.value)) < 300


def in_charset(charset: str) -> Column:
    return Column("c", f"varchar(9) CHARACTER SET {charset} COLLATE {charset}_bin", ColumnType(Kind.TEXT, 9))


@pytest.mark.parametrize(
    ("charset", "arrives", "is_"),
    [
        ("sjis", "a\uff3cb", "a\\b"),
        ("gb18030", "\ue78d\ufe10", "\ufe10\ue78d"),  # they change places
        ("cp866", "\u2116", "\u207f"),
        ("utf8mb4", "\u2116\ufffd", "\u2116\ufffd"),
        ("latin1", "\u20ac", "\u20ac"),
    ],
)
def test_characters_that_debezium_reads_otherwise_are_put_back(charset: str, arrives: str, is_: str) -> None:
    assert converter(in_charset(charset))(arrives) == is_


@pytest.mark.parametrize("charset", ["latin1", "euckr", "ujis", "tis620"])
def test_a_character_that_debezium_cannot_read_is_an_error(charset: str) -> None:
    with pytest.raises(ValueNotRepresentable):
        converter(in_charset(charset))("a\ufffdb")
