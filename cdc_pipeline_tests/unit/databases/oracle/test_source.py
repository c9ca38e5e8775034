"""Checks of step 1, start position and snapshot, against a scripted connection."""

from __future__ import annotations

from typing import Any

import pytest

from cdc_pipeline.databases.oracle import database, source
from cdc_pipeline.databases.oracle.grants import PRIVILEGES, ROLES, VIEWS, Grants
from cdc_pipeline.errors import CdcPipelineError, PositionLost, StatementFailed
from cdc_pipeline.model import Check, Column, ColumnType, Kind, Position, TableId, TableShape
from cdc_pipeline_tests.unit.databases.oracle.recorder import Recorder, oracle_source

ITEMS = TableShape(TableId("SHOP", "ITEMS"), (Column("ID", "NUMBER(10,0)", ColumnType(Kind.DECIMAL, 10, 0)),), ("ID",))
ALL_WELL: dict[str, Any] = {
    source.PRIVILEGES: [(name,) for name in PRIVILEGES],
    source.ROLES: [(name,) for name in ROLES],
    database.DATABASE_CHARACTER_SET: [("AL32UTF8",)],
    source.LOG_SETTINGS: [("ARCHIVELOG", "YES", "NO")],
    source.REDO_THREADS: [(1,)],
    source.SCN: [(500,)],
    "SELECT COUNT(*) FROM all_log_groups": [(1,)],
}


def problems(answers: dict[str, Any], shape: TableShape = ITEMS, version: tuple[int, ...] = (19, 3)) -> list[Check]:
    checks = oracle_source(Recorder({**ALL_WELL, **answers}, version)).source_checks([shape], "slot")
    return [check for check in checks if not check.ok]


# -- step 1 -------------------------------------------------------------------------------------------------------


def test_a_source_where_all_is_well_passes() -> None:
    assert problems({}) == []


@pytest.mark.parametrize(
    ("answers", "way_out"),
    [
        ({source.LOG_SETTINGS: [("NOARCHIVELOG", "YES", "NO")]}, "ALTER DATABASE ARCHIVELOG"),
        ({source.LOG_SETTINGS: [("ARCHIVELOG", "NO", "NO")]}, "ALTER DATABASE ADD SUPPLEMENTAL LOG DATA"),
        ({"SELECT COUNT(*) FROM all_log_groups": [(0,)]},
         'ALTER TABLE "SHOP"."ITEMS" ADD SUPPLEMENTAL LOG DATA (ALL) COLUMNS'),
        ({database.DATABASE_CHARACTER_SET: [("WE8MSWIN1252",)]}, "AL32UTF8"),
        ({source.REDO_THREADS: [(2,)]}, "cluster"),
        ({"SELECT 1 FROM": StatementFailed(database="d", reason="ORA-01031")},
         'GRANT SELECT, FLASHBACK ON "SHOP"."ITEMS" TO "CDC"'),
        ({"SELECT column_name FROM all_tab_cols": [("TOTAL",)]}, "TOTAL"),
        ({source.PRIVILEGES: [("CREATE TABLE",)]}, "GRANT LOGMINING TO"),
        ({source.ROLES: [("SELECT_CATALOG_ROLE",)]}, "GRANT EXECUTE_CATALOG_ROLE TO"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_its_way_out(answers: dict[str, Any], way_out: str) -> None:
    (problem,) = problems(answers)
    assert way_out in problem.problem


def test_supplemental_logging_of_the_whole_database_serves_every_table() -> None:
    answers = {source.LOG_SETTINGS: [("ARCHIVELOG", "YES", "YES")], "SELECT COUNT(*) FROM all_log_groups": [(0,)]}
    assert problems(answers) == []


def test_an_old_release_is_refused() -> None:
    assert [check.name for check in problems({}, version=(12, 2))] == ["source version"]


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (TableShape(TableId("SHOP", "T" * 31), ITEMS.columns, ("ID",)), "30 bytes"),
        (TableShape(TableId("SHOP", "NOTES"), (Column("TEXT", "CLOB", ColumnType(Kind.TEXT)),)), "primary key"),
    ],
)
def test_a_table_that_logminer_does_not_tell_of_whole_is_refused(shape: TableShape, reason: str) -> None:
    (problem,) = problems({}, shape)
    assert reason in problem.problem


def test_grants_may_come_one_by_one_or_by_role() -> None:
    assert list(Grants(roles={"DBA"}).missing()) == []
    assert list(Grants(PRIVILEGES, ROLES).missing()) == []
    objects = {(view, "SELECT") for view in VIEWS[1:]} | {(VIEWS[0], "READ")}
    assert list(Grants(PRIVILEGES, (), objects).missing()) == list(ROLES)
    assert f"SELECT ON SYS.{VIEWS[0]}" in list(Grants(PRIVILEGES, ()).missing())
    assert "EXECUTE ON SYS.DBMS_LOGMNR" in list(Grants().missing())


# -- the log ------------------------------------------------------------------------------------------------------


def test_the_start_position_has_the_transactions_that_are_open() -> None:
    recorder = Recorder({source.SCN: [(500,)], "SELECT LOWER(RAWTOHEX(xid))": [("0a00", 450)]})
    position = oracle_source(recorder).prepare_capture([], "slot")
    assert position.offset["snapshot_pending_tx"] == "0a00:450"
    assert recorder.statements[0] == source.SCN, "the number first: a transaction that begins later is in the log"


def test_an_open_transaction_of_unknown_beginning_is_never_guessed() -> None:
    recorder = Recorder({source.SCN: [(500,)], "SELECT LOWER(RAWTOHEX(xid))": [("0a00", 0)]})
    with pytest.raises(CdcPipelineError, match="0a00"):
        oracle_source(recorder).prepare_capture([], "slot")


@pytest.mark.parametrize(("oldest", "kept"), [(449, True), (450, True), (451, False), (None, False)])
def test_a_position_is_lost_with_the_beginning_of_an_open_transaction(oldest: int | None, kept: bool) -> None:
    opened = oracle_source(Recorder({source.OLDEST_SCN: [(oldest,)]}))
    position = Position({"scn": "500", "snapshot_pending_tx": "0a00:450"})
    if kept:
        opened.check_position(position, "slot")
    else:
        with pytest.raises(PositionLost):
            opened.check_position(position, "slot")


def test_a_snapshot_is_taken_at_one_number_which_is_its_watermark() -> None:
    opened = oracle_source(Recorder({source.SCN: [(500,)]}))
    with opened.snapshot(ITEMS) as snapshot:
        assert opened.watermark(snapshot.watermark.to_text()) == snapshot.watermark
        assert snapshot.watermark.holds({"commit_scn": "500"})
    assert opened.flashback(ITEMS) == 'SELECT "ID" FROM "SHOP"."ITEMS" AS OF SCN :scn'
