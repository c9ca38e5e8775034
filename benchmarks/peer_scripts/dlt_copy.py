"""A table from one database into a table of dlt's own, in the schema `landed`: dlt adds columns to every table."""

import os
import sys
import tempfile

import dlt  # pyright: ignore[reportMissingImports]
from dlt.destinations import postgres  # pyright: ignore[reportMissingImports]
from dlt.sources.sql_database import sql_table  # pyright: ignore[reportMissingImports]


def main() -> None:
    source = os.environ["SOURCE"].replace("mysql://", "mysql+pymysql://")
    table = sql_table(
        credentials=source, table=sys.argv[1], backend="pyarrow", chunk_size=50_000, reflection_level="minimal"
    )
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "bench",
            pipelines_dir=folder,
            destination=postgres(os.environ["TARGET"]),
            dataset_name="landed",
        )
        # CSV goes in by COPY; of the other formats each row becomes text of an INSERT.
        pipeline.run(table, write_disposition="replace", loader_file_format="csv").raise_on_failed_jobs()


main()
