"""Ports on 127.0.0.1 for servers that have to be told one.

    with held_ports(2) as (first, second):
        ...

A server that chooses its port by itself and says which it is needs none of this: its tests pass port 0.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

BUS_DISTANCE: Final = 10_000
"""A Redis Cluster also listens at a port that is so much higher."""
HIGHEST: Final = 65_535


@contextmanager
def held_ports(count: int) -> Iterator[list[int]]:
    """Ports at which only a server that is told so listens, again and again, until the end of the block.

    A port that was merely free may be given to another test's server, or to any connection that is made,
    before its server listens or while the server is stopped. So each is bound here to a socket that does not
    listen, with SO_REUSEADDR. Linux then gives the port to nobody who asks for any, and lets a server have it
    that asks for this one with SO_REUSEADDR, as servers do. Until then, a connection to it is refused.
    Other systems would refuse such a server, so there the ports are only free.
    """
    with ExitStack() as held:
        yield [_held_port(held) for _ in range(count)]


@contextmanager
def held_cluster_port() -> Iterator[int]:
    """A port whose server may also listen at the port that is `BUS_DISTANCE` higher."""
    with ExitStack() as held:
        while True:
            port = _held_port(held)
            if port + BUS_DISTANCE > HIGHEST:
                continue
            try:
                _held_port(held, port + BUS_DISTANCE)
            except OSError:
                continue
            break
        yield port


def _held_port(held: ExitStack, port: int = 0) -> int:
    """This port, or one that the kernel chooses. Raises `OSError` if it is taken."""
    holder = held.enter_context(socket.socket())
    if sys.platform == "linux":
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", port))
    found: int = holder.getsockname()[1]
    if sys.platform != "linux":
        holder.close()
    return found
