"""Where a request comes from, told only by those proxies that were named, and whether it may."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from receiver.config.settings import Network

LONGEST_CHAIN: Final = 20
"""Proxies that are looked through; more make no sense, and the header is a stranger's."""

Address = IPv4Address | IPv6Address


def client_address(
    connected: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]
) -> Address | None:
    """The nearest address that no trusted proxy has; `None` where it is none, as on a unix socket.

    `forwarded_for` are the request's `X-Forwarded-For` headers. They are read from the right: what is left of
    the first address that is not a trusted proxy's may have been written by anybody.
    """
    peer = _address(connected or "")
    hops = [hop for value in forwarded_for for hop in value.split(",")]
    for hop in reversed(hops[-LONGEST_CHAIN:]):
        if peer is None or not is_in(peer, trusted):
            break
        peer = _address(hop)
    return peer


def is_in(address: Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def _address(text: str) -> Address | None:
    """An IPv4 address that is written as an IPv6 one, as dual-stack sockets do, is the former."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
