"""Receivers of messages, on this machine."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver(ThreadingHTTPServer):
    def __init__(self) -> None:
        self.got: list[tuple[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, json.loads(body)))
        self.send_response(403 if "refuse" in self.path else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""


@contextmanager
def receiving() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class MailServer(threading.Thread):
    """Speaks as much SMTP as it takes to receive one mail."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.said: list[str] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def run(self) -> None:
        connection, _ = self.listener.accept()
        with self.listener, connection, connection.makefile("rwb") as file:
            self._answer(file, "220 ready")
            while line := self._hear(file):
                answers = {"DATA": "354 go on", "QUIT": "221 bye"}
                self._answer(file, answers.get(line.upper(), "250 well"))
                if line.upper() == "DATA":
                    while self._hear(file) != ".":
                        continue
                    self._answer(file, "250 taken")

    def _hear(self, file: Any) -> str:
        line = file.readline().decode().rstrip("\r\n")
        self.said.append(line)
        return line

    @staticmethod
    def _answer(file: Any, text: str) -> None:
        file.write(f"{text}\r\n".encode())
        file.flush()
