"""A table from one database into a table of another by pandas: what is written first when nothing else is at hand."""

import os
import sys

import pandas
from sqlalchemy import create_engine

CHUNK = 10_000


def main() -> None:
    source, target = (create_engine(with_driver(os.environ[name])) for name in ("SOURCE", "TARGET"))
    table = sys.argv[1]
    with source.connect().execution_options(stream_results=True) as reading, target.begin() as writing:
        for chunk in pandas.read_sql(f"SELECT * FROM {table}", reading, chunksize=CHUNK):
            chunk.to_sql(table, writing, if_exists="append", index=False)


def with_driver(url: str) -> str:
    return url.replace("mysql://", "mysql+pymysql://").replace("postgresql://", "postgresql+psycopg2://")


main()
