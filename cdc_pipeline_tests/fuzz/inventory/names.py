"""Names of tables and columns, from a hostile alphabet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cdc_pipeline_tests.fuzz.draft import Draft, Values
from cdc_pipeline_tests.fuzz.features import LIKE_MYSQL, POSTGRESQL, Feature, add, feature
from cdc_pipeline_tests.fuzz.maker import Maker
from cdc_pipeline_tests.fuzz.plan import Column

# A number is put behind each, so that no two tables of a plan are called the same.
ALPHABET = {
    "case": "TabLe",
    "blank": "two words",
    "comma": "a,b",
    "quote": "it's",
    "double_quote": 'say "x"',
    "backtick": "tick`",
    "dollar": "a$b",
    "braces": "a{b}",
    "brackets": "a[b]",
    "percent": "100%s",
    "colon": "a:b",
    "question": "why?",
    "backslash": "a\\b",
    "slash": "a/b",
    "hash": "a#b",
    "dash": "a-b",
    "pattern": "a.*(b|c)+",
    "cjk": "表格",
    "umlaut": "größe",
    "dotless": "ıİ",
    "tab": "a\tb",
    "comment": "a--b/*c",
    "semicolon": "a;b",
    "at": "@a",
    "digit": "1st",
    "keyword": "select",
    "underscores": "__a__",
    "star": "a*b",
    "long": "l" * 45,
}
_DOT = "a.b"


@feature("name", weight=200, base=True)
def name_plain(maker: Maker, draft: Draft) -> None:
    """The name that it has."""


def _table_name(text: str) -> Callable[[Maker, Draft], None]:
    def make(maker: Maker, draft: Draft) -> None:
        draft.name = f"{text}{len(maker.tables)}"

    return make


def _column_name(text: str) -> Callable[[Maker, Draft, Values], Values]:
    def make(maker: Maker, draft: Draft, values: Values) -> Values:
        return replace(values, column=replace(values.column, name=f"{text}{values.column.name}"))

    return make


for _word, _text in ALPHABET.items():
    add(Feature(f"name_{_word}", "name", _table_name(_text), 4))
    add(Feature(f"column_{_word}", "column", _column_name(_text), 2))
add(Feature("name_dot", "name", _table_name(_DOT), 4, known="a dot in a table's name is taken for a schema"))
add(Feature("column_dot", "column", _column_name(_DOT), 2))
add(Feature("name_emoji", "name", _table_name("😀"), 4, (POSTGRESQL,)))


def _twins(maker: Maker, name: str, one: str, other: str) -> None:
    """Two tables whose names somebody may take for one."""
    for text in (one, other):
        draft = maker.plain_table(name, ("v", "VARCHAR(20)", ["'x'", "'y'"]))
        maker.made.pop(draft.name)
        draft.name = text
        maker.settle()
        maker.rows.pop()
        draft.rows.clear()
        maker.fill(draft, 3)


@feature("table")
def names_one_topic(maker: Maker) -> None:
    one, other = maker.random.sample(["a$b", "a#b", "a b", "a,b", "aäb"], 2)
    _twins(maker, "names_one_topic", one, other)


# The last one is a letter with its accent, and the letter and the accent as two characters.
_TWINS = {"case": ("Twin", "twin"), "accent": ("cafe", "café"), "form": ("caf\u00e9", "cafe\u0301")}


def _twin_tables(name: str, one: str, other: str) -> Callable[[Maker], None]:
    return lambda maker: _twins(maker, name, one, other)


for _word, (_one, _other) in _TWINS.items():
    _name = f"names_differ_by_{_word}"
    add(Feature(_name, "table", _twin_tables(_name, _one, _other), 6, targets=(POSTGRESQL,)))
    _name += "_into_mysql"
    add(
        Feature(
            _name,
            "table",
            _twin_tables(_name, _one, _other),
            6,
            targets=LIKE_MYSQL,
            known="MySQL's state tables take names for one that differ",
        )
    )


@feature("table", sources=(POSTGRESQL,))
def columns_differ_by_case(maker: Maker) -> None:
    """PostgreSQL tells them apart; MySQL does not."""
    draft = maker.plain_table("columns_differ_by_case", ("v", "INT", ["1", "2"]), rows=0)
    draft.values.append(Values(Column("V", "INT"), ["3", "4"]))
    maker.made[draft.name] = draft.table()
    maker.fill(draft, 3)
