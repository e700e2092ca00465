"""Who may use the console, and which requests come from its own pages. Knows nothing of Flask.

What each check is against:

- DNS rebinding: a page whose name was pointed at this address has that name in `Host`.
- Cross-site request forgery: a form or script of another site has that site in `Origin`, says so in
  `Sec-Fetch-Site`, and does not know the form token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from receiver.config.console import ConsoleSection

SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
LOCAL_NAMES: Final = frozenset({"localhost"})
LONGEST_USER: Final = 100


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on this address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in LOCAL_NAMES


@dataclass(frozen=True, slots=True)
class Access:
    """`token` is the console's; `section` names the hosts and the proxy that are trusted."""

    token: str | None = field(repr=False)
    section: ConsoleSection

    @property
    def needs_login(self) -> bool:
        return self.token is not None or self.section.user_header is not None

    @property
    def takes_token(self) -> bool:
        return self.token is not None

    def is_token(self, given: str) -> bool:
        return self.token is not None and compare_digest(
            self.token.encode(), given.strip().encode("utf-8", "surrogateescape")
        )

    def user_of(self, peer: str | None, headers: Mapping[str, str]) -> str | None:
        """The user whom a trusted proxy names; `None` if the request did not come from one, or names none."""
        name = self.section.user_header
        if name is None or peer is None:
            return None
        try:
            address = ip_address(peer)
        except ValueError:
            return None
        if not any(address in network for network in self.section.user_proxies or ()):
            return None
        return headers.get(name, "").strip()[:LONGEST_USER] or None

    def is_our_host(self, host: str) -> bool:
        """Whether a `Host` header names us: an address, `localhost`, or a name in `[console] hosts`."""
        name = hostname_of(f"//{host}")
        if name is None:
            return False
        return name in LOCAL_NAMES or name in self.section.hosts or _is_address(name)


def is_from_our_page(headers: Mapping[str, str]) -> bool:
    """Whether a request that changes something was sent by a page of the host that it was sent to.

    Browsers send `Origin` with every POST. Only hosts and ports are compared: a proxy that ends TLS changes
    the scheme.
    """
    if headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return False
    origin = urlsplit(headers.get("Origin", ""))
    return bool(origin.netloc) and origin.netloc.lower() == headers.get("Host", "").lower()


def hostname_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
