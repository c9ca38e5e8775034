"""What SHOW GRANTS means."""

from __future__ import annotations

from typing import Any, cast

import pytest
from sqlalchemy import Connection

from cdc_pipeline.databases.mysql.grants import Grants


class Answers:
    """A connection that knows these grants, and the roles in force."""

    def __init__(self, grants: list[str], roles: str = "NONE") -> None:
        self.grants = grants
        self.roles = roles
        self.asked: list[str] = []

    def exec_driver_sql(self, sql: str) -> Any:
        self.asked.append(sql)
        return self if "CURRENT_ROLE" in sql else [(grant,) for grant in self.grants]

    def scalar(self) -> str:
        return self.roles


def grants(*lines: str) -> Grants:
    return Grants(cast(Connection, Answers(list(lines))))


def test_all_privileges_are_every_privilege() -> None:
    root = grants("GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION")
    assert root.has("REPLICATION SLAVE")
    assert root.has("LOCK TABLES", "shop")


def test_a_global_privilege_holds_for_every_schema() -> None:
    cdc = grants("GRANT SELECT, REPLICATION SLAVE ON *.* TO `cdc`@`%`")
    assert cdc.has("SELECT", "shop")
    assert cdc.has("REPLICATION SLAVE")
    assert not cdc.has("REPLICATION CLIENT")


@pytest.mark.parametrize(("schema", "held"), [("shop_1", True), ("shopX1", False), ("shop_12", False), ("shop", False)])
def test_an_escaped_underscore_is_no_wildcard(schema: str, held: bool) -> None:
    assert grants(r"GRANT LOCK TABLES ON `shop\_1`.* TO `cdc`@`%`").has("LOCK TABLES", schema) is held


@pytest.mark.parametrize(("schema", "held"), [("shop_1", True), ("shop_", True), ("shopx2", True), ("store_1", False)])
def test_wildcards_in_a_grant_are_those_of_like(schema: str, held: bool) -> None:
    assert grants("GRANT LOCK TABLES ON `shop_%`.* TO `cdc`@`%`").has("LOCK TABLES", schema) is held


def test_a_grant_on_one_table_or_some_columns_is_none_on_the_schema() -> None:
    cdc = grants(
        "GRANT SELECT ON `shop`.`users` TO `cdc`@`%`",
        "GRANT SELECT (`id`), INSERT (`id`, `name`) ON `shop`.`orders` TO `cdc`@`%`",
    )
    assert not cdc.has("SELECT", "shop")
    assert not cdc.has("INSERT", "shop")


def test_a_schema_with_a_backtick_in_its_name_is_found() -> None:
    assert grants("GRANT SELECT ON `sh``op`.* TO `cdc`@`%`").has("SELECT", "sh`op")


def test_roles_in_force_count() -> None:
    answers = Answers(["GRANT SELECT ON *.* TO `cdc`@`%`"], roles="`reader`@`%`")
    assert Grants(cast(Connection, answers)).has("SELECT", "shop")
    assert answers.asked[-1] == "SHOW GRANTS FOR CURRENT_USER() USING `reader`@`%`"
