"""Real servers for every test that asks for them, and a replication of its own for each."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from cdc_pipeline.local import stack as local_stack
from cdc_pipeline_tests.compatibility.outcomes import Collector
from cdc_pipeline_tests.groups import Groups
from cdc_pipeline_tests.part import Part, add_options
from cdc_pipeline_tests.scenario import MakeScenario, Scenario
from cdc_pipeline_tests.servers import JAVA_OPTIONS, Servers
from cdc_pipeline_tests.turns import Turns
from cdc_pipeline_tests.variants import Variants

settings.register_profile("unhurried", deadline=None)  # how long an example takes is the machine's business
settings.load_profile("unhurried")


RUN = pytest.StashKey[Path]()
SERVERS = pytest.StashKey[Servers]()


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)
    parser.addoption("--outcomes", metavar="FILE", type=Path, help="write what the tests of versions note")


def pytest_configure(config: pytest.Config) -> None:
    """A run has a folder for all its processes: the one that controls makes and removes it."""
    for name, value in JAVA_OPTIONS.items():
        os.environ.setdefault(name, value)
    folder = getattr(config, "workerinput", {}).get("run_folder")
    run = config.stash[RUN] = Path(folder or tempfile.mkdtemp(prefix="cdc-pipeline-tests-"))
    servers = config.stash[SERVERS] = Servers(local_stack.default_home().resolve(), run)
    config.pluginmanager.register(Turns(servers.home / "tests"))
    config.pluginmanager.register(Groups(run))
    config.pluginmanager.register(Variants())
    config.pluginmanager.register(Part(config))
    if config.option.outcomes and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(config.option.outcomes))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["run_folder"] = str(node.config.stash[RUN])


def pytest_unconfigure(config: pytest.Config) -> None:
    """The workers have ended by now."""
    if not hasattr(config, "workerinput"):
        config.stash[SERVERS].end()
        shutil.rmtree(config.stash[RUN])


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Servers:
    return request.config.stash[SERVERS]


@pytest.fixture(scope="session")
def stack(servers: Servers) -> local_stack.Endpoints:
    """The embedded stack. What runs already is used and left running; the rest is started, and ended with this run."""
    return servers.up()


@pytest.fixture(scope="session")
def stack_with_mariadb(servers: Servers) -> local_stack.Endpoints:
    """The same with MariaDB, which only the tests that ask for it wait for."""
    return servers.up("mariadb")


@pytest.fixture
def scenario(servers: Servers, tmp_path: Path) -> Iterator[MakeScenario]:
    """Makes scenarios: `scenario("mysql", "postgresql-14")`. Everything they made is removed afterwards."""
    made: list[Scenario] = []

    def make(source: str = "mysql", target: str = "postgresql") -> Scenario:
        folder = tmp_path / f"replications{len(made)}"
        folder.mkdir()
        made.append(Scenario(servers.up(source, target), servers.next_number(), folder, source, target))
        return made[-1]

    yield make
    for each in made:
        each.clean_up()
