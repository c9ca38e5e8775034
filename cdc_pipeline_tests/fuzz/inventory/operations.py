"""What operators and accidents do."""

from __future__ import annotations

from cdc_pipeline_tests.fuzz.features import POSTGRESQL, feature
from cdc_pipeline_tests.fuzz.inventory.transactions import BEGIN, COMMIT, changes
from cdc_pipeline_tests.fuzz.maker import Maker, raw


def _act(maker: Maker, feature: str, does: str, *arguments: str) -> None:
    """An act, and some changes behind it."""
    maker.block(maker.act(feature, does, *arguments), maker.sql(feature, *changes(maker, 2)))


@feature("act", base=True)
def catch_up(maker: Maker) -> None:
    _act(maker, "catch_up", "catch_up")


@feature("act", weight=12, base=True)
def consume_beside(maker: Maker) -> None:
    """A consumer that goes on while the plan does."""
    _act(maker, "consume_beside", "consume_beside")


@feature("act")
def kill_consumer(maker: Maker) -> None:
    maker.block(
        maker.act("kill_consumer", "consume_beside"),
        maker.sql("kill_consumer", *changes(maker, 3)),
        maker.act("kill_consumer", "kill_consumer"),
        maker.sql("kill_consumer", *changes(maker, 2)),
    )


@feature("act", weight=6)
def end_consumer(maker: Maker) -> None:
    maker.block(
        maker.act("end_consumer", "consume_beside"),
        maker.sql("end_consumer", *changes(maker, 3)),
        maker.act("end_consumer", "end_consumer"),
        maker.sql("end_consumer", *changes(maker, 2)),
    )


@feature("act", weight=8)
def restart_connector(maker: Maker) -> None:
    _act(maker, "restart_connector", "restart_connector")


@feature("act", weight=8)
def resync(maker: Maker) -> None:
    _act(maker, "resync", "resync", maker.some_table().name)


@feature("act", weight=5)
def resync_beside_consumer(maker: Maker) -> None:
    draft = maker.some_table()
    maker.block(
        maker.act("resync_beside_consumer", "consume_beside"),
        maker.sql("resync_beside_consumer", *changes(maker, 2, draft)),
        maker.act("resync_beside_consumer", "resync", draft.name),
        maker.sql("resync_beside_consumer", *changes(maker, 2, draft)),
    )


@feature("act", weight=6)
def repair(maker: Maker) -> None:
    """`verify --repair` while nobody consumes: what is still to come is applied again behind it."""
    _act(maker, "repair", "repair")


@feature("act", weight=5)
def spoil_and_repair(maker: Maker) -> None:
    """Somebody deletes rows of the target."""
    draft = maker.some_table(keyed=True)
    maker.block(
        maker.act("spoil_and_repair", "catch_up"),
        maker.act("spoil_and_repair", "spoil", draft.name),
        maker.act("spoil_and_repair", "repair"),
    )


@feature("act", weight=5)
def pause_and_resume(maker: Maker) -> None:
    maker.block(
        maker.act("pause_and_resume", "consume_beside"),
        maker.act("pause_and_resume", "pause"),
        maker.sql("pause_and_resume", *changes(maker, 3)),
        maker.act("pause_and_resume", "resume"),
        maker.sql("pause_and_resume", *changes(maker, 1)),
    )


@feature("act", weight=4)
def register(maker: Maker) -> None:
    _act(maker, "register", "register")


@feature("act", weight=4)
def start_again(maker: Maker) -> None:
    _act(maker, "start_again", "start")


@feature("act", weight=3)
def force_resync(maker: Maker) -> None:
    """Everything anew."""
    _act(maker, "force_resync", "force_resync")


@feature("act", weight=4)
def two_starts(maker: Maker) -> None:
    """Two commands at once."""
    _act(maker, "two_starts", "two_at_once", "start --until-caught-up", "start --until-caught-up")


@feature("act", weight=4)
def two_resyncs(maker: Maker) -> None:
    name = maker.some_table().name
    maker.block(maker.act("two_resyncs", "two_resyncs", name), maker.sql("two_resyncs", *changes(maker, 2)))


@feature("act", weight=6, known="the changes of a table that was out of the file never come")
def out_and_back(maker: Maker) -> None:
    """A table is taken out of the file, changes, and is put back."""
    draft = maker.plain_table("out_and_back", ("v", "INT", ["1", "2"]))
    maker.block(
        maker.act("out_and_back", "take_out", draft.name),
        maker.sql("out_and_back", draft.insert(), draft.update(), draft.delete()),
        maker.act("out_and_back", "put_back", draft.name),
        maker.sql("out_and_back", draft.insert()),
    )


@feature("act", weight=4)
def taken_out(maker: Maker) -> None:
    """For good: what the file does not name is nobody's business any more."""
    draft = maker.plain_table("taken_out", ("v", "INT", ["1", "2"]))
    maker.block(
        maker.act("taken_out", "take_out", draft.name), maker.sql("taken_out", draft.insert(), *changes(maker, 1))
    )


@feature("act", weight=8, sources=(POSTGRESQL,))
def copy_restart(maker: Maker) -> None:
    """The connector begins anew amid many rows that have one place in the log."""
    draft = maker.plain_table("copy_restart", ("v", "VARCHAR(20)", ["'x'", "NULL"]))
    for round in range(1, 4):
        first = round * 100_000
        rows = f"COPY «0» («1», «2») FROM PROGRAM 'seq -f \"%.0f,row\" {first} {first + 20_000}' (FORMAT csv)"
        maker.block(
            maker.sql("copy_restart", raw(draft, rows, "id", "v", columns=("v",))),
            maker.act("copy_restart", "restart_connector"),
            maker.act("copy_restart", "catch_up"),
        )


@feature("act", weight=5, sources=(POSTGRESQL,))
def update_restart(maker: Maker) -> None:
    """The same amid an UPDATE that moves all keys."""
    draft = maker.plain_table("update_restart", ("v", "VARCHAR(20)", ["'x'", "NULL"]), rows=1)
    rows = "COPY «0» («1», «2») FROM PROGRAM 'seq -f \"%.0f,row\" 1000 15000' (FORMAT csv)"
    maker.rows.append(maker.sql("update_restart", raw(draft, rows, "id", "v", columns=("v",))))
    maker.block(
        maker.sql("update_restart", raw(draft, "UPDATE «0» SET id = id + 20000")),
        maker.act("update_restart", "restart_connector"),
        maker.act("update_restart", "catch_up"),
    )


@feature("act", weight=3)
def transaction_over_restart(maker: Maker) -> None:
    """A transaction that begins before a restart of the connector and ends behind it."""
    session = maker.session()
    maker.block(
        maker.sql("transaction_over_restart", BEGIN, *changes(maker, 2), session=session),
        maker.act("transaction_over_restart", "restart_connector"),
        maker.sql("transaction_over_restart", *changes(maker, 1), COMMIT, session=session),
    )


# -- servers that are killed: others on the same ones would suffer -----------------------------------------------------


@feature("act", weight=3, disrupts=True)
def kill_worker(maker: Maker) -> None:
    _act(maker, "kill_worker", "kill_server", "connect")


@feature("act", weight=3, disrupts=True)
def kill_broker(maker: Maker) -> None:
    _act(maker, "kill_broker", "kill_server", "kafka")


@feature("act", weight=3, disrupts=True)
def kill_source(maker: Maker) -> None:
    _act(maker, "kill_source", "kill_server", "source")


@feature("act", weight=3, disrupts=True)
def kill_target(maker: Maker) -> None:
    maker.block(
        maker.act("kill_target", "consume_beside"),
        maker.sql("kill_target", *changes(maker, 3)),
        maker.act("kill_target", "kill_server", "target"),
        maker.sql("kill_target", *changes(maker, 2)),
    )


@feature("act", weight=3, sources=(POSTGRESQL,), disrupts=True)
def copy_kill_worker(maker: Maker) -> None:
    draft = maker.plain_table("copy_kill_worker", ("v", "VARCHAR(20)", ["'x'", "NULL"]))
    rows = "COPY «0» («1», «2») FROM PROGRAM 'seq -f \"%.0f,row\" 1000 30000' (FORMAT csv)"
    maker.block(
        maker.sql("copy_kill_worker", raw(draft, rows, "id", "v", columns=("v",))),
        maker.act("copy_kill_worker", "kill_server", "connect"),
    )
