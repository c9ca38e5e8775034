"""MariaDB as a source and as a target: what differs from MySQL."""
