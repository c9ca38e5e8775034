"""Oracle 19c and later as a source and as a target. Never run against a server by us: README, "What is tested"."""

from cdc_pipeline.databases.oracle.dialect import OracleDialect

__all__ = ["OracleDialect"]
