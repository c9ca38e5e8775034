"""MySQL 8 as a source and as a target."""
