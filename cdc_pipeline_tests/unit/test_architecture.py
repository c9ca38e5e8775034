"""What import-linter cannot see."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cdc_pipeline

PACKAGE = Path(cdc_pipeline.__file__).parent
MAY_READ_THE_ENVIRONMENT = ("config/files.py", "local/", "demo/")
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}


def reads_of_the_environment(source: str) -> list[int]:
    """The lines that name `os.environ` or its kin, however it was imported."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            found += [node.lineno for name in node.names if name.name in ENVIRONMENT | {"*"}]
        elif isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT:
            found.append(node.lineno)
    return found


def modules() -> list[str]:
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("module", [m for m in modules() if not m.startswith(MAY_READ_THE_ENVIRONMENT)])
def test_only_config_reads_the_environment(module: str) -> None:
    lines = reads_of_the_environment((PACKAGE / module).read_text())
    assert lines == [], f"{module} reads the environment; take it from config/files.py"


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.environ['A']",
        "import os as system\nsystem.environ.get('A')",
        "from os import environ",
        "from os import getenv as get",
        "import os\nos.getenv('A')",
    ],
)
def test_every_way_to_read_it_is_found(source: str) -> None:
    assert reads_of_the_environment(source)


@pytest.mark.parametrize("name", ["utils", "common", "helpers", "types"])
def test_no_module_is_a_drawer_for_everything(name: str) -> None:
    assert [module for module in modules() if Path(module).stem == name] == []


# -- the contracts of import-linter -------------------------------------------------------------------------------

# Each contract's name, with a module and an import that break it.
VIOLATIONS = {
    "Imports point down only": ("cdc_pipeline/config/files.py", "from cdc_pipeline import state"),
    "Dagster is known to its own shell only": ("cdc_pipeline/status.py", "import dagster"),
    "HTTP is spoken in connect_api and alerts alone": ("cdc_pipeline/validation.py", "import requests"),
    "The Kafka client is known to kafka and the consumer": ("cdc_pipeline/apply/heart.py", "import confluent_kafka"),
    "Drivers are known to their databases": ("cdc_pipeline/verify.py", "import psycopg2.extras"),
    "The nouns and the errors need nothing but Python": ("cdc_pipeline/model.py", "import sqlalchemy"),
}


def lint_imports(project: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=project, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def a_copy(tmp_path: Path) -> Path:
    """The package and its contracts, to be changed."""
    shutil.copytree(PACKAGE, tmp_path / "cdc_pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PACKAGE.parent / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_is_broken_by_what_it_forbids(a_copy: Path) -> None:
    """That none is broken here is said by lint-imports itself, in `make check`."""
    for module, forbidden in VIOLATIONS.values():
        with (a_copy / module).open("a") as file:
            file.write(f"\n{forbidden}\n")
    done = lint_imports(a_copy)
    assert done.returncode == 1
    kept = [line for line in done.stdout.splitlines() if " KEPT" in line]
    broken = [line.removesuffix(" BROKEN") for line in done.stdout.splitlines() if " BROKEN" in line]
    assert kept == []
    assert {name for name in VIOLATIONS if any(line.startswith(name) for line in broken)} == VIOLATIONS.keys()
