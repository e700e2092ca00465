"""What `connect pagerduty` and `disconnect pagerduty` do."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import sleep
from typing import Final

import click
import requests

from apitraffic_events.environment import read_variable
from receiver.cli.connect import flow
from receiver.cli.connect.stores import EnvironmentNow, all_joined, newest, required_storable
from receiver.cli.connect.tokens import token_of
from receiver.config.loading import load_what_is_right
from receiver.doctor.reachability import is_private
from receiver.senders_api.pagerduty import ACCOUNT, PagerDutyWebhooks, Scope, Subscription, found
from receiver.senders_api.webhooks import FoundWebhook, PingAnswer
from receiver.sources.pagerduty import FEATURES, PAGERDUTY, SECRET_VARIABLE
from receiver.sources.source import is_wanted

ID: Final = re.compile(r"[PQ][A-Z0-9]{6,25}")
COUNTED: Final = re.compile(r"^apitraffic_deliveries_total\{([^}]*)\} ([0-9.e+]+)$", re.MULTILINE)
METRICS_TIMEOUT: Final = 10.0
NEEDED: Final = "make an API access key in PagerDuty, Integrations, with write access"


def connect(
    wishes: flow.Wishes,
    service: str | None,
    team: str | None,
    api_url: str,
) -> None:
    with _opened(service, team, api_url, wishes.url) as connection, flow.sender_problems():
        flow.warn_if_out_of_reach(wishes.url, api_url)
        if not wishes.dry_run:
            _connect(connection, wishes)
            return
        with flow.showing_intent(connection, wishes):
            _connect(connection, wishes)


def disconnect(service: str | None, team: str | None, url: str, api_url: str, *, dry_run: bool) -> None:
    with _opened(service, team, api_url, url) as connection:
        flow.disconnect(connection, url, dry_run=dry_run)


@dataclass
class PagerDutyConnection:
    """See `flow.Connection`; PagerDuty makes the secrets."""

    pagerduty: PagerDutyWebhooks
    scope: Scope
    receiver_url: str
    events: tuple[str, ...]
    subscriptions: dict[str, Subscription] = field(default_factory=dict)

    source: str = "pagerduty"
    variable: str = SECRET_VARIABLE

    @property
    def sender(self) -> str:
        if self.scope.type == ACCOUNT:
            return "the PagerDuty account"
        return f"{self.scope.type.removesuffix('_reference')} {self.scope.id} on PagerDuty"

    @property
    def sends(self) -> str:
        return ", ".join(self.events)

    def make_secret(self) -> str:
        raise TypeError("PagerDuty makes the secret")

    def find(self, url: str) -> FoundWebhook | None:
        self.subscriptions = {each.id: each for each in self.pagerduty.at(url, self.scope)}
        return next((found(each, self.events) for each in self.subscriptions.values()), None)

    def create(self, url: str, secret: str) -> str:
        raise TypeError("PagerDuty makes the secret")

    def update(self, found: FoundWebhook, url: str, secret: str | None) -> None:
        self.pagerduty.update(self.subscriptions[found.id], self.events)

    def delete(self, found: FoundWebhook) -> None:
        self.pagerduty.delete(found.id)

    def ping(self, webhook: str, *, is_new: bool) -> Callable[[], PingAnswer | None]:
        """PagerDuty's API does not report the result of a ping, so look at the receiver's own counter."""
        before = ignored_by(self.receiver_url)
        self.pagerduty.ping(webhook)
        if before is None:
            said = (
                "PagerDuty was asked to ping; /metrics cannot be read from here, so look for “ping from "
                "PagerDuty” in the receiver's log"
            )
            return lambda: PingAnswer(is_accepted=True, said=said)

        def look() -> PingAnswer | None:
            after = ignored_by(self.receiver_url)
            if after is None or after <= before:
                return None
            return PingAnswer(is_accepted=True, said="the receiver has counted it")

        return look


def _connect(connection: PagerDutyConnection, wishes: flow.Wishes) -> None:
    """As `flow.connect`, but the sender comes first, as it makes the secret."""
    address = flow.address_of(wishes.url, connection.source)
    there = connection.find(address)
    stored = wishes.store.read(connection.variable)
    if there and not stored and not wishes.new_secret:
        raise click.UsageError(
            f"{connection.sender} has a subscription to {address} already, and its secret is not in "
            f"{wishes.store.name}. Name the place where the receiver has it, or give --new-secret."
        )
    is_new = there is None or wishes.new_secret
    if wishes.dry_run:
        _print_plan(connection, wishes, there if not is_new else None, address)
        return
    if there is None or wishes.new_secret:
        webhook, secret = _make(connection, wishes, address, stored)
    else:
        webhook, secret = there.id, newest(stored or "")
        if there.differences:
            connection.update(there, address, None)
        changed = f"changed: {', '.join(there.differences)}" if there.differences else "is as it should be"
        flow.say("webhook", f"{webhook} {changed}")
        if others := connection.subscriptions.keys() - {webhook}:
            flow.say("", f"{', '.join(sorted(others))} to the same address too: remove all but one")
    if not wishes.no_ping:
        flow.wait_for_receiver(connection.source, connection.variable, secret, wishes)
        flow.wait_for_ping(connection, webhook, wishes, is_new=is_new)
    if there and is_new:
        connection.delete(there)
        flow.say("webhook", f"{there.id} removed: {webhook} takes its place")
    flow.conclude(connection, wishes, address)


def _make(
    connection: PagerDutyConnection, wishes: flow.Wishes, address: str, stored: str | None
) -> tuple[str, str]:
    """A new subscription and its secret. It is removed again if the secret cannot be stored."""
    _require_place(wishes)
    webhook, secret = connection.pagerduty.create(address, connection.scope, connection.events)
    try:
        wishes.store.write(connection.variable, all_joined(required_storable(secret), stored))
    except BaseException:
        connection.pagerduty.delete(webhook)
        raise
    flow.say("webhook", f"{webhook} created")
    flow.say("secret", f"{connection.variable} stored in {wishes.store.name}")
    return webhook, secret


def _require_place(wishes: flow.Wishes) -> None:
    if isinstance(wishes.store, EnvironmentNow):
        raise click.UsageError(
            "PagerDuty makes the secret and shows it once. Say where to store it: --env-file, --toml, "
            "--kubernetes-secret or --secret-file."
        )


def _print_plan(
    connection: PagerDutyConnection, wishes: flow.Wishes, there: FoundWebhook | None, address: str
) -> None:
    if there is None:
        flow.say("webhook", f"would be created: {connection.sends} from {connection.sender} to {address}")
        _require_place(wishes)
        flow.say("secret", f"would be stored as {connection.variable} in {wishes.store.name}")
        return
    flow.say("webhook", f"{there.id} would {flow.change(list(there.differences))}")
    flow.say("secret", f"{connection.variable} in {wishes.store.name} would be used")


def ignored_by(receiver_url: str) -> float | None:
    """How many of PagerDuty's deliveries the receiver has ignored, as pings are; `None` if unknown."""
    token = read_variable("APITRAFFIC_METRICS_TOKEN", os.environ) if is_private(receiver_url) else None
    try:
        answer = requests.get(
            f"{receiver_url}/metrics",
            timeout=METRICS_TIMEOUT,
            allow_redirects=False,
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )
    except requests.RequestException:
        return None
    if not answer.ok or "apitraffic_" not in answer.text:
        return None
    return sum(
        float(count)
        for labels, count in COUNTED.findall(answer.text)
        if 'source="pagerduty"' in labels and 'outcome="ignored"' in labels
    )


@contextmanager
def _opened(
    service: str | None, team: str | None, api_url: str, receiver_url: str
) -> Iterator[PagerDutyConnection]:
    if service and team:
        raise click.UsageError("Give --service or --team, not both; or neither for the whole account.")
    if team and not ID.fullmatch(team):
        raise click.UsageError(f"--team {team!r} is not an id, such as P1A2B3C.")
    pagerduty = PagerDutyWebhooks(
        api_url=api_url, token=token_of("PAGERDUTY_TOKEN", permission=NEEDED), sleep=sleep
    )
    try:
        with flow.sender_problems():
            scope = _scope(pagerduty, service, team)
        yield PagerDutyConnection(pagerduty, scope, receiver_url, events_in_force())
    finally:
        pagerduty.close()


def _scope(pagerduty: PagerDutyWebhooks, service: str | None, team: str | None) -> Scope:
    if service:
        return Scope("service_reference", service if ID.fullmatch(service) else pagerduty.service(service))
    return Scope("team_reference", team) if team else Scope()


def events_in_force() -> tuple[str, ...]:
    """The events that make or change markers with the configuration in force."""
    settings, _ = load_what_is_right()
    options = settings.options_for(PAGERDUTY)
    known = {feature.event for feature in FEATURES if feature.type}
    return tuple(sorted(name for name in known if is_wanted(PAGERDUTY, name, options)))
