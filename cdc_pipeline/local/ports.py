"""Free ports on loopback."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

from cdc_pipeline.errors import LocalStackError

LOOPBACK = "127.0.0.1"

# Below the range that the kernel hands to outgoing connections (32768 and up): a port from there could be
# taken by somebody's client while its server is down.
_CANDIDATES = range(15_000, 32_000)
_TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could listen there now; connections that only linger do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def find_free(taken: Collection[int] = ()) -> int:
    """A free port which is not in `taken`."""
    for port in random.sample(_CANDIDATES, _TRIES):
        if port not in taken and is_free(port):
            return port
    raise LocalStackError(server="ports", reason=f"none of {_TRIES} ports tried on {LOOPBACK} is free.")


def answers(port: int) -> bool:
    """Whether anything accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0
