"""What Dagster shows and starts: shells without logic. Each op calls one function below and reports its result."""
