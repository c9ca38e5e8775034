"""A MySQL server that is not what it seems: it answers what it likes with the request for a file of its client."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

VERSION = b"8.0.15"
PLUGIN = b"mysql_native_password"
# LONG_PASSWORD, FOUND_ROWS, CONNECT_WITH_DB, LOCAL_FILES, PROTOCOL_41, TRANSACTIONS, SECURE_CONNECTION, MULTI_RESULTS,
# PLUGIN_AUTH; no TLS.
CAPABILITIES = 1 | 2 | 8 | 0x80 | 0x200 | 0x2000 | 0x8000 | 0x20000 | 0x80000
QUIT, QUERY = 1, 3
OK = b"\x00\x00\x00\x02\x00\x00\x00"
EOF = b"\xfe\x00\x00\x02\x00"

Demand = Callable[[str], str | None]


def _text(value: bytes) -> bytes:
    return bytes([len(value)]) + value


def _column(name: bytes) -> bytes:
    fixed = struct.pack("<BHIBHB2x", 12, 45, 400, 253, 0, 0)  # a VARCHAR in utf8mb4
    return b"".join(map(_text, (b"def", b"", b"", b"", name, name))) + fixed


class RogueServer(threading.Thread):
    """`demand` tells of a statement the file to ask for, or None for an answer: a row of "1", or OK."""

    def __init__(self, demand: Demand) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mysql://cdc:secret@127.0.0.1:{self.listener.getsockname()[1]}/shop"
        self.demand = demand
        self.demands = 0
        self.got: list[bytes] = []  # of the files, packet by packet

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as file:
            flags = struct.pack("<HBHH", CAPABILITIES & 0xFFFF, 45, 2, CAPABILITIES >> 16)
            greeting = b"\x0a" + VERSION + b"\x00" + bytes(4) + b"saltsalt\x00" + flags
            _send(file, 0, greeting + bytes([21]) + bytes(10) + b"saltsaltsalt\x00" + PLUGIN + b"\x00")
            number, _ = _receive(file)
            _send(file, number + 1, OK)
            while (packet := _receive(file))[1][:1] not in (b"", bytes([QUIT])):
                self._answer(file, *packet)

    def _answer(self, file: Any, number: int, packet: bytes) -> None:
        sql = packet[1:].decode() if packet[0] == QUERY else ""
        demanded = self.demand(sql)
        if demanded is not None:
            self.demands += 1
            _send(file, number + 1, b"\xfb" + demanded.encode())
            while sent := (received := _receive(file))[1]:
                self.got.append(sent)
            _send(file, received[0] + 1, OK)
        elif sql.upper().startswith(("SELECT", "SHOW")):
            value = VERSION if "VERSION" in sql else b"1"
            rows = [] if "WARNINGS" in sql else [_text(value) * 2]
            for part in (b"\x02", _column(b"a"), _column(b"b"), EOF, *rows, EOF):
                number += 1
                _send(file, number, part)
        else:
            _send(file, number + 1, OK)


def _send(file: Any, number: int, payload: bytes) -> None:
    file.write(struct.pack("<I", len(payload))[:3] + bytes([number & 0xFF]) + payload)
    file.flush()


def _receive(file: Any) -> tuple[int, bytes]:
    """Number and payload; of a client that has gone, nothing."""
    head = file.read(4)
    if len(head) < 4:
        return 0, b""
    return head[3], file.read(int.from_bytes(head[:3], "little"))


@contextmanager
def rogue_server(demand: Demand) -> Iterator[RogueServer]:
    server = RogueServer(demand)
    server.start()
    try:
        yield server
    finally:
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        server.join()
