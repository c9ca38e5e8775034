"""A batch of a table whose owner chose something: filters, soft deletes, and values that are not told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cdc_pipeline.apply.batch import BatchBuilder
from cdc_pipeline.choices import DELETED_AT, Choices, fingerprint_of_salt, hasher
from cdc_pipeline.errors import ChoicesChanged, EventNotUnderstood
from cdc_pipeline.model import ChangeEvent, Column, ColumnType, Kind, Operation, Row, TableId, TableShape
from cdc_pipeline.projection import project

UNAVAILABLE = "__unavailable__"
THINGS = TableShape(
    TableId("shop", "things"),
    (
        Column("id", "int", ColumnType(Kind.INTEGER, 32), nullable=False),
        Column("kind", "text", ColumnType(Kind.TEXT)),
        Column("note", "text", ColumnType(Kind.TEXT)),
    ),
    ("id",),
)
IN = Choices(where="kind = 'in'")
SOFT = Choices(soft_delete=True)
Image = dict[str, Any]


def builder(choices: Choices, shape: TableShape = THINGS, salt: str = "") -> BatchBuilder:
    return BatchBuilder(project(shape, choices), UNAVAILABLE, salt)


def row(id: int, kind: str | None = "in", note: str | None = "n") -> Image:
    return {"id": id, "kind": kind, "note": note}


def event(operation: str, after: Image | None = None, before: Image | None = None, at: int = 1) -> ChangeEvent:
    image = after or before
    key = {"id": image["id"]} if image else None
    return ChangeEvent("t", 0, 0, Operation(operation), key, before, after, {"ts_ms": at * 1000})


def at(seconds: int) -> str:
    return f"1970-01-01 00:00:{seconds:02d}"


def built(made: BatchBuilder, *events: ChangeEvent) -> Any:
    for each in events:
        made.add(each)
    return made.build()


def test_values_are_changed_and_names_are_the_target_s() -> None:
    chosen = Choices(rename=(("note", "email"),), hash=("note",), mask=(("kind", "*"),), salt=fingerprint_of_salt("s"))
    batch = built(builder(chosen, salt="s"), event("c", row(1)), event("c", row(2, None, None)))
    assert batch.shape.names == ("id", "kind", "email")
    assert batch.rows == [("1", "*", hasher("s", fixed=False)("n")), ("2", None, None)]


def test_a_salt_that_the_copy_did_not_have_is_refused() -> None:
    with pytest.raises(ChoicesChanged):
        builder(Choices(hash=("note",), salt=fingerprint_of_salt("s")), salt="another")


def test_rows_move_in_and_out() -> None:
    batch = built(
        builder(IN), event("c", row(1)), event("c", row(2, "out")), event("u", row(3, "out")), event("u", row(4)),
        event("c", row(5)), event("u", row(5, None)),
    )  # fmt: skip
    assert [r[0] for r in batch.rows] == ["1", "4"]
    assert batch.deletes == [("3",), ("5",)]


def test_without_a_key_each_image_is_asked() -> None:
    made = builder(IN, TableShape(THINGS.table, THINGS.columns))
    batch = built(
        made, event("c", row(1, "out")), event("u", row(2), row(2, "out")), event("u", row(3, "out"), row(3)),
        event("d", before=row(4)), event("d", before=row(5, "out")),
    )  # fmt: skip
    assert [r[0] for r in batch.rows] == ["2"]
    assert sorted(r[0] or "" for r in batch.removed) == ["3", "4"]


def test_a_row_of_which_nothing_that_is_asked_has_changed_stays_where_it_is() -> None:
    batch = built(builder(IN), event("u", row(1, UNAVAILABLE, "new")))
    assert batch.partials == {("id", "note"): [("1", "new")]}
    batch = built(builder(IN), event("u", row(1, "out")), event("u", row(1, UNAVAILABLE, "new")))
    assert (batch.partials, batch.deletes) == ({}, [("1",)])


def test_a_row_in_part_that_may_have_moved_in_is_refused() -> None:
    with pytest.raises(EventNotUnderstood, match="REPLICA IDENTITY FULL"):
        builder(IN).add(event("u", row(1, "in", UNAVAILABLE)))
    batch = built(builder(IN), event("c", row(1, "in", "n")), event("u", row(1, "in", UNAVAILABLE)))
    assert batch.rows == [("1", "in", "n")]
    batch = built(builder(Choices(where="id < 5")), event("u", row(1, "x", UNAVAILABLE)), event("u", row(7)))
    assert batch.partials == {("id", "kind"): [("1", "x")]}  # a key never changes


def test_an_excluded_column_of_an_old_event_is_passed_over_and_a_new_one_is_not() -> None:
    made = builder(Choices(exclude=("note",)))
    assert built(made, event("c", row(1))).rows == [("1", "in")]
    with pytest.raises(EventNotUnderstood, match="new more"):
        made.add(event("c", {**row(2), "more": 1}))
    assert built(builder(Choices(include=("id", "kind"))), event("c", {**row(2), "more": 1})).rows == [("2", "in")]


def test_soft_deletes_mark_and_a_new_row_clears() -> None:
    batch = built(
        builder(SOFT), event("d", before=row(1), at=1), event("c", row(2), at=2), event("d", before=row(2), at=3),
        event("d", before=row(3), at=4), event("c", row(3), at=5), event("u", row(4, "in", UNAVAILABLE), at=6),
    )  # fmt: skip
    assert batch.deletes == []
    assert batch.rows == [("2", "in", "n", at(3)), ("3", "in", "n", None)]
    assert batch.partials == {("id", DELETED_AT): [("1", at(1))], ("id", "kind"): [("4", "in")]}


def test_a_table_of_a_key_alone_makes_no_row_of_a_mark() -> None:
    batch = built(builder(Choices(include=("id",), soft_delete=True)), event("d", before={"id": 1}))
    assert (batch.rows, batch.partials) == ([], {("id", DELETED_AT): [("1", at(1))]})


def test_a_truncate_marks_what_came_before_it() -> None:
    batch = built(
        builder(SOFT), event("c", row(1), at=1), event("d", before=row(2), at=2), event("t", at=3),
        event("c", row(3), at=4), event("t", at=5), event("c", row(4), at=6),
    )  # fmt: skip
    assert (batch.truncate, batch.truncated_at) == (False, at(3))
    assert batch.rows == [("1", "in", "n", at(3)), ("3", "in", "n", at(5)), ("4", "in", "n", None)]
    assert batch.partials == {("id", DELETED_AT): [("2", at(2))]}


def applied(batch: Any, target: dict[Row, list[str | None]]) -> None:
    """What `Writer` does where deletes are soft."""
    names, key = batch.shape.names, batch.shape.key
    marked = names.index(DELETED_AT)
    for existing in target.values():
        existing[marked] = existing[marked] or batch.truncated_at
    for each in batch.rows:
        target[each[: len(key)]] = list(each)
    for columns, rows in batch.partials.items():
        for each in rows:
            values = dict(zip(columns, each, strict=True))
            existing = target.get(tuple(values[name] for name in key))
            mark = existing[marked] if existing else None
            if existing and (mark is None or mark >= (values.get(DELETED_AT) or "~")):
                for name, value in values.items():
                    existing[names.index(name)] = value


@example(steps=[("w", 0, "in"), ("w", 0, "in"), ("w", 0, "out"), ("t", 0, "in")], cut=2)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("wwwdt"), st.integers(0, 3), st.sampled_from(["in", "out", None])), max_size=12
    ),
    cut=st.integers(0, 12),
)
def test_it_does_not_matter_where_a_run_is_cut(steps: list[tuple[str, int, str | None]], cut: int) -> None:
    events: list[ChangeEvent] = []
    there: set[int] = set()
    for time, (what, number, kind) in enumerate(steps):
        if what == "t":
            events.append(event("t", at=time))
            there.clear()
        elif what == "w":
            events.append(event("u" if number in there else "c", row(number, kind, f"n{time}"), at=time))
            there.add(number)
        elif number in there:
            events.append(event("d", before=row(number), at=time))
            there.discard(number)
    chosen = Choices(where="kind = 'in'", soft_delete=True)
    targets: list[dict[Row, list[str | None]]] = []
    for parts in ([events], [events[:cut], events[cut:]], [[each] for each in events]):
        targets.append({})
        for part in parts:
            applied(built(builder(chosen), *part), targets[-1])
    assert targets[0] == targets[1] == targets[2]
