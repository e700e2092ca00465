"""What `connect gitlab` and `disconnect gitlab` do."""

import base64
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import sleep
from typing import Final

import click

from receiver.cli.connect import flow
from receiver.cli.connect.tokens import token_of
from receiver.cli.urls import path_in
from receiver.config.loading import load_what_is_right
from receiver.senders_api.gitlab import EVENTS_OF, GitLabWebhooks, Hook, found, ping_answer
from receiver.senders_api.webhooks import FoundWebhook, PingAnswer, SenderNotFound
from receiver.sources.gitlab import GITLAB, SIGNING_VARIABLE, TOKEN_VARIABLE
from receiver.sources.source import is_wanted

PATH: Final = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
SWITCH: Final = re.compile(r"[a-z_]+_events")
NEEDED: Final = "it needs the scope api, and the role Maintainer in the project or Owner in the group"


def connect(
    wishes: flow.Wishes,
    project: str | None,
    group: str | None,
    events: tuple[str, ...],
    api_url: str,
    *,
    secret_token: bool,
) -> None:
    if any(not SWITCH.fullmatch(event) for event in events):
        raise click.UsageError("--event takes GitLab's names, such as pipeline_events.")
    with _opened(project, group, api_url, events) as connection:
        flow.warn_if_out_of_reach(wishes.url, api_url)
        with flow.sender_problems(), flow.showing_intent(connection, wishes):
            connection.signs = not secret_token and connection.gitlab.can_sign()
        flow.connect(connection, wishes)


def disconnect(project: str | None, group: str | None, url: str, api_url: str, *, dry_run: bool) -> None:
    with _opened(project, group, api_url, ()) as connection:
        flow.disconnect(connection, url, dry_run=dry_run)


@dataclass
class GitLabConnection:
    """See `flow.Connection`."""

    gitlab: GitLabWebhooks
    name: str
    switches: tuple[str, ...]
    signs: bool = True
    hooks: dict[str, Hook] = field(default_factory=dict)

    source: str = "gitlab"

    @property
    def variable(self) -> str:
        return SIGNING_VARIABLE if self.signs else TOKEN_VARIABLE

    @property
    def sender(self) -> str:
        return f"{self.name} on GitLab"

    @property
    def sends(self) -> str:
        return ", ".join(self.switches)

    def make_secret(self) -> str:
        """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
        return new_signing_token() if self.signs else flow.random_secret()

    def find(self, url: str) -> FoundWebhook | None:
        self.hooks = {str(hook.id): hook for hook in self.gitlab.at(url)}
        return next((found(hook, self.switches, signs=self.signs) for hook in self.hooks.values()), None)

    def create(self, url: str, secret: str) -> str:
        return str(self.gitlab.create(url, self.switches, self._field(secret)).id)

    def update(self, found: FoundWebhook, url: str, secret: str | None) -> None:
        self.gitlab.update(self.hooks[found.id], self.switches, self._field(secret))

    def delete(self, found: FoundWebhook) -> None:
        self.gitlab.delete(self.hooks[found.id])

    def ping(self, webhook: str, *, is_new: bool) -> Callable[[], PingAnswer | None]:
        try:
            newest = max((event.id for event in self.gitlab.newest_events(webhook)), default=0)
        except SenderNotFound:
            self.gitlab.test(webhook)
            said = "sent; GitLab before 17.3 does not report the result"
            return lambda: PingAnswer(is_accepted=True, said=said)
        self.gitlab.test(webhook)
        return lambda: ping_answer(self.gitlab.newest_events(webhook), newest)

    def _field(self, secret: str | None) -> dict[str, str]:
        if secret is None:
            return {}
        return {"signing_token" if self.signs else "token": secret}


def new_signing_token() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@contextmanager
def _opened(
    project: str | None, group: str | None, api_url: str, further: Iterable[str]
) -> Iterator[GitLabConnection]:
    with gitlab_of(project, group, api_url, sleep) as gitlab:
        switches = tuple(sorted({*switches_in_force(), *further}))
        yield GitLabConnection(gitlab, path_in(project or group or "", api_url), switches)


@contextmanager
def gitlab_of(
    project: str | None, group: str | None, api_url: str, sleep: Callable[[float], None]
) -> Iterator[GitLabWebhooks]:
    """Raises `click.UsageError` unless exactly one is given, and is a path."""
    if (project is None) == (group is None):
        raise click.UsageError("Give a project, GROUP/PROJECT, or --group GROUP.")
    name = path_in(project or group or "", api_url)
    if not PATH.fullmatch(name):
        raise click.UsageError(f"{name!r} is not the path of a project or group, such as acme/shop.")
    token = token_of("GITLAB_TOKEN", permission=NEEDED)
    gitlab = GitLabWebhooks(api_url=api_url, token=token, path=name, is_group=project is None, sleep=sleep)
    try:
        yield gitlab
    finally:
        gitlab.close()


def switches_in_force() -> tuple[str, ...]:
    """The switches of the events that the receiver translates as it is configured here."""
    settings, _ = load_what_is_right()
    options = settings.options_for(GITLAB)
    return tuple(sorted(switch for kind, switch in EVENTS_OF.items() if is_wanted(GITLAB, kind, options)))
