"""The same double, as MySQL's server prints it in JSON and as Debezium does, becomes the same text."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cdc_pipeline.databases.json_text import as_mysql_prints as in_the_servers_form
from cdc_pipeline.databases.json_text import plain_numbers


def as_mysql_prints(number: float) -> bytes:
    """The rule was read off MySQL 8.0.15: an exponent before 1e-15 and from 1e15 on, unless digits follow the point."""
    plain = format(Decimal(repr(number)), "f")
    digits = plain.replace("-", "").replace(".", "").strip("0") or "0"
    magnitude = Decimal(repr(number)).adjusted() + 1
    if number == 0 or -14 <= magnitude <= 15 or len(digits) > magnitude > 15:
        return (plain if "." in plain else plain + ".0").encode()
    mantissa = digits[0] + (f".{digits[1:]}" if digits[1:] else "")
    return f"{'-' if number < 0 else ''}{mantissa}e{magnitude - 1}".encode()


def as_debezium_prints(number: float) -> bytes:
    """Java's shortest text, or all digits of the binary value where that text would have an exponent."""
    has_exponent = number != 0 and not 1e-3 <= abs(number) < 1e7
    return (format(Decimal(number), "f") if has_exponent else repr(number)).encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e7)
@example(1.2345678901234566e17)
@example(742323666499937.25)
@example(1e15)
@example(2.0**64)
@example(1e-7)
@example(-5e-324)
def test_both_spellings_of_a_double_become_one(number: float) -> None:
    plain = plain_numbers(as_mysql_prints(number))
    assert plain == plain_numbers(as_debezium_prints(number))
    assert float(plain) == number
    assert (b"e" in plain) == (abs(number) >= 2**64)


@pytest.mark.parametrize(
    "text",
    [
        b"18446744073709551615",
        b"-9223372036854775808",
        b"1.10",
        b"100.0",
        b"0.1",
        b"12345678901234567890.12",  # a DECIMAL that is no double
        b'{"a": "1e20 and 12345678.0", "1e20": "\\"1e20"}',
        b"[true, false, null]",
    ],
)
def test_everything_else_stays_as_it_is(text: bytes) -> None:
    assert plain_numbers(text) == text


def test_numbers_are_found_wherever_they_are() -> None:
    assert plain_numbers(b'{"a": [1e20, 12345678.0], "b": "1e20"}') == (b'{"a": [1e+20, 12345678], "b": "1e20"}')


@pytest.mark.parametrize(
    ("from_debezium", "printed"),
    [
        (b'{"a":1,"b":[1,2]}', b'{"a": 1, "b": [1, 2]}'),
        (b'{"a,b":"c:d,\\"e:"}', b'{"a,b": "c:d,\\"e:"}'),
        (b'["\\u001F","\\\\u001F"]', b'["\\u001f", "\\\\u001F"]'),
        (b"[]", b"[]"),
    ],
)
def test_the_server_puts_blanks_behind_commas_and_colons(from_debezium: bytes, printed: bytes) -> None:
    assert in_the_servers_form(from_debezium) == printed
