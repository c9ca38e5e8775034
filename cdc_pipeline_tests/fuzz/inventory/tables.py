"""What a table has besides its columns and its key."""

from __future__ import annotations

from cdc_pipeline_tests.fuzz.draft import Draft
from cdc_pipeline_tests.fuzz.features import LIKE_MYSQL, MYSQL, POSTGRESQL, feature
from cdc_pipeline_tests.fuzz.inventory.transactions import BEGIN, COMMIT, changes
from cdc_pipeline_tests.fuzz.maker import Maker, raw
from cdc_pipeline_tests.fuzz.plan import Clause, Insert, Raw

_V, _W = ("v", "INT", ["1", "2", "NULL"]), ("w", "VARCHAR(20)", ["'w'", "'w '", "'W'", "NULL"])


def _redone(maker: Maker, draft: Draft, rows: int = 5) -> Draft:
    """As it was just changed, it is what is created."""
    maker.made[draft.name] = draft.table()
    maker.fill(draft, rows)
    return draft


def _with(maker: Maker, name: str, *clauses: Clause, after: tuple[Clause, ...] = (), options: str = "") -> Draft:
    draft = maker.plain_table(name, _V, _W, rows=0, options=options)
    draft.clauses += clauses
    draft.after += after
    return _redone(maker, draft)


@feature("table")
def unique_index(maker: Maker) -> None:
    """Texts of which one server takes for equal what the other tells apart."""
    draft = maker.plain_table("unique_index", ("u", "VARCHAR(20) UNIQUE", ["NULL"]), rows=0)
    texts = ["'a'", "'a '", "'A'", "'ä'", "''", "'ss'", "'ß'"]
    rows = [Insert(draft.name, ((("id", str(n)), ("u", text)),)) for n, text in enumerate(texts)]
    maker.rows.append(maker.sql("unique_index", *rows[:3]))
    maker.does("unique_index", *rows[3:], draft.insert(), draft.insert())


@feature("table", weight=6)
def unique_with_nulls(maker: Maker) -> None:
    draft = _with(maker, "unique_with_nulls", Clause("UNIQUE («0», «1»)", ("v", "w")))
    maker.does("unique_with_nulls", *changes(maker, 4, draft))


@feature("table", weight=6)
def indexes(maker: Maker) -> None:
    more = (
        "CREATE INDEX by_half ON «table» («0») WHERE «1» > 1"
        if maker.source == POSTGRESQL
        else ("CREATE UNIQUE INDEX by_prefix ON «table» («0»(5), «1»)")
    )
    after = (Clause("CREATE INDEX by_both ON «table» («1» DESC, «0»)", ("v", "w")), Clause(more, ("w", "v")))
    _with(maker, "indexes", after=after)


@feature("table", weight=6)
def check_constraint(maker: Maker) -> None:
    draft = _with(maker, "check_constraint", Clause("CHECK («0» IS NULL OR «0» < 1000)", ("v",)))
    maker.does("check_constraint", *changes(maker, 2, draft))


def _parent_and_child(maker: Maker, name: str, action: str) -> None:
    parent = maker.plain_table(name, _V, rows=0)
    maker.rows.append(maker.sql(name, *(parent.insert() for _ in range(4))))
    child = maker.plain_table(name, ("p", "INT", ["1", "2", "NULL"]), rows=0)
    quoted = '"' if maker.source == POSTGRESQL else "`"
    child.clauses.append(
        Clause(f"FOREIGN KEY («0») REFERENCES {quoted}{parent.name}{quoted} (id) {action}", ("p",), (parent.name,))
    )
    _redone(maker, child)
    maker.tables.remove(parent)
    maker.does(
        name,
        raw(parent, "DELETE FROM «0» WHERE id = 1"),
        raw(parent, "UPDATE «0» SET id = 50 WHERE id = 2"),
        child.insert(),
        parent.insert(),
    )


@feature("table", weight=4)
def foreign_key(maker: Maker) -> None:
    if maker.chance(0.5):
        maker.file["foreign_keys"] = "true"
    _parent_and_child(maker, "foreign_key", "")


@feature("table", weight=6, sources=(POSTGRESQL,))
def pg_foreign_key_actions(maker: Maker) -> None:
    action = maker.random.choice(["ON DELETE CASCADE ON UPDATE CASCADE", "ON DELETE SET NULL ON UPDATE SET DEFAULT"])
    _parent_and_child(maker, "pg_foreign_key_actions", action)


@feature("table", weight=6, sources=LIKE_MYSQL, loss="cascade")
def foreign_key_actions(maker: Maker) -> None:
    action = maker.random.choice(["ON DELETE CASCADE ON UPDATE CASCADE", "ON DELETE SET NULL ON UPDATE SET NULL"])
    _parent_and_child(maker, "foreign_key_actions", action)


@feature("table", weight=5, sources=LIKE_MYSQL)
def partitioned(maker: Maker) -> None:
    by = maker.random.choice(["HASH (id) PARTITIONS 3", "KEY () PARTITIONS 2", "LINEAR HASH (id) PARTITIONS 4"])
    draft = maker.plain_table("partitioned", _V, _W, options=f"PARTITION BY {by}")
    maker.does("partitioned", *changes(maker, 3, draft), raw(draft, "UPDATE «0» SET id = id + 100 WHERE id < 3"))


@feature("table", weight=6)
def trigger(maker: Maker) -> None:
    """Changes of one table write into another one."""
    noted = maker.plain_table("trigger", ("v", "VARCHAR(40)", ["'x'"]), rows=1)
    draft = maker.plain_table("trigger", _V, rows=0)
    if maker.source == POSTGRESQL:
        body = f"INSERT INTO \"{noted.name}\" VALUES (NEW.id + 1000, 'noted')"
        maker.before.append(
            maker.sql(
                "trigger",
                raw(
                    draft,
                    f"CREATE FUNCTION noting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; "
                    "NEW.v = 77; RETURN NEW; END $$",
                ),
                raw(draft, "CREATE TRIGGER noting BEFORE INSERT ON «0» FOR EACH ROW EXECUTE FUNCTION noting()"),
            )
        )
    else:
        body = f"BEGIN INSERT INTO `{noted.name}` VALUES (NEW.id + 1000, 'noted'); SET NEW.v = 77; END"
        maker.before.append(
            maker.sql("trigger", raw(draft, f"CREATE TRIGGER noting BEFORE INSERT ON «0» FOR EACH ROW {body}"))
        )
    maker.does("trigger", BEGIN, draft.insert(), draft.insert(), COMMIT)


@feature("table", weight=4)
def only_a_key(maker: Maker) -> None:
    draft = maker.plain_table("only_a_key", rows=3)
    maker.does("only_a_key", draft.insert(), draft.delete(), raw(draft, "UPDATE «0» SET id = id + 50 WHERE id = 1"))


@feature("table", weight=4)
def wide(maker: Maker) -> None:
    """A hundred columns."""
    columns = [(f"c{number}", ("INT", "VARCHAR(9)", "DATE")[number % 3], ["NULL"]) for number in range(100)]
    draft = maker.plain_table("wide", *columns, rows=0)
    for number, values in enumerate(draft.values):
        values.literals = (["7"], ["'x'", "''"], ["'2024-02-29'"])[number % 3]
        values.explicit_nulls = 0.3
    _redone(maker, draft, 4)
    maker.does("wide", *changes(maker, 3, draft))


@feature("table", weight=3, sources=LIKE_MYSQL)
def other_engine(maker: Maker) -> None:
    """One without transactions: what is rolled back stays."""
    draft = maker.plain_table("other_engine", _V, options="ENGINE=MyISAM")
    maker.does("other_engine", BEGIN, draft.insert(), draft.update(), Raw("ROLLBACK"), draft.insert())


@feature("table", weight=3, sources=(POSTGRESQL,))
def pg_unlogged(maker: Maker) -> None:
    """Its changes are in no log."""
    draft = maker.plain_table("pg_unlogged", _V, after=[Clause("ALTER TABLE «table» SET UNLOGGED")])
    maker.made[draft.name] = draft.table()
    maker.does("pg_unlogged", draft.insert())


@feature("table", weight=4, sources=(POSTGRESQL,), known="row security of the source hides rows")
def pg_row_security_forced(maker: Maker) -> None:
    draft = maker.plain_table("pg_row_security_forced", _V, rows=5)
    maker.logins = True  # an administrator's sees all rows
    maker.before.append(
        maker.sql(
            "pg_row_security_forced",
            raw(draft, "ALTER TABLE «0» ENABLE ROW LEVEL SECURITY"),
            raw(draft, "ALTER TABLE «0» FORCE ROW LEVEL SECURITY"),
            raw(draft, "CREATE POLICY some ON «0» USING (id < 3)"),
        )
    )


@feature("table", weight=3, sources=(POSTGRESQL,))
def pg_rule(maker: Maker) -> None:
    """A DELETE that is an UPDATE instead."""
    draft = maker.plain_table("pg_rule", _V)
    maker.before.append(
        maker.sql(
            "pg_rule",
            raw(draft, "CREATE RULE kept AS ON DELETE TO «0» DO INSTEAD UPDATE «0» SET v = 0 WHERE id = OLD.id"),
        )
    )
    maker.does("pg_rule", raw(draft, "DELETE FROM «0» WHERE id = 1"), draft.insert())


@feature("table", weight=6, sources=(MYSQL,), known="an UPDATE that logs a part of a JSON is not told")
def partial_json(maker: Maker) -> None:
    draft = maker.plain_table("partial_json", ("j", "JSON", ['\'{"a": 1, "b": "bbbbbbbbbb"}\'', "'{\"a\": [1, 2]}'"]))
    session = maker.session()
    maker.does(
        "partial_json",
        Raw("SET SESSION binlog_row_value_options = 'PARTIAL_JSON'"),
        raw(draft, "UPDATE «0» SET j = JSON_SET(j, '$.a', 2)", columns=("j",)),
        draft.insert(),
        session=session,
    )


@feature("table", weight=5, sources=LIKE_MYSQL)
def spatial_index(maker: Maker) -> None:
    draft = maker.plain_table("spatial_index", ("g", "POINT NOT NULL", ["ST_GeomFromText('POINT(1 2)')"]), rows=0)
    draft.clauses.append(Clause("SPATIAL INDEX («0»)", ("g",)))
    maker.made[draft.name] = draft.table()
    maker.fill(draft, 2)
