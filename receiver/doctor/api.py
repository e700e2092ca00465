"""Checks of the Events API: reachable, token and account right, scopes, budget, clocks, names in routes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import (
    EventsApiError,
    NotFound,
    RateLimit,
    RateLimited,
    Rejected,
    Unauthorised,
    Unreachable,
)
from apitraffic_events.event import EVERYWHERE
from apitraffic_events.records import EventUpdate, Record
from apitraffic_events.timestamps import format_timestamp, now
from receiver.doctor.findings import Finding, FindingState, failure, ok, warning
from receiver.doctor.secrets import odd_ends
from receiver.routing import Route

NO_SUCH_EVENT: Final = "evt_doctor"
"""An event that there is not: asked to change it, the API says no such event, or that the token may not."""
NOTICEABLE_SKEW: Final = timedelta(seconds=5)
LARGEST_SKEW: Final = timedelta(minutes=5)
"""From here on the receiver refuses Standard Webhooks' signatures, which have a time."""
LOW_BUDGET: Final = 10
"""Per cent; what is left then is kept for what is urgent (see `receiver.delivery.budget`)."""
MOST_NAMES: Final = 20
MAY_COUNT: Final = "or wait: deliveries do, and none is lost"


def api(client: EventsClient, raw_token: str, routes: Sequence[Route]) -> Iterator[Finding]:
    """All that can be found out; what cannot be asked because of an earlier failure is left out."""
    reading = reads(client, raw_token)
    yield reading
    if reading.state is FindingState.OK:
        yield from route_names(client, routes)
        yield writes(client)
    if client.rate_limit is not None:
        yield budget(client.rate_limit)
    if client.date is not None:
        yield clock(client.date, now())


def reads(client: EventsClient, raw_token: str) -> Finding:
    """Whether the token may list the account's events."""
    try:
        client.list_events(limit=1)
    except EventsApiError as error:
        return why_not(error, client.account_url, raw_token)
    return ok("api", f"{client.account_url} lists events")


def why_not(error: EventsApiError, url: str, raw_token: str) -> Finding:
    """What a failed list of events means."""
    said = f"the API says {error.status}: {error}" if error.status else f"{url}: {error}"
    if isinstance(error, Unauthorised):
        return refused(said, raw_token, lacks_scope=error.status == HTTPStatus.FORBIDDEN)
    is_from_api = error.code is not None
    if isinstance(error, NotFound) and is_from_api:
        return failure(
            "api",
            f"the token knows no such account; {said}",
            "take APITRAFFIC_ACCOUNT_SID from the settings of the account that the token is of; and "
            "APITRAFFIC_API_URL ends in the version, /v1",
        )
    if isinstance(error, RateLimited):
        return warning(
            "api", f"the request budget is used up; {said}", f"ask ApiTraffic for a larger plan, {MAY_COUNT}"
        )
    if isinstance(error, Unreachable):
        return failure(
            "api",
            f"cannot be reached; {said}",
            "check APITRAFFIC_API_URL, DNS, firewall and HTTPS_PROXY on this host",
        )
    if is_from_api and not isinstance(error, Rejected):
        return warning("api", f"the API fails; {said}", f"look at ApiTraffic's status page, {MAY_COUNT}")
    return failure(
        "api",
        f"{url} does not answer as the Events API does; {said}",
        "correct APITRAFFIC_API_URL, which ends in the version, /v1; leave it out for ApiTraffic's own",
    )


def refused(said: str, raw_token: str, *, lacks_scope: bool) -> Finding:
    """401 is said of a token that is no good, 403 of one that may not do this."""
    if lacks_scope:
        return failure(
            "api",
            f"the token lacks a scope; {said}",
            "in ApiTraffic's settings, API tokens, give it the right to read and write events, or take one "
            "that belongs to this account",
        )
    quoted = odd_ends(raw_token)
    return failure(
        "api",
        f"the token is wrong, expired or switched off; {said}",
        f"APITRAFFIC_API_TOKEN {quoted}; take that away"
        if quoted
        else "copy a new one from ApiTraffic's settings, API tokens",
    )


def writes(client: EventsClient) -> Finding:
    """Whether the token may change events, without changing one."""
    try:
        client.update_event(NO_SUCH_EVENT, EventUpdate(name="apitraffic-events doctor"))
    except Unauthorised as error:
        return failure(
            "api_write",
            f"the token may list events but not write them; the API says {error.status}: {error}",
            "in ApiTraffic's settings, API tokens, give the token the right to write events",
        )
    except Rejected:
        return ok("api_write", "the token may write events")
    except EventsApiError as error:
        return warning("api_write", f"could not be found out; {error}", "run this again")
    return warning(
        "api_write", f"the API changed {NO_SUCH_EVENT}, which should not be there", "delete that event"
    )


def budget(limit: RateLimit) -> Finding:
    until = format_timestamp(limit.reset_at)
    found = f"{limit.remaining:,} of {limit.limit:,} requests left until {until}"
    if limit.remaining * 100 > limit.limit * LOW_BUDGET:
        return ok("budget", found)
    return warning(
        "budget",
        found,
        f"what is left is kept for incidents; deliver fewer events by [[route]] skip = true, {MAY_COUNT}",
    )


def clock(theirs: datetime, ours: datetime) -> Finding:
    """`theirs` is the API's `Date` header, in whole seconds, `ours` was read when the answer had come."""
    skew = ours - theirs
    side = "ahead of" if skew > timedelta() else "behind"
    found = f"this host's clock is {abs(skew).total_seconds():.0f} s {side} the API's"
    advice = "let it follow NTP (`timedatectl set-ntp true`, chrony)"
    if abs(skew) >= LARGEST_SKEW:
        return failure("clock", f"{found}; signatures with a time are refused", advice)
    if abs(skew) > NOTICEABLE_SKEW:
        return warning(
            "clock", f"{found}; markers without a time of their own are drawn that far off", advice
        )
    return ok("clock", "agrees with the API's")


def route_names(client: EventsClient, routes: Sequence[Route]) -> Iterator[Finding]:
    """Names and SIDs in [[route]] that the account does not have: their markers are shown everywhere."""
    wanted = {
        "bucket": {name for route in routes for name in route.buckets or ()},
        "environment": {name for route in routes for name in route.environments or ()},
    }
    fetch: dict[str, Callable[[], Iterable[Record]]] = {
        "bucket": client.list_buckets,
        "environment": client.list_environments,
    }
    for kind, names in wanted.items():
        if names - set(EVERYWHERE):
            yield places(kind, names - set(EVERYWHERE), fetch[kind])


def places(kind: str, wanted: set[str], fetch: Callable[[], Iterable[Record]]) -> Finding:
    check = f"route_{kind}s"
    try:
        known = tuple(fetch())
    except Unauthorised as error:
        return failure(
            check,
            f"the token may not list {kind}s, so the names in [[route]] cannot be looked up; {error}",
            f"give the token the scope {kind}s:read, or write SIDs",
        )
    except EventsApiError as error:
        return warning(
            check, f"the API does not list {kind}s, so names are sent as they are; {error}", "write SIDs"
        )
    missing = wanted - {text for record in known for text in (record.sid, record.name)}
    if not missing:
        return ok(check, f"all {len(wanted)} in [[route]] are there")
    names = ", ".join(sorted(record.name or record.sid for record in known)[:MOST_NAMES])
    return warning(
        check,
        f"[[route]] names {', '.join(sorted(missing))}, unknown to the account: shown everywhere instead",
        f"correct apitraffic.toml; the account has: {names or 'none'}",
    )
