"""The images of a row in an event -> a row of the target, in canonical texts and by its owner's choices. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import md5
from typing import Any, NoReturn
from uuid import UUID

from cdc_pipeline.apply import moments
from cdc_pipeline.apply.decode import Whole
from cdc_pipeline.apply.values import UNREPRESENTABLE, all_at_once, converter, plain, unchecked
from cdc_pipeline.choices import fingerprint_of_salt
from cdc_pipeline.databases.definition import Default, Expression, Literal, Now
from cdc_pipeline.errors import ChoicesChanged, ColumnsChanged, EventNotUnderstood
from cdc_pipeline.model import ChangeEvent, Column, ColumnType, Kind, Operation, Row, TableId, TableShape
from cdc_pipeline.projection import filter_columns, moves_in_and_out, row_filter, source_columns, value_change

Image = Mapping[str, Any] | None
Convert = Callable[[Any], str | None]
# Numbers in Debezium's JSON, in whose place no text can come.
_NEVER_LONG = (Kind.BOOLEAN, Kind.INTEGER, Kind.FLOAT, Kind.DATE, Kind.TIMESTAMP)
INCOMPLETE = "a new row without all of its values; set REPLICA IDENTITY FULL on the table"


class Missing:
    """What a new row gets in the target's columns that the source does not have any more."""

    def __init__(self, ask: Callable[[], Mapping[str, Default | None]]) -> None:
        self._ask = ask

    @cached_property
    def _fillings(self) -> Mapping[str, Default | None]:
        return self._ask()

    def text(self, event: ChangeEvent, column: Column, table: TableId) -> str | None:
        """Raises ColumnsChanged where there is nothing to put. The time is the event's: it is the same when that comes
        again."""
        match self._fillings.get(column.name, Expression("")):
            case None:
                return None
            case Literal(text=text):
                return text
            case Now(utc=utc) if column.canonical.kind is (Kind.TIMESTAMP if utc else Kind.INSTANT):
                return time_of(event)
        change = f"gone {column.source.name}; in the target it must have a value, and has no plain default"
        raise ColumnsChanged(table=table, change=change)


class Images:
    """Reads the images of one table's events. Without `missing` they must have the table's columns; with it, those that
    are new are left out, and those that are gone are told of no row."""

    def __init__(self, shape: TableShape, unavailable: str, salt: str, missing: Missing | None = None) -> None:
        if shape.choices.salt != (fingerprint_of_salt(salt) if shape.choices.hash else ""):
            raise ChoicesChanged(table=shape.table)
        columns = source_columns(shape)
        self.shape = shape
        self.missing = missing
        self.fields = [
            (c.name, c.source.name, _unchecked(c, salt), _placeholders(c.source.canonical, unavailable))
            for c in columns
        ]
        self.checked = {c.source.name: _converter(c, salt) for c in columns}
        self.columns = {column.name: column for column in columns}
        self.in_order = tuple(c.source.name for c in columns)
        self.all_placeholders = _distinct(placeholders for *_, placeholders in self.fields)
        self.at_once = {c.name: all_at_once(_unchecked(c, salt)) for c in columns}
        origins = [self.columns[name].source.name for name in shape.key]
        self.key_fields = [(origin, self.checked[origin]) for origin in origins]
        keys = [self.columns[name] for name in shape.key]
        converters = [_unchecked(c, salt) for c in keys]
        places = [self.in_order.index(c.source.name) for c in keys]
        self.key_places = [(p, *plain(convert), convert) for p, convert in zip(places, converters, strict=True)]
        self.only_key_place = self.key_places[0] if len(places) == 1 else None
        self.key_names = frozenset(origin for origin, _ in self.key_fields)
        self.known = frozenset(origin for _, origin, _, _ in self.fields)
        self.admits = row_filter(shape)
        self.moves = moves_in_and_out(shape)
        self.asked = {
            name: (converter(column), _placeholders(column.canonical, unavailable))
            for name, column in filter_columns(shape).items()
        }

    def is_admitted(self, event: ChangeEvent, image: Image) -> bool | None:
        """Whether the row is replicated; None if that cannot have changed, because nothing that `where` asks has."""
        if self.admits is None:
            return True
        present = self._present(event, image)
        texts = {
            name: convert(present[name])
            for name, (convert, placeholders) in self.asked.items()
            if present[name] is None or present[name] not in placeholders
        }
        if not texts:
            return None
        verdict = self.admits(texts)
        if verdict is None and len(texts) < len(self.asked):
            refuse(event, "not all that `where` asks is told; set REPLICA IDENTITY FULL on the table")
        return bool(verdict)

    def may_have_moved_in(self, event: ChangeEvent) -> bool:
        """Whether the row that this event admits may have been none that is replicated before. If `where` asks of
        the key alone, the key that the row had tells."""
        if self.admits is None or self.moves or event.moved_from is None:
            return self.moves
        old = event.moved_from
        return not self.admits({name: convert(old[name]) for name, (convert, _) in self.asked.items()})

    def values(self, image: Image) -> tuple[Any, ...] | None:
        """What most images are: all of the table's columns in their order, each with its value, as Debezium wrote it.
        None of any other."""
        if type(image) is Whole and image.columns == self.in_order:
            values = image.in_order()
        elif image is None or tuple(image) != self.in_order:
            return None
        else:
            values = tuple(image.values())
        for placeholder in self.all_placeholders:
            if placeholder in values:
                return None
        return values

    def key_of_values(self, event: ChangeEvent, values: Sequence[Any]) -> Row:
        """Of `values`. Raises ValueNotRepresentable."""
        try:
            if self.only_key_place:  # as most keys are, and in half of the time
                place, expected, text_of, convert = self.only_key_place
                value = values[place]
                return (text_of(value) if type(value) is expected else convert(value),)
            return tuple(
                [
                    text_of(value) if type(value := values[place]) is expected else convert(value)
                    for place, expected, text_of, convert in self.key_places
                ]
            )
        except UNREPRESENTABLE:
            return self.key(event, event.after)  # tells which column it is

    def texts(self, rows: Sequence[Sequence[Any]]) -> dict[str, Sequence[str | None]]:
        """Of many rows of `values`: the canonical texts of each column, by the target's names. A column at a time takes
        a third of the time that a row at a time does. Raises ValueNotRepresentable."""
        texts: dict[str, Sequence[str | None]] = {}
        for (name, origin, _, _), values in zip(self.fields, zip(*rows, strict=True), strict=True):
            try:
                texts[name] = self.at_once[name](values)
            except UNREPRESENTABLE:
                for value in values:
                    self.checked[origin](value)  # tells which value it is
                raise
        return texts

    def row(self, event: ChangeEvent, image: Image) -> dict[str, str | None]:
        """The values that came, by the target's names; those that are unavailable, or gone, are left out."""
        present = self._present(event, image)
        fields = self.fields if present.keys() >= self.known else [f for f in self.fields if f[1] in present]
        try:
            return {
                name: None if value is None else convert(value)
                for name, origin, convert, placeholders in fields
                if (value := present[origin]) not in placeholders
            }
        except UNREPRESENTABLE:
            for _, origin, _, placeholders in fields:
                if present[origin] not in placeholders:
                    self.checked[origin](present[origin])  # tells which column it is
            raise

    def new_row(self, event: ChangeEvent) -> dict[str, str | None]:
        """The same of a row that the target does not have: what is gone gets what the target has for it."""
        row, gone = self.row(event, event.after), self.gone(event.after)
        if self.missing is None or not gone:
            return row
        filled = {c.name: self.missing.text(event, c, self.shape.table) for c in gone}
        return {name: (row | filled)[name] for name, *_ in self.fields if name in row or name in filled}

    def gone(self, image: Image) -> list[Column]:
        """Columns that the source does not have any more."""
        if self.missing is None or image is None or image.keys() >= self.known:
            return []
        return [self.columns[name] for name, origin, _, _ in self.fields if origin not in image]

    def whole(self, event: ChangeEvent, image: Image) -> Row:
        """Of a table without a key: its rows are told by all of their values."""
        gone = self.gone(image)
        if gone and event.operation is not Operation.CREATE:
            self._changed([], [column.source.name for column in gone], "which old rows are told by")
        row = self.new_row(event) if gone else self.row(event, image)
        if len(row) < len(self.fields):
            refuse(event, INCOMPLETE)
        return tuple(row.values())

    def require_key(self, event: ChangeEvent) -> None:
        """Rows are told apart by what they were told apart by when they were copied."""
        if self.missing is not None and (event.key is None or event.key.keys() != self.key_names):
            key = ", ".join(event.key or ())
            raise ColumnsChanged(table=self.shape.table, change=f"its primary key is ({key})")

    def refuse_part(self, event: ChangeEvent) -> NoReturn:
        """A row that may be new has not come whole."""
        gone = self.gone(event.after)
        if gone:
            self._changed([], [c.source.name for c in gone], "and rows may move into what `where` admits")
        refuse(event, INCOMPLETE)

    def key_of_row(self, event: ChangeEvent, image: Image) -> Row:
        return self.key(event, self._present(event, image))

    def key(self, event: ChangeEvent, image: Image) -> Row:
        missing = [name for name, _ in self.key_fields if image is None or name not in image]
        if image is None or missing:
            refuse(event, f"without the key column(s) {', '.join(missing)}")
        return tuple(convert(image[name]) for name, convert in self.key_fields)

    def _present(self, event: ChangeEvent, image: Image) -> Mapping[str, Any]:
        """The image, if it has the columns that it must have. One that is left out of what is replicated may still be
        there, in an event from before that was chosen."""
        if image is None:
            refuse(event, f"operation {event.operation} without the row's image")
        if image.keys() != self.known:
            chosen = self.shape.choices
            new = [] if chosen.include else sorted(image.keys() - self.known - set(chosen.exclude))
            gone = sorted(self.known - image.keys())
            needed = self.key_names | self.asked.keys()
            if self.missing is None:
                self._changed(new, gone)
            elif not needed <= image.keys():
                self._changed([], sorted(needed - image.keys()))
        return image

    def _changed(self, new: Sequence[str], gone: Sequence[str], why: str = "") -> None:
        named = [f"{what} {', '.join(names)}" for what, names in (("new", new), ("gone", gone)) if names]
        if named:
            raise ColumnsChanged(table=self.shape.table, change=", ".join(filter(None, ("; ".join(named), why))))


def _converter(column: Column, salt: str) -> Convert:
    convert, change = converter(column.source), value_change(column, salt)
    if change is None:
        return convert
    return lambda value: None if (text := convert(value)) is None else change(text)


def _unchecked(column: Column, salt: str) -> Callable[[Any], str]:
    """Of values that are not NULL."""
    convert, change = unchecked(column.source), value_change(column, salt)
    return convert if change is None else lambda value: change(convert(value))


def time_of(event: ChangeEvent) -> str:
    """When the source made the change, in UTC."""
    source = event.source
    microseconds = source.get("ts_us") or source["ts_ms"] * 1000
    return moments.timestamp_from_microseconds(microseconds)


def refuse(event: ChangeEvent, reason: str) -> NoReturn:
    raise EventNotUnderstood(topic=event.topic, partition=event.partition, offset=event.offset, reason=reason)


def _distinct(groups: Iterable[Sequence[Any]]) -> list[Any]:
    """Lists among them cannot be members of a set."""
    found: list[Any] = []
    for group in groups:
        found += [one for one in group if one not in found]
    return found


def _placeholders(type: ColumnType, unavailable: str) -> tuple[Any, ...]:
    """What Debezium may put in place of an unchanged long value of this type (read in its source, and measured)."""
    if type.kind in _NEVER_LONG:
        return ()
    if type.kind is Kind.BINARY:
        return unavailable, unavailable.encode().hex()
    if type.kind is Kind.MAP:
        return (f'{{"{unavailable}":"{unavailable}"}}',)
    if type.element is None:
        return (unavailable,)
    if type.element.kind in (Kind.INTEGER, Kind.DATE):
        return (list(unavailable.encode()),)
    if type.element.kind is Kind.UUID:
        return ([str(UUID(bytes=md5(unavailable.encode(), usedforsecurity=False).digest(), version=3))],)
    return ([unavailable],)
