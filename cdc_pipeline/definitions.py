"""Dagster's entry point: every replication file of the folder, and nothing else."""

from cdc_pipeline.defs.replications import load_definitions

defs = load_definitions()
