"""Open a server's socket before gunicorn does, so that an unusable address is reported in one sentence."""

import errno
import socket
from typing import Final

BACKLOG: Final = 2048


class CannotListen(Exception):
    """The address cannot be listened on; the message says what to do."""


def listen(host: str, port: int, option: str = "--port") -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `CannotListen`, which says to change `option`.

    gunicorn would retry for five seconds and then only log.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise CannotListen(f"port {port} is in use; choose another with {option}") from error
        # `create_server` adds the address, which is in our words already.
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        raise CannotListen(
            f"cannot listen on {host} port {port} ({reason}); choose others with --host and {option}"
        ) from error


def base_url(listener: socket.socket, scheme: str = "http") -> str:
    """The URL for clients on this machine, for example `http://127.0.0.1:8080`."""
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
