"""Runs a command and tells what it took: its seconds, and the most memory that one of its processes had.

    python -S -E launch.py REPORT COMMAND…

The kernel counts for a new process what the one that it came from had at that moment. From this small one it is 10 MiB,
from a benchmark with all its drivers it would be more than some of the ways need.
"""

import json
import os
import resource
import sys
import time

report, *command = sys.argv[1:]
began = time.monotonic()
status = os.spawnvp(os.P_WAIT, command[0], command)
seconds = time.monotonic() - began
memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
with open(report, "w") as file:
    json.dump({"status": status, "seconds": seconds, "memory": memory}, file)
