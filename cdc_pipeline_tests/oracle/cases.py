"""Every Oracle type that step 1 lets pass, with its extremes, as literals of Oracle's SQL."""

from __future__ import annotations

TYPES: dict[str, list[str]] = {
    "NUMBER": ["0", "-0.5", "123.45", "99999999999999999999999999999999999999.", "1E+60", "1E-60"],
    "NUMBER(10,2)": ["-12345678.91", "0.01", "1"],
    "NUMBER(38)": ["99999999999999999999999999999999999999"],
    "NUMBER(5,-2)": ["1234500"],
    "NUMBER(2,5)": ["0.00012"],
    "INTEGER": ["-1", "2147483648"],
    "FLOAT(126)": ["3.14159", "0.1"],
    "BINARY_FLOAT": ["0.1f", "-3.4E+38f", "BINARY_FLOAT_NAN", "BINARY_FLOAT_INFINITY"],
    "BINARY_DOUBLE": ["0.1d", "1E-10d", "123456789.123456789d", "-BINARY_DOUBLE_INFINITY"],
    "CHAR(10 CHAR)": ["'abc'", "N'ä€'"],
    "NCHAR(10)": ["N'ä😀'"],
    "VARCHAR2(50 CHAR)": ["'tab' || CHR(9) || 'newline' || CHR(10) || 'back\\slash'", "'  spaces  '", "'\\N'"],
    "NVARCHAR2(50)": ["N'ä😀'"],
    "CLOB": ["'short'", "TO_CLOB(RPAD('x', 4000, 'ä')) || RPAD('y', 4000, 'y')"],
    "NCLOB": ["TO_NCLOB(N'ä😀')"],
    "RAW(20)": ["HEXTORAW('005C0A09FF')"],
    "BLOB": ["TO_BLOB(HEXTORAW('005C0A09FF'))"],
    "DATE": ["DATE '0001-01-01'", "DATE '9999-12-31'", "TO_DATE('2024-02-29 23:59:59', 'YYYY-MM-DD HH24:MI:SS')"],
    "TIMESTAMP(0)": ["TIMESTAMP '1969-12-31 23:59:59'"],
    "TIMESTAMP(3)": ["TIMESTAMP '1969-12-31 23:59:59.999'"],
    "TIMESTAMP(6)": ["TIMESTAMP '9999-12-31 23:59:59.999999'", "TIMESTAMP '2024-03-31 02:30:00'"],
    "TIMESTAMP(6) WITH TIME ZONE": [
        "TIMESTAMP '2024-10-27 02:30:00.000001 +02:00'",
        "TIMESTAMP '2024-10-27 02:30:00.5 Europe/Vienna'",
    ],
    "TIMESTAMP(6) WITH LOCAL TIME ZONE": ["TIMESTAMP '2024-10-27 02:30:00.000001 -05:30'"],
    "INTERVAL YEAR(4) TO MONTH": ["INTERVAL '3-6' YEAR TO MONTH", "INTERVAL '-3-6' YEAR TO MONTH"],
    "INTERVAL DAY(4) TO SECOND(6)": ["INTERVAL '-1 02:03:04.56' DAY TO SECOND", "INTERVAL '59.123456' SECOND"],
}
# Values that a MySQL column has no room or no spelling for: step 1's page of types says so.
REFUSED_BY_MYSQL = {
    "99999999999999999999999999999999999999.", "1E+60", "1E-60", "BINARY_FLOAT_NAN", "BINARY_FLOAT_INFINITY",
    "-BINARY_DOUBLE_INFINITY",
}  # fmt: skip


def create_table(name: str) -> str:
    columns = ", ".join(f"c{number} {declared}" for number, declared in enumerate(TYPES))
    return f"CREATE TABLE {name} (id NUMBER(10) PRIMARY KEY, {columns})"


def inserts(name: str, first_id: int, target: str = "postgresql") -> list[str]:
    """One row for every value, NULL in all other columns, and one of NULLs alone."""
    statements = [f"INSERT INTO {name} (id) VALUES ({first_id})"]
    for column, values in enumerate(TYPES.values()):
        for value in values:
            if target == "mysql" and value in REFUSED_BY_MYSQL:
                continue
            row_id = first_id + len(statements)
            statements.append(f"INSERT INTO {name} (id, c{column}) VALUES ({row_id}, {value})")
    return statements
