"""Debezium's days, milliseconds and microseconds since 1970 -> dates and times as text, in all of PostgreSQL's range.

Python's own dates end with the years 1 and 9999; what lies beyond is written as PostgreSQL does: `0044-03-15 BC`,
`12024-01-01`, `infinity`. The numbers for infinity are Debezium's, measured: the first of each is that of 3.7.0, the
second that of 3.6.1, whose events may still be in a topic. 3.7.0 sends a timestamp in microseconds after 294247-01-10
04:00:54.775806 as an infinity too.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import lru_cache

_EPOCH = date(1970, 1, 1)
_FIRST, _LAST = (date.min - _EPOCH).days, (date.max - _EPOCH).days
_EARLIEST = -2_440_588  # days: 4714-11-24 BC, the first day of PostgreSQL; what Debezium has wrapped around is before
_LAST_YEAR = 294_276  # of PostgreSQL's timestamps
_INFINITE_DAYS = {2_146_033_979: "infinity", -2_147_472_692: "infinity", -2_147_472_691: "-infinity"}
_INFINITE_MICROSECONDS = {
    **dict.fromkeys((9_223_372_036_854_775_807, 9_223_372_036_825_200_000), "infinity"),
    **dict.fromkeys((-9_223_372_036_854_775_808, -9_223_372_036_832_400_000), "-infinity"),
}
_INFINITE_MILLISECONDS = {
    **dict.fromkeys((9_223_372_036_825_200_000, 9_223_372_036_825_200), "infinity"),
    **dict.fromkeys((-9_223_372_036_832_400_000, -9_223_372_036_832_400), "-infinity"),
}
_ISO = re.compile(r"([+-]?\d{4,})(-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d+)?)Z")


@lru_cache(maxsize=4096)
def _day(days: int) -> tuple[str, str]:
    """A day, and the era that is written behind everything else. Raises ValueError before PostgreSQL's first day."""
    if _FIRST <= days <= _LAST:
        return (_EPOCH + timedelta(days=days)).isoformat(), ""
    if days < _EARLIEST:
        raise ValueError("before 4714 BC")
    # The Gregorian calendar repeats itself every 400 years, which are 146,097 days.
    cycles, rest = divmod(days - _FIRST, 146_097)
    within = date.min + timedelta(days=rest)
    return with_era(within.year + 400 * cycles, f"-{within.month:02d}-{within.day:02d}")


def with_era(year: int, month_and_day: str) -> tuple[str, str]:
    """The year 0 is 1 BC."""
    return (f"{year:04d}{month_and_day}", "") if year > 0 else (f"{1 - year:04d}{month_and_day}", " BC")


@lru_cache(maxsize=4096)
def day(days: int) -> str:
    if days in _INFINITE_DAYS:
        return _INFINITE_DAYS[days]
    return "".join(_day(days))


def clock(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{_clock(seconds)}.{fraction:06d}" if fraction else _clock(seconds)


@lru_cache(maxsize=86_400)  # a whole day's
def _clock(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}"


def duration(microseconds: int) -> str:
    """MySQL's TIME reaches below zero and past 24 hours."""
    return clock(microseconds) if microseconds >= 0 else "-" + clock(-microseconds)


def timestamp_from_microseconds(value: int) -> str:
    return _INFINITE_MICROSECONDS.get(value) or _timestamp(value)


def timestamp_from_milliseconds(value: int) -> str:
    return _INFINITE_MILLISECONDS.get(value) or _timestamp(value * 1000)


def _timestamp(microseconds: int) -> str:
    seconds, fraction = divmod(microseconds, 1_000_000)
    text, era = _second(seconds)
    return f"{text}.{fraction:06d}{era}" if fraction else text + era


@lru_cache(maxsize=1 << 15)  # what happens is mostly of now
def _second(seconds: int) -> tuple[str, str]:
    days, rest = divmod(seconds, 86_400)
    text, era = _day(days)
    return f"{text} {_clock(rest)}", era


def instant(value: str) -> str:
    """`2024-01-31T23:59:59.5Z`, which Debezium has converted to UTC, or an infinity. Raises ValueError."""
    if value in ("infinity", "-infinity"):
        return value
    match = _ISO.fullmatch(value)
    if match is None:
        raise ValueError("an instant in UTC expected")
    if int(match[1]) > _LAST_YEAR:
        raise ValueError(f"after the year {_LAST_YEAR}")
    text, era = with_era(int(match[1]), match[2])
    return f"{text} {match[3]}{era}"


def time_in_utc(value: str) -> str:
    """`10:34:56.789Z`, the form of a time with a zone. Raises ValueError."""
    if value[-1:] != "Z":
        raise ValueError("a time in UTC expected")
    return value[:-1]
