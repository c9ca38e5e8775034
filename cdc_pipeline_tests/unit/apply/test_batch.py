"""Events collapse to their net effect, wherever a run of them is cut."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdc_pipeline.apply.batch import BatchBuilder
from cdc_pipeline.errors import ColumnsChanged, EventNotUnderstood, ValueNotRepresentable
from cdc_pipeline.model import ChangeEvent, Column, ColumnType, Kind, Operation, Row, RowBatch, TableId, TableShape

UNAVAILABLE = "__unavailable__"
KEYED = TableShape(
    TableId("shop", "users"),
    (
        Column("id", "int", ColumnType(Kind.INTEGER, 32), nullable=False),
        Column("name", "text", ColumnType(Kind.TEXT)),
        Column("blob", "bytea", ColumnType(Kind.BINARY)),
    ),
    ("id",),
)
KEYLESS = TableShape(KEYED.table, KEYED.columns)
CREATE, READ, UPDATE, DELETE, TRUNCATE = Operation
Image = dict[str, Any]


def image(id: int, name: str | None = "x", blob: str | None = "00") -> Image:
    return {"id": id, "name": name, "blob": blob}


def event(operation: Operation, before: Image | None = None, after: Image | None = None) -> ChangeEvent:
    known = after or before
    return ChangeEvent("t", 0, 9, operation, {"id": known["id"]} if known else None, before, after, {})


def built(shape: TableShape, *events: ChangeEvent) -> RowBatch:
    builder = BatchBuilder(shape, UNAVAILABLE)
    for each in events:
        builder.add(each)
    return builder.build()


# -- tables with a key --------------------------------------------------------------------------------------------


def test_only_the_last_state_of_a_key_counts() -> None:
    batch = built(
        KEYED,
        event(CREATE, after=image(1, "a")),
        event(UPDATE, after=image(1, "b")),
        event(CREATE, after=image(2, "c")),
        event(UPDATE, after=image(1, "d")),
    )
    assert batch == RowBatch(KEYED, rows=[("1", "d", "\\x00"), ("2", "c", "\\x00")])


def test_a_row_that_was_made_and_deleted_is_deleted() -> None:
    batch = built(KEYED, event(CREATE, after=image(1)), event(DELETE, before=image(1)))
    assert batch == RowBatch(KEYED, deletes=[("1",)])


def test_a_row_that_was_deleted_and_made_again_is_there() -> None:
    batch = built(KEYED, event(DELETE, before=image(1)), event(CREATE, after=image(1, "new")))
    assert batch == RowBatch(KEYED, rows=[("1", "new", "\\x00")])


def test_a_truncate_forgets_what_was_before_it() -> None:
    batch = built(KEYED, event(CREATE, after=image(1)), event(TRUNCATE), event(CREATE, after=image(2)))
    assert batch == RowBatch(KEYED, truncate=True, rows=[("2", "x", "\\x00")])


def test_an_unavailable_value_is_left_as_it_is() -> None:
    batch = built(KEYED, event(UPDATE, after=image(1, UNAVAILABLE, UNAVAILABLE.encode().hex())))
    assert batch == RowBatch(KEYED, partials={("id",): [("1",)]})
    batch = built(KEYED, event(UPDATE, after=image(1, UNAVAILABLE)))
    assert batch == RowBatch(KEYED, partials={("id", "blob"): [("1", "\\x00")]})


def test_an_insert_and_an_update_with_an_unavailable_value_merge() -> None:
    batch = built(KEYED, event(CREATE, after=image(1, "long")), event(UPDATE, after=image(1, UNAVAILABLE, "ff")))
    assert batch == RowBatch(KEYED, rows=[("1", "long", "\\xff")])


def test_null_is_a_value_and_not_an_unavailable_one() -> None:
    assert built(KEYED, event(UPDATE, after=image(1, None))).rows == [("1", None, "\\x00")]


@pytest.mark.parametrize(
    "events",
    [
        [event(CREATE, after=image(1, UNAVAILABLE))],
        [event(DELETE, before=image(1)), event(UPDATE, after=image(1, UNAVAILABLE))],
    ],
)
def test_a_new_row_without_all_of_its_values_is_refused(events: list[ChangeEvent]) -> None:
    with pytest.raises(EventNotUnderstood, match="REPLICA IDENTITY FULL"):
        built(KEYED, *events)


def moved(old: int, after: Image) -> list[ChangeEvent]:
    """A changed primary key, as Debezium tells it."""
    new = {"id": after["id"]}
    return [
        replace(event(DELETE, before={"id": old}), moves_to=new),
        replace(event(CREATE, after=after), moved_from={"id": old}),
    ]


def test_a_row_that_moves_takes_its_unavailable_values_along() -> None:
    batch = built(KEYED, *moved(1, image(2, UNAVAILABLE)))
    assert batch == RowBatch(
        KEYED, deletes=[("1",)], partials={("id", "blob"): [("2", "\\x00")]}, moved={("2",): ("1",)}
    )


def test_a_row_that_moves_whole_leaves_its_old_key() -> None:
    assert built(KEYED, *moved(1, image(2))) == RowBatch(KEYED, rows=[("2", "x", "\\x00")], deletes=[("1",)])


def test_a_move_after_an_insert_or_another_update_merges_with_it() -> None:
    batch = built(KEYED, event(CREATE, after=image(1, "long")), *moved(1, image(2, UNAVAILABLE)))
    assert batch == RowBatch(KEYED, rows=[("2", "long", "\\x00")], deletes=[("1",)])
    batch = built(KEYED, event(UPDATE, after=image(1, "long", UNAVAILABLE)), *moved(1, image(2, UNAVAILABLE)))
    assert batch == RowBatch(KEYED, rows=[("2", "long", "\\x00")], deletes=[("1",)])


def test_a_row_that_moves_away_and_back_is_an_update() -> None:
    batch = built(KEYED, *moved(1, image(2, UNAVAILABLE)), *moved(2, image(1, UNAVAILABLE, "ff")))
    assert batch == RowBatch(KEYED, deletes=[("2",)], partials={("id", "blob"): [("1", "\\xff")]})


def test_rows_may_exchange_their_keys() -> None:
    steps = [*moved(1, image(9, UNAVAILABLE)), *moved(2, image(1, UNAVAILABLE)), *moved(9, image(2, UNAVAILABLE))]
    batch = built(KEYED, *steps)
    assert batch.moved == {("1",): ("2",), ("2",): ("1",)}
    assert batch.deletes == [("9",)]


def test_a_row_without_a_key_is_never_told_in_part() -> None:
    with pytest.raises(EventNotUnderstood, match="REPLICA IDENTITY FULL"):
        built(KEYLESS, event(UPDATE, before=image(1), after=image(1, UNAVAILABLE)))


def test_a_delete_needs_its_key() -> None:
    nameless = ChangeEvent("t", 0, 9, DELETE, None, {"name": "x"}, None, {})
    with pytest.raises(EventNotUnderstood, match=r"offset 9.*without the key column\(s\) id"):
        built(KEYED, nameless)


def test_a_change_of_the_tables_columns_is_named() -> None:
    changed = {"id": 1, "name": "x", "colour": "red"}
    with pytest.raises(ColumnsChanged, match=r"\(new colour; gone blob\)"):
        built(KEYED, event(CREATE, after=changed))


WRONG = {**image(1), "name": 5}


@pytest.mark.parametrize("shape", [KEYED, KEYLESS])
@pytest.mark.parametrize(
    "bad", [event(CREATE), event(UPDATE), event(CREATE, after={**image(1), "id": "x"}), event(CREATE, after={"id": 1})]
)
def test_an_event_that_is_refused_leaves_the_batch_as_it_was(shape: TableShape, bad: ChangeEvent) -> None:
    builder = BatchBuilder(shape, UNAVAILABLE)
    builder.add(event(CREATE, after=image(2)))
    with pytest.raises((ColumnsChanged, EventNotUnderstood, ValueNotRepresentable)):
        builder.add(bad)
    assert builder.build() == built(shape, event(CREATE, after=image(2)))
    assert (builder.inserted, builder.updated, builder.deleted) == (1, 0, 0)


def test_a_value_that_cannot_be_written_counts_where_it_is_the_last_of_its_row() -> None:
    with pytest.raises(ValueNotRepresentable, match=r"name.*5"):
        built(KEYED, event(CREATE, after=image(2)), event(CREATE, after=WRONG))
    assert built(KEYED, event(CREATE, after=WRONG), event(UPDATE, after=image(1))).rows == [("1", "x", "\\x00")]
    assert built(KEYED, event(CREATE, after=WRONG), event(DELETE, before=image(1))).deletes == [("1",)]
    with pytest.raises(ValueNotRepresentable, match=r"name.*5"):
        built(KEYED, event(CREATE, after=WRONG), event(UPDATE, after={**image(1), "blob": UNAVAILABLE}))


@pytest.mark.parametrize("name", ["x", None, UNAVAILABLE])
@pytest.mark.parametrize("order", [("id", "name", "blob"), ("blob", "id", "name")])
def test_rows_of_a_batch_are_the_same_in_whatever_order_an_image_lists_them(name: Any, order: tuple[str, ...]) -> None:
    """Rows that come as the table has its columns are made of whole columns; all others one by one."""
    rows = [{"id": number, "name": name if number % 2 else "other", "blob": "00"} for number in range(4)]
    batch = built(KEYED, *[event(UPDATE, after={column: row[column] for column in order}) for row in rows])
    expected = {"0": ("0", "other", "\\x00"), "2": ("2", "other", "\\x00")}
    if name == UNAVAILABLE:
        assert batch.partials == {("id", "blob"): [("1", "\\x00"), ("3", "\\x00")]}
    else:
        expected |= {"1": ("1", name, "\\x00"), "3": ("3", name, "\\x00")}
    assert {row[0]: row for row in batch.rows} == expected


# -- tables without a key -----------------------------------------------------------------------------------------


def test_equal_rows_are_counted() -> None:
    batch = built(KEYLESS, *[event(CREATE, after=image(1))] * 3, event(DELETE, before=image(1)))
    assert batch == RowBatch(KEYLESS, rows=[("1", "x", "\\x00")] * 2)


def test_what_was_added_and_removed_cancels_out() -> None:
    batch = built(KEYLESS, event(CREATE, after=image(1)), event(DELETE, before=image(1)))
    assert batch == RowBatch(KEYLESS)


def test_an_update_takes_the_old_row_away_and_adds_the_new_one() -> None:
    batch = built(KEYLESS, *[event(UPDATE, before=image(1, "a"), after=image(1, "b"))] * 2)
    assert batch == RowBatch(KEYLESS, rows=[("1", "b", "\\x00")] * 2, removed={("1", "a", "\\x00"): 2})


def test_an_update_without_the_old_row_is_refused() -> None:
    with pytest.raises(EventNotUnderstood, match="operation u without the row's image"):
        built(KEYLESS, event(UPDATE, after=image(1)))


# -- counting -----------------------------------------------------------------------------------------------------


def test_events_are_counted_by_operation_until_the_builder_is_reset() -> None:
    builder = BatchBuilder(KEYED, UNAVAILABLE)
    for each in (event(CREATE, after=image(1)), event(READ, after=image(2)), event(UPDATE, after=image(1)),
                 event(DELETE, before=image(2)), event(TRUNCATE)):  # fmt: skip
        builder.add(each)
    assert (builder.inserted, builder.updated, builder.deleted) == (2, 1, 1)
    builder.reset()
    assert (builder.inserted, builder.updated, builder.deleted) == (0, 0, 0)
    assert builder.build() == RowBatch(KEYED)


# -- wherever it is cut -------------------------------------------------------------------------------------------

KeyedTable = dict[Row, Row]


def apply_keyed(table: KeyedTable, batch: RowBatch) -> None:
    """The contract of RowBatch for a table with a key, in its plainest form."""
    keys = [*batch.deletes, *(row[:1] for row in batch.rows)]
    keys += [row[:1] for rows in batch.partials.values() for row in rows]
    assert len(keys) == len(set(keys)), "a key occurs once in a batch"
    if batch.truncate:
        table.clear()
    before = dict(table)
    for key in batch.deletes:
        table.pop(key, None)
    for row in batch.rows:
        table[row[:1]] = row
    for names, rows in batch.partials.items():
        for row in rows:
            old = before.get(batch.moved.get(row[:1], row[:1])) or before[row[:1]]
            changed = dict(zip(KEYED.names, old, strict=True)) | dict(zip(names, row, strict=True))
            table[row[:1]] = tuple(changed[name] for name in KEYED.names)


def apply_keyless(table: Counter[Row], batch: RowBatch) -> None:
    """The contract of RowBatch for a table without a key. Nothing may be removed that is not there."""
    if batch.truncate:
        table.clear()
    for row, count in batch.removed.items():
        assert table[row] >= count
        table[row] -= count
    table.update(batch.rows)


def as_row(image: Mapping[str, Any]) -> Row:
    blob = image["blob"]
    return (str(image["id"]), image["name"], None if blob is None else "\\x" + blob)


names = st.none() | st.sampled_from(["", "a", "b"])
blobs = st.none() | st.sampled_from(["", "00", "ff"])
images = st.builds(image, st.integers(1, 4), names, blobs)
actions = st.one_of(
    st.tuples(st.just("write"), images, st.booleans(), st.booleans()),
    st.tuples(st.just("delete"), images, st.booleans(), st.booleans()),
    st.tuples(st.just("move"), images, st.booleans(), st.booleans()),
    st.tuples(st.sampled_from(["truncate", *["write"] * 9]), images, st.booleans(), st.booleans()),
)
cuts = st.sets(st.integers(1, 40))


def told(row: Image, *, name: bool, blob: bool) -> Image:
    """What comes of a row whose name or blob was left alone: a long one is unavailable."""
    return {**row, **({"name": UNAVAILABLE} if name and row["name"] else {}),
            **({"blob": UNAVAILABLE.encode().hex()} if blob and row["blob"] else {})}  # fmt: skip


def keyed_history(actions: Sequence[tuple[str, Image, bool, bool]]) -> tuple[list[ChangeEvent], KeyedTable]:
    """The events of a source that does these actions, and what it holds in the end."""
    source: dict[int, Image] = {}
    events = []
    for what, row, without_name, without_blob in actions:
        old = source.get(row["id"])
        if what == "truncate":
            source.clear()
            events.append(event(TRUNCATE))
        elif what == "delete" and old:
            events.append(event(DELETE, before=source.pop(row["id"])))
        elif what == "move" and old and row["id"] + 1 not in source:
            new = {**old, "id": row["id"] + 1, **({} if without_blob else {"blob": row["blob"]})}
            del source[row["id"]]
            source[new["id"]] = new
            events += moved(row["id"], told(new, name=without_name, blob=without_blob))
        elif what == "write" and old is None:
            source[row["id"]] = row
            events.append(event(CREATE, after=row))
        elif what == "write" and old is not None:
            new = {**row, **({"name": old["name"]} if without_name else {}),
                   **({"blob": old["blob"]} if without_blob else {})}  # fmt: skip
            source[row["id"]] = new
            events.append(event(UPDATE, after=told(new, name=without_name, blob=without_blob)))
    return events, {(str(id),): as_row(row) for id, row in source.items()}


def keyless_history(actions: Sequence[tuple[str, Image, bool, bool]]) -> tuple[list[ChangeEvent], Counter[Row]]:
    source: list[Image] = []
    events = []
    for what, row, change, _ in actions:
        if what == "truncate":
            source.clear()
            events.append(event(TRUNCATE))
        elif what == "delete" and source:
            events.append(event(DELETE, before=source.pop(row["id"] % len(source))))
        elif what == "write" and change and source:
            place = row["id"] % len(source)
            events.append(event(UPDATE, before=source[place], after=row))
            source[place] = row
        elif what == "write":
            source.append(row)
            events.append(event(CREATE, after=row))
    return events, Counter(as_row(row) for row in source)


def runs(events: Sequence[ChangeEvent], cuts: set[int]) -> list[Sequence[ChangeEvent]]:
    places = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    return [events[start:end] for start, end in pairwise(places)]


@settings(max_examples=150)
@given(st.lists(actions, max_size=40), cuts)
def test_a_keyed_table_equals_its_source_wherever_the_stream_is_cut(actions: list, cuts: set[int]) -> None:
    events, expected = keyed_history(actions)
    at_once: KeyedTable = {}
    one_by_one: KeyedTable = {}
    in_runs: KeyedTable = {}
    apply_keyed(at_once, built(KEYED, *events))
    for each in events:
        apply_keyed(one_by_one, built(KEYED, each))
    for run in runs(events, cuts):
        apply_keyed(in_runs, built(KEYED, *run))
    assert at_once == one_by_one == in_runs == expected


@settings(max_examples=150)
@given(st.lists(actions, max_size=40), cuts)
def test_a_keyless_table_equals_its_source_wherever_the_stream_is_cut(actions: list, cuts: set[int]) -> None:
    events, expected = keyless_history(actions)
    at_once: Counter[Row] = Counter()
    one_by_one: Counter[Row] = Counter()
    in_runs: Counter[Row] = Counter()
    apply_keyless(at_once, built(KEYLESS, *events))
    for each in events:
        apply_keyless(one_by_one, built(KEYLESS, each))
    for run in runs(events, cuts):
        apply_keyless(in_runs, built(KEYLESS, *run))
    assert +at_once == +one_by_one == +in_runs == expected


@given(st.lists(actions.filter(lambda action: action[0] != "move" or not any(action[2:])), max_size=40), cuts)
def test_a_batch_that_is_applied_twice_to_a_keyed_table_changes_nothing_more(actions: list, cuts: set[int]) -> None:
    """What the low watermark of a keyed table rests on. (Only MySQL has one, and MySQL's rows move whole.)"""
    events, expected = keyed_history(actions)
    table: KeyedTable = {}
    for run in runs(events, cuts):
        batch = built(KEYED, *run)
        apply_keyed(table, batch)
        apply_keyed(table, batch)
    assert table == expected
