"""Step 1 as tests ask for it: what it finds, also with logins that may do little."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import make_url

from cdc_pipeline.config import ReplicationConfig
from cdc_pipeline.parts import Parts
from cdc_pipeline.validation import Validation, validate
from cdc_pipeline_tests.scenario import Scenario

LOGIN_PASSWORD = "hunter2-of-the-login"


def configured(scenario: Scenario, *tables: str, **replaced: str) -> ReplicationConfig:
    """The configuration alone: its file must not be found by the cleaning up, which would need what is missing."""
    path = scenario.write(*(tables or ("users",)), **replaced)
    try:
        return scenario.config(*(tables or ("users",)), **replaced)
    finally:
        path.unlink()


def secrets(scenario: Scenario) -> list[str]:
    return [LOGIN_PASSWORD, *(str(make_url(url).password) for url in scenario.urls.values())]


def found(scenario: Scenario, *tables: str, **replaced: str) -> dict[str, str]:
    """The problems that step 1 finds, by the name of their check."""
    return problems_of(scenario, validate(Parts(configured(scenario, *tables, **replaced))))


def problems_of(scenario: Scenario, validation: Validation) -> dict[str, str]:
    """By the name of their check; none of them tells a secret."""
    for secret in secrets(scenario):
        assert secret not in str(validation.checks)
    return {check.name: check.problem for check in validation.problems}


def login(scenario: Scenario, role: str, user: str, password: str = LOGIN_PASSWORD, **parts: Any) -> str:
    """The database of the scenario as another login's endpoint, in YAML."""
    url = make_url(scenario.urls[role]).set(username=user, password=None, **parts)
    return f'{{url: "{url.render_as_string(hide_password=False)}", password: "{password}"}}'


@contextmanager
def user_of(scenario: Scenario, role: str, *grants: str) -> Iterator[str]:
    """A login with these privileges only; `{user}` in a grant is its name."""
    user = f"u{scenario.number}"
    if scenario.kinds[role] != "postgresql":
        name = f"'{user}'@'%'"
        create, drop = [f"CREATE USER {name} IDENTIFIED BY '{LOGIN_PASSWORD}'"], [f"DROP USER {name}"]
    else:
        name = user
        create, drop = [f"CREATE ROLE {user} LOGIN PASSWORD '{LOGIN_PASSWORD}'"], [f"DROP OWNED BY {user}"]
        drop += [f"DROP ROLE {user}"]
    scenario.run(role, *create)
    try:
        scenario.run(role, *(grant.replace("{user}", name) for grant in grants))
        yield user
    finally:
        scenario.run(role, *drop)
