"""Every SQL text that the Oracle modules emit, parsed by sqlglot's grammar of Oracle's dialect.

It is no server: it knows neither functions nor types. But a bracket, a clause or a keyword in the wrong place shows.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlglot
from sqlglot import expressions
from sqlglot.errors import ParseError

from cdc_pipeline.databases.key_ranges import KeySet
from cdc_pipeline.databases.oracle import binds, database, reader, source, target
from cdc_pipeline.databases.oracle.dialect import OracleDialect
from cdc_pipeline.databases.target import Writer
from cdc_pipeline.model import Column, ColumnType, Kind, RowBatch, TableId, TableShape
from cdc_pipeline.quarantine import Quarantine, SetAside
from cdc_pipeline.state import ConsumerState, State, TableState, Work
from cdc_pipeline_tests.oracle import cases
from cdc_pipeline_tests.unit.databases.oracle.recorder import Recorder, oracle_source, oracle_target
from cdc_pipeline_tests.unit.databases.oracle.test_dialect import EVERY_TYPE

ORACLE = OracleDialect()

# What Oracle's manual documents and sqlglot does not know, put into the nearest words that it does know. The rest of
# the statement is parsed as it is.
REWRITTEN = [
    # Private temporary tables (18c).
    (r"^CREATE PRIVATE TEMPORARY TABLE (.*) ON COMMIT (?:PRESERVE|DROP) DEFINITION$",
     r"CREATE GLOBAL TEMPORARY TABLE \1 ON COMMIT PRESERVE ROWS"),
    # How many digits an interval has.
    (r"INTERVAL YEAR\(\d\) TO MONTH", "INTERVAL YEAR TO MONTH"),
    (r"INTERVAL DAY\(\d\) TO SECOND\(\d\)", "INTERVAL DAY TO SECOND"),
    # A scale below zero.
    (r"NUMBER\((\d+),-\d+\)", r"NUMBER(\1)"),
    # Positional binds.
    (r":(\d+)\b", r":bind\1"),
]  # fmt: skip
# An anonymous block of PL/SQL is outside its grammar; the statement in it is parsed.
BLOCK = re.compile(
    r"^BEGIN EXECUTE IMMEDIATE '(?P<inner>.*)'; "
    r"EXCEPTION WHEN OTHERS THEN IF SQLCODE <> -955 THEN RAISE; END IF; END;$",
    re.DOTALL,
)
# It keeps ALTER SESSION as unparsed text. Here is its grammar: SET, then parameter = value, as often as wanted.
ALTER_SESSION = re.compile(r"ALTER SESSION SET( [A-Z_]+ = '[^']*')+")


def parse(sql: str) -> expressions.Expr:
    block = BLOCK.match(sql)
    if block:
        sql = block["inner"].replace("''", "'")
    for pattern, replacement in REWRITTEN:
        sql = re.sub(pattern, replacement, sql, flags=re.DOTALL)
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of a Command, which is an error here anyway
    (parsed,) = sqlglot.parse(sql, read="oracle")
    assert parsed is not None
    if isinstance(parsed, expressions.Command):
        raise ParseError(f"not in sqlglot's grammar: {sql}")
    return parsed


@pytest.mark.parametrize("sql", [
    'SELECT "a" FRO "t"', "SELECT TO_CHAR(a, 'x' FROM t", "DELETE FROM WHERE x = 1", "CREATE TABLE t (a NUMBER",
    "ALTER x", "UPDATE t SET (a, b = 1", "BEGIN EXECUTE IMMEDIATE 'CREATE TABLE'; END;", "INSERT INTO t (a) VALUES (:1",
])  # fmt: skip
def test_what_is_no_sql_does_not_parse(sql: str) -> None:
    with pytest.raises(ParseError):
        parse(sql)


# -- what does not change -------------------------------------------------------------------------------------------

CONSTANTS = [
    pytest.param(value, id=f"{module.__name__.rpartition('.')[2]}.{name}")
    for module in (database, source, target)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str) and " " in value
]


def test_the_constants_are_found() -> None:
    assert len(CONSTANTS) >= 15


@pytest.mark.parametrize("sql", CONSTANTS)
def test_a_query_that_is_always_the_same_parses(sql: str) -> None:
    if sql is database.SESSION:
        assert ALTER_SESSION.fullmatch(sql)
    else:
        parse(sql)


# -- what follows from a table's shape ------------------------------------------------------------------------------


def shape_of(*types: ColumnType, key: tuple[str, ...] = ()) -> TableShape:
    columns = tuple(Column(f"c %{number}", "?", type, number > 0) for number, type in enumerate(types))
    return TableShape(TableId("SHOP", "items: %"), columns, key)


@pytest.mark.parametrize("type", EVERY_TYPE, ids=str)
def test_every_statement_of_a_column_parses(type: ColumnType) -> None:
    shape = shape_of(type)
    columns = [(column.name, column.canonical) for column in shape.columns]
    parse(ORACLE.create_table(shape.table, shape))
    parse(oracle_source().flashback(shape))
    parse(f"SELECT {ORACLE.hash_sum(ORACLE.row_hash(columns))} FROM {ORACLE.table(shape.table)}")
    long = [*columns, ("long", ColumnType(Kind.TEXT))]
    parse(f"SELECT {ORACLE.row_hash(long, 't.')} FROM {ORACLE.table(shape.table)} t")
    parse(binds.insert(shape.table, [binds.bind(name, canonical) for name, canonical in columns]))


def declared(column: Column) -> Column:
    return Column(column.name, ORACLE.column_type(column.canonical, in_key=False), column.type)


def test_every_statement_of_the_source_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder({
        source.PRIVILEGES: [(name,) for name in source.Grants().missing()],
        source.ROLES: [("DBA",)],
        source.LOG_SETTINGS: [("ARCHIVELOG", "YES", "NO")],
        source.REDO_THREADS: [(1,)],
        source.SCN: [(500,)],
        source.OLDEST_SCN: [(1,)],
        "SELECT count(*)": [(1, 1)],
    })  # fmt: skip
    opened = oracle_source(recorder)
    shape = shape_of(ColumnType(Kind.INTEGER, 64), key=("c %0",))
    columns = [(column.name, column.canonical) for column in shape.columns]
    opened.source_checks([shape], "slot")
    opened.check_position(opened.prepare_capture([], "slot"), "slot")
    opened.mark()
    opened.tables()
    opened.shapes([shape.table])
    opened.count(shape.table)
    opened.is_empty(opened.connect(), shape.table)
    rows = opened.dialect.replicated(shape)
    opened.bucket_sums(rows, columns, shape.key, 3)
    opened.bucket_sums(rows, columns, shape.key, 5, {"0aF"})
    opened.row_texts(rows, columns, columns, shape.key, KeySet((("7",),)))
    long: list[str] = []
    monkeypatch.setattr(reader, "batches", lambda _, sql, __: long.append(sql) or iter(()))
    many = {f"{number:03x}" for number in range(2500)}
    for only in ((), {"0aF"}, many, KeySet((("7",), ("8",)))):
        list(opened.row_hashes(rows, columns, shape.key, only))
        list(opened.row_hashes(rows, [*columns, ("long", ColumnType(Kind.TEXT))], shape.key, only))
    assert len(recorder.statements) >= 18
    (of_many,) = [sql for sql in recorder.statements if "'9c3'" in sql]
    assert [len(part.split(",")) for part in re.findall(r" IN \(([^)]*)\)", of_many)] == [1000, 1000, 500]
    for sql in (*recorder.statements, *long):
        parse(sql)


@pytest.mark.parametrize("key", [("c %0",), ()])
def test_every_statement_of_the_merge_parses(key: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    shape = shape_of(ColumnType(Kind.INTEGER, 64), ColumnType(Kind.TEXT, 20), ColumnType(Kind.TEXT), key=key)
    there = TableShape(shape.table, tuple(declared(column) for column in shape.columns), key)
    recorder: Any = Recorder({
        "SELECT COUNT(*) FROM user_private_temp_tables": [(1,)],
        "SELECT s": [(-1, 3)],
    })  # fmt: skip
    opened = oracle_target(recorder)
    monkeypatch.setattr(opened, "shape", lambda _: there)
    monkeypatch.setattr(opened, "_insert", lambda _, sql, *rest: recorder.exec_driver_sql(sql, rest))
    batch = RowBatch(shape, truncate=True, rows=[("1", "a", "b")])
    if key:
        batch.deletes.append(("2",))
        batch.partials[("c %0", "c %1")] = [("3", "x")]
    else:
        batch.removed[("1", "a", "b")] = 2
    writer = Writer(opened, recorder)
    writer.prepare(shape.table, shape)
    writer.apply(shape.table, batch)
    for sql in writer._completed_partials(shape.table, "stage", batch):
        recorder.exec_driver_sql(sql)
    opened.target_checks([TableId("OTHER", "t")])
    assert len(recorder.statements) >= 12
    for sql in recorder.statements:
        parse(sql)


# -- what `make test-oracle` asks of a server -----------------------------------------------------------------------


def test_the_statements_of_the_tests_that_never_ran_parse() -> None:
    for sql in (cases.create_table("T"), *cases.inserts("T", 0)):
        parse(sql)
    assert all(ORACLE.canonical_type(declared.replace("INTEGER", "NUMBER(*,0)")) for declared in cases.TYPES)


# -- the state tables -----------------------------------------------------------------------------------------------


def statements_of_the_state() -> Iterator[str]:
    recorder: Any = Recorder()
    opened = oracle_target(recorder)
    state = State(opened, "shop")
    state.create()
    state.add_table(TableId("SHOP", "T"), TableId("CDC", "shop_T"), "topic")
    state.set(desired="paused", captured_tables="a\nb")
    state.offsets_of(["topic"])
    state.table_records()
    state.rewind(recorder, "topic", {0: 5})
    state.claim("me", [("topic", 0)], {"topic": TableId("SHOP", "T")})
    state.beat("run", ConsumerState.RUNNING, work=Work(1, 0.5, {"poll": 1.0}))
    state.consumer()
    state.wake_failed()
    state.fence(recorder, "topic")
    quarantine = Quarantine(state)
    event = SetAside("topic", 0, 5, TableId("SHOP", "T"), '{"ID": 1}', '{"ID": 1}', None, "{}", "too long")
    quarantine.items(TableId("SHOP", "T"))
    quarantine.waiting(["topic"])
    quarantine.add(recorder, [event])
    quarantine.explain(recorder, event, "still too long")
    quarantine.remove(recorder, [event])
    quarantine.clear(recorder, "topic")
    state.forget()
    recorder.answers = {'SELECT "_cdc_pipeline_tables"': [(TableState.COPIED,)],
                        'SELECT "_cdc_pipeline_replications"': [(1,)]}  # fmt: skip
    state.take_lease("run", "group", "host", 1)
    state.take_for_copy(recorder, TableId("SHOP", "T"), "topic")
    yield from recorder.statements


def test_every_statement_of_the_state_tables_parses() -> None:
    statements = list(statements_of_the_state())
    assert sum(sql.startswith("BEGIN EXECUTE IMMEDIATE") for sql in statements) == 7  # its tables
    assert {sql.split()[0] for sql in statements} == {"BEGIN", "ALTER", "SELECT", "INSERT", "UPDATE", "DELETE"}
    for sql in statements:
        parse(sql)
