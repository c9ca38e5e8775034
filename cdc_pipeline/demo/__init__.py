"""The whole pipeline on this machine, from nothing: a shop in MySQL, kept equal in PostgreSQL while it is written to.

`__main__.py` is the story; `shop.py` the data, `replica.py` the logins and the replication file, `workload.py` the
writers, `services.py` Dagster, `screen.py` what a person sees.
"""
