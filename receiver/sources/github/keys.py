"""The keys of GitHub's markers: GitHub's own ids, on one host. Names are no part of them, as they may change.

Ids of deployments, runs, jobs, issues, releases and packages are unique on one host; numbers and tags are so
in one repository. docs/ci-plugins.md has the keys that the CI plugins make as well.
"""

import re
from typing import Final, TypedDict
from urllib.parse import urlsplit

from receiver.events import Delivery
from receiver.sources.payload import Payload

PUBLIC_HOST: Final = "github.com"
HOST_HEADER: Final = "x-github-enterprise-host"
HOST: Final = re.compile(r"[a-z0-9.-]+(:\d+)?")


class Names(TypedDict):
    """How `change_of` is told which marker it is."""

    key: str
    former_keys: tuple[str, ...]


def prefix_of(payload: Payload, delivery: Delivery) -> str:
    """What all keys begin with: `github`, and for every host but github.com `github:<host>`."""
    host = _host(payload, delivery)
    return "github" if host in {None, PUBLIC_HOST} else f"github:{host}"


def names_on_host(payload: Payload, delivery: Delivery, *parts: str) -> Names:
    """The marker of something with an id that is unique on its host: `("deployment", "4242")`."""
    prefix = prefix_of(payload, delivery)
    return {"key": ":".join((prefix, *parts)), "former_keys": _by_repository_name(payload, prefix, *parts)}


def names_in_repository(payload: Payload, delivery: Delivery, *parts: str) -> Names:
    """The marker of something that its repository numbers or names: `("secret_scanning_alert", "7")`."""
    prefix = prefix_of(payload, delivery)
    by_name = _by_repository_name(payload, prefix, *parts)
    repository_id = payload.identifier("repository.id")
    if repository_id is None:
        key, *former_keys = by_name or (":".join((prefix, *parts)),)
        return {"key": key, "former_keys": tuple(former_keys)}
    key = ":".join((prefix, "repository", repository_id, *parts))
    return {"key": key, "former_keys": by_name}


def _by_repository_name(payload: Payload, prefix: str, *parts: str) -> tuple[str, ...]:
    """By the repository's name as it is now; without the host, these are the keys that version 0.1 made."""
    repository = payload.text("repository.full_name")
    prefixes = dict.fromkeys((prefix, "github"))
    return tuple(":".join((prefix, repository, *parts)) for prefix in prefixes) if repository else ()


def _host(payload: Payload, delivery: Delivery) -> str | None:
    """Only Enterprise Server sends the header; the address of a page has the host everywhere."""
    named = delivery.headers.get(HOST_HEADER, "").strip().lower()
    if HOST.fullmatch(named):
        return named
    page = payload.url("repository.html_url", "organization.html_url", "sender.html_url") or ""
    try:
        host = urlsplit(page).netloc.rpartition("@")[2].lower()
    except ValueError:
        return None
    return host if HOST.fullmatch(host) else None
