"""What users choose per table arrives alike by copy and by stream, and `verify` compares just that."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from cdc_pipeline.errors import ChoicesChanged, ValidationFailed
from cdc_pipeline.replication import Replication
from cdc_pipeline.validation import mappings, validate
from cdc_pipeline_tests.scenario import Scenario

MakeScenario = Callable[..., Scenario]
DIRECTIONS = [("mysql", "postgresql"), ("postgresql", "mysql")]
both_directions = pytest.mark.parametrize(("source", "target"), DIRECTIONS)

SALT = "pepper'\\ä"
TABLE = "sales"
COLUMNS = "(id INT {key}, name VARCHAR(40) NOT NULL, email VARCHAR(80), phone VARCHAR(30), country CHAR(2), " \
    "amount DECIMAL(12, 2), active BOOLEAN, seen DATE, card_number VARCHAR(30))"  # fmt: skip
OPTIONS = (
    'target: chosen, exclude: [card_number], rename: {name: "full name"}, hash: [email, amount, seen, active], '
    "mask: {phone: \"***\"}, where: \"country IN ('DE', 'ä') and (amount > 100 or amount is null)\""
)
# (id, name, email, phone, country, amount, active, seen, card_number)
ROWS = [
    "({id}, 'Ann', 'ann@x.de', '123', 'DE', 100.50, true, '2024-02-29', 'c4rd')",
    "({id}, 'Zoë 😀', 'zoë😀\\t', NULL, 'ä', NULL, false, NULL, NULL)",
    "({id}, 'blank', 'a ', '', 'DE', 12345.00, NULL, '0001-01-01', 'c4rd')",
    "({id}, 'small', 'x', 'x', 'de', 500, true, NULL, 'c4rd')",
    "({id}, 'cheap', 'x', 'x', 'DE', 100.00, true, NULL, 'c4rd')",
    "({id}, 'none', NULL, NULL, NULL, 500, NULL, NULL, NULL)",
]


def replication(made: Scenario, options: str = OPTIONS, table: str = TABLE, **more: str) -> Replication:
    return made.replication(tables=f"[{{{table}: {{{options}}}}}]", hash_salt=f'"{SALT}"'.replace("\\", "\\\\"), **more)


def create(made: Scenario, *, key: bool = True, columns: str = COLUMNS, table: str = TABLE) -> None:
    made.run("source", f"CREATE TABLE {table} {columns.format(key='PRIMARY KEY' if key else '')}")
    if made.kinds["source"] == "postgresql":
        made.run("source", f"ALTER TABLE {table} REPLICA IDENTITY FULL")


def insert(made: Scenario, first: int, rows: list[str] = ROWS, table: str = TABLE) -> None:
    made.run("source", *(f"INSERT INTO {table} VALUES {row.format(id=first + n)}" for n, row in enumerate(rows)))


def started(chosen: Replication) -> Replication:
    chosen.check()
    chosen.prepare()
    assert [result.error for result in chosen.copy() if result.error] == []
    chosen.register()
    return chosen


def caught_up(chosen: Replication) -> None:
    chosen.consume(until_caught_up=True)


def rows_of(made: Scenario, order: str = "id", table: str = "chosen") -> list[tuple[Any, ...]]:
    return made.rows("target", f"SELECT * FROM {table} ORDER BY {order}")


def sha256(text: str) -> str:
    return hashlib.sha256((SALT + text).encode()).hexdigest()


def messages(made: Scenario, topic: str) -> Iterator[str]:
    """Every message of a topic, as it is in Kafka."""
    consumer = Consumer({"bootstrap.servers": made.stack.kafka, "group.id": f"test_{made.number}"})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0))
        consumer.assign([TopicPartition(topic, 0, 0)])
        seen = 0
        while seen < end:
            for message in consumer.consume(end - seen, 1.0):
                seen = (message.offset() or 0) + 1
                yield (message.value() or b"").decode()
    finally:
        consumer.close()


@both_directions
@pytest.mark.parametrize("key", [True, False])
def test_every_option_makes_the_same_rows_by_copy_and_by_stream(
    scenario: MakeScenario, source: str, target: str, key: bool
) -> None:
    made = scenario(source, target)
    create(made, key=key)
    insert(made, 0)
    chosen = started(replication(made))
    insert(made, 10)
    caught_up(chosen)
    copied, streamed = rows_of(made)[:3], rows_of(made)[3:]
    assert [row[0] for row in copied] == [0, 1, 2]
    assert [(row[0] - 10, *row[1:]) for row in streamed] == copied
    quote = "`" if target == "mysql" else '"'
    names = f"{quote}full name{quote}, email, phone, country, amount, active, seen"
    ann, zoe, blank = made.rows("target", f"SELECT {names} FROM chosen WHERE id < 10 ORDER BY id")
    hashes = (sha256("100.50"), sha256("1"), sha256("2024-02-29"))
    assert ann == ("Ann", sha256("ann@x.de"), "***", "DE", *hashes)
    tab = "\\t" if source == "postgresql" else "\t"
    assert zoe[:3] == ("Zoë 😀", sha256(f"zoë😀{tab}"), None)
    assert zoe[4:] == (None, sha256("0"), None)
    assert blank[1:3] == (sha256("a "), "***")
    made.assert_equal(chosen)
    topic = chosen.tables[0].topic
    sent = list(messages(made, topic))
    assert len(sent) == len(ROWS)
    assert [text for text in sent if "card_number" in text or "c4rd" in text] == []


@both_directions
def test_a_row_moves_in_and_out_of_what_is_replicated(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    create(made)
    insert(made, 0)
    chosen = started(replication(made))
    steps = [
        ("UPDATE sales SET country = 'FR' WHERE id = 0", [1, 2]),
        ("UPDATE sales SET country = 'DE', card_number = 'c4rd2' WHERE id = 0", [0, 1, 2]),
        ("UPDATE sales SET amount = 101 WHERE id = 4", [0, 1, 2, 4]),
        ("UPDATE sales SET country = NULL WHERE id IN (1, 2)", [0, 4]),
        ("UPDATE sales SET phone = 'still outside' WHERE id = 3", [0, 4]),
        ("UPDATE sales SET id = 40 WHERE id = 4", [0, 40]),
        ("DELETE FROM sales WHERE id IN (0, 5)", [40]),
    ]
    for statement, left in steps:
        made.run("source", statement)
        caught_up(chosen)
        assert [row[0] for row in rows_of(made)] == left, statement
        made.assert_equal(chosen)


@both_directions
def test_the_same_steps_in_one_batch_and_without_a_key(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    create(made, key=False)
    insert(made, 0)
    chosen = started(replication(made))
    made.run(
        "source",
        "UPDATE sales SET country = 'FR' WHERE id = 0",
        "UPDATE sales SET amount = 101 WHERE id = 4",
        "UPDATE sales SET country = NULL WHERE id = 1",
        "UPDATE sales SET phone = 'still outside' WHERE id = 3",
        "UPDATE sales SET country = 'DE' WHERE id = 0",
        "DELETE FROM sales WHERE id IN (2, 5)",
    )
    caught_up(chosen)
    assert [row[0] for row in rows_of(made)] == [0, 4]
    made.assert_equal(chosen)


# -- deletes that keep the row ------------------------------------------------------------------------------------

SOFT = "target: chosen, delete: soft"
THING = "(id INT PRIMARY KEY, name VARCHAR(40) UNIQUE)"


def marked(made: Scenario) -> dict[int, bool]:
    return {row[0]: row[1] is not None for row in made.rows("target", "SELECT id, _deleted_at FROM chosen")}


@both_directions
@pytest.mark.parametrize("at_once", [True, False])
def test_a_deleted_row_is_marked_and_a_new_one_clears_the_mark(
    scenario: MakeScenario, source: str, target: str, at_once: bool
) -> None:
    made = scenario(source, target)
    create(made, columns=THING, table="things")
    insert(made, 1, ["({id}, 'one')", "({id}, 'two')", "({id}, 'three')"], "things")
    chosen = started(replication(made, SOFT, "things"))
    steps = [
        "DELETE FROM things WHERE id = 1",
        "INSERT INTO things VALUES (4, 'one')",  # a value that the marked row has too
        "UPDATE things SET id = 5 WHERE id = 2",
        "INSERT INTO things VALUES (6, 'short')",
        "DELETE FROM things WHERE id = 6",
        "DELETE FROM things WHERE id = 3",
        "INSERT INTO things VALUES (3, 'again')",
    ]
    for step in steps:
        made.run("source", step)
        if not at_once:
            caught_up(chosen)
    caught_up(chosen)
    assert marked(made) == {1: True, 2: True, 3: False, 4: False, 5: False, 6: True}
    names = dict(made.rows("target", "SELECT id, name FROM chosen"))
    assert names == {1: "one", 2: "two", 3: "again", 4: "one", 5: "two", 6: "short"}
    ago = "UTC_TIMESTAMP() - INTERVAL 5 MINUTE" if target == "mysql" else "now() - interval '5 minutes'"
    assert made.rows("target", f"SELECT count(*) FROM chosen WHERE _deleted_at > {ago}") == [(3,)]
    made.assert_equal(chosen)
    made.run("target", "UPDATE chosen SET name = 'wrong' WHERE id IN (1, 4)")
    (comparison,) = made.compare(chosen)
    assert (comparison.equal, comparison.different, comparison.samples) == (False, 1, ("4",))


@both_directions
def test_keys_that_differ_in_case_alone_are_marked_apart(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    exact = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" if source == "mysql" else ""
    made.run(
        "source",
        f"CREATE TABLE things (id VARCHAR(20){exact} PRIMARY KEY, name TEXT)",
        "INSERT INTO things VALUES ('a', 'one'), ('A', 'two'), ('á', 'three')",
    )
    chosen = started(replication(made, SOFT, "things"))
    made.run("source", "DELETE FROM things WHERE name IN ('one', 'three')", "INSERT INTO things VALUES ('á', 'back')")
    caught_up(chosen)
    kept = made.rows("target", "SELECT id, name FROM chosen WHERE _deleted_at IS NULL")
    assert set(kept) == {("A", "two"), ("á", "back")}
    assert made.rows("target", "SELECT id, name FROM chosen WHERE _deleted_at IS NOT NULL") == [("a", "one")]
    made.assert_equal(chosen)


@both_directions
def test_a_truncate_marks_every_row(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    create(made, columns=THING, table="things")
    insert(made, 1, ["({id}, 'one')", "({id}, 'two')", "({id}, 'three')"], "things")
    chosen = started(replication(made, SOFT, "things"))
    made.run("source", "DELETE FROM things WHERE id = 1")
    caught_up(chosen)
    ((before,),) = made.rows("target", "SELECT _deleted_at FROM chosen WHERE id = 1")
    made.run(
        "source",
        "UPDATE things SET name = 'second' WHERE id = 2",
        "INSERT INTO things VALUES (7, 'short')",
        "TRUNCATE TABLE things",
        "INSERT INTO things VALUES (3, 'again'), (8, 'new')",
    )
    caught_up(chosen)
    assert marked(made) == {1: True, 2: True, 3: False, 7: True, 8: False}
    assert made.rows("target", "SELECT _deleted_at FROM chosen WHERE id = 1") == [(before,)]
    assert made.rows("target", "SELECT name FROM chosen WHERE id = 2") == [("second",)]
    made.assert_equal(chosen)


def test_a_row_that_leaves_the_filter_keeps_the_time_at_which_it_left(scenario: MakeScenario) -> None:
    made = scenario("mysql", "postgresql")
    create(made, columns=THING, table="things")
    insert(made, 1, ["({id}, 'in')"], "things")
    chosen = started(replication(made, f"{SOFT}, where: \"name <> 'out'\"", "things"))
    made.run("source", "UPDATE things SET name = 'out' WHERE id = 1")
    caught_up(chosen)
    ((left, name),) = made.rows("target", "SELECT _deleted_at, name FROM chosen")
    assert (left is not None, name) == (True, "in")
    made.run("source", "DELETE FROM things WHERE id = 1")
    caught_up(chosen)
    assert made.rows("target", "SELECT _deleted_at FROM chosen") == [(left,)]
    made.run("source", "INSERT INTO things VALUES (1, 'back')")
    caught_up(chosen)
    assert made.rows("target", "SELECT _deleted_at, name FROM chosen") == [(None, "back")]


# -- what cannot be ------------------------------------------------------------------------------------------------


@both_directions
def test_verify_finds_a_difference_in_what_is_replicated_and_only_there(
    scenario: MakeScenario, source: str, target: str
) -> None:
    made = scenario(source, target)
    create(made)
    insert(made, 0)
    chosen = started(replication(made))
    made.assert_equal(chosen)
    made.run("source", "UPDATE sales SET card_number = 'other', phone = 'other' WHERE id = 0")
    made.assert_equal(chosen)
    made.run("target", "UPDATE chosen SET email = 'wrong' WHERE id = 0", "DELETE FROM chosen WHERE id = 2")
    (comparison,) = made.compare(chosen)
    assert (comparison.equal, comparison.missing, comparison.extra, comparison.different) == (False, 1, 0, 1)
    assert comparison.samples == ("0", "2")


@pytest.mark.parametrize(
    ("options", "key", "problem"),
    [
        ("exclude: [id]", True, "exclude: id is of the primary key"),
        ("include: [name]", True, "include: lacks id, of the primary key"),
        ("hash: [id]", True, "hash: id is of the primary key"),
        ("mask: {id: x}", True, "mask: id is of the primary key"),
        ("exclude: [nothing]", True, "exclude: there is no column nothing"),
        ("rename: {nothing: x}", True, "rename: there is no column nothing"),
        ("rename: {name: EMAIL}", True, "rename: another column is called EMAIL too"),
        ('where: "nothing = 1"', True, "where: there is no column nothing"),
        ("where: \"amount = 'x'\"", True, "compared with a number"),
        ("where: \"name < 'x'\"", True, "has no order that all databases share"),
        ("delete: soft", False, "delete: soft needs a primary key"),
    ],
)
def test_step_1_refuses_what_cannot_be_chosen(scenario: MakeScenario, options: str, key: bool, problem: str) -> None:
    made = scenario("mysql", "postgresql")
    create(made, key=key)
    with pytest.raises(ValidationFailed, match=r"cannot be replicated as its options say") as failure:
        replication(made, options).check()
    assert problem in str(failure.value)


def test_long_rows_that_move_need_replica_identity_full(scenario: MakeScenario) -> None:
    made = scenario("postgresql", "mysql")
    made.run("source", "CREATE TABLE sales (id int PRIMARY KEY, country char(2), story text)")
    chosen = replication(made, "where: \"country = 'DE'\"")
    with pytest.raises(ValidationFailed, match="`where` needs whole rows in the log"):
        chosen.check()
    made.run("source", "ALTER TABLE sales REPLICA IDENTITY FULL")
    chosen.check()


def test_a_choice_that_changes_after_the_copy_is_refused_until_it_is_copied_again(scenario: MakeScenario) -> None:
    made = scenario("mysql", "postgresql")
    create(made)
    insert(made, 0)
    chosen = started(replication(made))
    caught_up(chosen)
    for changed in (
        replication(made, OPTIONS.replace("amount > 100", "amount > 99")),
        made.replication(tables=f"[{{{TABLE}: {{{OPTIONS}}}}}]", hash_salt='"another"'),
    ):
        for refused in (changed.register, lambda c=changed: c.consume(until_caught_up=True)):
            with pytest.raises(ChoicesChanged):
                refused()
        with pytest.raises(ValidationFailed, match="are not those that it was copied with"):
            changed.check()
    changed.check(force_resync=True)
    changed.prepare(force_resync=True)
    assert [r.outcome for r in changed.copy(force_resync=True)] == ["reloaded"]
    insert(made, 10)
    caught_up(changed)
    made.assert_equal(changed)
    with pytest.raises(ChoicesChanged):
        chosen.consume(until_caught_up=True)


def test_validate_says_what_each_column_becomes(scenario: MakeScenario) -> None:
    made = scenario("mysql", "postgresql")
    create(made)
    chosen = replication(made, f"{OPTIONS}, delete: soft")
    found = validate(chosen.parts)
    assert found.problems == []
    (columns,) = mappings(chosen.parts, found).values()
    told = {c.column: (c.target_type, c.note) for c in columns}
    assert told["name"][0] == "varchar(40)"
    assert told["name"][1].startswith("called full name in the target")
    assert told["email"] == ("varchar(64)", "SHA-256 of salt and text")
    assert told["phone"] == ("varchar(3)", "replaced by '***'")
    assert told["_deleted_at"] == ("timestamptz(6)", "set when the source deletes the row")
    assert "card_number" not in told


@both_directions
def test_indexes_defaults_and_comments_follow_the_names(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    create(made)
    made.run(
        "source",
        "CREATE UNIQUE INDEX by_name ON sales (name, country)",
        "CREATE INDEX by_card ON sales (card_number)",
        "CREATE INDEX by_email ON sales (email)",
        "ALTER TABLE sales ALTER COLUMN name SET DEFAULT 'nobody'",
        "ALTER TABLE sales ALTER COLUMN phone SET DEFAULT '1'",
    )
    chosen = replication(made)
    chosen.check()
    chosen.prepare()
    (result,) = chosen.copy()
    assert result.error is None
    shape = chosen.parts.target.shape(chosen.tables[0].target)
    assert shape is not None
    definition = chosen.parts.target.definition(shape)
    indexes = {index.name: [part.column for part in index.parts] for index in definition.indexes}
    assert indexes == {"by_name": ["full name", "country"], "by_email": ["email"]}
    assert set(definition.defaults) == {"full name"}
    assert any("by_card left out" in note for note in result.notes)
