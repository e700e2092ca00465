"""Answers in one write. gunicorn writes head and body separately, and each write wakes the client."""

import socket
from typing import Any

from receiver.serving.lingering_worker import LingeringWorker


class OneWrite:
    """A socket that keeps what is sent first until more is sent, or until `flush`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._kept: bytes | None = b""

    def sendall(self, data: bytes) -> None:
        if self._kept == b"":
            self._kept = data
        else:
            kept, self._kept = self._kept or b"", None
            self._connection.sendall(kept + data)

    def flush(self) -> None:
        if self._kept:
            kept, self._kept = self._kept, None
            self._connection.sendall(kept)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class ApiWorker(LingeringWorker):
    """Sends the answers of the local Events API, which are short."""

    def handle_request(self, req: Any, conn: Any) -> Any:
        connection = conn.sock
        conn.sock = joined = OneWrite(connection)
        try:
            keeps_open = super().handle_request(req, conn)
            joined.flush()
        finally:
            conn.sock = connection
        return keeps_open
