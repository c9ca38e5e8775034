"""A connection that answers from a script and keeps every SQL text that it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy.dialects.oracle.oracledb import OracleDialect_oracledb

from cdc_pipeline.config import Endpoint
from cdc_pipeline.databases import open_source, open_target
from cdc_pipeline.databases.oracle.source import OracleSource
from cdc_pipeline.databases.oracle.target import OracleTarget

_DIALECT = OracleDialect_oracledb()


class _Result:
    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self.rows = rows
        self.rowcount = len(rows)

    def __iter__(self):
        return iter(self.rows)

    def one(self) -> tuple[Any, ...]:
        (row,) = self.rows
        return row

    def one_or_none(self) -> tuple[Any, ...] | None:
        return self.rows[0] if self.rows else None

    def all(self) -> Sequence[tuple[Any, ...]]:
        return self.rows

    def scalar_one(self) -> Any:
        return self.one()[0]

    def scalar(self) -> Any:
        return self.rows[0][0] if self.rows else None


class Recorder:
    """Stands for a SQLAlchemy connection. `answers` maps beginnings of statements to the rows they bring; one that is
    an exception is raised."""

    def __init__(self, answers: Mapping[str, Any] | None = None, version: tuple[int, ...] = (19, 3)) -> None:
        self.answers = dict(answers or {})
        self.statements: list[str] = []
        self.dialect = type("Dialect", (), {"server_version_info": version})()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def commit(self) -> None:
        """Nothing to commit."""

    def begin_nested(self) -> Recorder:
        return self

    def rollback(self) -> None:
        """Nothing to roll back."""

    def execution_options(self, **_: Any) -> Recorder:
        return self

    def exec_driver_sql(self, sql: str, _values: Any = None) -> _Result:
        self.statements.append(sql)
        beginnings = [beginning for beginning in self.answers if sql.startswith(beginning)]
        answer = self.answers[max(beginnings, key=len)] if beginnings else []
        if isinstance(answer, Exception):
            raise answer
        return _Result(answer)

    def execute(self, clause: Any, values: Any = None) -> _Result:
        how: dict[str, Any] = {"compile_kwargs": {"render_postcompile": True}}
        if values and clause.is_dml:
            how["column_keys"] = list(values)
        elif values:
            clause = clause.params(**values)
        compiled = clause.compile(dialect=_DIALECT, **how)
        return self.exec_driver_sql(str(compiled), values)


ENDPOINT = Endpoint.model_validate({"url": "oracle://cdc:geheim@db.internal/ORCLPDB1?cdb=ORCLCDB"})


def oracle_source(recorder: Recorder | None = None) -> OracleSource:
    made = open_source(ENDPOINT)
    assert isinstance(made, OracleSource)
    if recorder is not None:
        vars(made)["_unpooled"] = SimpleNamespace(connect=lambda: recorder)
    return made


def oracle_target(recorder: Recorder | None = None) -> OracleTarget:
    made = open_target(ENDPOINT)
    assert isinstance(made, OracleTarget)
    if recorder is not None:
        vars(made)["_unpooled"] = SimpleNamespace(connect=lambda: recorder)
    return made
