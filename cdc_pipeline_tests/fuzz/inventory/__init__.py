"""All features. Importing this registers them."""

from cdc_pipeline_tests.fuzz.inventory import columns, keys, names, operations, transactions, types

__all__ = ["columns", "keys", "names", "operations", "transactions", "types"]
