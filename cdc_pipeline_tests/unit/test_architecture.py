"""What import-linter cannot see."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cdc_pipeline

PACKAGE = Path(cdc_pipeline.__file__).parent
MAY_READ_THE_ENVIRONMENT = ("config.py", "local/", "demo/")
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
    assert lines == [], f"{module} reads the environment; take it from config.py"


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
