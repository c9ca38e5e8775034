"""A table from one database into a table of another by DuckDB's scanners, which are published as Python packages."""

import os
import sys
from urllib.parse import urlsplit

import duckdb  # pyright: ignore[reportMissingImports]
import duckdb_extensions  # pyright: ignore[reportMissingImports]


def attach(connection, name: str, text: str) -> str:
    """What the tables of that database are called by."""
    url = urlsplit(text)
    kind = "mysql" if url.scheme == "mysql" else "postgres"
    secret = {"host": url.hostname, "port": url.port, "user": url.username, "password": url.password}
    database = "database" if kind == "mysql" else "dbname"
    place = " ".join(f"{key}={value}" for key, value in {**secret, database: url.path[1:]}.items())
    connection.sql(f"LOAD {kind}")
    connection.sql(f"ATTACH '{place}' AS {name} (TYPE {kind})")
    return f"{name}.{url.path[1:] if kind == 'mysql' else 'public'}"


def main() -> None:
    for extension in ("mysql_scanner", "postgres_scanner"):
        duckdb_extensions.import_extension(extension)
    connection = duckdb.connect()
    source = attach(connection, "source", os.environ["SOURCE"])
    target = attach(connection, "target", os.environ["TARGET"])
    table = sys.argv[1]
    connection.sql(f"INSERT INTO {target}.{table} SELECT * FROM {source}.{table}")


main()
