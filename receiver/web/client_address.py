"""The address of a request's client, as reported by trusted proxies only, and whether it is allowed."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from receiver.config.networks import Network

LONGEST_CHAIN: Final = 20
"""Proxies in a chain that are looked at. Nobody has more, and the header comes from outside."""

Address = IPv4Address | IPv6Address


def client_address(
    connected: str | None, forwarded_for: Sequence[str], trusted: Sequence[Network]
) -> Address | None:
    """The nearest address that is not a trusted proxy's; `None` if there is no address, as on a unix socket.

    `forwarded_for` are the request's `X-Forwarded-For` headers. They are read from the right: anybody may
    have written what is left of the first address that is not a trusted proxy's.
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
    """`None` if the text is no address. IPv4-mapped IPv6 addresses, as of dual-stack sockets, become IPv4."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
