"""The Oracle target's statements at work, on H2 in its Oracle mode (h2.py: what is translated). No Oracle ran them."""

from __future__ import annotations

import random
from collections import Counter
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest

from cdc_pipeline.databases import copy_text
from cdc_pipeline.databases.oracle import reader
from cdc_pipeline.errors import LoadRefused
from cdc_pipeline.model import Column, ColumnType, Kind, Row, RowBatch, TableShape
from cdc_pipeline_tests.integration.oracle.conftest import MakeTable
from cdc_pipeline_tests.integration.oracle.h2 import H2Target
from cdc_pipeline_tests.integration.oracle.shop import KEYED, SOURCE, apply, rows, writing

KEYLESS = TableShape(SOURCE, KEYED.columns)
SHORT_KEYLESS = TableShape(SOURCE, (KEYED.columns[0], KEYED.columns[1], KEYED.columns[3]))
EVERYTHING: dict[str, tuple[ColumnType, list[str]]] = {
    "flag": (ColumnType(Kind.BOOLEAN), ["0", "1"]),
    "small": (ColumnType(Kind.INTEGER, 8), ["-128", "127"]),
    "big": (ColumnType(Kind.INTEGER, 64, unsigned=True), ["18446744073709551615", "0"]),
    "money": (ColumnType(Kind.DECIMAL, 20, 5), ["-123456789012345.12345", "0.00001", "1.00000"]),
    "name": (ColumnType(Kind.TEXT, 50), ["tab\tnewline\nback\\slash", "  spaces  ", "\\N", "ä😀'%:1"]),
    "bytes": (ColumnType(Kind.BINARY, 20), ["\\x005c0a09ff"]),
    "bits": (ColumnType(Kind.BITS, 4), ["0101"]),
    "time": (ColumnType(Kind.TIME, 6), ["12:34:56", "-838:59:59.000001"]),
    "moment": (ColumnType(Kind.TIMESTAMP, 6), ["1969-12-31 23:59:59.999999", "2024-03-31 02:30:00"]),
    "instant": (ColumnType(Kind.INSTANT, 6), ["2024-10-27 00:30:00.000001", "1969-12-31 23:59:59"]),
    "uuid": (ColumnType(Kind.UUID), ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    "double": (ColumnType(Kind.FLOAT, 64), ["1e300", "0.1"]),
    "clob": (ColumnType(Kind.TEXT), ["long 😀 " * 2000]),
    "blob": (ColumnType(Kind.BINARY), ["\\x" + "00ff" * 5000]),
    "json": (ColumnType(Kind.JSON), ['{"a": [1, null]}']),
}  # fmt: skip


# -- load and read back -----------------------------------------------------------------------------------------------


def test_what_is_loaded_has_the_same_text_as_in_every_other_database(server: H2Target, make_table: MakeTable) -> None:
    columns = [(name, type) for name, (type, _) in EVERYTHING.items()]
    table = make_table(TableShape(SOURCE, tuple(Column(name, "?", type) for name, type in columns)))
    loaded: list[Row] = [
        tuple(value if name == other else None for other in EVERYTHING)
        for name, (_, values) in EVERYTHING.items()
        for value in values
    ]
    with server.connect() as connection, connection.begin():
        assert server.load(connection, table, columns, BytesIO(copy_text.render(loaded))) == len(loaded)
    with server.connect() as connection:
        query = ", ".join(_expression(server, name, type) for name, type in columns)
        found = connection.exec_driver_sql(f"SELECT {query} FROM {server.dialect.table(table)}").all()
    types = [type for _, type in columns]
    expected = [tuple(v if v is None else _compared(t, v) for v, t in zip(row, types, strict=True)) for row in loaded]
    assert Counter(map(tuple, found)) == Counter(expected)


def _expression(server: H2Target, name: str, type: ColumnType) -> str:
    """What the dialect compares; but of a double itself, as H2 cannot make its text, and of a BLOB not the driver's."""
    quoted = server.dialect.quote(name)
    if name == "blob":
        return f"LOWER(RAWTOHEX({quoted}))"
    return quoted if type.kind is Kind.FLOAT else server.dialect.compare(quoted, type)


def _compared(type: ColumnType, text: str) -> Any:
    """As PostgreSQL's and MySQL's dialects spell it for a comparison."""
    if type.kind in (Kind.TIMESTAMP, Kind.INSTANT, Kind.TIME):
        return text if "." in text else f"{text}.000000"
    if type.kind is Kind.FLOAT:
        return float(text)
    return text.removeprefix("\\x") if type.kind is Kind.BINARY else text


def test_a_shape_made_for_a_source_is_found_fit_for_it_afterwards(server: H2Target, make_table: MakeTable) -> None:
    shape = TableShape(SOURCE, tuple(Column(name, "?", type) for name, (type, _) in EVERYTHING.items()))
    found = server.shape(make_table(shape))
    assert found is not None
    assert found.names == shape.names
    for column, there in zip(shape.columns, found.columns, strict=True):
        wanted = server.dialect.canonical_type(server.dialect.column_type(column.canonical, in_key=False).lower())
        assert wanted is not None
        assert there.canonical.can_hold(wanted), (column, there)


@pytest.mark.parametrize("shape", [SHORT_KEYLESS, KEYLESS], ids=["by the server", "made here"])
def test_the_sums_of_buckets_do_not_depend_on_who_makes_them(
    server: H2Target, make_table: MakeTable, shape: TableShape, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sums of the first 60 bits of each row's SHA-256, which PostgreSQL and MySQL compute from the same texts."""
    monkeypatch.setattr(reader, "batches", lambda connection, sql, _: [connection.exec_driver_sql(sql).all()])
    table = make_table(shape)
    values: list[Row] = [("1", "ä€", "note", "1.50"), ("2", "b", None, None), ("3", "b", None, "-0.01")]
    values = [
        tuple(v for v, column in zip(row, KEYED.columns, strict=True) if column in shape.columns) for row in values
    ]
    columns = [(column.name, column.canonical) for column in shape.columns]
    with server.connect() as connection, connection.begin():
        server.load(connection, table, columns, BytesIO(copy_text.render(values)))
    texts = ["".join("N" if v is None else f"{len(v)}:{v}" for v in row) for row in values]
    hashes = [sha256(text.encode()).hexdigest() for text in texts]
    name, buckets = server.dialect.table(table), {h[:4]: (1, int(h[:15], 16)) for h in hashes}
    assert server.bucket_sums(name, columns, (), 4) == buckets
    within = {hashes[0][:2], hashes[1][:2]}
    assert server.bucket_sums(name, columns, (), 4, within) == {b: s for b, s in buckets.items() if b[:2] in within}
    assert {h for _, h in server.row_hashes(name, columns, ())} == set(hashes)
    assert [h for _, h in server.row_hashes(name, columns, (), {hashes[2][:4]})] == [hashes[2]]


def test_an_empty_text_is_null_and_a_column_that_forbade_null_allows_it(
    server: H2Target, make_table: MakeTable
) -> None:
    table = make_table(KEYED)
    with writing(server, table, KEYED) as writer:
        apply(writer, table, RowBatch(KEYED, rows=[("1", "", "", "0.00")]))
    assert rows(server, table, KEYED) == [("1", None, None, "0.00")]


def test_a_value_that_would_be_rounded_leaves_the_table_as_it_was(server: H2Target, make_table: MakeTable) -> None:
    shape = TableShape(SOURCE, (Column("n", "numeric", ColumnType(Kind.DECIMAL)),))
    table = make_table(shape)
    with server.connect() as connection, pytest.raises(LoadRefused, match="38 digits"), connection.begin():
        server.load(connection, table, [("n", ColumnType(Kind.DECIMAL))], BytesIO(b"1\n" + b"9" * 39 + b"\n"))
    with server.connect() as connection:
        assert server.is_empty(connection, table)


# -- the merge --------------------------------------------------------------------------------------------------------


def test_a_batch_becomes_its_net_effect(server: H2Target, make_table: MakeTable) -> None:
    table = make_table(KEYED)
    with writing(server, table, KEYED) as writer:
        apply(writer, table, RowBatch(KEYED, rows=[(str(n), f"n{n}", "x" * 5000, "1.00") for n in range(1, 6)]))
        batch = RowBatch(KEYED, rows=[("1", "new", None, "2.50"), ("9", "nine", "n", None)], deletes=[("2",), ("77",)])
        batch.partials["id", "Na%me"] = [("3", "part"), ("88", "of nobody")]
        batch.partials["id", "no:te", "price"] = [("4", None, "9.99")]
        apply(writer, table, batch)
    assert rows(server, table, KEYED) == [
        ("1", "new", None, "2.50"),
        ("3", "part", "x" * 5000, "1.00"),
        ("4", "n4", None, "9.99"),
        ("5", "n5", "x" * 5000, "1.00"),
        ("9", "nine", "n", None),
    ]


def test_rows_may_exchange_the_values_of_a_unique_index(server: H2Target, make_table: MakeTable) -> None:
    table = make_table(KEYED)
    with server.connect() as connection, connection.begin():
        connection.exec_driver_sql(f'CREATE UNIQUE INDEX u ON {server.dialect.table(table)} ("Na%me")')
    with writing(server, table, KEYED) as writer:
        apply(writer, table, RowBatch(KEYED, rows=[("1", "a", "A", None), ("2", "b", "B", None)]))
        apply(writer, table, RowBatch(KEYED, rows=[("1", "b", "A", None), ("2", "a", "B", None)]))
        swapped = RowBatch(KEYED, rows=[("3", "b", "C", None)])
        swapped.partials["id", "Na%me"] = [("1", "c")]  # gives up what row 3 takes
        apply(writer, table, swapped)
    assert rows(server, table, KEYED) == [("1", "c", "A", None), ("2", "a", "B", None), ("3", "b", "C", None)]


@pytest.mark.parametrize("shape", [SHORT_KEYLESS, KEYLESS], ids=["short", "with a CLOB"])
def test_of_equal_rows_without_a_key_as_many_go_as_were_deleted(
    server: H2Target, make_table: MakeTable, shape: TableShape
) -> None:
    table = make_table(shape)
    a: Row = ("1", "a", "note", "1.00") if shape is KEYLESS else ("1", "a", "1.00")
    b: Row = ("1", "a", None, None) if shape is KEYLESS else ("1", "a", None)
    with writing(server, table, shape) as writer:
        apply(writer, table, RowBatch(shape, rows=[*[a] * 5, *[b] * 2]))
        assert apply(writer, table, RowBatch(shape, removed={a: 3, b: 1})) == 0
        assert rows(server, table, shape) == sorted([a, a, b], key=str)
        assert apply(writer, table, RowBatch(shape, removed={a: 5})) == 3  # three were not there
        assert rows(server, table, shape) == [b]
        apply(writer, table, RowBatch(shape, truncate=True, rows=[a]))
    assert rows(server, table, shape) == [a]


@pytest.mark.parametrize("seed", range(2))
def test_any_run_of_batches_ends_where_the_rows_do(server: H2Target, make_table: MakeTable, seed: int) -> None:
    table, dice = make_table(KEYED), random.Random(seed)
    model: dict[str, list[str | None]] = {}
    with writing(server, table, KEYED) as writer:
        for _ in range(8):
            batch = RowBatch(KEYED, truncate=dice.random() < 0.1)
            if batch.truncate:
                model.clear()
            for key in map(str, dice.sample(range(12), 6)):
                what, text = dice.random(), dice.choice([None, "a", "ü\t", "x" * 5000])
                if what < 0.3:
                    batch.deletes.append((key,))
                    model.pop(key, None)
                elif what < 0.7:
                    batch.rows.append((key, f"n{key}", text, "1.00"))
                    model[key] = [f"n{key}", text, "1.00"]
                else:
                    batch.partials.setdefault(("id", "no:te"), []).append((key, text))
                    if key in model:
                        model[key][1] = text
            apply(writer, table, batch)
            assert rows(server, table, KEYED) == sorted(((key, *values) for key, values in model.items()), key=str)


def test_a_stage_is_made_anew_when_the_table_has_changed(server: H2Target, make_table: MakeTable) -> None:
    table = make_table(KEYED)
    wider = TableShape(SOURCE, (*KEYED.columns, Column("more", "int", ColumnType(Kind.INTEGER, 32))), ("id",))
    with writing(server, table, KEYED) as writer:
        apply(writer, table, RowBatch(KEYED, rows=[("1", "a", None, None)]))
        with writer.connection.begin():
            writer.connection.exec_driver_sql(f'ALTER TABLE {server.dialect.table(table)} ADD "more" NUMBER(10)')
        writer.forget(table)
        writer.prepare(table, wider)
        apply(writer, table, RowBatch(wider, rows=[("1", "b", None, None, "7")]))
    assert rows(server, table, wider) == [("1", "b", None, None, "7")]
