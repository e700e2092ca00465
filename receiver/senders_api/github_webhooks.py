"""Makes, changes and removes the webhook of a repository or organisation on GitHub."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from pydantic import TypeAdapter

from apitraffic_events.text import one_line
from receiver.senders_api.client import LARGEST_PAGE, LONGEST_MESSAGE
from receiver.senders_api.github_client import GitHubClient
from receiver.senders_api.redelivery import ATTEMPTS
from receiver.senders_api.webhooks import FoundWebhook, PingAnswer

PING: Final = "ping"
ALL_EVENTS: Final = "*"
JSON: Final = "json"
VERIFY: Final = "0"
"""`insecure_ssl`: GitHub verifies the receiver's certificate."""


@dataclass(frozen=True, slots=True)
class HookConfig:
    url: str = field(default="", repr=False)
    content_type: str = ""
    insecure_ssl: str | int = VERIFY
    secret: str | None = field(default=None, repr=False)
    """Asterisks, if there is one."""


@dataclass(frozen=True, slots=True)
class Hook:
    """https://docs.github.com/en/rest/repos/webhooks#list-repository-webhooks"""

    id: int
    config: HookConfig
    events: tuple[str, ...] = ()
    active: bool = True


HOOK: Final = TypeAdapter(Hook)
HOOKS: Final = TypeAdapter(list[Hook])


class GitHubWebhooks(GitHubClient):
    """`owner`'s webhooks. Methods raise a `GitHubError` if they fail."""

    def all_events(self, wanted: Iterable[str], found: Hook | None = None) -> list[str]:
        """The events to subscribe to: what somebody else has added stays."""
        return sorted({*wanted, *(found.events if found else ())})

    def at(self, url: str) -> list[Hook]:
        """The webhooks that post to exactly this address. All others belong to somebody else."""
        hooks = (hook for page in self._pages(f"{self.owner.path}/hooks", HOOKS) for hook in page)
        return [hook for hook in hooks if hook.config.url == url]

    def create(self, url: str, secret: str, events: Iterable[str]) -> str:
        """Make a webhook, which GitHub pings at once; returns its number."""
        path = f"{self.owner.path}/hooks"
        config = {"url": url, "content_type": JSON, "insecure_ssl": VERIFY, "secret": secret}
        body = {"name": "web", "active": True, "events": self.all_events(events), "config": config}
        return str(self._read(self._call("POST", path, body=body), path, HOOK).id)

    def update(self, hook: Hook, events: Iterable[str], secret: str | None) -> None:
        """Send what differs, nothing else. A secret that is not given stays: for that, `config` has its own
        address (https://docs.github.com/en/rest/repos/webhooks#update-a-repository-webhook).
        """
        path = f"{self.owner.path}/hooks/{hook.id}"
        config = {} if secret is None else {"secret": secret}
        if hook.config.content_type != JSON:
            config["content_type"] = JSON
        if str(hook.config.insecure_ssl) != VERIFY:
            config["insecure_ssl"] = VERIFY
        if config:
            self._call("PATCH", f"{path}/config", body=config)
        if _missing(hook, events) or not hook.active:
            self._call("PATCH", path, body={"active": True, "events": self.all_events(events, hook)})

    def delete(self, hook: Hook) -> None:
        self._call("DELETE", f"{self.owner.path}/hooks/{hook.id}")

    def ping(self, hook_id: str) -> None:
        self._call("POST", f"{self.owner.path}/hooks/{hook_id}/pings")

    def pings(self, hook_id: str) -> dict[int, PingAnswer]:
        """What the newest pings came to, by the number of the attempt; newest first."""
        path = self.owner.deliveries_path(int(hook_id))
        response = self._call("GET", path, {"per_page": str(LARGEST_PAGE)})
        attempts = self._read(response, path, ATTEMPTS)
        return {
            attempt.id: PingAnswer(
                is_accepted=attempt.succeeded,
                said=one_line(f"{attempt.status_code or ''} {attempt.status}", LONGEST_MESSAGE),
                is_refused=attempt.status_code == HTTPStatus.UNAUTHORIZED,
            )
            for attempt in attempts
            if attempt.event == PING
        }


def found(hook: Hook, events: Iterable[str]) -> FoundWebhook:
    """The webhook, and what of it is not as it should be."""
    differences = [f"event {name} is missing" for name in _missing(hook, events)]
    if not hook.active:
        differences.append("it is switched off")
    if hook.config.content_type != JSON:
        differences.append("its content type is not application/json")
    if str(hook.config.insecure_ssl) != VERIFY:
        differences.append("it does not verify the receiver's certificate")
    return FoundWebhook(str(hook.id), has_secret=bool(hook.config.secret), differences=tuple(differences))


def _missing(hook: Hook, events: Iterable[str]) -> list[str]:
    return [] if ALL_EVENTS in hook.events else sorted({*events} - {*hook.events})
