"""The two ways of an event that is opened and closed: to the Events API, or through a receiver."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final, Protocol
from uuid import uuid4

import requests

from apitraffic_events.environment import read_variable
from apitraffic_events.errors import (
    ConfigurationError,
    EventsApiError,
    RateLimited,
    ServerFailed,
    Unreachable,
)
from apitraffic_events.records import EventUpdate, StoredEvent
from apitraffic_events.responses import content_of, failure_of, reason_of
from apitraffic_events.retrying import LONGEST_REQUEST, Client, Retrier
from apitraffic_events.updates import merge_metadata
from receiver.cli.events.account import AccountSession
from receiver.cli.exits import Refused
from receiver.cli.local_system import ACCOUNT, environment_for
from receiver.config.account import events_client
from receiver.config.account_settings import AccountSettings, load_account
from receiver.delivery.creation import JOINED_BY, MARKER_KEY, Creation, Wanted, earlier_deploys
from receiver.delivery.scopes import Scopes
from receiver.events import Effect
from receiver.insight.direct import with_previous
from receiver.insight.history import Previous
from receiver.sources.signing import events_request

RECEIVER_SECRET: Final = "APITRAFFIC_RECEIVER_SECRET"  # noqa: S105 - the variable's name, not its value
RECEIVER_PATH: Final = "/webhooks/events"
OWN_KEYS: Final = (MARKER_KEY, JOINED_BY)
ADVICE: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: f"check that {RECEIVER_SECRET} is the receiver's EVENTS_WEBHOOK_SECRET, "
    "and the clock of this machine",
    HTTPStatus.NOT_FOUND: "check the receiver's URL, and that it has an EVENTS_WEBHOOK_SECRET",
}


@dataclass(frozen=True, slots=True)
class Calls:
    """How long calls are repeated, and what is done between them (`Retrier`)."""

    seconds: float
    before_retry: Callable[[EventsApiError], None] | None = None
    sleep: Callable[[float], None] = time.sleep

    def retrier(self, client: Client) -> Retrier:
        return Retrier(client, self.seconds, before_retry=self.before_retry, sleep=self.sleep)


class Way(Protocol):
    """Both methods raise `EventsApiError`, `OutOfTime` or a `Problem`."""

    def open(self, wanted: Wanted, calls: Calls) -> None: ...

    def close(self, whole: Wanted, calls: Calls) -> str:
        """Report the end of an event, whether or not it has been opened; its SID, if that is known."""


def way_to(receiver_url: str | None, *, says_previous: bool) -> Way:
    """Raises `ConfigurationError`. A receiver says itself what ran before."""
    if not receiver_url:
        return Directly(load_account(environment_for(ACCOUNT)), says_previous)
    secret = read_variable(RECEIVER_SECRET, os.environ)
    if secret is None:
        raise ConfigurationError(
            f"there is a receiver's URL, but {RECEIVER_SECRET} is not set; "
            "set it to the receiver's EVENTS_WEBHOOK_SECRET"
        )
    return ThroughReceiver(receiver_url, secret)


@dataclass(slots=True)
class Directly:
    """To the Events API, with the account's token."""

    account: AccountSettings
    says_previous: bool
    _opened: str = ""
    _previous: Previous | None = None

    def open(self, wanted: Wanted, calls: Calls) -> None:
        with self._session(calls) as session:
            self._opened = self._put(wanted, session, calls).sid

    def close(self, whole: Wanted, calls: Calls) -> str:
        with self._session(calls) as session:
            if not self._opened:
                # An opening that had no answer may have been carried out: then this finds its event.
                return self._put(replace(whole, may_exist=True), session, calls).sid
            stored = session.ask(lambda: session.client.get_event(self._opened))
            ending = _ending(stored, whole, self._previous)
            return session.ask(lambda: session.client.update_event(self._opened, ending)).sid

    @contextmanager
    def _session(self, calls: Calls) -> Iterator[AccountSession]:
        with events_client(self.account) as client:
            yield AccountSession(client, calls.retrier(client), Scopes(client))

    def _put(self, wanted: Wanted, session: AccountSession, calls: Calls) -> StoredEvent:
        buckets, environments = session.sids(wanted.event.buckets, wanted.event.environments)
        client = session.client
        earlier = earlier_deploys(client, wanted.event, calls.seconds) if self.says_previous else None
        creation = Creation(client, wanted.with_scope(buckets, environments), earlier)
        stored, _ = session.ask(creation.attempt)
        self._previous = creation.previous
        return stored


def _ending(stored: StoredEvent, whole: Wanted, previous: Previous | None) -> EventUpdate:
    """What the end changes. A webhook may have written into the event, so its other facts stay."""
    event = with_previous(whole.event, previous, keeps_name=whole.keeps_name)
    facts = {name: value for name, value in event.metadata.items() if name not in OWN_KEYS}
    return EventUpdate(
        name=event.name,
        description=event.description,
        metadata=merge_metadata(stored, facts),
        ended_at=event.ended_at,
    )


@dataclass(slots=True)
class ThroughReceiver:
    """Signed with the receiver's secret. A delivery has one id in all attempts, by which it is recognised."""

    url: str
    secret: str = field(repr=False)
    _seconds: float = LONGEST_REQUEST

    def __post_init__(self) -> None:
        base = self.url.rstrip("/")
        self.url = base if base.endswith(RECEIVER_PATH) else base + RECEIVER_PATH

    def open(self, wanted: Wanted, calls: Calls) -> None:
        self._send(wanted, Effect.OPEN, calls)

    def close(self, whole: Wanted, calls: Calls) -> str:
        self._send(whole, Effect.CLOSE, calls)
        return ""

    def wait_at_most(self, seconds: float) -> None:
        self._seconds = seconds

    def _send(self, wanted: Wanted, effect: Effect, calls: Calls) -> None:
        body = json.dumps({**wanted.event.to_api(), "key": wanted.key, "effect": effect.value}).encode()
        delivery = f"msg_{uuid4()}"
        calls.retrier(self).call(lambda: self._post(body, delivery))

    def _post(self, body: bytes, delivery: str) -> None:
        try:
            headers = events_request(self.secret, "", body, delivery)
            answer = requests.post(
                self.url, data=body, headers=headers, timeout=self._seconds, allow_redirects=False
            )
        except ValueError as error:  # Also what requests raises for such a URL.
            raise ConfigurationError(
                f"the receiver's URL or {RECEIVER_SECRET} cannot be used; is the URL whole, and the secret?"
            ) from error
        except requests.Timeout as error:
            raise Unreachable(
                f"no answer from {self.url} within {self._seconds:.1f} s", was_sent=True
            ) from error
        except requests.RequestException as error:
            raise Unreachable(f"no answer from {self.url}: {reason_of(error)}", was_sent=True) from error
        _check(answer)


def _check(answer: requests.Response) -> None:
    """Raises an `EventsApiError` unless the receiver has accepted it."""
    content = content_of(answer)
    said = content if isinstance(content, dict) else {}
    if answer.ok and not answer.is_redirect:
        if "status" not in said:
            raise ServerFailed("the answer is not a receiver's", status=answer.status_code)
        if said["status"] == "ignored":
            raise Refused(f"ApiTraffic: the receiver left this event out: {said.get('reason')}")
        return
    errors = said.get("errors")
    mistakes = errors if isinstance(errors, list) else []
    details = [f"{each.get('field')} {each.get('detail')}" for each in mistakes if isinstance(each, dict)]
    message = "; ".join(details) or str(said.get("detail") or said.get("title") or answer.reason)
    failure = failure_of(answer, {"error": {"message": message}}, None)
    if isinstance(failure, RateLimited | ServerFailed):
        raise failure
    advice = ADVICE.get(answer.status_code, "check the options that the answer names")
    raise Refused(f"ApiTraffic refused the event: {answer.status_code} {message.rstrip('.')}; {advice}")
