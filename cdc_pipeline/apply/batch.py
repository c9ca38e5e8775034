"""A run of events of one table -> its net effect. Pure.

With a primary key only the last state of each key counts. Without one, a table is a bag of rows: additions and
removals of equal rows cancel out. Either way the result does not depend on where a run is cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from cdc_pipeline.apply.images import INCOMPLETE, Images, Missing, refuse, time_of
from cdc_pipeline.choices import DELETED_AT
from cdc_pipeline.model import ChangeEvent, Operation, Row, RowBatch, TableShape
from cdc_pipeline.projection import source_columns

_INSERTS = (Operation.CREATE, Operation.READ)


class BatchBuilder:
    """Collects one table's events in their order; `build` gives the RowBatch.

    `unavailable` is what the connector writes for an unchanged value that the source did not log (TOAST): such a
    column is left as it is. A row that gets another key takes such values along: its DELETE does nothing, and its
    CREATE, which names both keys, does both in one. So wherever a run is cut, the values are still under the old key.
    `salt` is that of hashed columns; raises ChoicesChanged if the copy had another one. With `missing`, events may have
    other columns than the table: what is gone is left as it is, too.
    """

    def __init__(self, shape: TableShape, unavailable: str, salt: str = "", missing: Missing | None = None) -> None:
        self.shape = shape
        self.images = Images(shape, unavailable, salt, missing)
        self.soft_delete = shape.choices.soft_delete
        self.width = len(source_columns(shape))
        self.values = _values_of(shape.names)
        self.key = _values_of(shape.key)
        self.reset()

    def reset(self) -> None:
        self.truncate = False
        self.truncated_at: str | None = None
        # By key: a whole row as it came, or a row in canonical texts, or None of one that is deleted.
        self.last: dict[Row, tuple[Any, ...] | dict[str, str | None] | None] = {}
        self.partial: set[Row] = set()  # keys whose last row has only some of the columns
        self.origins: dict[Row, Row] = {}  # of those: the key that had the rest of them before this run
        self.bag: Counter[Row] = Counter()
        self.inserted = self.updated = self.deleted = 0

    @property
    def counts(self) -> tuple[int, int, int]:
        """Events so far: inserts, updates, deletes."""
        return self.inserted, self.updated, self.deleted

    def add(self, event: ChangeEvent) -> None:
        """Raises ColumnsChanged, EventNotUnderstood or ValueNotRepresentable, which leave the builder as it was."""
        operation = event.operation
        if operation is Operation.TRUNCATE:
            self._truncate(event)
            return
        if self.shape.key:
            self._add_keyed(event)
        else:
            self._add_keyless(event)
        if operation is Operation.UPDATE:
            self.updated += 1
        elif operation is Operation.DELETE:
            self.deleted += 1
        else:
            self.inserted += 1

    def _truncate(self, event: ChangeEvent) -> None:
        if self.soft_delete:  # all that the target has is marked, and so is what this batch has put there before
            self.truncated_at = self.truncated_at or time_of(event)
            for key in self.last:
                self._take_away(event, key)
            return
        self.truncate = True
        self.last.clear()
        self.partial.clear()
        self.origins.clear()
        self.bag.clear()

    def _add_keyed(self, event: ChangeEvent) -> None:
        images = self.images
        if images.missing is not None:
            images.require_key(event)
        if event.operation is Operation.DELETE:
            if event.moves_to is None:
                self._take_away(event, images.key(event, event.key or event.before))
            return
        admitted = True if images.admits is None else images.is_admitted(event, event.after)
        old = None if event.moved_from is None else images.key(event, event.moved_from)
        if admitted is False:
            self._leave_out(event, old, images.key_of_row(event, event.after))
            return
        values = images.values(event.after)
        if values is not None:
            key = images.key_of_values(event, values)
            self._put(event, key if old is None else old, key, values)
            return
        is_new = event.operation in _INSERTS and event.moved_from is None
        row = images.new_row(event) if is_new else images.row(event, event.after)
        try:
            key = self.key(row)
        except KeyError:
            refuse(event, INCOMPLETE)
        if len(row) < self.width:
            self._change_in_part(event, key if old is None else old, key, row, admitted)
        else:
            self._put(event, key if old is None else old, key, row)

    def _leave_out(self, event: ChangeEvent, old: Row | None, key: Row) -> None:
        """A new row that is not replicated takes nothing away; an UPDATE may have moved it out, with its key or not."""
        if old is not None:
            self._take_away(event, old)
        if event.operation is Operation.UPDATE or key in self.last:
            self._take_away(event, key)

    def _put(self, event: ChangeEvent, old: Row, key: Row, row: tuple[Any, ...] | dict[str, str | None]) -> None:
        """A whole row, in place of whatever has its key."""
        if old != key:
            self._take_away(event, old)
        self.last[key] = {**row, DELETED_AT: None} if self.soft_delete and isinstance(row, dict) else row
        if self.partial:
            self.partial.discard(key)
            self.origins.pop(key, None)

    def _known(self, key: Row) -> dict[str, str | None] | None:
        """The last row of this key in canonical texts."""
        row = self.last.get(key)
        if isinstance(row, tuple):
            row = {name: texts[0] for name, texts in self.images.texts([row]).items()}
            return {**row, DELETED_AT: None} if self.soft_delete else row
        return row

    def _take_away(self, event: ChangeEvent, key: Row) -> None:
        """The target shall not have this row, or have it marked. One that is marked already keeps its time, in the
        target too: what happens to a row outside of what is replicated is nobody's business."""
        if not self.soft_delete:
            self.last[key] = None
            self.partial.discard(key)
            self.origins.pop(key, None)
            return
        known = self._known(key)
        if known is None:
            self.last[key] = {**dict(zip(self.shape.key, key, strict=True)), DELETED_AT: time_of(event)}
            self.partial.add(key)
        elif known.get(DELETED_AT) is None:  # one that moved here in this run stays as marked: its origin holds
            self.last[key] = {**known, DELETED_AT: time_of(event)}

    def _is_gone(self, key: Row) -> bool:
        known = self.last.get(key, ())
        return known is None or (isinstance(known, dict) and known.get(DELETED_AT) is not None)

    def _change_in_part(
        self, event: ChangeEvent, old: Row, key: Row, row: dict[str, str | None], admitted: bool | None
    ) -> None:
        """An UPDATE, or a move from the `old` key, that leaves out a value that it did not change. With a `where` such
        a row may be one that it has just moved in, of which the target has nothing to leave as it is; unless all that
        `where` asks is unchanged (`admitted` is None): then the row stays what it is, in the target or outside."""
        # A move that is told again finds its row where it went the first time.
        place = key if self._is_gone(old) else old
        known = self._known(place)
        gone = self._is_gone(place) or (self.truncated_at is not None and known is None)
        certain = known is not None and place not in self.partial  # whole, so the target has it
        may_be_new = admitted is True and not certain and self.images.may_have_moved_in(event)
        is_change = event.operation is Operation.UPDATE or event.moved_from is not None
        if not is_change or may_be_new or (gone and admitted is True):
            self.images.refuse_part(event)
        if gone:
            return
        origin = self.origins.get(place, place)
        if admitted is None and not certain and origin != key and key in self.last:
            # Whether it moves onto this key only the target knows, and else what this run did there holds. The
            # consumer halves a run that is refused until this event stands alone, where nothing is in doubt.
            refuse(event, "it may move onto the key of a row that was taken away just before")
        row = {**(known or {}), **row}
        if certain or (admitted is True and len(row) == self.width):
            self._put(event, old, key, row)
            return
        if old != key:
            self._take_away(event, old)
        self.last[key] = row
        self.partial.add(key)
        self.origins[key] = origin

    def _add_keyless(self, event: ChangeEvent) -> None:
        """Each image is one of the rows that are replicated, or none, on its own."""
        if event.operation not in _INSERTS and self._is_replicated(event, event.before):
            self.bag[self.images.whole(event, event.before)] -= 1
        if event.operation is not Operation.DELETE and self._is_replicated(event, event.after):
            self.bag[self.images.whole(event, event.after)] += 1

    def _is_replicated(self, event: ChangeEvent, image: Mapping[str, Any] | None) -> bool:
        admitted = self.images.is_admitted(event, image)
        if admitted is None:
            refuse(event, "a row without what `where` asks; set REPLICA IDENTITY FULL on the table")
        return admitted

    def build(self) -> RowBatch:
        """Raises ValueNotRepresentable, of a row that a later event has not replaced."""
        batch = RowBatch(self.shape, truncate=self.truncate, truncated_at=self.truncated_at)
        names = self.shape.names
        came: list[tuple[Any, ...]] = []
        for key, row in self.last.items():
            if row is None:
                batch.deletes.append(key)
            elif isinstance(row, tuple):
                came.append(row)
            elif key not in self.partial:
                batch.rows.append(self.values(row))
            else:
                columns = tuple(name for name in names if name in row)
                batch.partials.setdefault(columns, []).append(tuple(row[name] for name in columns))
                if self.origins.get(key, key) != key:
                    batch.moved[key] = self.origins[key]
        batch.rows += self._rows(came)
        for row, count in self.bag.items():
            if count > 0:
                batch.rows += [row] * count
            elif count < 0:
                batch.removed[row] = -count
        return batch

    def _rows(self, came: Sequence[tuple[Any, ...]]) -> list[Row]:
        if not came:
            return []
        texts, unmarked = self.images.texts(came), [None] * len(came)
        return list(zip(*[texts.get(name, unmarked) for name in self.shape.names], strict=True))


def _values_of(names: Sequence[str]) -> Callable[[Mapping[str, str | None]], Row]:
    """Gets a row's values in the order of these names."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: tuple([row[name] for name in names])
