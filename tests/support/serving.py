"""An HTTP server that runs in a thread for as long as a test needs it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from typing import Final

POLL_INTERVAL: Final = 0.01
"""Seconds; the server notices as late as that that it is to end."""


@contextmanager
def serving(server: HTTPServer) -> Iterator[str]:
    """Its address, such as `http://127.0.0.1:40123`."""
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": POLL_INTERVAL}, daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
