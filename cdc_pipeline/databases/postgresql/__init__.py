"""PostgreSQL 14 and later as a source and as a target."""
