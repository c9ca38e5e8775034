"""An Oracle database that the user has, on either side of a replication; the other side is the embedded stack's.

`CDC_PIPELINE_ORACLE_URL=oracle://user:password@host:1521/service make test-oracle`. The login needs what step 1 asks of
a source and of a target; the tests make tables in its schema and drop them again.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect

from cdc_pipeline.config import Endpoint, load_replication
from cdc_pipeline.databases import open_source, open_target
from cdc_pipeline.local.stack import Endpoints
from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import Scenario
from cdc_pipeline_tests.servers import Servers
from cdc_pipeline_tests.workload import PACE_SECONDS, running

VARIABLE = "CDC_PIPELINE_ORACLE_URL"
TABLES = ("CDC_ACCOUNTS", "CDC_JOURNAL", "CDC_EVERYTHING")


def pytest_configure() -> None:
    if not os.environ.get(VARIABLE):
        raise pytest.UsageError(
            f"set {VARIABLE}=oracle://user:password@host:1521/service to a database for these tests"
        )


class OracleScenario(Scenario):
    """A role that is `oracle` is the user's database; nothing but its tables is made and removed there."""

    def _create_database(self, role: str) -> str:
        if self.kinds[role] != "oracle":
            return super()._create_database(role)
        endpoint = Endpoint.model_validate({"url": os.environ[VARIABLE]})
        self.databases[role] = open_source(endpoint).default_schema
        return os.environ[VARIABLE]

    @property
    def schema(self) -> str:
        return "public" if self.kinds["source"] == "postgresql" else self.databases["source"]

    def engine(self, role: str) -> Engine:
        if self.kinds[role] == "oracle" and role not in self.engines:
            opened = open_target(Endpoint.model_validate({"url": self.urls[role]}))
            self.engines[role] = opened.engine.execution_options(isolation_level="AUTOCOMMIT")
        return super().engine(role)

    def run(self, role: str, *statements: str) -> None:
        if self.kinds[role] != "oracle":
            return super().run(role, *statements)
        with self.engine(role).connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        return None

    def prepare(self) -> None:
        """No table of an earlier run."""
        for role in (role for role, kind in self.kinds.items() if kind == "oracle"):
            there = inspect(self.engine(role)).get_table_names()
            ours = [name for name in there if name.startswith("_cdc_pipeline_") or name.upper() in TABLES]
            ours += [name for name in there if name.upper().endswith(TABLES)]
            for name in {name if name != name.lower() or name.startswith("_") else name.upper() for name in ours}:
                self.run(role, f'DROP TABLE "{name}" PURGE')

    def clean_up(self) -> None:
        for path in self.folder.glob("*.yaml"):
            Replication(load_replication(path)).teardown()
        self.prepare()
        others = {role: kind for role, kind in self.kinds.items() if kind != "oracle"}
        self.kinds, kinds = others, self.kinds
        for path in self.folder.glob("*.yaml"):
            path.unlink()
        super().clean_up()
        self.kinds = kinds


MakeScenario = Callable[..., OracleScenario]


@pytest.fixture
def oracle_scenario(servers: Servers, stack: Endpoints, tmp_path: Path) -> Iterator[MakeScenario]:
    made: list[OracleScenario] = []

    def make(source: str, target: str) -> OracleScenario:
        folder = tmp_path / f"replications{len(made)}"
        folder.mkdir()
        made.append(OracleScenario(stack, servers.next_number(), folder, source, target))
        made[-1].prepare()
        return made[-1]

    yield make
    for each in made:
        each.clean_up()


class OracleWriter(threading.Thread):
    """One session that writes transactions of one to five changes, a tenth of which it rolls back."""

    def __init__(self, scenario: OracleScenario, number: int) -> None:
        super().__init__(name=f"writer {number}")
        self.scenario = scenario
        self.random = random.Random(number)
        self.next_id = 1_000_000 * (number + 1)
        self.stop = threading.Event()
        self.transactions = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            engine = self.scenario.engine("source").execution_options(isolation_level="READ COMMITTED")
            with engine.connect() as connection:
                while not self.stop.wait(PACE_SECONDS):
                    for _ in range(self.random.randint(1, 5)):
                        connection.exec_driver_sql(self._change())
                    if self.random.random() < 0.1:
                        connection.rollback()
                    else:
                        connection.commit()
                        self.transactions += 1
        except BaseException as error:  # noqa: BLE001 - shown by the test that owns the thread
            self.error = error

    def _change(self) -> str:
        """Each writer has rows of its own, so none waits for another for long."""
        pick, account = self.random.random(), self.random.randrange(100) * 10 + self.next_id // 1_000_000
        if pick < 0.3:
            self.next_id += 1
            return f"INSERT INTO CDC_ACCOUNTS VALUES ({self.next_id}, 'new', {account}.25, NULL)"
        if pick < 0.55:
            return f"UPDATE CDC_ACCOUNTS SET balance = balance + 1, note = 'n{self.next_id}' WHERE id = {account}"
        if pick < 0.65:
            return f"DELETE FROM CDC_ACCOUNTS WHERE id = {self.next_id - self.random.randrange(20)}"
        if pick < 0.8:
            return f"INSERT INTO CDC_JOURNAL VALUES ({account % 10}, 1.00, 'live')"
        if pick < 0.9:
            return f"UPDATE CDC_JOURNAL SET label = 'moved' WHERE account = {account % 10} AND label = 'live'"
        return f"DELETE FROM CDC_JOURNAL WHERE account = {account % 10} AND label = 'moved' AND ROWNUM <= 1"


def writing(scenario: OracleScenario, writers: int = 3) -> AbstractContextManager[Sequence[OracleWriter]]:
    """Writers run inside the block; on leaving, all their transactions have ended."""
    return running([OracleWriter(scenario, number) for number in range(writers)])
