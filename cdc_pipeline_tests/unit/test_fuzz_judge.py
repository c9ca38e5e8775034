"""The fuzzer's judge: equal values are equal however their servers write them, others are not, and what is told is."""

from __future__ import annotations

from typing import Any

import pytest

from cdc_pipeline_tests.fuzz.canonical import Value, canonical, kind_of
from cdc_pipeline_tests.fuzz.contents import Shown
from cdc_pipeline_tests.fuzz.documented import is_refused_in_step_1, stop_is_told
from cdc_pipeline_tests.fuzz.judge import Evidence, compare, judge
from cdc_pipeline_tests.fuzz.product import Outcome

MYSQL, POSTGRESQL = "mysql", "postgresql"
EQUAL: list[tuple[str, str, Value, Value]] = [
    (MYSQL, "decimal(20,5)", "-1.50000", "-1.50000"),
    (MYSQL, "decimal(8,2) unsigned zerofill", "000001.50", "1.50"),
    (MYSQL, "tinyint(1)", "1", "true"),
    (MYSQL, "year", "2024", "2024"),
    (MYSQL, "float", "0.10000000149011612", "0.1"),
    (MYSQL, "double", "-0", "-0"),
    (MYSQL, "bit(10)", b"\x03\xe0", "1111100000"),
    (MYSQL, "bit(1)", b"\x01", b"\x01"),
    (MYSQL, "enum('a','c,d')", "c,d", "c,d"),
    (MYSQL, "varbinary(20)", b"\x00\x5c", "\\x005c"),
    (MYSQL, "blob", b"", "\\x"),
    (MYSQL, "date", "0000-00-00", None),
    (MYSQL, "datetime(6)", "2024-00-10 01:02:03.000000", None),
    (MYSQL, "datetime(6)", "2024-01-01 00:00:00.500000", "2024-01-01 00:00:00.5"),
    (MYSQL, "timestamp(3)", "2024-01-01 00:00:00.500", "2024-01-01 00:00:00.5+00"),
    (MYSQL, "time(6)", "12:34:56.000000", "12:34:56"),
    (MYSQL, "json", '{"a": 1.0, "b": [1e2]}', '{"b": [100.0], "a": 1.00}'),
    (MYSQL, "json", '"base64:type15:eHl6"', '"base64:type15:eHl6"'),
    (MYSQL, "json", "12345678.0", "12345678"),
    (MYSQL, "json", '"01:02:03.000000"', '"01:02:03"'),
    (MYSQL, "point", bytes(4) + bytes.fromhex("0101000000") + bytes(16), "\\x0101000000" + "00" * 16),
    (
        MYSQL,
        "point",
        (4326).to_bytes(4, "little") + bytes.fromhex("0101000000") + bytes(16),
        "\\x0101000020e6100000" + "00" * 16,
    ),
    (POSTGRESQL, "boolean", "true", "1"),
    (POSTGRESQL, "numeric", "1.500", "1.500000000000000000000000000000"),
    (POSTGRESQL, "money", "-$1,234.50", "-1234.50"),
    (POSTGRESQL, "double precision", "1e+300", "1e300"),
    (POSTGRESQL, "bytea", "\\x00ff", b"\x00\xff"),
    (POSTGRESQL, "bit(10)", "1111100000", b"\x03\xe0"),
    (POSTGRESQL, "character(5)", "ab   ", "ab"),
    (POSTGRESQL, "time with time zone", "00:30:00+02", "22:30:00"),
    (POSTGRESQL, "time with time zone", "24:00:00-02", "02:00:00+00"),
    (POSTGRESQL, "timestamp with time zone", "2024-01-01 00:00:00.5+00", "2024-01-01 00:00:00.500000"),
    (POSTGRESQL, "interval", "P1Y2M3DT4H5M6.789S", "P14M3DT14706.789S"),
    (POSTGRESQL, "interval", "PT0S", "PT0S"),
    (POSTGRESQL, "interval", "P-1Y-2M3DT-4H-5M-6S", "P-1Y-2M3DT-4H-5M-6S"),
    (POSTGRESQL, "integer[]", "[0:1]={5,6}", "{5,6}"),
    (POSTGRESQL, "uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
]
DIFFERENT: list[tuple[str, str, Value, Value]] = [
    (MYSQL, "int", None, "7"),
    (MYSQL, "int", "0", None),
    (MYSQL, "varchar(20)", "", None),
    (MYSQL, "varchar(20)", "a", "a "),
    (MYSQL, "varchar(20)", "a", "A"),
    (MYSQL, "varchar(20)", "\u00e9", "e\u0301"),
    (MYSQL, "enum('c,d')", "c,d", "c\\,d"),
    (MYSQL, "bigint unsigned", "18446744073709551615", "-1"),
    (MYSQL, "decimal(20,5)", "1.00001", "1.0"),
    (MYSQL, "double", "0.1", "0.10000000000000002"),
    (MYSQL, "double", "-0", "0"),
    (MYSQL, "float", "16777216", "16777218"),
    (MYSQL, "bit(10)", b"\x03\xe0", "0000000001"),
    (MYSQL, "varbinary(20)", b"00", "\\x00"),
    (MYSQL, "varbinary(20)", b"\x00", "00"),
    (MYSQL, "date", "2024-01-01", None),
    (MYSQL, "date", "1970-01-01", "0000-00-00"),
    (MYSQL, "datetime(6)", "2024-01-01 00:00:00.000001", "2024-01-01 00:00:00"),
    (MYSQL, "json", "1.0", "1"),
    (MYSQL, "json", "null", None),
    (MYSQL, "json", '{"a": 1}', '{"a": "1"}'),
    (MYSQL, "json", "[1, 2]", "[2, 1]"),
    (MYSQL, "json", '"base64:type15:eHl6"', '"eHl6"'),
    (MYSQL, "json", "12345677.5", "12345678"),
    (MYSQL, "point", (4326).to_bytes(4, "little") + bytes(21), "\\x" + "00" * 21),
    (POSTGRESQL, "boolean", "true", "0"),
    (POSTGRESQL, "numeric", "NaN", "0"),
    (POSTGRESQL, "character(5)", "ab", " ab"),
    (POSTGRESQL, "character varying(5)", "ab ", "ab"),
    (POSTGRESQL, "time with time zone", "00:30:00+02", "00:30:00"),
    (POSTGRESQL, "interval", "P1M", "P30D"),
    (POSTGRESQL, "interval", "P1D", "PT24H"),
    (POSTGRESQL, "interval", "P1M-1DT2H3M", "PT2H3M"),
    (POSTGRESQL, "integer[]", "{1,NULL}", None),
    (POSTGRESQL, "text[]", "{NULL}", '{"NULL"}'),
    (POSTGRESQL, "json", '{"a":1}', '{"a": 1}'),
    (POSTGRESQL, "timestamp with time zone", "2024-01-01 00:00:00+00", "2024-01-01 02:00:00"),
    (POSTGRESQL, "date", "0044-03-15 BC", "0044-03-15"),
    (POSTGRESQL, "bytea", "\\x", None),
]


def shown(declared: str, *rows: Value, name: str = "v") -> Shown:
    return Shown(("id", name), ("int", declared), [(str(n), value) for n, value in enumerate(rows)])


@pytest.mark.parametrize(("family", "declared", "source", "target"), EQUAL)
def test_equal_values_are_equal(family: str, declared: str, source: Value, target: Value) -> None:
    kind = kind_of(family, declared)
    assert canonical(kind, source, source=True) == canonical(kind, target, source=False)
    assert compare(family, shown(declared, source, None), shown("whatever", target, None)) is None


@pytest.mark.parametrize(("family", "declared", "source", "target"), DIFFERENT)
def test_different_values_are_told_apart(family: str, declared: str, source: Value, target: Value) -> None:
    found = compare(family, shown(declared, source), shown("whatever", target))
    assert found is not None
    assert "v is" in found.detail


def test_what_cannot_be_read_is_different_from_all_else_and_not_an_accident() -> None:
    kind = kind_of(POSTGRESQL, "interval")
    assert canonical(kind, "1 day", source=False) != canonical(kind, "P1D", source=True)
    assert canonical(kind_of(MYSQL, "json"), "{", source=True) != canonical(kind_of(MYSQL, "json"), "[", source=True)
    assert canonical(kind_of(MYSQL, "int"), "x", source=True) != canonical(kind_of(MYSQL, "int"), "y", source=True)


def test_rows_are_counted_not_only_looked_for() -> None:
    twice = Shown(("v",), ("int",), [("1",), ("1",), (None,)])
    once = Shown(("v",), ("int",), [("1",), (None,)])
    found = compare(MYSQL, twice, once)
    assert found is not None
    assert found.count == 1
    assert compare(MYSQL, twice, Shown(("v",), ("int",), [(None,), ("1",), ("1",)])) is None
    assert compare(MYSQL, once, twice) is not None


def test_columns_are_found_by_name_whatever_their_order_and_all_count() -> None:
    source = Shown(("a", "b"), ("int", "int"), [("1", "2")])
    assert compare(MYSQL, source, Shown(("b", "a"), ("int", "int"), [("2", "1")])) is None
    assert compare(MYSQL, source, Shown(("b", "a"), ("int", "int"), [("1", "2")])) is not None
    lacks = compare(MYSQL, source, Shown(("a",), ("int",), [("1",)]))
    assert lacks is not None
    assert "lacks ['b']" in lacks.detail
    assert compare(MYSQL, Shown(("a",), ("int",), []), source) is not None


def evidence(target: Shown | None, **values: Any) -> Evidence:
    made = Evidence(MYSQL, sources={"t": shown("int", "1")}, **values)
    if target is not None:
        made.targets["t"] = target
    return made


def table(error: str = "", set_aside: int = 0) -> dict[str, Any]:
    return {"source": "db.t", "error": error, "set_aside": set_aside}


def test_a_difference_that_nobody_tells_is_a_finding() -> None:
    assert [f.kind for f in judge(evidence(shown("int", "2")), {})] == ["silent"]
    assert [f.kind for f in judge(evidence(None), {})] == ["silent"]
    assert judge(evidence(shown("int", "1")), {}) == []
    healthy = {"errors": [], "tables": [table()], "connector": {"state": "RUNNING", "error": ""}}
    assert [f.kind for f in judge(evidence(shown("int", "2"), status=healthy), {})] == ["silent"]


def test_a_difference_that_is_told_or_documented_is_none() -> None:
    stopped = {"errors": ["db.t: it cannot go on"], "tables": [table("it cannot go on")]}
    assert judge(evidence(shown("int", "2"), status=stopped), {}) == []
    waiting = {"errors": ["db.t, row 1: too long"], "tables": [table(set_aside=1)]}
    assert judge(evidence(shown("int", "2"), status=waiting), {}) == []
    assert judge(evidence(shown("int", "2"), refused={"t": "source table db.t types: …"}), {}) == []
    assert judge(evidence(shown("int", "2")), {"t": "cascade"}) == []


def test_what_is_told_of_another_table_tells_nothing_of_this_one() -> None:
    other = {
        "errors": ["db.other: it cannot go on"],
        "tables": [table() | {"source": "db.other", "error": "x"}, table()],
    }
    assert [f.kind for f in judge(evidence(shown("int", "2"), status=other), {})] == ["silent"]


def test_a_table_that_is_gone_from_the_source_has_to_be_told() -> None:
    gone = evidence(shown("int", "1"), gone=("t2",), status={"errors": [], "tables": []})
    assert [(f.kind, f.table) for f in judge(gone, {})] == [("silent", "t2")]
    said = {"errors": [], "tables": [{"source": "db.t2", "error": "is gone from the source", "set_aside": 0}]}
    assert judge(evidence(shown("int", "1"), gone=("t2",), status=said), {}) == []


def test_a_copy_that_fails_has_to_say_so_as_the_documentation_does() -> None:
    raw = "db.t: mysql://x: BLOB/TEXT column 'id' used in key specification without a key length"
    assert [(f.kind, f.table) for f in judge(evidence(None, failed={"t": raw}), {})] == [("stop", "t")]
    said = "db.t, row 1: '2' in db_t: is not a value of boolean."
    assert judge(evidence(None, failed={"t": said}), {}) == []


def outcome(code: int | None, output: str = "") -> Outcome:
    return Outcome(("start",), code, output)


@pytest.mark.parametrize(
    ("ended", "kind"),
    [
        (outcome(None), "hang"),
        (outcome(1, "Traceback (most recent call last):\nKeyError: 'x'"), "crash"),
        (outcome(2, "Error: MySQL: field 'g' doesn't have a default value"), "stop"),
        (outcome(2, "Error: Connector c failed: java.lang.NullPointerException"), "stop"),
        (outcome(2, "Error: 1 check(s) failed:\n  - source: KeyError: 'x'"), "stop"),
        (outcome(-11), "stop"),
        (outcome(2, "Error: 1 check(s) failed:\n  - source table db.t types: Column c … cannot be replicated"), ""),
        (outcome(2, "Error: 1 table(s) cannot go on: db.t: Table db.t is gone from the source; its target stays"), ""),
        (outcome(0), ""),
    ],
)
def test_a_stop_that_no_documentation_names_is_a_finding(ended: Outcome, kind: str) -> None:
    found = judge(evidence(shown("int", "1"), outcomes=[ended]), {})
    assert [f.kind for f in found] == ([kind] if kind else [])


def test_stops_are_one_finding_if_they_say_the_same_of_other_tables_and_numbers() -> None:
    one, other, third = (
        judge(evidence(shown("int", "1"), outcomes=[outcome(2, f"Error: {said}")]), {})[0]
        for said in ("Duplicate entry 'a-1' for key 7", "Duplicate entry 'b-22' for key 8", "Unknown column 'a'")
    )
    assert one.signature == other.signature != third.signature


def test_a_refusal_is_a_named_check_and_no_accident() -> None:
    assert is_refused_in_step_1("Error: 2 check(s) failed:\n  - binlog_row_image: is MINIMAL")
    assert not is_refused_in_step_1("Error: 1 check(s) failed:\n  - source: You have an error in your SQL syntax")
    assert not stop_is_told("Error: Something nobody has thought of")
