"""`where: "country = 'DE' and amount > 100"`: which rows of a table are replicated. Pure.

Parsed once to a tree, which the source's dialect renders as SQL for the copy (databases/condition_sql.py) and which the
stream evaluates here, on canonical texts, with SQL's three-valued logic: a row is replicated if the answer is true, and
not if it is false or unknown. Only what both are known to answer alike is allowed:

    column = <> < <= > >= value     column [NOT] IN (value, …)     column IS [NOT] NULL     AND  OR  NOT  ( )

Values are numbers, 'texts' and true or false. Texts are compared character by character, whatever the collation; dates
and timestamps are written as texts ('2024-02-29', '2024-02-29 12:30:00'), instants in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from cdc_pipeline.model import Column, ColumnType, Kind

Value = Decimal | str | bool
Texts = Mapping[str, str | None]  # canonical texts by the source's column names
Verdict = Callable[[Texts], bool | None]

_OPERATORS = {"=": eq, "<>": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)(?![\w.])|'(?P<text>(?:[^']|'')*)'|\"(?P<quoted>(?:[^\"]|\"\")+)\"|"
    r"(?P<word>[^\W\d]\w*)|(?P<symbol><=|>=|<>|!=|[=<>(),]))"
)
_RESERVED = ("and", "or", "not", "in", "is", "null", "true", "false")
_MOST_DIGITS, _MOST_DECIMALS = 38, 20  # a number that every database keeps as it is written
_DEEPEST = 40  # parentheses and NOTs inside of one another

_TEXTS = (Kind.TEXT, Kind.ENUM, Kind.UUID)
_NUMBERS = (Kind.INTEGER, Kind.DECIMAL)
_MOMENTS = (Kind.DATE, Kind.TIMESTAMP, Kind.INSTANT)
_NULL_IS_ALL_THAT_IS_ASKED = (Kind.TIME, Kind.FLOAT, Kind.BINARY, Kind.BITS, Kind.JSON, Kind.INTERVAL)


@dataclass(frozen=True)
class Compared:
    column: str
    operator: str
    value: Value


@dataclass(frozen=True)
class OneOf:
    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class IsNull:
    column: str


@dataclass(frozen=True)
class Not:
    part: Condition


@dataclass(frozen=True)
class AllOf:
    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class AnyOf:
    parts: tuple[Condition, ...]


Condition = Compared | OneOf | IsNull | Not | AllOf | AnyOf


def parse(text: str) -> Condition:
    """Raises ValueError, which names the character where the text stops being a condition."""
    return _Parser(text).condition()


def columns_of(condition: Condition) -> frozenset[str]:
    return frozenset(leaf.column for leaf in _leaves(condition))


def _leaves(condition: Condition) -> Iterator[Compared | OneOf | IsNull]:
    match condition:
        case Not(part):
            yield from _leaves(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _leaves(part)
        case _:
            yield condition


# -- reading it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int


class _Parser:
    """Recursive descent: OR binds weakest, then AND, then NOT."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.place = 0
        self.depth = 0

    def condition(self) -> Condition:
        found = self._any()
        if self._now.kind != "end":
            self._fail("AND, OR or the end is expected")
        return found

    @property
    def _now(self) -> _Token:
        return self.tokens[self.place]

    def _fail(self, problem: str) -> Any:
        raise ValueError(f"at character {self._now.start + 1} ({self._now.text or 'the end'}): {problem}")

    def _takes(self, *words: str) -> bool:
        """Whether these words or symbols come next; if so they are passed."""
        ahead = self.tokens[self.place : self.place + len(words)]
        if [t.text.lower() if t.kind in ("word", "symbol") else "" for t in ahead] != list(words):
            return False
        self.place += len(words)
        return True

    def _any(self) -> Condition:
        parts = [self._all()]
        while self._takes("or"):
            parts.append(self._all())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all(self) -> Condition:
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _one(self) -> Condition:
        self.depth += 1
        if self.depth > _DEEPEST:
            self._fail(f"more than {_DEEPEST} parentheses or NOTs inside of one another")
        if self._takes("not"):
            found: Condition = Not(self._one())
        elif self._takes("("):
            found = self._any()
            if not self._takes(")"):
                self._fail(") is expected")
        else:
            found = self._about_a_column()
        self.depth -= 1
        return found

    def _about_a_column(self) -> Condition:
        column = self._column()
        if self._takes("is", "not", "null"):
            return Not(IsNull(column))
        if self._takes("is", "null"):
            return IsNull(column)
        if self._takes("not", "in"):
            return Not(OneOf(column, self._values()))
        if self._takes("in"):
            return OneOf(column, self._values())
        operator = "<>" if self._now.text == "!=" else self._now.text
        if self._now.kind != "symbol" or operator not in _OPERATORS:
            self._fail(f"one of {' '.join(_OPERATORS)}, IN or IS is expected")
        self.place += 1
        return Compared(column, operator, self._value())

    def _column(self) -> str:
        token = self._now
        if token.kind not in ("word", "quoted") or (token.kind == "word" and token.text.lower() in _RESERVED):
            self._fail("a column's name is expected")
        self.place += 1
        return token.text

    def _values(self) -> tuple[Value, ...]:
        if not self._takes("("):
            self._fail("( is expected")
        values = [self._value()]
        while self._takes(","):
            values.append(self._value())
        if not self._takes(")"):
            self._fail(", or ) is expected")
        return tuple(values)

    def _value(self) -> Value:
        token = self._now
        value: Value = token.text
        if token.kind == "number":
            value = self._number(token.text)
        elif token.kind == "word" and token.text.lower() in ("true", "false"):
            value = token.text.lower() == "true"
        elif token.kind != "text":
            self._fail("a number, a 'text', true or false is expected")
        self.place += 1
        return value

    def _number(self, text: str) -> Decimal:
        whole, _, decimals = text.lstrip("-").partition(".")
        if len(whole) + len(decimals) > _MOST_DIGITS or len(decimals) > _MOST_DECIMALS:
            self._fail(f"a number has at most {_MOST_DIGITS} digits, {_MOST_DECIMALS} of them after the point")
        return Decimal(text)


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while text[place:].strip():
        match = _TOKEN.match(text, place)
        if match is None or "\0" in match[0]:
            start = place + len(text[place:]) - len(text[place:].lstrip())
            raise ValueError(f"at character {start + 1} ({text[start]}): this belongs to no condition")
        kind = str(match.lastgroup)
        quote = {"text": "'", "quoted": '"'}.get(kind, "")
        yield _Token(kind, match[kind].replace(quote * 2, quote) if quote else match[kind], match.start(kind))
        place = match.end()
    yield _Token("end", "", len(text))


# -- what may be compared with what -------------------------------------------------------------------------------


def condition_problems(condition: Condition, columns: Mapping[str, Column]) -> list[str]:
    """Why the two ways might not agree on it, or why it cannot be asked of these columns of the source."""
    found = (_leaf_problem(leaf, columns.get(leaf.column)) for leaf in _leaves(condition))
    return list(dict.fromkeys(problem for problem in found if problem))


def _leaf_problem(leaf: Compared | OneOf | IsNull, column: Column | None) -> str:
    if column is None:
        return f"where: there is no column {leaf.column}"
    type, what = column.type, f"where: column {leaf.column} is {column.declared}"
    if type is None:
        return f"{what}, which cannot be replicated"
    if isinstance(leaf, IsNull):
        known = (*_TEXTS, *_NUMBERS, *_MOMENTS, Kind.BOOLEAN, *_NULL_IS_ALL_THAT_IS_ASKED)
        return "" if type.kind in known else f"{what}, of which nothing can be asked"
    values = (leaf.value,) if isinstance(leaf, Compared) else leaf.values
    native = type.native and type.kind in (Kind.TEXT, Kind.INTEGER, Kind.DECIMAL)
    if native or type.kind not in (*_TEXTS, *_NUMBERS, *_MOMENTS, Kind.BOOLEAN):
        return f"{what}, which copy and stream might not compare alike; only IS [NOT] NULL can be asked of it"
    wanted, name = _wanted(type.kind)
    wrong = next((v for v in values if not isinstance(v, wanted)), None)
    if wrong is not None:
        return f"{what}, which is compared with {name}, not with {wrong}"
    if isinstance(leaf, Compared) and leaf.operator not in ("=", "<>") and type.kind in (*_TEXTS, Kind.BOOLEAN):
        return f"{what}, which has no order that all databases share: only =, <> and IN can be asked of it"
    if type.kind in _MOMENTS:
        bad = next((v for v in values if moment_of(str(v), type.kind) is None), None)
        return f"{what}, and {bad!r} is no such moment" if bad is not None else ""
    return ""


def _wanted(kind: Kind) -> tuple[type, str]:
    if kind in _NUMBERS:
        return Decimal, "a number"
    if kind is Kind.BOOLEAN:
        return bool, "true or false"
    return str, "a 'text'"


def moment_of(text: str, kind: Kind) -> str | None:
    """A literal as the canonical text of its kind, with all six digits of the second; None if it is none."""
    formats = ("%Y-%m-%d",) if kind is Kind.DATE else ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f")
    for form in formats:
        try:
            moment = datetime.strptime(text, form)
        except ValueError:
            continue
        return f"{moment.year:04d}-{moment:%m-%d}" + ("" if kind is Kind.DATE else f" {moment:%H:%M:%S.%f}")
    return None


# -- asking it of a row -------------------------------------------------------------------------------------------


def compiled(condition: Condition, types: Mapping[str, ColumnType]) -> Verdict:
    """The condition as a function of a row's canonical texts. A column that the row does not have is unknown, like
    NULL: what is true or false all the same is so whatever its value."""
    match condition:
        case IsNull(column):
            return lambda texts: (texts[column] is None) if column in texts else None
        case Compared(column, operator, value):
            return _comparison(column, _OPERATORS[operator], _key(value, types[column]), types[column])
        case OneOf(column, values):
            return _membership(column, frozenset(_key(value, types[column]) for value in values), types[column])
        case Not(part):
            verdict = compiled(part, types)
            return lambda texts: None if (found := verdict(texts)) is None else not found
        case AllOf(parts):
            return _junction([compiled(part, types) for part in parts], decisive=False)
        case AnyOf(parts):
            return _junction([compiled(part, types) for part in parts], decisive=True)


def _junction(verdicts: Sequence[Verdict], *, decisive: bool) -> Verdict:
    def verdict(texts: Texts) -> bool | None:
        found = [ask(texts) for ask in verdicts]
        if decisive in found:
            return decisive
        return None if None in found else not decisive

    return verdict


def _comparison(column: str, operator: Callable[[Any, Any], bool], wanted: Any, type: ColumnType) -> Verdict:
    key = _key_of_text(type)
    return lambda texts: None if (text := texts.get(column)) is None else operator(key(text), wanted)


def _membership(column: str, wanted: frozenset[Any], type: ColumnType) -> Verdict:
    key = _key_of_text(type)
    return lambda texts: None if (text := texts.get(column)) is None else key(text) in wanted


def _key(value: Value, type: ColumnType) -> Any:
    """What a literal is compared by."""
    if isinstance(value, Decimal):
        return 0, value
    if isinstance(value, bool):
        return str(int(value))
    moment = moment_of(value, type.kind) if type.kind in _MOMENTS else None
    return value if moment is None else _moment_key(moment)


def _key_of_text(type: ColumnType) -> Callable[[str], Any]:
    """The same of a canonical text."""
    if type.kind in _NUMBERS:
        return _number_key
    if type.kind in _MOMENTS:
        return _moment_key
    return (lambda text: text.rstrip(" ")) if type.fixed else (lambda text: text)


def _number_key(text: str) -> tuple[int, Decimal]:
    """As PostgreSQL has it: NaN is equal to itself, and greater than everything."""
    special = {"NaN": 2, "Infinity": 1, "-Infinity": -1}.get(text)
    return (0, Decimal(text)) if special is None else (special, Decimal(0))


def _moment_key(text: str) -> tuple[int, int, str]:
    """Also of what only PostgreSQL has: infinity, years before Christ, years of five digits."""
    if text.endswith("infinity"):
        return -1 if text.startswith("-") else 1, 0, ""
    plain = text.removesuffix(" BC")
    year, _, rest = plain.partition("-")
    rest = rest if " " not in rest else f"{rest}{'' if '.' in rest else '.'}".ljust(len("01-01 00:00:00.000000"), "0")
    return 0, int(year) if plain == text else 1 - int(year), rest
