"""One spelling for the numbers in MySQL's JSON, by copy and by stream.

A server prints a double of 1e15 or more with an exponent; Debezium prints any double of 10,000,000 or more, and any
below 0.001, as all the digits of its binary value, so that whole ones look like integers (measured: 3.6.1). Here both
become the fewest digits that make the same double, without `.0` from 10,000,000 on, and with an exponent only where
no 64-bit integer is as large.
"""

from __future__ import annotations

import re
from decimal import Decimal

# Strings are matched too, so that nothing inside them is taken for a number.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?', re.DOTALL)
_SEPARATOR = re.compile(rb'"(?:[^"\\]|\\.)*"|[,:]', re.DOTALL)
_ESCAPED = re.compile(rb"(?<!\\)(?:\\\\)*\\u00[0-9A-F]{2}")
_MAY_NEED_IT = re.compile(rb"\d[eE]|\d{7}\.0|[\d.]{16}")
_ALWAYS_EXACT = 15  # digits: a decimal of so many is the shortest text of its double
_ALL_DIGITS = 10_000_000  # from here on Debezium prints the digits of the binary value
_BIGINT = 1 << 64


def plain_numbers(text: bytes) -> bytes:
    """JSON text with every number spelled so; everything else is as it was."""
    if _MAY_NEED_IT.search(text) is None:
        return text
    return _TOKEN.sub(lambda match: _plain(match[0]), text)


def as_mysql_prints(text: bytes) -> bytes:
    """Debezium's JSON of MySQL's as the server itself prints it: a blank after each comma and colon."""
    return plain_numbers(_SEPARATOR.sub(_spaced, text))


def _spaced(match: re.Match[bytes]) -> bytes:
    token = match[0]
    if token[:1] != b'"':
        return token + b" "
    return _ESCAPED.sub(lambda code: code[0].lower(), token) if b"\\u" in token else token


def _plain(token: bytes) -> bytes:
    if token[:1] == b'"' or (len(token) <= _ALWAYS_EXACT and token.isdigit()):
        return token
    number = Decimal(token.decode())
    if number == number.to_integral_value():
        if abs(number) < _ALL_DIGITS:
            return token
        return b"%d" % int(float(token)) if _is_double(token) and abs(number) < _BIGINT else _big(token, number)
    return _shortest(number) if len(number.as_tuple().digits) > _ALWAYS_EXACT or b"e" in token.lower() else token


def _is_double(token: bytes) -> bool:
    return b"." in token or b"e" in token.lower()


def _big(token: bytes, number: Decimal) -> bytes:
    return token if abs(number) < _BIGINT else _shortest(number)


def _shortest(number: Decimal) -> bytes:
    """The shortest decimal of the double whose binary value this is; a DECIMAL that no double equals stays."""
    double = float(number)
    is_double = number in (Decimal(double), Decimal(repr(double)))
    if is_double and abs(double) >= _BIGINT:
        return repr(double).encode()  # with an exponent: of 20 digits and more MySQL's parser gets some wrong
    return format(Decimal(repr(double)) if is_double else number, "f").encode()
