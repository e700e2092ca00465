"""Networks as they are written in a variable or in apitraffic.toml."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import BeforeValidator

Network = IPv4Network | IPv6Network


def split_networks(value: object) -> object:
    """The networks in a variable's value, separated by white space or commas. An address is a network too."""
    if not isinstance(value, str):
        return value
    networks = []
    for part in re.split(r"[\s,]+", value):
        try:
            networks.append(ip_network(part))
        except ValueError:
            raise ValueError(f"holds {part[:50]!r}, which is no address and no network") from None
    return tuple(networks)


Networks = Annotated[tuple[Network, ...], BeforeValidator(split_networks)]
