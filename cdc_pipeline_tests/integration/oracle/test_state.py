"""The state tables of an Oracle target, and rows and offsets in one transaction: on H2, as test_target.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from cdc_pipeline.databases.target import Writer
from cdc_pipeline.errors import ConsumerFenced, StatementFailed
from cdc_pipeline.model import RowBatch, TableId
from cdc_pipeline.state import ConsumerState, State, TableState, Work
from cdc_pipeline_tests.integration.oracle.conftest import MakeTable
from cdc_pipeline_tests.integration.oracle.h2 import USER, H2Target
from cdc_pipeline_tests.integration.oracle.shop import KEYED, SOURCE, rows, writing


@pytest.fixture
def state(server: H2Target) -> Iterator[State]:
    made = State(server, "shop")
    assert not made.exists()
    made.create()
    made.create()  # harmless
    assert made.exists()
    yield made
    made.forget()
    with server.connect() as connection, connection.begin():
        for table in made.metadata.sorted_tables:
            connection.exec_driver_sql(f'DROP TABLE "{table.name}"')


def test_the_state_of_a_table_moves_as_everywhere(state: State) -> None:
    target = TableId(USER, "shop_items")
    state.add_table(SOURCE, target, "topic")
    state.add_table(SOURCE, target, "topic")  # harmless
    with state.target.connect() as connection, connection.begin():
        state.take_for_copy(connection, SOURCE, "topic")
        state.move_table(connection, SOURCE, TableState.COPIED, watermark='{"scn": 5}', shape=KEYED.to_json())
        state.rewind(connection, "topic", {0: 40})
    record = state.table_records()[SOURCE]
    assert (record.target, record.state, record.watermark, record.shape) == (
        target, TableState.COPIED, '{"scn": 5}', KEYED,
    )  # fmt: skip
    claimed, _ = state.claim("me", [("topic", 0)], {"topic": SOURCE})
    assert claimed["topic", 0].next_offset == 40
    assert state.table_records()[SOURCE].state is TableState.STREAMING


def test_rows_and_their_offset_are_kept_or_lost_together(server: H2Target, make_table: MakeTable, state: State) -> None:
    table = make_table(KEYED)
    state.add_table(SOURCE, table, "topic")
    with server.connect() as connection, connection.begin():
        state.take_for_copy(connection, SOURCE, "topic")
        state.move_table(connection, SOURCE, TableState.COPIED, watermark="{}", shape=KEYED.to_json())
    claimed, _ = state.claim("me", [("topic", 0)], {"topic": SOURCE})
    mine = claimed["topic", 0]

    def batch(connection: Connection, writer: Writer, key: str, fail: bool = False) -> None:
        with connection.begin():
            state.advance(connection, mine, mine.moved(mine.next_offset + 1, 1.5, (1, 0, 0), None))
            writer.apply(table, RowBatch(KEYED, rows=[(key, "a", None, None)]))
            if fail:
                raise StatementFailed(database="", reason="killed")

    with writing(server, table, KEYED) as writer:
        with pytest.raises(StatementFailed):
            batch(writer.connection, writer, "1", fail=True)
        assert rows(server, table, KEYED) == []
        assert state.offsets_of(["topic"])["topic", 0].next_offset == mine.next_offset
        batch(writer.connection, writer, "2")
        with pytest.raises(ConsumerFenced):  # a zombie: its offset is no longer the stored one
            batch(writer.connection, writer, "3")
    assert [row[0] for row in rows(server, table, KEYED)] == ["2"]
    stored = state.offsets_of()["topic", 0]
    assert (stored.next_offset, stored.source_time, stored.inserted) == (mine.next_offset + 1, 1.5, 1)


def test_one_consumer_at_a_time(state: State) -> None:
    assert state.take_lease("one", "group", "host", 1) is None
    holder = state.take_lease("two", "group", "another host", 2)
    assert holder is not None
    assert holder.run_id == "one"
    assert abs(holder.age) < 5  # a DATE has whole seconds
    work = Work(7, 0.5, {"poll": 1.25, "merge": 0.0})
    assert state.beat("one", ConsumerState.RUNNING, work=work)
    assert state.beat("one", ConsumerState.STOPPED)  # and what it has done stays known
    ended = state.consumer()
    assert ended is not None
    assert (ended.state, ended.work) == (ConsumerState.STOPPED, work)
    assert not state.beat("two", ConsumerState.RUNNING)
    assert state.take_lease("two", "group", "another host", 2) is None


def test_what_the_owner_wants_is_remembered(state: State) -> None:
    state.set(desired="paused", captured_tables="a.b\nc.d", start_position="x" * 5000)
    assert state.desired == "paused"
    assert state.captured_tables == ["a.b", "c.d"]
    assert state.start_position == "x" * 5000
