"""What `connect github` and `disconnect github` do."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import sleep
from typing import Final

import click

from apitraffic_events.timestamps import now
from receiver.cli.connect import flow
from receiver.cli.connect.tokens import token_of
from receiver.cli.urls import organisation_named, repository_named
from receiver.config.loading import load_what_is_right
from receiver.senders_api.github_owners import Owner, organisation, repository
from receiver.senders_api.github_webhooks import GitHubWebhooks, Hook, found
from receiver.senders_api.webhooks import FoundWebhook, PingAnswer
from receiver.sources.github import FEATURES, GITHUB, SECRET_VARIABLE, TRANSLATORS
from receiver.sources.source import is_wanted

NOT_FOR_HOOKS: Final = frozenset({"ping", "repository_dispatch"})
"""The first is always sent; the second reaches GitHub Apps only."""


def connect(
    wishes: flow.Wishes,
    repository_name: str | None,
    organization: str | None,
    events: tuple[str, ...],
    api_url: str,
) -> None:
    with _opened(repository_name, organization, api_url, events) as connection:
        flow.warn_if_out_of_reach(wishes.url, api_url)
        flow.connect(connection, wishes)


def disconnect(
    repository_name: str | None, organization: str | None, url: str, api_url: str, *, dry_run: bool
) -> None:
    with _opened(repository_name, organization, api_url, ()) as connection:
        flow.disconnect(connection, url, dry_run=dry_run)


@dataclass
class GitHubConnection:
    """See `flow.Connection`."""

    github: GitHubWebhooks
    name: str
    events: tuple[str, ...]
    hooks: dict[str, Hook] = field(default_factory=dict)

    source: str = "github"
    variable: str = SECRET_VARIABLE

    @property
    def sender(self) -> str:
        return f"{self.name} on GitHub"

    @property
    def sends(self) -> str:
        return ", ".join(self.events)

    def make_secret(self) -> str:
        return flow.random_secret()

    def find(self, url: str) -> FoundWebhook | None:
        self.hooks = {str(hook.id): hook for hook in self.github.at(url)}
        return next((found(hook, self.events) for hook in self.hooks.values()), None)

    def create(self, url: str, secret: str) -> str:
        return self.github.create(url, secret, self.events)

    def update(self, found: FoundWebhook, url: str, secret: str | None) -> None:
        self.github.update(self.hooks[found.id], self.events, secret)

    def delete(self, found: FoundWebhook) -> None:
        self.github.delete(self.hooks[found.id])

    def ping(self, webhook: str, *, is_new: bool) -> Callable[[], PingAnswer | None]:
        """GitHub pings a new webhook by itself."""
        known = set() if is_new else {*self.github.pings(webhook)}
        if not is_new:
            self.github.ping(webhook)

        def look() -> PingAnswer | None:
            pings = self.github.pings(webhook)
            return next((answer for attempt, answer in pings.items() if attempt not in known), None)

        return look


@contextmanager
def _opened(
    repository_name: str | None, organization: str | None, api_url: str, further: Iterable[str]
) -> Iterator[GitHubConnection]:
    events = tuple(sorted({*events_in_force(), *further}))
    owner, name = _owner(repository_name, organization, api_url)
    token = token_of("GITHUB_TOKEN", permission=owner.permission)
    github = GitHubWebhooks(api_url=api_url, owner=owner, credential=lambda: token, sleep=sleep, clock=now)
    try:
        yield GitHubConnection(github, name, events)
    finally:
        github.close()


def events_in_force() -> tuple[str, ...]:
    """The events that the receiver translates as it is configured here, and that a webhook can send."""
    settings, _ = load_what_is_right()
    options = settings.options_for(GITHUB)
    known = {feature.event for feature in FEATURES} & TRANSLATORS.keys() - NOT_FOR_HOOKS
    return tuple(sorted(name for name in known if is_wanted(GITHUB, name, options)))


def _owner(repository_name: str | None, organization: str | None, api_url: str) -> tuple[Owner, str]:
    if repository_name is not None and organization is None:
        name = repository_named(repository_name, api_url)
        return repository(name), name
    if organization is not None and repository_name is None:
        name = organisation_named(organization, api_url)
        return organisation(name), name
    raise click.UsageError("Give a repository, OWNER/NAME, or --organization ORG.")
