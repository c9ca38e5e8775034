"""Every error says what happened and what to do, with its fields in place."""

from __future__ import annotations

import importlib
import pkgutil
from string import Formatter

import pytest

import cdc_pipeline
from cdc_pipeline.errors import CdcPipelineError, KafkaUnavailable, StatementFailed, TargetNotEmpty

OPTIONAL = ("cdc_pipeline.local", "cdc_pipeline.defs", "cdc_pipeline.demo", "cdc_pipeline.definitions")


def every_error() -> list[type[CdcPipelineError]]:
    """All of them, those beside errors.py too, so each module is loaded first."""
    for module in pkgutil.walk_packages(cdc_pipeline.__path__, "cdc_pipeline."):
        if not module.name.startswith(OPTIONAL):
            importlib.import_module(module.name)
    found, unseen = [], [CdcPipelineError]
    while unseen:
        found.append(unseen.pop())
        unseen += found[-1].__subclasses__()
    return sorted(found, key=lambda error: error.__qualname__)


def fields_of(template: str) -> dict[str, str]:
    """The fields of a message and how each is formatted."""
    return {name: spec or "" for _, name, spec, _ in Formatter().parse(template) if name}


def example(spec: str, name: str) -> object:
    return 7.25 if spec.endswith("f") else f"<{name}>"


@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.__name__)
def test_the_docstring_is_the_message_with_every_field_in_it(error: type[CdcPipelineError]) -> None:
    template = (error.__doc__ or "").split("\n", 1)[0]
    fields = fields_of(template)
    assert fields, f"{error.__name__} says nothing of what happened"
    values = {name: example(spec, name) for name, spec in fields.items()}

    message = str(error(**values))

    assert message.startswith(template.format(**values))
    assert message.endswith(error.hint.format(**values))
    assert "{" not in message
    assert fields_of(error.hint).keys() <= fields.keys(), "the hint asks for a field that the message does not have"


@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.__name__)
def test_a_field_that_is_forgotten_is_a_defect(error: type[CdcPipelineError]) -> None:
    with pytest.raises(KeyError):
        error()


def test_a_value_with_braces_is_shown_as_it_is() -> None:
    assert str(StatementFailed(database="{x}", reason="near '{y}'")) == "{x}: near '{y}'"


def test_fields_stay_readable_for_programs() -> None:
    assert TargetNotEmpty(target="t", table="s", rows=3).fields == {"target": "t", "table": "s", "rows": 3}


def test_only_what_may_pass_by_itself_is_tried_again() -> None:
    assert KafkaUnavailable.retryable
    assert not TargetNotEmpty.retryable
    assert not CdcPipelineError.retryable
