"""`stir` moves an idle MySQL's or MariaDB's log, where it may, so that waiting until all is applied takes seconds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy.engine import make_url

from cdc_pipeline_tests.scenario import Scenario

pytestmark = pytest.mark.alone  # an idle server is one that nobody else writes to
MakeScenario = Callable[..., Scenario]


@pytest.fixture(params=["mysql", "mariadb"])
def shop(request: pytest.FixtureRequest, scenario: MakeScenario) -> Scenario:
    shop = scenario(request.param, "postgresql")
    shop.run("source", "CREATE TABLE users (id INT PRIMARY KEY)")
    return shop


def test_an_idle_server_logs_a_transaction_that_changes_no_data(shop: Scenario) -> None:
    source = shop.replication("users").parts.source
    before = source.mark()
    source.stir()
    after = source.mark()
    assert source.reached(after.offset, before)
    assert not source.reached(before.offset, after)


def test_a_login_that_may_not_leaves_the_log_as_it_is(shop: Scenario) -> None:
    login, schema = f"quiet_{shop.number}", shop.databases["source"]
    shop.run(
        "source",
        f"CREATE USER {login}@'%' IDENTIFIED BY 'secret'",
        f"GRANT SELECT ON {schema}.* TO {login}@'%'",
        f"GRANT REPLICATION CLIENT ON *.* TO {login}@'%'",
    )
    try:
        url = make_url(shop.urls["source"]).set(username=login, password=None).render_as_string()
        source = shop.replication("users", source=f'{{url: "{url}", password: secret}}').parts.source
        before = source.mark()
        source.stir()
        assert source.mark() == before
    finally:
        shop.write("users")  # whoever cleans up logs in as ever
        shop.run("source", f"DROP USER {login}@'%'")


def test_a_server_that_is_read_only_gets_no_transaction_of_its_own(shop: Scenario) -> None:
    source = shop.replication("users").parts.source
    shop.run("source", "SET GLOBAL read_only = ON")  # the tests' login has SUPER, which may write all the same
    try:
        before = source.mark()
        source.stir()
        assert source.mark() == before
    finally:
        shop.run("source", "SET GLOBAL read_only = OFF")
