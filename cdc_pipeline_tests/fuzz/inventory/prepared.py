"""Transactions in two phases."""

from __future__ import annotations

from cdc_pipeline_tests.fuzz.features import LIKE_MYSQL, feature
from cdc_pipeline_tests.fuzz.maker import Maker
from cdc_pipeline_tests.fuzz.plan import RUN, Raw, Statement


def _xa(maker: Maker, name: str, *statements: Statement) -> list[Statement]:
    return [Raw(f"XA START '{name}'"), *statements, Raw(f"XA END '{name}'"), Raw(f"XA PREPARE '{name}'")]


_XA = "rows of a prepared transaction are told at its PREPARE"


@feature("transaction", weight=8, sources=LIKE_MYSQL, known=_XA)
def xa_before_start(maker: Maker) -> None:
    """Prepared before the start, committed behind it."""
    draft, name, session = (
        maker.plain_table("xa_before_start", ("v", "INT", ["1", "2"])),
        f"fuzz{RUN}b",
        maker.session(),
    )
    maker.before.append(maker.sql("xa_before_start", *_xa(maker, name, draft.insert(2)), session=session))
    maker.does("xa_before_start", Raw(f"XA COMMIT '{name}'"), session=session)


@feature("transaction", weight=8, sources=LIKE_MYSQL, known=_XA)
def xa_rolled_back(maker: Maker) -> None:
    draft, name, session = maker.plain_table("xa_rolled_back", ("v", "INT", ["1", "2"])), f"fuzz{RUN}r", maker.session()
    maker.block(
        maker.sql("xa_rolled_back", *_xa(maker, name, draft.insert(), draft.update()), session=session),
        maker.sql("xa_rolled_back", Raw(f"XA ROLLBACK '{name}'"), session=session),
    )


@feature("transaction", weight=8, sources=LIKE_MYSQL)
def xa_committed(maker: Maker) -> None:
    draft, name, session = maker.plain_table("xa_committed", ("v", "INT", ["1", "2"])), f"fuzz{RUN}c", maker.session()
    once = f"fuzz{RUN}o"
    maker.block(
        maker.sql("xa_committed", *_xa(maker, name, draft.insert()), Raw(f"XA COMMIT '{name}'"), session=session),
        maker.sql(
            "xa_committed",
            Raw(f"XA START '{once}'"),
            draft.insert(),
            Raw(f"XA END '{once}'"),
            Raw(f"XA COMMIT '{once}' ONE PHASE"),
            session=session,
        ),
    )
