"""How we talk to a server: encrypted where it can be, and with what the user states about it."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from cdc_pipeline.config import Endpoint
from cdc_pipeline.databases import open_source
from cdc_pipeline.databases.mysql.source import MySqlSnapshot
from cdc_pipeline.errors import StatementFailed
from cdc_pipeline.local import stack as local_stack
from cdc_pipeline.model import TableId


def cipher(server: str | None, **options: Any) -> str:
    """What the session is encrypted with; empty for nothing."""
    url = make_url(server or "").set(database="mysql").render_as_string(hide_password=False)
    source = open_source(Endpoint(url=SecretStr(url), options=options, seen_by_connect_as=None))
    with source.connect() as connection:
        return connection.exec_driver_sql("SHOW STATUS LIKE 'Ssl_cipher'").one()[1]


def test_a_server_that_can_encrypt_does_and_one_that_cannot_is_spoken_to(
    stack_with_mariadb: local_stack.Endpoints,
) -> None:
    assert cipher(stack_with_mariadb.mysql)
    assert not cipher(stack_with_mariadb.mariadb)  # the embedded one is started without TLS


def test_the_machines_certificates_are_not_loaded_for_each_connection(
    stack: local_stack.Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cipher(stack.mysql)

    def refuse(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("a context was made anew")

    monkeypatch.setattr(ssl, "create_default_context", refuse)
    assert cipher(stack.mysql)


def test_the_copy_reads_as_the_url_says(stack: local_stack.Endpoints) -> None:
    """What stands behind its question mark is the driver's, as everywhere."""
    url = make_url(stack.mysql or "").set(database="mysql").update_query_dict({"ssl_disabled": "true"})
    source = open_source(Endpoint(url=SecretStr(url.render_as_string(hide_password=False)), seen_by_connect_as=None))
    shape = source.shape(TableId("mysql", "user"))
    assert shape is not None
    with source.snapshot(shape) as snapshot:
        assert isinstance(snapshot, MySqlSnapshot)
        assert snapshot.reader.fetch("SHOW STATUS LIKE 'Ssl_cipher'")[0][1] == b""


def test_what_the_user_states_about_tls_is_what_is_done(stack_with_mariadb: local_stack.Endpoints) -> None:
    assert not cipher(stack_with_mariadb.mysql, ssl_disabled=True)
    with pytest.raises(StatementFailed, match="SSL is required"):
        cipher(stack_with_mariadb.mariadb, ssl={"check_hostname": False})
