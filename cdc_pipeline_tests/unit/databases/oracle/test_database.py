"""The connection, its errors and the catalogue."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event

from cdc_pipeline.databases.oracle import database
from cdc_pipeline.errors import AccessDenied, CdcPipelineError, StatementFailed
from cdc_pipeline.model import TableId
from cdc_pipeline_tests.unit.databases.oracle.recorder import Recorder, oracle_source, oracle_target


def test_the_urls_name_is_a_service_and_no_password_is_shown() -> None:
    for opened in (oracle_source(), oracle_target()):
        assert opened.session_options()["dsn"] == "db.internal:1521/ORCLPDB1"
        assert opened.default_schema == "CDC"
        assert "geheim" not in opened.display
        arguments = opened.engine.dialect.create_connect_args(opened.url)[1]
        assert "cdb" not in arguments


def test_every_session_is_set_up() -> None:
    assert event.contains(oracle_source().engine, "connect", database.prepare_session)
    executed: list[str] = []
    cursor = SimpleNamespace(execute=executed.append)
    database.prepare_session(SimpleNamespace(cursor=lambda: nullcontext(cursor)), None)
    assert executed == [database.SESSION]
    assert "TIME_ZONE = '+00:00'" in database.SESSION
    assert "NLS_NUMERIC_CHARACTERS = '.,'" in database.SESSION


@pytest.mark.parametrize(
    ("reason", "error", "retryable"),
    [
        ("ORA-01017: invalid username/password; logon denied", AccessDenied, False),
        ("ORA-28000: the account is locked", AccessDenied, False),
        ("DPY-6005: cannot connect to database", CdcPipelineError, True),
        ("DPY-4011: the database or network closed the connection", CdcPipelineError, True),
        ("ORA-12541: TNS:no listener", CdcPipelineError, True),
        ("ORA-03113: end-of-file on communication channel", CdcPipelineError, True),
        ("ORA-00060: deadlock detected while waiting for resource", CdcPipelineError, True),
        ("ORA-12899: value too large for column", StatementFailed, False),  # begins like the errors of the network
        ("ORA-00942: table or view does not exist", StatementFailed, False),
        ("ORA-00001: unique constraint violated", StatementFailed, False),
        ("DPY-4009: 1 positional bind values are required but 2 were provided", StatementFailed, False),
    ],
)
def test_an_error_of_the_server_is_told_apart(reason: str, error: type[CdcPipelineError], retryable: bool) -> None:
    explained = oracle_source().explain(Exception(reason))
    assert isinstance(explained, error)
    assert explained.retryable is retryable


@pytest.mark.parametrize(("code", "hint"), [("ORA-01555", "UNDO_RETENTION"), ("ORA-00904", "DBMS_CRYPTO")])
def test_an_error_with_a_known_way_out_names_it(code: str, hint: str) -> None:
    assert hint in str(oracle_source().explain(Exception(f"{code}: something")))


# -- catalogue ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "declared"),
    [
        (("NUMBER", 0, None, 22, None, None), "NUMBER"),
        (("NUMBER", 0, None, 22, 10, 2), "NUMBER(10,2)"),
        (("NUMBER", 0, None, 22, None, 0), "NUMBER(*,0)"),
        (("NUMBER", 0, None, 22, 5, -2), "NUMBER(5,-2)"),
        (("FLOAT", 0, None, 22, 126, None), "FLOAT(126)"),
        (("VARCHAR2", 20, "C", 80, None, None), "VARCHAR2(20 CHAR)"),
        (("VARCHAR2", 20, "B", 20, None, None), "VARCHAR2(20 BYTE)"),
        (("NVARCHAR2", 20, "C", 40, None, None), "NVARCHAR2(20)"),
        (("RAW", 0, None, 16, None, None), "RAW(16)"),
        (("TIMESTAMP(6) WITH TIME ZONE", 0, None, 13, None, 6), "TIMESTAMP(6) WITH TIME ZONE"),
        (("DATE", 0, None, 7, None, None), "DATE"),
    ],
)
def test_a_type_of_the_catalogue_is_written_as_in_ddl(row: tuple[Any, ...], declared: str) -> None:
    assert database.declared_type(*row) == declared


def test_a_shape_is_read_from_the_catalogue() -> None:
    recorder = Recorder({
        "SELECT owner, table_name, column_name": [
            ("SHOP", "ITEMS", "ID", "NUMBER", 0, None, 22, 10, 0, "N", None),
            ("SHOP", "ITEMS", "NAME", "VARCHAR2", 20, "C", 80, None, None, "Y", 5),
            ("SHOP", "OTHERS", "ID", "NUMBER", 0, None, 22, 10, 0, "N", None),
        ],
        "SELECT c.owner": [("SHOP", "ITEMS", "ID")],
    })  # fmt: skip
    shapes = oracle_source(recorder).shapes([TableId("SHOP", "ITEMS")])
    assert list(shapes) == [TableId("SHOP", "ITEMS")]
    shape = shapes[TableId("SHOP", "ITEMS")]
    assert shape.key == ("ID",)
    assert [(c.declared, c.nullable, c.has_default) for c in shape.columns] == [
        ("NUMBER(10,0)", False, False), ("VARCHAR2(20 CHAR)", True, True),
    ]  # fmt: skip
