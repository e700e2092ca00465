"""Options that take a URL."""

from typing import Any, Final
from urllib.parse import urlsplit

import click

EXAMPLE: Final = "Write an http or https URL, such as https://hooks.example.com."
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class ReceiverUrl(click.ParamType[str]):
    """The receiver's base URL, or a sender's URL with /webhooks/… at the end."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            parts = urlsplit(value)
        except ValueError:
            self.fail(EXAMPLE)
        if parts.username or parts.password:
            self.fail("It holds a user name or password; leave them out.")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            self.fail(EXAMPLE)
        base, _, _ = parts.path.partition("/webhooks/")
        return f"{parts.scheme}://{parts.netloc}{base}".rstrip("/")


class ApiUrl(click.ParamType[str]):
    """A sender's API: https, so that nobody else reads the token."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            parts = urlsplit(value)
            is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_address = False
        if not is_address or parts.query or parts.fragment or "@" in parts.netloc:
            self.fail("Write an https URL without a user name, a query or a fragment.", param, ctx)
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            self.fail("It begins with http://, which would show the token to the network.", param, ctx)
        return str(value).rstrip("/")
