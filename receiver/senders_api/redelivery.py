"""Which deliveries of a GitHub webhook to redeliver: pure functions over what GitHub lists.

GitHub attempts each delivery once. Its API lists the attempts; those of one event share a `guid`. After
https://docs.github.com/en/webhooks/using-webhooks/automatically-redelivering-failed-deliveries-for-a-repository-webhook
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Final

from pydantic import AwareDatetime, TypeAdapter

from apitraffic_events.retrying import Backoff

BACKOFF: Final = Backoff(first=5 * 60.0, longest=60 * 60.0)
"""Seconds. A redelivered event rests for 5, 10, 20, 40 and then 60 minutes, so that runs do not pile up."""
THROTTLED_AT_MOST: Final = timedelta(hours=1)
"""During a surge GitHub delivers some minutes late. After this time, a throttled attempt counts as failed."""

OVER_LIMIT: Final = "over --limit, for the next run"
TOO_OLD: Final = "first delivered before --since"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One item of GitHub's list: an HTTP request that GitHub made or postponed (`throttled_at`)."""

    id: int
    guid: str
    delivered_at: AwareDatetime
    redelivery: bool
    status: str
    event: str
    status_code: int | None = None
    action: str | None = None
    throttled_at: AwareDatetime | None = None

    @property
    def succeeded(self) -> bool:
        code = self.status_code or 0
        return self.status == "OK" or HTTPStatus.OK <= code < HTTPStatus.MULTIPLE_CHOICES

    @property
    def name(self) -> str:
        """Event and action: `deployment_status.created`, `push`."""
        return f"{self.event}.{self.action}" if self.action else self.event

    def is_postponed(self, now: datetime) -> bool:
        """Whether GitHub throttled the attempt and may still make it."""
        if self.throttled_at is None or self.status_code:
            return False
        return now - self.throttled_at < THROTTLED_AT_MOST


ATTEMPTS: Final = TypeAdapter(list[Attempt])
"""Reads a page of GitHub's list; raises `pydantic.ValidationError`."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to redeliver one event that no attempt has delivered."""

    first: Attempt
    newest: Attempt
    attempts: int
    left: str | None = None
    """Why it is left alone; `None` if it is to be redelivered."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`decisions` hold the failed events, oldest first; `events` is the number of events looked at."""

    events: int
    decisions: tuple[Decision, ...]


def group(attempts: Iterable[Attempt]) -> dict[str, list[Attempt]]:
    """The attempts of each event, oldest first, each once even if pages overlap."""
    groups: dict[str, dict[int, Attempt]] = {}
    for attempt in attempts:
        groups.setdefault(attempt.guid, {})[attempt.id] = attempt
    return {
        guid: sorted(found.values(), key=lambda attempt: (attempt.delivered_at, attempt.id))
        for guid, found in groups.items()
    }


def choose(
    attempts: Iterable[Attempt],
    *,
    since: datetime,
    now: datetime,
    patterns: Sequence[str] = (),
    limit: int | None = None,
) -> Plan:
    """Which failed events to redeliver, at most `limit`: those with the fewest attempts, then the oldest.

    An event belongs to the period of its first attempt. So an event that can never be delivered is given up
    once that attempt is before `since`, however often it was redelivered.
    """
    groups = [
        of_event
        for of_event in group(attempts).values()
        if of_event[-1].delivered_at >= since and is_wanted(of_event[-1], patterns)
    ]
    failed = [of_event for of_event in groups if not any(attempt.succeeded for attempt in of_event)]
    decisions = [_decide(of_event, since=since, now=now) for of_event in failed]
    due = sorted((decision for decision in decisions if decision.left is None), key=_urgency)
    postponed = {decision.newest.guid for decision in due[limit:]} if limit is not None else set()
    decisions = [
        replace(decision, left=OVER_LIMIT) if decision.newest.guid in postponed else decision
        for decision in decisions
    ]
    decisions.sort(key=lambda decision: (decision.first.delivered_at, decision.first.id))
    return Plan(events=len(groups), decisions=tuple(decisions))


def is_wanted(attempt: Attempt, patterns: Sequence[str]) -> bool:
    """Whether a shell pattern matches the event (`deployment*`) or event and action (`issues.closed`)."""
    names = (attempt.event, attempt.name)
    return not patterns or any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def pause_after(redeliveries: int) -> timedelta:
    """How long to leave an event alone after this many redeliveries."""
    if redeliveries <= 0:
        return timedelta(0)
    return timedelta(seconds=BACKOFF.limit(redeliveries))


def _decide(attempts: Sequence[Attempt], *, since: datetime, now: datetime) -> Decision:
    first, newest = attempts[0], attempts[-1]
    decision = Decision(first=first, newest=newest, attempts=len(attempts))
    # A redelivery comes first if the original attempt was before the period or is no longer kept.
    if first.delivered_at < since or first.redelivery:
        return replace(decision, left=TOO_OLD)
    if newest.is_postponed(now):
        return replace(decision, left="throttled by GitHub, which may still deliver it")
    rested = newest.delivered_at + pause_after(sum(attempt.redelivery for attempt in attempts))
    if newest.redelivery and now < rested:
        return replace(decision, left=f"redelivered just now, rests until {rested:%H:%M} UTC")
    return decision


def _urgency(decision: Decision) -> tuple[int, datetime, int]:
    return decision.attempts, decision.first.delivered_at, decision.first.id
