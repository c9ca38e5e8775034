"""What MySQL and MariaDB can do to a table while it is replicated."""

from __future__ import annotations

from cdc_pipeline_tests.fuzz.draft import Draft
from cdc_pipeline_tests.fuzz.features import LIKE_MYSQL, MYSQL, Feature, add, feature
from cdc_pipeline_tests.fuzz.inventory.transactions import changes
from cdc_pipeline_tests.fuzz.maker import Maker, alter, raw
from cdc_pipeline_tests.fuzz.plan import Insert, Raw, Statement

_V, _W = ("v", "INT", ["1", "2", "NULL"]), ("w", "VARCHAR(20)", ["'w'", "'x y'", "NULL"])


def _block(maker: Maker, name: str, draft: Draft, *statements: Statement) -> None:
    """Changes before and behind the statements."""
    maker.block(maker.sql(name, *changes(maker, 2, draft), *statements), maker.sql(name, *changes(maker, 2, draft)))


def _form(name: str, *clauses: str, weight: int = 3, **values: object) -> None:
    """ALTER TABLE in these forms, of a table with the columns `v` and `w`, to which they do nothing that would stop an
    INSERT of both."""

    def make(maker: Maker) -> None:
        draft = maker.plain_table(name, _V, _W)
        _block(maker, name, draft, *(alter(draft, clause, columns=("v", "w")) for clause in clauses))

    add(Feature(name, "ddl", make, weight, **{"sources": LIKE_MYSQL, **values}))  # type: ignore[arg-type]


_form("add_column", "ADD COLUMN n INT", weight=6)
_form("add_column_first", "ADD COLUMN n INT DEFAULT 5 FIRST")
_form("add_column_after", "ADD COLUMN n VARCHAR(9) NOT NULL DEFAULT 'a''b' AFTER v")
_form("add_columns", "ADD COLUMN (n1 INT, n2 TEXT, n3 JSON)")
_form("add_column_expression", "ADD COLUMN n VARCHAR(40) DEFAULT (UUID())", sources=(MYSQL,))
_form("add_column_generated", "ADD COLUMN n INT AS (v + 1) STORED")
_form("add_column_virtual", "ADD COLUMN n INT AS (v + 1) VIRTUAL")
_form("add_column_now", "ADD COLUMN n TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)")
_form("add_column_instant", "ADD COLUMN n INT DEFAULT 3, ALGORITHM=INSTANT")
_form("add_and_drop", "ADD COLUMN n INT DEFAULT 3", "DROP COLUMN n")
_form("many_clauses", "ADD COLUMN n INT, MODIFY v BIGINT, ADD INDEX (w), COMMENT 'x'")
_form("widen_type", "MODIFY v BIGINT NOT NULL DEFAULT 9", "MODIFY w TEXT")
_form("narrow_type", "MODIFY w VARCHAR(4)")
_form("change_type", "MODIFY v VARCHAR(20)")
_form("change_type_back", "MODIFY v VARCHAR(20)", "MODIFY v INT")
_form("unsigned", "MODIFY v INT UNSIGNED")
_form("column_first", "MODIFY w VARCHAR(20) FIRST")
_form("column_order", "MODIFY v INT AFTER w")
_form("set_default", "ALTER COLUMN v SET DEFAULT 8", "ALTER COLUMN v DROP DEFAULT")
_form("set_not_null", "MODIFY v INT NOT NULL DEFAULT 0")
_form("index_added", "ADD INDEX byw (w)", "RENAME INDEX byw TO byw2", "DROP INDEX byw2")
_form("unique_added", "ADD UNIQUE (v, id)")
_form("key_dropped", "DROP PRIMARY KEY")
_form("key_changed", "DROP PRIMARY KEY, ADD PRIMARY KEY (id, w)", "MODIFY w VARCHAR(20) NOT NULL DEFAULT 'k'")
_form("key_widened", "MODIFY id BIGINT NOT NULL")
_form("rebuilt", "ENGINE=InnoDB", "FORCE", "ORDER BY w")
_form("charset_converted", "CONVERT TO CHARACTER SET latin1")
_form("charset_default", "DEFAULT CHARACTER SET utf16")
_form("collation_changed", "MODIFY w VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german1_ci")
_form("table_comment", "COMMENT = 'it''s a \"comment\"; -- /*'")
_form("row_format", "ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8")
_form("auto_increment_set", "MODIFY id INT NOT NULL AUTO_INCREMENT", "AUTO_INCREMENT = 500")
_form("keys_disabled", "DISABLE KEYS", "ENABLE KEYS")
_form("check_added", "ADD CONSTRAINT positive CHECK (v > -5)")
_form(
    "drop_and_add",
    "DROP COLUMN v, ADD COLUMN v INT DEFAULT 5",
    known="a column dropped and added in one is not noticed",
)
_form(
    "drop_then_add",
    "DROP COLUMN v",
    "ADD COLUMN v INT DEFAULT 5 AFTER id",
    known="a column dropped and added is not noticed",
)
_form(
    "swap_columns",
    "RENAME COLUMN v TO w, RENAME COLUMN w TO v",
    sources=(MYSQL,),
    known="a swap of two columns ends the connector",
)
_form("versioned_comment", "/*!50000 ADD COLUMN n INT */")
_form("partitioned_later", "PARTITION BY HASH (id) PARTITIONS 3", "REMOVE PARTITIONING")
_form("to_enum", "MODIFY w ENUM('w', 'x y')")
_form("default_changed", "MODIFY v INT DEFAULT 77", "ADD COLUMN n INT")


@feature("ddl", weight=4, sources=LIKE_MYSQL)
def drop_column(maker: Maker) -> None:
    draft = maker.plain_table("drop_column", _V, _W)
    dropped = draft.values[1]
    before = changes(maker, 2, draft)
    draft.values.remove(dropped)
    maker.does("drop_column", *before, alter(draft, "DROP COLUMN w", columns=("w",)), *changes(maker, 3, draft))


@feature("ddl", weight=4, sources=LIKE_MYSQL)
def rename_column(maker: Maker) -> None:
    draft = maker.plain_table("rename_column", _V, _W)
    maker.does(
        "rename_column",
        *changes(maker, 1, draft),
        alter(draft, "CHANGE w «1» VARCHAR(20)", "n,w", columns=("w",)),
        raw(draft, "INSERT INTO «0» (id, v, «1») VALUES (900, 1, 'new')", "n,w", columns=("v", "w")),
    )


@feature("ddl", weight=8, sources=LIKE_MYSQL, known="a swap of two tables of one shape is not noticed")
def swap_tables(maker: Maker) -> None:
    one, other = maker.plain_table("swap_tables", _V), maker.plain_table("swap_tables", _V, rows=8)
    swap = Raw(
        "RENAME TABLE «0» TO swapping, «1» TO «0», swapping TO «1»", (one.name, other.name), (one.name, other.name)
    )
    maker.does("swap_tables", one.insert(), swap, one.insert(), other.insert())


@feature("ddl", weight=4, sources=LIKE_MYSQL, known="a swap of two tables of one shape is not noticed")
def renamed_into_place(maker: Maker) -> None:
    """As tools for changes online do it: a table beside it is filled, and takes its place."""
    draft = maker.plain_table("renamed_into_place", _V)
    maker.does(
        "renamed_into_place",
        raw(draft, "CREATE TABLE made_beside_it LIKE «0»"),
        raw(draft, "INSERT INTO made_beside_it SELECT id, v + 100 FROM «0»", columns=("v",)),
        raw(draft, "RENAME TABLE «0» TO old_one, made_beside_it TO «0»"),
        *changes(maker, 2, draft),
    )


@feature("ddl", weight=4, sources=LIKE_MYSQL)
def rename_and_back(maker: Maker) -> None:
    draft = maker.plain_table("rename_and_back", _V)
    maker.does(
        "rename_and_back",
        draft.insert(),
        raw(draft, "RENAME TABLE «0» TO elsewhere"),
        raw(draft, "INSERT INTO elsewhere (id, v) VALUES (800, 8)", columns=("v",)),
        raw(draft, "RENAME TABLE elsewhere TO «0»"),
        draft.insert(),
    )


@feature("ddl", weight=4, sources=LIKE_MYSQL)
def rename_away(maker: Maker) -> None:
    """The file names a table that is gone."""
    draft = maker.plain_table("rename_away", _V)
    maker.tables.remove(draft)
    maker.does("rename_away", draft.insert(), raw(draft, "ALTER TABLE «0» RENAME TO elsewhere2"))


@feature("ddl", weight=4, sources=LIKE_MYSQL, loss="made_anew")
def drop_and_create(maker: Maker) -> None:
    draft = maker.plain_table("drop_and_create", _V)
    maker.does(
        "drop_and_create",
        draft.insert(),
        raw(draft, "DROP TABLE «0»"),
        raw(draft, "CREATE TABLE «0» (`id` INT NOT NULL, `v` INT, PRIMARY KEY (`id`))", columns=("v",)),
        Insert(draft.name, ((("id", "1"), ("v", "1")),)),
    )


@feature("ddl", weight=3, sources=LIKE_MYSQL)
def drop_and_create_otherwise(maker: Maker) -> None:
    draft = maker.plain_table("drop_and_create_otherwise", _V)
    maker.does(
        "drop_and_create_otherwise",
        draft.insert(),
        raw(draft, "DROP TABLE «0»"),
        raw(draft, "CREATE TABLE «0» (`id` INT NOT NULL, `v` INT, `x` INT, PRIMARY KEY (`id`))", columns=("v",)),
        Insert(draft.name, ((("id", "1"), ("v", "1")),)),
    )


@feature("ddl", weight=4, sources=LIKE_MYSQL, known="a label that gets another name is not noticed")
def enum_labels_changed(maker: Maker) -> None:
    """A label is added, then one gets another name by way of a text."""
    draft = maker.plain_table("enum_labels_changed", ("v", "ENUM('a', 'b')", ["'a'", "'b'"]))
    _block(
        maker,
        "enum_labels_changed",
        draft,
        alter(draft, "MODIFY v ENUM('a', 'b', 'c')", columns=("v",)),
        raw(draft, "UPDATE «0» SET v = 'c' WHERE id = 1", columns=("v",)),
        alter(draft, "MODIFY v ENUM('b', 'a', 'c')", columns=("v",)),
    )


# -- the session's own syntax -----------------------------------------------------------------------------------------


@feature(
    "ddl", weight=4, sources=LIKE_MYSQL, known="a statement that Debezium cannot read leaves its definition as it was"
)
def ansi_quotes(maker: Maker) -> None:
    draft = maker.plain_table("ansi_quotes", _V, _W)
    session = maker.session()
    move = 'ALTER TABLE "{}" MODIFY "w" VARCHAR(20) FIRST'.format(draft.name.replace('"', '""'))
    maker.block(
        maker.sql(
            "ansi_quotes", Raw("SET sql_mode = 'ANSI_QUOTES'"), Raw(move, (), (draft.name,), ("w",)), session=session
        ),
        maker.act("ansi_quotes", "catch_up"),
        maker.sql("ansi_quotes", *changes(maker, 3, draft)),
    )


@feature(
    "ddl", weight=3, sources=LIKE_MYSQL, known="a statement that Debezium cannot read leaves its definition as it was"
)
def no_backslash_escapes(maker: Maker) -> None:
    draft = maker.plain_table("no_backslash_escapes", _V, _W)
    session = maker.session()
    maker.block(
        maker.sql(
            "no_backslash_escapes",
            Raw("SET sql_mode = 'NO_BACKSLASH_ESCAPES'"),
            alter(draft, "ADD COLUMN n VARCHAR(9) DEFAULT 'a\\' FIRST"),
            session=session,
        ),
        maker.sql("no_backslash_escapes", *changes(maker, 3, draft)),
    )


@feature("ddl", weight=4, sources=LIKE_MYSQL)
def new_table(maker: Maker) -> None:
    """One that comes while the stream flows: the file has a pattern."""
    maker.pattern = True
    create = "CREATE TABLE came_later (id INT PRIMARY KEY, v INT DEFAULT 4, w VARCHAR(20))"
    maker.block(
        maker.sql(
            "new_table",
            Raw(create),
            Raw("INSERT INTO came_later (id, w) VALUES (1, 'a'), (2, 'b')"),
            *changes(maker, 1),
        ),
        maker.act("new_table", "catch_up"),
        maker.sql("new_table", Raw("UPDATE came_later SET w = 'c' WHERE id = 1"), *changes(maker, 1)),
    )


@feature("ddl", weight=3, sources=LIKE_MYSQL)
def foreign_key_added(maker: Maker) -> None:
    parent, child = maker.plain_table("foreign_key_added", _V), maker.plain_table("foreign_key_added", _V)
    key = Raw(
        "ALTER TABLE «0» ADD CONSTRAINT to_parent FOREIGN KEY (id) REFERENCES «1» (id)",
        (child.name, parent.name),
        (child.name, parent.name),
    )
    maker.does("foreign_key_added", key, parent.insert(), child.insert())
