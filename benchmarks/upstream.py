"""`python -m benchmarks.upstream`: an Events API that does nothing, for measuring what calls it.

It answers every request at once, with an event that has its own SID and the headers of a budget that is never
used up. It prints its port.
"""

import json
import selectors
import socket
import time
from typing import Final

from receiver.cli.child import stop_with_parent

LIMIT: Final = 1_000_000_000
READ_AT_ONCE: Final = 1 << 16
END_OF_HEAD: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length: "


class Upstream:
    """Answers requests that have a Content-Length or no body, on connections that stay open."""

    def __init__(self) -> None:
        self._answered = 0
        self._reset = int(time.time()) + 3_600

    def serve(self, listener: socket.socket) -> None:
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ)
        received: dict[socket.socket, bytes] = {}
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(connection, selectors.EVENT_READ)
                    received[connection] = b""
                    continue
                connection = key.fileobj  # type: ignore[assignment]  # only sockets are registered
                data = connection.recv(READ_AT_ONCE)
                received[connection] = self._answer_all(connection, received[connection] + data)
                if not data:
                    selector.unregister(connection)
                    del received[connection]
                    connection.close()

    def _answer_all(self, connection: socket.socket, data: bytes) -> bytes:
        """Answer the whole requests in `data`; returns what is left of it."""
        while (end := data.find(END_OF_HEAD)) >= 0:
            _, found, after = data[:end].lower().partition(LENGTH)
            length = int(after.partition(b"\r\n")[0]) if found else 0
            whole = end + len(END_OF_HEAD) + length
            if len(data) < whole:
                break
            connection.sendall(self._answer())
            data = data[whole:]
        return data

    def _answer(self) -> bytes:
        self._answered += 1
        event = {"sid": f"evt_{self._answered:027}", "type": "deployment", "name": "Deploy acme/checkout"}
        body = json.dumps(event).encode()
        head = (
            "HTTP/1.1 201 CREATED\r\nServer: trivial\r\nDate: Sat, 28 Nov 2026 22:00:00 GMT\r\n"
            "Connection: keep-alive\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nX-RateLimit-Limit: {LIMIT}\r\n"
            f"X-RateLimit-Remaining: {LIMIT - self._answered}\r\nX-RateLimit-Reset: {self._reset}\r\n\r\n"
        )
        return head.encode() + body


def main() -> None:
    stop_with_parent()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        Upstream().serve(listener)


if __name__ == "__main__":
    main()
