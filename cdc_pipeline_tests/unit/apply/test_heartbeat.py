"""A heartbeat tells when it left the source; nothing else does."""

from __future__ import annotations

import pytest

from cdc_pipeline.apply.heartbeat import source_time

MESSAGE = b'{"op":"m","source":{"ts_ms":1700000000123,"lsn":5},"message":{"prefix":"cdc_pipeline","content":"00"}}'
ROW = b'{"op":"u","before":null,"after":{"replication":"shop","beat":1},"source":{"ts_ms":1700000000000}}'


@pytest.mark.parametrize(("value", "seconds"), [(MESSAGE, 1700000000.123), (ROW, 1700000000.0)])
def test_a_message_and_a_row_tell_their_commits_time(value: bytes, seconds: float) -> None:
    assert source_time(value) == seconds


@pytest.mark.parametrize("value", [None, b"", b"{", b"null", b'{"source":null}', b'{"source":{"ts_ms":"x"}}'])
def test_what_is_no_heartbeat_is_passed_over(value: bytes | None) -> None:
    assert source_time(value) is None
