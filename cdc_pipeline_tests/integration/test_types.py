"""One value, two ways: the same rows, once by the copy and once by the stream, are equal to the source's and to each
other's. Every column type that step 1 lets pass is here, with its extremes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdc_pipeline.replication import Replication
from cdc_pipeline_tests.conftest import Scenario

MakeScenario = Callable[..., Scenario]

# declared type -> values as SQL literals of that database
MYSQL: dict[str, list[str]] = {
    "TINYINT": ["-128", "127"],
    "TINYINT UNSIGNED": ["0", "255"],
    "TINYINT(1)": ["0", "1"],
    "SMALLINT UNSIGNED": ["65535"],
    "MEDIUMINT": ["-8388608", "8388607"],
    "INT UNSIGNED": ["4294967295"],
    "BIGINT": ["-9223372036854775808", "9223372036854775807"],
    "BIGINT UNSIGNED": ["18446744073709551615", "9223372036854775808", "1"],
    "DECIMAL(20, 5)": ["-123456789012345.12345", "0.00001", "1"],
    "DECIMAL(65, 0)": ["9" * 65],
    "FLOAT": ["3.14159", "-1.17549e-38", "3.40282e38", "0.1", "16777216"],
    "DOUBLE": ["1e300", "-2.2250738585072014e-308", "0.1", "123456789.123456789", "1e-10", "5e15"],
    "CHAR(10)": ["'abc'", "''", "'ä€😀'"],
    "VARCHAR(50)": ["'tab\\tnewline\\nreturn\\rback\\\\slash'", "'  spaces  '", "'\\\\N'", "'😀'", "'x\\v\\f\\b'"],
    "LONGTEXT": ["REPEAT('long 😀 ', 20000)", "''"],
    "BINARY(6)": ["x'00ff00'", "x'616263646566'"],
    "VARBINARY(20)": ["x''", "x'005c0a09ff'"],
    "BLOB": ["x'5c4e'", "REPEAT(x'00ff', 5000)"],
    "BIT(1)": ["b'0'", "b'1'"],
    "BIT(10)": ["b'1111100000'", "b'1'"],
    "BIT(64)": ["b'1" + "0" * 62 + "1'"],
    "DATE": ["'0001-01-01'", "'1582-10-10'", "'1969-12-31'", "'9999-12-31'"],
    "TIME": ["'00:00:00'", "'23:59:59'"],
    "TIME(6)": ["'12:34:56.000001'"],
    "DATETIME": ["'1000-01-01 00:00:00'", "'2024-02-29 23:59:59'", "'2024-03-31 02:30:00'"],
    "DATETIME(3)": ["'1969-12-31 23:59:59.999'", "'2024-01-01 00:00:00.001'"],
    "DATETIME(6)": ["'1969-12-31 23:59:59.999999'", "'9999-12-31 23:59:59.999999'"],
    "TIMESTAMP NULL": ["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'2024-10-27 02:30:00'"],
    "TIMESTAMP(6) NULL": ["'2024-01-01 00:00:00.000001'"],
    "YEAR": ["1901", "2155", "0"],
    "ENUM('a', 'it''s', 'ü')": ["'a'", "'it''s'", "'ü'"],
    "SET('x', 'y')": ["''", "'x,y'"],
    "JSON": ['\'{"b": [1, 2.5, null], "a": "ä😀\\\\n"}\'', "'[]'", "'\"text\"'"],
}
POSTGRESQL: dict[str, list[str]] = {
    "boolean": ["true", "false"],
    "smallint": ["-32768", "32767"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "numeric(20, 5)": ["-123456789012345.12345", "0.00001"],
    "numeric": ["123.4500", "-0.000000001", "0"],
    "real": ["3.14159", "1e-30", "16777216"],
    "double precision": ["1e300", "0.1", "123456789.123456789", "1e-10"],
    "char(10)": ["'abc'", "''"],
    "varchar(50)": ["E'tab\\tnewline\\nreturn\\rback\\\\slash'", "'  spaces  '", "'\\N'", "'😀'", "E'x\\v\\f\\b'"],
    "text": ["repeat('long 😀 ', 20000)", "''"],
    "bytea": ["'\\x'", "'\\x005c0a09ff'"],
    "bit(1)": ["B'0'", "B'1'"],
    "bit(10)": ["B'1111100000'"],
    "date": ["'0001-01-01'", "'1582-10-10'", "'9999-12-31'"],
    "time": ["'00:00:00'", "'23:59:59.999999'"],
    "time(0)": ["'12:34:56'"],
    "timestamp": ["'1969-12-31 23:59:59.999999'", "'2024-03-31 02:30:00'", "'9999-12-31 23:59:59.999999'"],
    "timestamp(3)": ["'1969-12-31 23:59:59.999'"],
    "timestamptz": ["'2024-10-27 02:30:00.000001+02'", "'1969-12-31 23:59:59+00'", "'2100-01-01 00:00:00+00'"],
    "uuid": ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
    "json": ['\'{"b": 1.50,  "a": "ä😀"}\''],
    "jsonb": ['\'{"b": 1.50, "a": [1e2, null]}\''],
}
CASES = {"mysql": MYSQL, "postgresql": POSTGRESQL}


def _statements(cases: dict[str, list[str]], first_id: int) -> list[str]:
    """One row for every value, NULL in all other columns, and one of NULLs alone."""
    statements = [f"INSERT INTO everything (id) VALUES ({first_id})"]
    for column, values in enumerate(cases.values()):
        for value in values:
            row_id = first_id + len(statements)
            statements.append(f"INSERT INTO everything (id, c{column}) VALUES ({row_id}, {value})")
    return statements


@pytest.mark.parametrize(
    ("source", "target"),
    [("mysql", "postgresql"), ("postgresql", "mysql"), ("mysql", "mysql"), ("postgresql", "postgresql")],
)
def test_copy_and_stream_write_the_same_values(scenario: MakeScenario, source: str, target: str) -> None:
    made = scenario(source, target)
    cases = CASES[source]
    columns = ", ".join(f"c{number} {declared}" for number, declared in enumerate(cases))
    made.run("source", "DROP TABLE IF EXISTS everything", f"CREATE TABLE everything (id INT PRIMARY KEY, {columns})")
    copied = _statements(cases, 0)
    made.run("source", *copied)
    replication = made.replication("everything")
    replication.check()
    replication.prepare()
    assert [result.error for result in replication.copy() if result.error] == []
    made.assert_equal(replication)
    made.run("source", *_statements(cases, 1000))
    replication.register()
    progress = replication.consume(until_caught_up=True)
    assert progress.inserted == len(copied)
    made.assert_equal(replication)
    _assert_pairs_are_equal(made, len(cases), len(copied))


def _assert_pairs_are_equal(made: Scenario, columns: int, rows: int) -> None:
    """Row n came by the copy, row 1000 + n by the stream, of the same literal."""
    names = ", ".join(f"c{number}" for number in range(columns))
    query = f"SELECT id, {names} FROM {made.target_table('everything')} ORDER BY id"
    result = [[bytes(v) if isinstance(v, memoryview) else v for v in row[1:]] for row in made.rows("target", query)]
    by_copy, by_stream = result[:rows], result[rows:]
    assert by_copy == by_stream


def test_a_value_that_the_target_cannot_hold_fails_the_copy_and_names_it(scenario: MakeScenario) -> None:
    made = scenario()
    made.run(
        "source", "CREATE TABLE shifts (id INT PRIMARY KEY, long_one TIME)", "INSERT INTO shifts VALUES (1, '30:00:00')"
    )
    replication: Replication = made.replication("shifts")
    replication.prepare()
    (result,) = replication.copy()
    assert result.error is not None
    assert "30:00:00" in str(result.error)
    assert "long_one" in str(result.error)
    assert made.rows("target", f"SELECT count(*) FROM {made.target_table('shifts')}") == [(0,)]
