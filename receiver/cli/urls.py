"""Options that take a URL, and names on a sender's server that may be given by their URL."""

import re
from typing import Any, Final
from urllib.parse import urlsplit

import click

from receiver.config.addresses import http_address
from receiver.senders_api.github_owners import ORGANISATION_NAME, REPOSITORY_NAME

EXAMPLE: Final = "Write an http or https URL, such as https://hooks.example.com."
PASTED: Final = re.compile(
    r"(?:https?://(?:[^/@]*@)?|ssh://git@|git@)(?P<host>[A-Za-z0-9.-]+)(?::\d+)?[/:](?P<path>[^?#]+)(?:[?#].*)?"
)
"""A repository's address, in a browser or for git."""
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class ReceiverUrl(click.ParamType[str]):
    """The receiver's base URL, or a sender's URL with /webhooks/… at the end."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        parts = http_address(value)
        if parts is None:
            self.fail(EXAMPLE)
        if parts.username or parts.password:
            self.fail("It holds a user name or password; leave them out.")
        base, _, _ = parts.path.partition("/webhooks/")
        return f"{parts.scheme}://{parts.netloc}{base}".rstrip("/")


def path_in(text: str, api_url: str, levels: int | None = None) -> str:
    """The path of a repository, project or group, as it is or taken from its address.

    Of an address, only so many `levels` of the path are taken: a page of the repository may be open. Raises
    `click.UsageError` if the address is on another server than the API.
    """
    server = (urlsplit(api_url).hostname or "").removeprefix("api.")
    found = PASTED.fullmatch(text.strip())
    if found is None:
        return text.removeprefix(f"{server}/")
    host = found["host"].lower().removeprefix("www.")
    if host != server:
        raise click.UsageError(
            f"{host} is not {server}; if it is your own server, give its API by --api-url."
        )
    path = found["path"].partition("/-/")[0].strip("/")
    return "/".join(path.split("/")[:levels]).removesuffix(".git")


def repository_named(text: str, api_url: str) -> str:
    """`OWNER/NAME` on GitHub; raises `click.UsageError`."""
    name = path_in(text, api_url, levels=2)
    if not REPOSITORY_NAME.fullmatch(name):
        raise click.UsageError(f"{name!r} is not of the form OWNER/NAME.")
    return name


def organisation_named(text: str, api_url: str) -> str:
    """An organisation on GitHub, given by `--organization`; raises `click.UsageError`."""
    name = path_in(text, api_url, levels=1)
    if not ORGANISATION_NAME.fullmatch(name):
        raise click.UsageError(f"--organization {name!r} is not an organisation's name.")
    return name


class ApiUrl(click.ParamType[str]):
    """A sender's API: https, so that nobody else reads the token."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        parts = http_address(value)
        if parts is None or parts.query or parts.fragment or "@" in parts.netloc:
            self.fail("Write an https URL without a user name, a query or a fragment.", param, ctx)
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            self.fail("It begins with http://, which would show the token to the network.", param, ctx)
        return str(value).rstrip("/")
