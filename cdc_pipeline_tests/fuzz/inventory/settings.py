"""Settings of sessions, of databases and of whole servers, from the list of decisions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cdc_pipeline_tests.fuzz.decisions import MYSQL as MYSQL_TRIED
from cdc_pipeline_tests.fuzz.decisions import POSTGRESQL as POSTGRESQL_TRIED
from cdc_pipeline_tests.fuzz.decisions import Tried
from cdc_pipeline_tests.fuzz.features import ALL, LIKE_MYSQL, POSTGRESQL, Feature, add, feature
from cdc_pipeline_tests.fuzz.maker import Maker
from cdc_pipeline_tests.fuzz.plan import SOURCE, TARGET, Raw

Makes = Callable[[Maker], None]


def _in_session(name: str, setting: str, values: Sequence[str], since: tuple[int, ...]) -> Makes:
    """The session that writes, from the first row on."""

    def make(maker: Maker) -> None:
        if maker.steering.version(maker.source) >= since:
            maker.rows.insert(0, maker.sql(name, Raw(f"SET {setting} = {maker.random.choice(values)}")))

    return make


def _in_database(name: str, setting: str, values: Sequence[str], role: str) -> Makes:
    """All sessions of a PostgreSQL database; or only those of its login, which comes to the same here."""

    def make(maker: Maker) -> None:
        mark = SOURCE if role == "source" else TARGET
        whose = maker.random.choice([f"DATABASE {mark}", f"ROLE CURRENT_USER IN DATABASE {mark}"])
        sql = f"ALTER {whose} SET {setting} = {maker.random.choice(values)}"
        maker.prelude.append(maker.sql(name, Raw(sql), role=role))

    return make


@feature("setting", weight=15)
def own_logins(maker: Maker) -> None:
    """The product's logins are no administrators."""
    maker.logins = True


def _everywhere(name: str, setting: str, values: Sequence[str], since: tuple[int, ...]) -> Makes:
    """All sessions of a MySQL server. It is set back when the plan has ended."""

    def make(maker: Maker) -> None:
        role = maker.random.choice(
            [role for role, kind in (("source", maker.source), ("target", maker.target)) if kind != POSTGRESQL]
        )
        maker.logins = maker.logins or setting == "init_connect"  # which no administrator's session runs
        if maker.steering.version(maker.source) >= since:
            maker.prelude.append(maker.act(name, "set_global", role, setting, maker.random.choice(values)))

    return make


def _add(name: str, makes: Makes, tried: Tried, **values: object) -> None:
    add(Feature(name, "setting", makes, 3, known=tried.known, loss=tried.loss, **values))  # type: ignore[arg-type]


for _name, _tried in POSTGRESQL_TRIED.items():
    _low = _name.lower()
    if _tried.session:
        _add(
            f"pg_session_{_low}",
            _in_session(f"pg_session_{_low}", _name, _tried.session, ()),
            _tried,
            sources=(POSTGRESQL,),
        )
    if _tried.source:
        _add(
            f"pg_source_{_low}",
            _in_database(f"pg_source_{_low}", _name, _tried.source, "source"),
            _tried,
            sources=(POSTGRESQL,),
        )
    if _tried.target:
        _add(
            f"pg_target_{_low}",
            _in_database(f"pg_target_{_low}", _name, _tried.target, "target"),
            _tried,
            targets=(POSTGRESQL,),
        )
for _name, _tried in MYSQL_TRIED.items():
    if _tried.session:
        _makes = _in_session(f"my_session_{_name}", f"SESSION {_name}", _tried.session, _tried.since)
        _add(f"my_session_{_name}", _makes, _tried, sources=LIKE_MYSQL)
    if _tried.everywhere:
        _makes = _everywhere(f"my_global_{_name}", _name, _tried.everywhere, _tried.since)
        _add(f"my_global_{_name}", _makes, _tried, sources=LIKE_MYSQL, targets=ALL, disrupts=True)
