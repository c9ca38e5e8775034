"""A run of events of one table -> its net effect. Pure.

With a primary key only the last state of each key counts. Without one, a table is a bag of rows: additions and
removals of equal rows cancel out. Either way the result does not depend on where a run is cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from hashlib import md5
from typing import Any, NoReturn
from uuid import UUID

from cdc_pipeline.apply.values import converter
from cdc_pipeline.errors import EventNotUnderstood
from cdc_pipeline.model import ChangeEvent, ColumnType, Kind, Operation, Row, RowBatch, TableShape

_INSERTS = (Operation.CREATE, Operation.READ)


class BatchBuilder:
    """Collects one table's events in their order; `build` gives the RowBatch.

    `unavailable` is what the connector writes for an unchanged value that the source did not log (TOAST): such a
    column is left as it is.
    """

    def __init__(self, shape: TableShape, unavailable: str) -> None:
        self.shape = shape
        self.converters = {column.name: converter(column) for column in shape.columns}
        self.placeholders = {column.name: _placeholders(column.canonical, unavailable) for column in shape.columns}
        self.reset()

    def reset(self) -> None:
        self.truncate = False
        self.last: dict[Row, dict[str, str | None] | None] = {}  # by key; None is a deleted row
        self.bag: Counter[Row] = Counter()
        self.inserted = self.updated = self.deleted = 0

    def add(self, event: ChangeEvent) -> None:
        """Raises EventNotUnderstood or ValueNotRepresentable, which leave the builder as it was."""
        if event.operation is Operation.TRUNCATE:
            self.truncate = True
            self.last.clear()
            self.bag.clear()
        elif self.shape.key:
            self._add_keyed(event)
        else:
            self._add_keyless(event)
        self.inserted += event.operation in _INSERTS
        self.updated += event.operation is Operation.UPDATE
        self.deleted += event.operation is Operation.DELETE

    def _add_keyed(self, event: ChangeEvent) -> None:
        if event.operation is Operation.DELETE:
            image = event.key or event.before
            self.last[self._key(event, image)] = None
            return
        row = self._row(event, event.after, partial=True)
        key = tuple(row[name] for name in self.shape.key)
        if len(row) < len(self.shape.columns):
            known = self.last.get(key)
            if event.operation is not Operation.UPDATE or (known is None and key in self.last):
                self._refuse(event, "a new row without all of its values; set REPLICA IDENTITY FULL on the table")
            row = {**(known or {}), **row}
        self.last[key] = row

    def _add_keyless(self, event: ChangeEvent) -> None:
        if event.operation not in _INSERTS:
            self.bag[self._whole(event, event.before)] -= 1
        if event.operation is not Operation.DELETE:
            self.bag[self._whole(event, event.after)] += 1

    def _whole(self, event: ChangeEvent, image: Mapping[str, Any] | None) -> Row:
        row = self._row(event, image)
        return tuple(row[name] for name in self.shape.names)

    def _key(self, event: ChangeEvent, image: Mapping[str, Any] | None) -> Row:
        missing = [name for name in self.shape.key if image is None or name not in image]
        if image is None or missing:
            self._refuse(event, f"without the key column(s) {', '.join(missing)}")
        return tuple(self.converters[name](image[name]) for name in self.shape.key)

    def _row(
        self, event: ChangeEvent, image: Mapping[str, Any] | None, *, partial: bool = False
    ) -> dict[str, str | None]:
        if image is None:
            self._refuse(event, f"operation {event.operation} without the row's image")
        if image.keys() != self.converters.keys():
            new = sorted(image.keys() - self.converters.keys())
            gone = sorted(self.converters.keys() - image.keys())
            change = "; ".join(f"{what} {', '.join(names)}" for what, names in (("new", new), ("gone", gone)) if names)
            self._refuse(event, f"the table's columns have changed ({change}); copy it again with --force-resync")
        placeholders = self.placeholders if partial else {}
        return {
            name: convert(image[name])
            for name, convert in self.converters.items()
            if image[name] is None or image[name] not in placeholders.get(name, ())
        }

    def _refuse(self, event: ChangeEvent, reason: str) -> NoReturn:
        raise EventNotUnderstood(topic=event.topic, partition=event.partition, offset=event.offset, reason=reason)

    def build(self) -> RowBatch:
        batch = RowBatch(self.shape, truncate=self.truncate)
        names = self.shape.names
        for key, row in self.last.items():
            if row is None:
                batch.deletes.append(key)
            elif len(row) == len(names):
                batch.rows.append(tuple(row[name] for name in names))
            else:
                columns = tuple(name for name in names if name in row)
                batch.partials.setdefault(columns, []).append(tuple(row[name] for name in columns))
        for row, count in self.bag.items():
            if count > 0:
                batch.rows += [row] * count
            elif count < 0:
                batch.removed[row] = -count
        return batch


def _placeholders(type: ColumnType, unavailable: str) -> tuple[Any, ...]:
    """What Debezium may put in place of an unchanged long value of this type (read in its source, and measured)."""
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
