"""The embedded stack: Kafka, Connect with Debezium, MySQL, MariaDB and PostgreSQL as child processes on loopback.

For demos and tests: no Docker, no root. `command.py` is the shell, `stack.py` the order of things; each
server has its own file, all of them on top of `processes.py` and `downloads.py`.
"""
