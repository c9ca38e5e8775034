"""Oracle's SQL for values as text: what two databases compare, and what the copy reads. Pure.

The session's settings (database.py) fix the language of dates and the decimal point.
"""

from __future__ import annotations

from collections.abc import Sequence

from cdc_pipeline.model import ColumnType, Kind

LONGEST_INLINE = 4000  # bytes of a VARCHAR2 in SQL, and of a concatenation
_WIDEST_CHARACTER = 4  # bytes of UTF-8
_LONGEST_FORMAT = 62  # digits of a number format
_MOMENT = "YYYY-MM-DD HH24:MI:SS"


def is_long(type: ColumnType) -> bool:
    """Whether its values may be longer than SQL handles without a LOB."""
    return _widest(type) > LONGEST_INLINE


def are_long(types: Sequence[ColumnType]) -> bool:
    """Whether the texts of a row, each behind its length, may together be longer than that."""
    return sum(_widest(type) + len("4000:") for type in types) > LONGEST_INLINE


def _widest(type: ColumnType) -> int:
    """How many bytes the text takes at most."""
    unlimited = LONGEST_INLINE + 1
    match type.kind:
        case Kind.TEXT:
            return unlimited if type.size is None else type.size * _WIDEST_CHARACTER
        case Kind.BINARY:
            return unlimited if type.size is None else type.size * 2
        case Kind.ENUM:
            return 255 * _WIDEST_CHARACTER
        case Kind.DECIMAL | Kind.FLOAT | Kind.INTERVAL | Kind.BITS | Kind.UUID:
            return 140
        case Kind.BOOLEAN | Kind.INTEGER | Kind.DATE | Kind.TIME | Kind.TIMESTAMP | Kind.INSTANT:
            return 40
        case _:
            return unlimited


def comparable(name: str, type: ColumnType) -> str:
    """The expression for the text that is equal on every database; of a long value, the value itself."""
    match type.kind:
        case Kind.BOOLEAN:
            # A NUMBER(1) of ours, or a BOOLEAN of somebody else's.
            return f"CASE TO_CHAR({name}) WHEN 'TRUE' THEN '1' WHEN 'FALSE' THEN '0' ELSE TO_CHAR({name}) END"
        case Kind.INTEGER:
            return f"TO_CHAR({name}, 'TM9')"
        case Kind.DECIMAL if type.size is not None:
            return _fixed_decimal(name, type.size, type.scale or 0)
        case Kind.DECIMAL:
            return _shortest_decimal(name)
        case Kind.FLOAT:
            return _float(name)
        case Kind.DATE:
            return _moment(name, "YYYY-MM-DD")
        case Kind.TIMESTAMP:
            return _moment(f"CAST({name} AS TIMESTAMP(6))", _MOMENT, ".FF6")
        case Kind.INSTANT:
            return _moment(f"SYS_EXTRACT_UTC({name})", _MOMENT, ".FF6")
        case Kind.TIME:  # kept as text, with as many digits as came
            point = f"INSTR({name}, '.')"
            return f"CASE {point} WHEN 0 THEN {name} || '.000000' ELSE RPAD({name}, {point} + 6, '0') END"
        case Kind.INTERVAL if type.native_to("oracle"):
            return _interval(name, in_months=type.native_to("oracle").endswith("month"))
        case Kind.BINARY if not is_long(type):
            return f"LOWER(RAWTOHEX({name}))"
        case Kind.TEXT if type.fixed:
            return f"RTRIM(TO_CHAR({name}))"
        case Kind.TEXT if not is_long(type):
            return f"TO_CHAR({name})"  # of the national character set too: what is hashed are bytes
        case _:
            return name


def readable(name: str, type: ColumnType) -> str:
    """The expression for the SELECT list of the copy. Numbers, bytes and plain texts go as they are: the driver gives
    their exact value (reader.py)."""
    match type.kind:
        case Kind.TIMESTAMP:
            return _moment(name, _MOMENT, f".FF{type.size}" if type.size else "")
        case Kind.INSTANT:
            return _moment(f"SYS_EXTRACT_UTC({name})", _MOMENT, f".FF{type.size}" if type.size else "")
        case Kind.DATE | Kind.INTERVAL:
            return comparable(name, type)
        case _:
            return name


def _fixed_decimal(name: str, size: int, scale: int) -> str:
    whole = max(min(size, _LONGEST_FORMAT) - scale, 1)
    return f"TO_CHAR({name}, 'FM{'9' * (whole - 1)}0{'.' if scale else ''}{'0' * scale}')"


def _shortest_decimal(value: str) -> str:
    """Without trailing zeros. Oracle itself leaves out the 0 before the point."""
    return f"REGEXP_REPLACE(TO_CHAR({value}, 'TM9'), '^(-?)[.]', '\\10.')"


def _float(name: str) -> str:
    """Plain digits, without an exponent and trailing zeros, in the range where MySQL can write them too; a BINARY_FLOAT
    as the double of the same value. TO_CHAR gives as many digits as it is asked for: the fewest that make the same
    number again are 15, 16 or 17."""
    value = f"TO_BINARY_DOUBLE({name})"
    tries = [f"TO_CHAR({value}, 'FM9.{'9' * (digits - 1)}EEEE')" for digits in (15, 16, 17)]
    shortest = (
        f"CASE WHEN TO_BINARY_DOUBLE({tries[0]}) = {value} THEN {tries[0]} "
        f"WHEN TO_BINARY_DOUBLE({tries[1]}) = {value} THEN {tries[1]} ELSE {tries[2]} END"
    )
    plain = _shortest_decimal(f"ROUND(TO_NUMBER({shortest}), 30)")
    special = f"REPLACE(LOWER(REGEXP_REPLACE({shortest}, '[.]?0*E', 'E')), 'e+', 'e')"
    return (
        f"CASE WHEN {name} IS NAN THEN 'NaN' WHEN {name} IS INFINITE AND {name} > 0 THEN 'Infinity' "
        f"WHEN {name} IS INFINITE THEN '-Infinity' WHEN {name} = 0 THEN '0' "
        f"WHEN ABS({value}) BETWEEN 1e-15 AND 1e30 THEN {plain} ELSE {special} END"
    )


def _moment(value: str, format: str, fraction: str = "") -> str:
    """A date or timestamp; years before Christ as PostgreSQL writes them."""
    return (
        f"CASE WHEN {value} >= DATE '0001-01-01' THEN TO_CHAR({value}, '{format}{fraction}') "
        f"ELSE TO_CHAR({value}, '{format} BC') END"
    )


def _interval(name: str, *, in_months: bool) -> str:
    """ISO 8601 without parts that are zero; to Oracle a part that is NULL adds nothing."""
    if in_months:
        date, time = {"YEAR": "Y", "MONTH": "M"}, {}
    else:
        date, time = {"DAY": "D"}, {"HOUR": "H", "MINUTE": "M", "SECOND": "S"}
    parts = [_part(name, field, unit) for field, unit in date.items()]
    if time:
        any_time = " OR ".join(f"EXTRACT({field} FROM {name}) <> 0" for field in time)
        parts += [f"CASE WHEN {any_time} THEN 'T' END", *(_part(name, field, unit) for field, unit in time.items())]
    zero = "INTERVAL '0' MONTH" if in_months else "INTERVAL '0' SECOND"
    return f"CASE WHEN {name} = {zero} THEN 'PT0S' WHEN {name} IS NOT NULL THEN 'P' || {' || '.join(parts)} END"


def _part(name: str, field: str, unit: str) -> str:
    value = f"EXTRACT({field} FROM {name})"
    return f"CASE WHEN {value} <> 0 THEN {_shortest_decimal(value)} || '{unit}' END"
