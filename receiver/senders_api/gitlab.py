"""The webhooks of a project or group on GitLab, and their deliveries."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import requests
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from apitraffic_events.text import one_line
from receiver.senders_api.client import LONGEST_MESSAGE, SenderClient
from receiver.senders_api.webhooks import FoundWebhook, PingAnswer, SenderRejected

FIRST_THAT_SIGNS: Final = 19
"""GitLab 19.0 introduced signing tokens."""
TEST: Final = "push_events"
"""The test that is sent: GitLab has no ping, and the receiver never makes a marker of a push to a branch."""
EVENTS_OF: Final = {
    "deployment": "deployment_events",
    "release": "releases_events",
    "feature_flag": "feature_flag_events",
    "issue": "issues_events",
    "pipeline": "pipeline_events",
    "build": "job_events",
    "tag_push": "tag_push_events",
    "vulnerability": "vulnerability_events",
    "access_token": "resource_access_token_events",
    "deploy_token": "resource_deploy_token_events",
}
"""`object_kind` -> its switch in the API."""
ACCEPTED: Final = range(200, 300)
UNAUTHORISED: Final = "401"


class Hook(BaseModel):
    """https://docs.gitlab.com/api/project_webhooks/; its switches are in `model_extra`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: int
    url: str = Field(default="", repr=False)
    enable_ssl_verification: bool = True
    token_present: bool = True
    """Older versions do not say; then a webhook counts as having one."""
    signing_token_present: bool = False
    alert_status: str = "executable"
    custom_webhook_template: str | None = Field(default=None, repr=False)

    def sends(self, switch: str) -> bool:
        return bool((self.model_extra or {}).get(switch))


@dataclass(frozen=True, slots=True)
class HookEvent:
    """One delivery. `response_status` is `internal error` if there was no answer."""

    id: int
    trigger: str = ""
    request_headers: dict[str, Any] = field(default_factory=dict, repr=False)
    response_status: str | int | None = None

    @property
    def status(self) -> str:
        return one_line(str(self.response_status or "no answer"), LONGEST_MESSAGE)

    @property
    def is_accepted(self) -> bool:
        return self.status.isdecimal() and int(self.status) in ACCEPTED

    @property
    def key(self) -> str:
        """The same for all deliveries of one event; GitLab 17.4 and newer."""
        return one_line(str(self.request_headers.get("Idempotency-Key") or self.id), LONGEST_MESSAGE)


@dataclass(frozen=True, slots=True)
class Version:
    version: str


@dataclass(frozen=True, slots=True)
class Resent:
    response_status: int | str | None = None


HOOK: Final = TypeAdapter(Hook)
HOOKS: Final = TypeAdapter(list[Hook])
HOOK_EVENTS: Final = TypeAdapter(list[HookEvent])
VERSION: Final = TypeAdapter(Version)
RESENT: Final = TypeAdapter(Resent)


class GitLabWebhooks:
    """The webhooks of one project or group. Methods raise a `SenderError` if they fail."""

    def __init__(
        self, *, api_url: str, token: str, path: str, is_group: bool, sleep: Callable[[float], None]
    ) -> None:
        def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["PRIVATE-TOKEN"] = token
            return request

        kind = "group" if is_group else "project"
        self._client = SenderClient(
            title="GitLab",
            api_url=api_url,
            authorise=authorise,
            permission=f"it needs the scope api, and the role {'Owner' if is_group else 'Maintainer'} "
            f"in the {kind}{' (group webhooks are Premium)' if is_group else ''}",
            sleep=sleep,
        )
        self._hooks = f"/{kind}s/{quote(path, safe='')}/hooks"

    def close(self) -> None:
        self._client.close()

    def can_sign(self) -> bool:
        """Whether this GitLab has signing tokens."""
        major, _, _ = self._client.read(VERSION, "GET", "/version").version.partition(".")
        return major.isdecimal() and int(major) >= FIRST_THAT_SIGNS

    def at(self, url: str) -> list[Hook]:
        """The webhooks that post to exactly this address. All others belong to somebody else."""
        return [hook for hook in self._client.pages(HOOKS, self._hooks) if hook.url == url]

    def create(self, url: str, switches: Iterable[str], secret: dict[str, str]) -> Hook:
        """`secret` is `{"signing_token": …}` or `{"token": …}`. Pushes are on unless switched off."""
        wanted = {"push_events": False, **dict.fromkeys(sorted(switches), True)}
        body = {"url": url, "enable_ssl_verification": True, **wanted, **secret}
        hook = self._client.read(HOOK, "POST", self._hooks, body=body)
        if "signing_token" in secret and not hook.signing_token_present:
            self.delete(hook)
            raise SenderRejected(
                "GitLab did not take the signing token, so the webhook was removed again; "
                "run this with --secret-token"
            )
        return hook

    def update(self, hook: Hook, switches: Iterable[str], secret: dict[str, str]) -> None:
        """Send what differs, and the address, which GitLab requires."""
        missing = {switch: True for switch in sorted(switches) if not hook.sends(switch)}
        verify = {} if hook.enable_ssl_verification else {"enable_ssl_verification": True}
        changed = self._client.read(
            HOOK, "PUT", f"{self._hooks}/{hook.id}", body={"url": hook.url, **missing, **verify, **secret}
        )
        if "signing_token" in secret and not changed.signing_token_present:
            raise SenderRejected("GitLab did not take the signing token; run this with --secret-token")

    def delete(self, hook: Hook) -> None:
        self._client.call("DELETE", f"{self._hooks}/{hook.id}")

    def test(self, hook_id: str) -> None:
        """GitLab sends a push event, made of the newest commits, whether the webhook has them on or not."""
        self._client.call("POST", f"{self._hooks}/{hook_id}/test/{TEST}")

    def newest_events(self, hook_id: str) -> list[HookEvent]:
        """The newest deliveries, newest first; raises `SenderNotFound` before GitLab 17.3."""
        query = {"per_page": "20", "page": "1"}
        return self._client.read(HOOK_EVENTS, "GET", f"{self._hooks}/{hook_id}/events", query=query)

    def events(self, hook_id: str) -> Iterator[HookEvent]:
        """The deliveries of the last seven days, newest first."""
        return self._client.pages(HOOK_EVENTS, f"{self._hooks}/{hook_id}/events")

    def resend(self, hook_id: str, event: HookEvent) -> str:
        """Returns the receiver's answer. GitLab allows five in a minute."""
        path = f"{self._hooks}/{hook_id}/events/{event.id}/resend"
        return one_line(
            str(self._client.read(RESENT, "POST", path).response_status or "no answer"), LONGEST_MESSAGE
        )


def found(hook: Hook, switches: Iterable[str], *, signs: bool) -> FoundWebhook:
    """The webhook, and what of it is not as it should be."""
    differences = [f"{switch} is off" for switch in sorted(switches) if not hook.sends(switch)]
    if not hook.enable_ssl_verification:
        differences.append("it does not verify the receiver's certificate")
    has_secret = hook.signing_token_present if signs else hook.token_present
    return FoundWebhook(str(hook.id), has_secret=has_secret, differences=tuple(differences))


def ping_answer(events: Iterable[HookEvent], newest_before: int) -> PingAnswer | None:
    """What the newest delivery after this one came to."""
    arrived = [event for event in events if event.id > newest_before]
    if not arrived:
        return None
    newest = max(arrived, key=lambda event: event.id)
    return PingAnswer(newest.is_accepted, f"{newest.status} (GitLab's test)", newest.status == UNAUTHORISED)


def undelivered(events: Iterable[HookEvent]) -> list[HookEvent]:
    """The newest delivery of each event that none of its deliveries has brought, oldest event first."""
    by_key: dict[str, list[HookEvent]] = {}
    for event in sorted(events, key=lambda event: event.id):
        by_key.setdefault(event.key, []).append(event)
    return [of_one[-1] for of_one in by_key.values() if not any(event.is_accepted for event in of_one)]
