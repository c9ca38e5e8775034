"""Finds the replication files and reads them: the environment put in, every finding explained by its key and line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from cdc_pipeline.config.replication import ReplicationConfig
from cdc_pipeline.errors import ConfigError
from cdc_pipeline.local.site import default_home, demos_replications

FOLDER_VARIABLE = "CDC_PIPELINE_REPLICATIONS"


def replications_folder() -> Path:
    return Path(os.environ.get(FOLDER_VARIABLE, "replications"))


def folder_of_commands() -> Path:
    """Where a command looks: the same, or, if nothing is there and nobody named it, where a demo has its replication.

    Dagster does not look there: two of them would run one replication.
    """
    folder = replications_folder()
    if FOLDER_VARIABLE in os.environ or replication_files(folder):
        return folder
    demos = demos_replications(default_home())
    return demos if replication_files(demos) else folder


def replication_files(folder: Path | None = None) -> list[Path]:
    folder = folder or replications_folder()
    return sorted(path for path in folder.glob("*.y*ml") if path.suffix in (".yaml", ".yml"))


def find_replication(name: str | None = None, folder: Path | None = None) -> ReplicationConfig:
    """The replication of that name, or the only one there is: for commands.

    Raises ConfigError, with the names there are, if there is none or more than one.
    """
    folder = folder or folder_of_commands()
    files = {path.stem: path for path in replication_files(folder)}
    names = ", ".join(files) or "none"
    if name is None:
        if len(files) != 1:
            problem = f"{len(files)} replications here ({names}); name one with -r"
            raise ConfigError(file=folder, line="", problem=problem)
        name = next(iter(files))
    if name not in files:
        raise ConfigError(file=folder, line="", problem=f"no replication {name!r} here ({names})")
    return load_replication(files[name])


def load_replication(path: Path) -> ReplicationConfig:
    """Read one replication file. Raises ConfigError that names the key and the line, and no secret."""
    try:
        text = path.read_text()
        node = yaml.compose(text)
        data = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(file=path, line="", problem=error.strerror) from error
    except UnicodeDecodeError as error:
        raise ConfigError(file=path, line="", problem="not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        if isinstance(error, ComposerError | ConstructorError):  # these quote the value, which may be a secret
            problem = "a value that begins with *, & or ! must stand in quotes"
        raise ConfigError(file=path, line=line, problem=problem) from None
    if not isinstance(data, dict) or node is None:
        raise ConfigError(file=path, line="", problem="empty; see README.md for what stands in it")
    lines = dict(_lines(node, ()))
    data = from_environment(data, path, lines)
    try:
        return ReplicationConfig.model_validate({"name": path.stem, **data})
    except ValidationError as error:
        raise _explain(error, path, lines) from None


def _lines(node: yaml.Node, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """The line of every key and item of a YAML document, by its path."""
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from (
                (p, key.start_mark.line + 1 if p == (*place, key.value) else n)
                for p, n in _lines(value, (*place, key.value))
            )
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*place, index))


def from_environment(value: Any, path: Path, lines: dict, place: tuple[str | int, ...] = ()) -> Any:
    """`${NAME}` replaced by the environment's value, in every text of the document. Raises ConfigError."""
    if isinstance(value, dict):
        return {k: from_environment(v, path, lines, (*place, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [from_environment(v, path, lines, (*place, i)) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            line = f", line {lines[place]}" if place in lines else ""
            problem = f"{'.'.join(map(str, place))}: the environment has no variable {match[1]}"
            raise ConfigError(file=path, line=line, problem=problem)
        return os.environ[match[1]]

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", variable, value)


def _written(place: tuple[str | int, ...], lines: dict) -> tuple[str | int, ...]:
    """Where it stands in the file: a table's options stand under its name."""
    if place[:1] != ("tables",) or len(place) < 3:
        return place
    return next((p for p in lines if p[:2] == place[:2] and p[3:] == place[2:]), place)


def _explain(error: ValidationError, path: Path, lines: dict) -> ConfigError:
    """All findings of pydantic in one error, each with its line; never with the value, which may be a secret."""
    findings = []
    for finding in error.errors(include_input=False, include_url=False, include_context=False):
        place = finding["loc"]
        known = next((p for n in range(len(place), -1, -1) if (p := _written(place[:n], lines)) in lines), ())
        key = ".".join(str(part) for part in place)
        message = {
            "extra_forbidden": "unknown key",
            "missing": "is missing",
        }.get(finding["type"], finding["msg"].removeprefix("Value error, "))
        findings.append((lines.get(known, 1), f"{key}: {message}" if key else message))
    first = findings[0][0]
    text = "; ".join(m if line == first else f"line {line}: {m}" for line, m in findings)
    return ConfigError(file=path, line=f", line {first}", problem=text)
