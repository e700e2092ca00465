"""The deliveries of GitHub's webhooks: listed, and repeated."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from apitraffic_events.text import one_line
from receiver.senders_api.client import LONGEST_MESSAGE
from receiver.senders_api.github_client import GitHubClient
from receiver.senders_api.redelivery import ATTEMPTS, Attempt

KEPT_BY_GITHUB_COM: Final = timedelta(days=3)
KEPT_BY_SERVER: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook's settings, without its secret."""

    id: int
    config: WebhookConfig
    active: bool = True

    @property
    def address(self) -> str:
        """The URL without the parts that can hold credentials."""
        try:
            parts = urlsplit(self.config.url)
        except ValueError:
            return "(not a URL)"
        return one_line(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", LONGEST_MESSAGE)


WEBHOOKS: Final = TypeAdapter(list[Webhook])


class GitHubDeliveries(GitHubClient):
    """The deliveries of `owner`'s webhooks. Methods raise a `GitHubError` if they fail."""

    def hooks(self) -> list[Webhook]:
        return [hook for page in self._pages(f"{self.owner.path}/hooks", WEBHOOKS) for hook in page]

    def attempts(self, hook: int | None, *, since: datetime) -> Iterator[Attempt]:
        """A webhook's delivery attempts, newest first, to the first page that is wholly before `since`."""
        for page in self._pages(self.owner.deliveries_path(hook), ATTEMPTS):
            yield from page
            if all(attempt.delivered_at < since for attempt in page):
                return

    def redeliver(self, hook: int | None, attempt: int) -> None:
        """Ask GitHub to repeat this delivery. It keeps its GUID."""
        self._keep_pace()
        self._call("POST", f"{self.owner.deliveries_path(hook)}/{attempt}/attempts")


def kept_for(api_url: str) -> timedelta:
    """How long GitHub keeps deliveries and can redeliver them."""
    host = urlsplit(api_url).hostname or ""
    in_cloud = host == "api.github.com" or host.endswith(".ghe.com")
    return KEPT_BY_GITHUB_COM if in_cloud else KEPT_BY_SERVER
