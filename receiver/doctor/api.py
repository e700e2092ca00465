"""Checks of the Events API: connection, token, account, scopes, filters, budget, clock, names in routes."""

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
from apitraffic_events.filters import EventFilter
from apitraffic_events.records import EventUpdate, Record
from apitraffic_events.text import one_line
from apitraffic_events.timestamps import format_timestamp, now
from receiver.doctor.findings import Finding, FindingState, failure, ok, warning
from receiver.doctor.secrets import odd_ends
from receiver.routing import Route

NO_SUCH_EVENT: Final = "evt_doctor"
"""An event that does not exist. Asked to update it, the API says so, or that the token may not."""
NOTICEABLE_SKEW: Final = timedelta(seconds=5)
LARGEST_SKEW: Final = timedelta(minutes=5)
"""From here on, the receiver refuses signatures of Standard Webhooks, which contain a time."""
LOW_BUDGET: Final = 10
"""Per cent. Below it, requests are kept for urgent changes (`receiver.delivery.budget`)."""
A_MINUTE: Final = timedelta(minutes=1)
A_DAY: Final = timedelta(days=1)
MOST_NAMES: Final = 20
SOON: Final = timedelta(days=14)
LONGEST_TOKEN_NAME: Final = 80
OR_WAIT: Final = "or wait: deliveries wait too, and none is lost"


def api(client: EventsClient, raw_token: str, routes: Sequence[Route]) -> Iterator[Finding]:
    """All findings about the API. A check that an earlier failure makes pointless is left out."""
    reading = reads(client, raw_token)
    yield reading
    if reading.state is FindingState.OK:
        yield from route_names(client, routes)
        yield writes(client)
        yield filters(client)
        yield from tokens(client, now())
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
    """What it means that events could not be listed."""
    said = f"the API says {error.status}: {error}" if error.status else f"{url}: {error}"
    if isinstance(error, Unauthorised):
        return refused(said, raw_token, lacks_scope=error.status == HTTPStatus.FORBIDDEN)
    is_from_api = error.code is not None
    if isinstance(error, NotFound) and is_from_api:
        return failure(
            "api",
            f"the token has no access to this account; {said}",
            "copy APITRAFFIC_ACCOUNT_SID from the settings of the account to which the token belongs; "
            "APITRAFFIC_API_URL must end in the version, /v1",
        )
    if isinstance(error, RateLimited):
        return warning(
            "api", f"the request budget is used up; {said}", f"ask ApiTraffic for a larger plan, {OR_WAIT}"
        )
    if isinstance(error, Unreachable):
        return failure(
            "api",
            f"cannot be reached; {said}",
            "check APITRAFFIC_API_URL, DNS, firewall and HTTPS_PROXY on this host",
        )
    if is_from_api and not isinstance(error, Rejected):
        return warning("api", f"the API fails; {said}", f"check ApiTraffic's status page, {OR_WAIT}")
    return failure(
        "api",
        f"{url} does not answer as the Events API does; {said}",
        "correct APITRAFFIC_API_URL, which ends in the version, /v1; without it, ApiTraffic's own is used",
    )


def refused(said: str, raw_token: str, *, lacks_scope: bool) -> Finding:
    """The API answers 401 to an invalid token and 403 to one that lacks a scope."""
    if lacks_scope:
        return failure(
            "api",
            f"the token lacks a scope; {said}",
            "in ApiTraffic's settings, API tokens, give it the right to read and write events, or use one "
            "that belongs to this account",
        )
    quoted = odd_ends(raw_token)
    return failure(
        "api",
        f"the token is wrong, expired or switched off; {said}",
        f"APITRAFFIC_API_TOKEN {quoted}; remove that"
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
        return warning("api_write", f"could not be checked; {error}", "run this again")
    return warning(
        "api_write", f"the API changed {NO_SUCH_EVENT}, which should not exist", "delete that event"
    )


def filters(client: EventsClient) -> Finding:
    """Which spelling of the period the list of events honours, by the answers to at most seven requests."""
    try:
        newest = next(iter(client.list_page(EventFilter(), limit=1).records), None)
        if newest is None or newest.started_at is None:
            return ok("api_filters", "cannot be checked until the account has an event")
        began_at = newest.started_at
        later = EventFilter(started_from=began_at + A_DAY, started_to=began_at + 2 * A_DAY)
        while client.list_page(later, limit=1).is_worth_repeating:
            pass
        spelling = client.filters.in_use("start")
        around = EventFilter(started_from=began_at - A_MINUTE, started_to=began_at + A_MINUTE)
        is_listed = any(event.sid == newest.sid for event in client.list_page(around).records)
    except EventsApiError as error:
        return warning("api_filters", f"could not be checked; {error}", "run this again")
    if spelling is None:
        return warning(
            "api_filters",
            "the list of events ignores every known spelling of its period",
            "look-ups check what comes back and take more requests; ask ApiTraffic how the list is filtered",
        )
    if not is_listed:
        return warning(
            "api_filters",
            f"the list of events knows {' and '.join(spelling)}, but not as the period of events' starts: "
            f"it left out {newest.sid}",
            "ask ApiTraffic how the list is filtered; until then, look-ups may miss events",
        )
    return ok("api_filters", f"the list of events filters by {' and '.join(spelling)}")


def tokens(client: EventsClient, moment: datetime) -> Iterator[Finding]:
    """Tokens of the account that expire soon: delivery pauses when ours does.

    The list does not say which one is used here. Nothing is found if the API does not list them: few tokens
    may see the others.
    """
    try:
        listed = client.list_api_tokens()
    except EventsApiError:
        return
    expiring = [token for token in listed if token.expires_at and token.expires_at > moment]
    for token in sorted(expiring, key=lambda token: token.expires_at or moment):
        if token.expires_at and token.expires_at - moment < SOON:
            name = one_line(token.name, LONGEST_TOKEN_NAME) or token.sid
            yield warning(
                "api_tokens",
                f"the API token {name} expires on {format_timestamp(token.expires_at)}",
                "if it is APITRAFFIC_API_TOKEN, make a new one in ApiTraffic's settings before that",
            )


def budget(limit: RateLimit) -> Finding:
    until = format_timestamp(limit.reset_at)
    found = f"{limit.remaining:,} of {limit.limit:,} requests left until {until}"
    if limit.remaining * 100 > limit.limit * LOW_BUDGET:
        return ok("budget", found)
    return warning(
        "budget",
        found,
        f"the rest is kept for incidents; deliver fewer events with skip = true in a [[route]], {OR_WAIT}",
    )


def clock(theirs: datetime, ours: datetime) -> Finding:
    """`theirs` is the API's `Date` header, in whole seconds; `ours` is the time at which it arrived."""
    skew = ours - theirs
    side = "ahead of" if skew > timedelta() else "behind"
    found = f"this host's clock is {abs(skew).total_seconds():.0f} s {side} the API's"
    advice = "synchronise it by NTP (`timedatectl set-ntp true`, chrony)"
    if abs(skew) >= LARGEST_SKEW:
        return failure("clock", f"{found}; signatures with a time are refused", advice)
    if abs(skew) > NOTICEABLE_SKEW:
        return warning("clock", f"{found}; markers without a time of their own are off by that much", advice)
    return ok("clock", "agrees with the API's")


def route_names(client: EventsClient, routes: Sequence[Route]) -> Iterator[Finding]:
    """Names and SIDs in [[route]] that do not exist in the account: their markers are shown everywhere."""
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
            f"give the token the scope {kind}s:read, or use SIDs",
        )
    except EventsApiError as error:
        return warning(
            check, f"the API does not list {kind}s, so names are sent as they are; {error}", "use SIDs"
        )
    missing = wanted - {text for record in known for text in (record.sid, record.name)}
    if not missing:
        return ok(check, f"all {len(wanted)} in [[route]] exist")
    names = ", ".join(sorted(record.name or record.sid for record in known)[:MOST_NAMES])
    return warning(
        check,
        f"[[route]] names {', '.join(sorted(missing))}, unknown to the account: shown everywhere instead",
        f"correct apitraffic.toml; the account has: {names or 'none'}",
    )
