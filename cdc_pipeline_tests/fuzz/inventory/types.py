"""Types of columns, and values of them: those of the tests' own list, and hostile ones."""

from __future__ import annotations

import re

from cdc_pipeline_tests.fuzz.draft import Values
from cdc_pipeline_tests.fuzz.features import LIKE_MYSQL, POSTGRESQL, Feature, add
from cdc_pipeline_tests.fuzz.maker import Maker
from cdc_pipeline_tests.fuzz.plan import Column
from cdc_pipeline_tests.values import CASES, FAMILY, Case

_BASE = {"INT", "VARCHAR(50)", "TEXT", "DECIMAL(20, 5)", "DATETIME(6)", "integer", "varchar(50)", "text", "timestamp"}
_LONGEST = 2000
_PREFIX = {"mysql": "my", "postgresql": "pg"}


def _slug(declared: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", declared.lower().replace("[]", " array").replace("-", "m")).strip("_")[:40]


def _maker(case: Case, name: str) -> object:
    def make(maker: Maker, column: str) -> Values:
        literals = [each for each in case.values_for(FAMILY[maker.target]) if len(each) < _LONGEST]
        return Values(Column(column, case.declared, name), literals or ["NULL"])

    return make


for _family, _sources in (("mysql", LIKE_MYSQL), ("postgresql", (POSTGRESQL,))):
    for _case in CASES[_family]:
        _name = f"{_PREFIX[_family]}_{_slug(_case.declared)}"
        add(Feature(_name, "type", _maker(_case, _name), 10, _sources, base=_case.declared in _BASE))
