"""The driver's connection, which gives a server no file but the one that a statement of ours is sending.

A MySQL server may answer whatever it is asked with the request for a file of the client, and where LOAD DATA LOCAL is
allowed the driver opens any name that it is told: a server that is not what it seems reads the whole machine. Here no
name is opened. A statement offers a file that is open already, once, under one name; whoever asks for anything else, or
at another time, gets nothing and loses the session.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from pymysql.connections import Connection, MySQLResult
from pymysql.constants import CR
from pymysql.err import OperationalError
from pymysql.protocol import LoadLocalPacketWrapper

REFUSED = 2068  # the C client's CR_LOAD_DATA_LOCAL_INFILE_REJECTED
OFFERED = "cdc-pipeline"  # the name that LOAD DATA LOCAL INFILE states
_AT_A_TIME = 16 * 1024


class Session(Connection):
    _force_close: Any
    _offered: BinaryIO | None = None

    @contextmanager
    def offering(self, file: BinaryIO) -> Iterator[None]:
        """Inside, one LOAD DATA LOCAL INFILE of the name `OFFERED` may read this file."""
        self._offered = file
        try:
            yield
        finally:
            self._offered = None

    def take_offered(self, name: bytes) -> BinaryIO:
        """The file that the server may have now. Raises OperationalError if it asks for another one."""
        file, self._offered = self._offered, None
        if file is None or name != OFFERED.encode():
            self._force_close()
            raise OperationalError(REFUSED, repr(name.decode(errors="replace")[:200]))
        return file

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        """The driver's, with a result of ours."""
        self._result = None
        result = _Result(self)
        if unbuffered:
            result.init_unbuffered_query()
        else:
            result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows


class _Result(MySQLResult):
    connection: Any
    _read_ok_packet: Any

    def _read_load_local_packet(self, first_packet: Any) -> None:
        session, answer = self.connection, None
        file = session.take_offered(LoadLocalPacketWrapper(first_packet).filename)
        try:
            while chunk := file.read(_AT_A_TIME):
                session.write_packet(chunk)
        finally:
            if session.open:  # also after a file that could not be read to its end, so that the server answers
                session.write_packet(b"")
                answer = session._read_packet()
        if answer is None or not answer.is_ok_packet():
            raise OperationalError(CR.CR_COMMANDS_OUT_OF_SYNC, "the server has not confirmed what it loaded")
        self._read_ok_packet(answer)
