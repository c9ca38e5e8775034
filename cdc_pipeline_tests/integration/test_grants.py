"""A whole replication with logins that have exactly what docs/databases.md says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

import cdc_pipeline
from cdc_pipeline.config import load_replication
from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.scenario import Scenario

MakeScenario = Callable[..., Scenario]
PAGE = Path(cdc_pipeline.__file__).parents[1] / "docs" / "databases.md"
SECRET = "s3cret-of-the-docs"


def statements(kind: str, role: str) -> list[str]:
    """Of MariaDB as a target, those of MySQL."""
    title = f"-- {'mysql' if (kind, role) == ('mariadb', 'target') else kind} {role}\n"
    (block,) = re.findall(rf"```sql\n{title}(.*?)```", PAGE.read_text(), re.DOTALL)
    return [statement.strip() for statement in block.split(";") if statement.strip()]


def with_login(made: Scenario, role: str) -> tuple[str, list[str]]:
    """Run the page's statements with this scenario's names. Returns the login's endpoint, and what removes it."""
    kind, user = made.kinds[role], f"g{made.number}{role[0]}"
    names = {"cdc": user, "shop": made.databases["source"], "dwh": made.databases["target"], "secret": SECRET}
    for statement in statements(kind, role):
        made.run(role, re.sub(r"\b(cdc|shop|dwh|secret)\b", lambda match: names[match[0]], statement))
    url = make_url(made.urls[role]).set(username=user, password=None)
    drop = (
        [f"DROP USER '{user}'@'%'"] if kind != "postgresql" else [f"DROP OWNED BY {user} CASCADE", f"DROP ROLE {user}"]
    )
    return f'{{url: "{url.render_as_string(hide_password=False)}", password: "{SECRET}"}}', drop


@pytest.mark.parametrize(
    ("source", "target"),
    [("mysql", "postgresql"), ("postgresql", "mysql"), ("mariadb", "postgresql"), ("postgresql", "mariadb")],
)
def test_what_the_page_grants_is_enough_for_everything(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    made.run("source", "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20), age INT)")
    made.run("source", "CREATE INDEX by_name ON users (name)", "INSERT INTO users VALUES (1, 'anna', 3), (2, 'ben', 4)")
    (from_source, drop_source), (into_target, drop_target) = (with_login(made, role) for role in ("source", "target"))
    path = made.write("users", source=from_source, target=into_target)
    replication = Replication(load_replication(path))
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    replication.register()
    made.run("source", "UPDATE users SET age = 5 WHERE id = 1", "INSERT INTO users VALUES (3, 'eva', 6)")
    replication.consume(until_caught_up=True)
    made.assert_equal(replication)
    made.run("target", f"DELETE FROM {made.target_table('users')} WHERE id = 2")
    (comparison,) = replication.verify(repair=True)
    assert (comparison.equal, comparison.mended) == (True, 1)
    assert [(r.outcome, r.error) for r in replication.copy(force_resync=True)] == [("reloaded", None)]
    made.assert_equal(replication)
    assert replication.teardown()
    path.unlink()
    made.run("source", *drop_source)
    made.run("target", *drop_target)
