"""Checks of a target and its array INSERTs, against a scripted connection. The merge runs on H2: integration tests."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest

from cdc_pipeline.databases.oracle import database, target
from cdc_pipeline.errors import LoadRefused, StatementFailed
from cdc_pipeline.model import ColumnType, Kind, TableId
from cdc_pipeline_tests.unit.databases.oracle.recorder import Recorder, oracle_target

TARGET_WELL = {
    target.PRIVILEGES: [("CREATE TABLE",)],
    target.QUOTAS: [(1,)],
    database.DATABASE_CHARACTER_SET: [("AL32UTF8",)],
}


@pytest.mark.parametrize(
    ("answers", "schema", "way_out"),
    [
        ({}, "CDC", ""),
        ({target.PRIVILEGES: []}, "CDC", "GRANT CREATE TABLE TO"),
        ({target.QUOTAS: [(0,)]}, "CDC", "QUOTA UNLIMITED"),
        ({"CREATE PRIVATE": StatementFailed(database="d", reason="ORA-00903")}, "CDC", "private_temp_table_prefix"),
        ({"SELECT COUNT(*) FROM all_users": [(1,)]}, "DWH", "GRANT CREATE ANY TABLE, DELETE ANY TABLE"),
    ],
)
def test_a_target_names_what_it_lacks(answers: dict[str, Any], schema: str, way_out: str) -> None:
    opened = oracle_target(Recorder({**TARGET_WELL, **answers}))
    problems = [check.problem for check in opened.target_checks([TableId(schema, "t")]) if not check.ok]
    assert len(problems) == bool(way_out)
    assert all(way_out in problem for problem in problems)


class ArrayCursor:
    """What `load` asks of the driver's cursor."""

    def __init__(self, errors: Sequence[Any] = ()) -> None:
        self.errors = errors
        self.calls: list[tuple[str, list[Any], bool]] = []
        self.sizes: tuple[Any, ...] = ()

    def setinputsizes(self, *sizes: Any) -> None:
        self.sizes = sizes

    def executemany(self, sql: str, rows: list[Any], batcherrors: bool) -> None:
        self.calls.append((sql, rows, batcherrors))

    def getbatcherrors(self) -> Sequence[Any]:
        return self.errors

    def close(self) -> None:
        """Nothing to close."""


def load(cursor: ArrayCursor, text: bytes) -> int:
    columns = [("note", ColumnType(Kind.TEXT)), ("id", ColumnType(Kind.INTEGER, 32)), ("n", ColumnType(Kind.DECIMAL))]
    connection: Any = SimpleNamespace(connection=SimpleNamespace(cursor=lambda: cursor))
    return oracle_target().load(connection, TableId("CDC", "t"), columns, BytesIO(text))


def test_rows_are_loaded_as_arrays_and_long_values_are_bound_last() -> None:
    cursor = ArrayCursor()
    assert load(cursor, b"a\\tb\t1\t0.5\n\\N\t2\t\\N\n") == 2
    sql, rows, with_errors = cursor.calls[0]
    assert sql == 'INSERT INTO "CDC"."t" ("id", "n", "note") VALUES (:1, :2, :3)'
    assert rows == [["1", "0.5", "a\tb"], ["2", None, None]]
    assert len(cursor.sizes) == 3
    assert with_errors


def test_many_rows_take_several_round_trips() -> None:
    cursor = ArrayCursor()
    assert load(cursor, b"x\t1\t1\n" * (target.ROWS_AT_A_TIME + 1)) == target.ROWS_AT_A_TIME + 1
    assert [len(rows) for _, rows, _ in cursor.calls] == [target.ROWS_AT_A_TIME, 1]


def test_a_refused_row_is_named_by_its_number_and_column() -> None:
    error = SimpleNamespace(offset=1, message='ORA-12899: value too large for column "CDC"."t"."note" (actual: 9, …)')
    with pytest.raises(LoadRefused) as refused:
        load(ArrayCursor([error]), b"x\t1\t1\ny\t2\t2\n")
    assert (refused.value.fields["row"], refused.value.fields["column"]) == (2, "note")


def test_a_number_that_would_be_rounded_is_refused_before_it_is_sent() -> None:
    cursor = ArrayCursor()
    with pytest.raises(LoadRefused, match="38 digits") as refused:
        load(cursor, b"x\t1\t1\ny\t2\t" + b"1" * 39 + b"\n")
    assert (refused.value.fields["row"], refused.value.fields["column"]) == (2, "n")
    assert cursor.calls == []
