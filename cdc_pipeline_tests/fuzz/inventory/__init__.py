"""All features. Importing this registers them."""

from cdc_pipeline_tests.fuzz.inventory import (
    columns,
    ddl_mysql,
    ddl_postgresql,
    keys,
    names,
    operations,
    partitions,
    prepared,
    rows,
    settings,
    tables,
    transactions,
    types,
)

__all__ = [
    "columns",
    "ddl_mysql",
    "ddl_postgresql",
    "keys",
    "names",
    "operations",
    "partitions",
    "prepared",
    "rows",
    "settings",
    "tables",
    "transactions",
    "types",
]
