"""Webhook subscriptions on PagerDuty (version 3).

PagerDuty makes the secret itself and shows it once, in the response that creates the subscription.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import requests
from pydantic import TypeAdapter

from receiver.senders_api.client import LARGEST_PAGE, MOST_PAGES, SenderClient
from receiver.senders_api.webhooks import FoundWebhook, SenderRejected, SenderUnavailable

SUBSCRIPTIONS: Final = "/webhook_subscriptions"
ACCOUNT: Final = "account_reference"
HTTP: Final = "http_delivery_method"
ACCEPT: Final = "application/vnd.pagerduty+json;version=2"
"""PagerDuty's header for the version of its API."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a subscription is about: the account, or one service or team."""

    type: str = ACCOUNT
    id: str | None = None

    def as_filter(self) -> dict[str, str]:
        return {"type": self.type} | ({"id": self.id} if self.id else {})

    def as_query(self) -> dict[str, str]:
        name = self.type.removesuffix("_reference")
        return {"filter_type": name} | ({"filter_id": self.id} if self.id else {})

    def covers(self, found: "Scope") -> bool:
        """Whether a subscription with this filter is ours. The account's id does not matter."""
        return self.type == found.type and (self.type == ACCOUNT or self.id == found.id)


@dataclass(frozen=True, slots=True)
class DeliveryMethod:
    url: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    temporarily_disabled: bool | None = False


@dataclass(frozen=True, slots=True)
class Subscription:
    """https://developer.pagerduty.com/api-reference, webhook subscriptions"""

    id: str
    delivery_method: DeliveryMethod
    events: tuple[str, ...]
    filter: Scope
    active: bool = True

    @property
    def is_disabled(self) -> bool:
        """Switched off by PagerDuty after deliveries that were refused."""
        return bool(self.delivery_method.temporarily_disabled)


@dataclass(frozen=True, slots=True)
class Service:
    id: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class OneSubscription:
    webhook_subscription: Subscription


@dataclass(frozen=True, slots=True)
class SubscriptionPage:
    webhook_subscriptions: tuple[Subscription, ...]
    more: bool | None = False


@dataclass(frozen=True, slots=True)
class ServicePage:
    services: tuple[Service, ...]


ONE: Final = TypeAdapter(OneSubscription)
PAGE: Final = TypeAdapter(SubscriptionPage)
SERVICES: Final = TypeAdapter(ServicePage)


class PagerDutyWebhooks:
    """The webhook subscriptions of one account. Methods raise a `SenderError` if they fail."""

    def __init__(self, *, api_url: str, token: str, sleep: Callable[[float], None]) -> None:
        def authorise(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["Authorization"] = f"Token token={token}"
            return request

        self._client = SenderClient(
            title="PagerDuty",
            api_url=api_url,
            authorise=authorise,
            permission="it needs write access, of an Admin or Account Owner, or of a Manager of the service "
            "or team",
            # PagerDuty wants the content type with requests that have no body too.
            headers={"Accept": ACCEPT, "Content-Type": "application/json"},
            sleep=sleep,
        )

    def close(self) -> None:
        self._client.close()

    def service(self, name: str) -> str:
        """The id of the service with this name. Raises `SenderRejected` if there is none."""
        page = self._client.read(SERVICES, "GET", "/services", query={"query": name, "limit": "100"})
        found = [service.id for service in page.services if service.name == name]
        if len(found) != 1:
            raise SenderRejected(
                f"PagerDuty has {len(found) or 'no'} services with exactly this name; give the service's id"
            )
        return found[0]

    def at(self, url: str, scope: Scope) -> list[Subscription]:
        """The subscriptions of this scope that post to exactly this address."""
        return [
            subscription
            for subscription in self._all(scope)
            if subscription.delivery_method.url == url and scope.covers(subscription.filter)
        ]

    def create(self, url: str, scope: Scope, events: Iterable[str]) -> tuple[str, str]:
        """Returns the id and the secret, which PagerDuty never shows again."""
        body = {
            "webhook_subscription": {
                "type": "webhook_subscription",
                "description": "Event markers on ApiTraffic's charts",
                "delivery_method": {"type": HTTP, "url": url},
                "events": sorted(events),
                "filter": scope.as_filter(),
            }
        }
        made = self._client.read(ONE, "POST", SUBSCRIPTIONS, body=body).webhook_subscription
        secret = made.delivery_method.secret
        if not secret:
            self.delete(made.id)
            raise SenderUnavailable(
                "PagerDuty has shown no secret for the new subscription, which was removed again"
            )
        return made.id, secret

    def update(self, subscription: Subscription, events: Iterable[str]) -> None:
        """Send what differs. Events that somebody else has added stay."""
        path = f"{SUBSCRIPTIONS}/{subscription.id}"
        changed: dict[str, object] = {}
        if {*events} - {*subscription.events}:
            changed["events"] = sorted({*events, *subscription.events})
        if not subscription.active:
            changed["active"] = True
        if changed:
            self._client.call("PUT", path, body={"webhook_subscription": changed})
        if subscription.is_disabled:
            self._client.call("POST", f"{path}/enable")

    def delete(self, subscription: str) -> None:
        self._client.call("DELETE", f"{SUBSCRIPTIONS}/{subscription}")

    def ping(self, subscription: str) -> None:
        self._client.call("POST", f"{SUBSCRIPTIONS}/{subscription}/ping")

    def _all(self, scope: Scope) -> Iterator[Subscription]:
        for number in range(MOST_PAGES):
            paging = {"limit": str(LARGEST_PAGE), "offset": str(number * LARGEST_PAGE)}
            page = self._client.read(PAGE, "GET", SUBSCRIPTIONS, query=scope.as_query() | paging)
            yield from page.webhook_subscriptions
            if not page.more:
                return


def found(subscription: Subscription, events: Iterable[str]) -> FoundWebhook:
    """The subscription, and what of it is not as it should be. It always has a secret."""
    differences = [f"event {name} is missing" for name in sorted({*events} - {*subscription.events})]
    if not subscription.active:
        differences.append("it is switched off")
    if subscription.is_disabled:
        differences.append("PagerDuty has disabled it after failed deliveries")
    return FoundWebhook(subscription.id, has_secret=True, differences=tuple(differences))
