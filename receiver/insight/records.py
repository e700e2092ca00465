"""The record of one marker in the timeline, from which the insights of other markers are computed."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Final, Protocol

from pydantic import Field, JsonValue, ValidationError

from apitraffic_events.event import EVERYWHERE, SCOPE_LIMIT, Event, EventType, Instant, Model, Scope
from apitraffic_events.records import StoredEvent
from apitraffic_events.text import METADATA_TEXT_LIMIT, NAME_LIMIT, one_line
from receiver.wording import VERSION, describe_version

FACT_LIMIT: Final = 200
"""Characters of a text that is remembered."""
LINK_LIMIT: Final = 300
REMEMBERED: Final = frozenset(
    {EventType.DEPLOYMENT, EventType.INCIDENT, EventType.CONFIG_CHANGE, EventType.SCALE}
)
"""Types of markers that insights are about."""


class DeployOutcome(StrEnum):
    """How a deploy ended, as far as that decides what runs afterwards."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CALLED_OFF = "called off"
    """Cancelled or rejected; of an incident, that it turned out to be part of another one, or none."""


OUTCOMES: Final = {
    **dict.fromkeys(("in_progress", "running", "started", "pending", "paused"), DeployOutcome.RUNNING),
    **dict.fromkeys(
        ("success", "succeeded", "successful", "passed", "unstable", "warnings", "rolled_back"),
        DeployOutcome.SUCCEEDED,
    ),
    **dict.fromkeys(
        ("failure", "failed", "error", "partial", "expired", "timed_out", "startup_failure"),
        DeployOutcome.FAILED,
    ),
    **dict.fromkeys(
        ("cancelled", "canceled", "aborted", "rejected", "not_built", "merged", "unlabeled", "untyped"),
        DeployOutcome.CALLED_OFF,
    ),
}
"""`metadata.status` as our sources and plugins write it. Any other word says nothing of what runs."""

NOT_PRODUCTION: Final = re.compile(r"(stag|dev|test|qa\b|review|preview|sandbox|uat\b)", re.IGNORECASE)
"""How names of environments begin that are certainly not production."""
LIKE_PRODUCTION: Final = frozenset({"prod", "prd", "production", "live"})


class Record(Model):
    """What is remembered of a marker.

    `at` is when it changed what runs: the end of a deploy, the start of anything else. `subject` is what was
    deployed, `track` the workflow or job that did it. `suspects` are the keys of the markers that an incident
    names.
    """

    key: str
    type: EventType
    name: str
    at: Instant
    started_at: Instant
    has_ended: bool = False
    outcome: DeployOutcome | None = None
    subject: str | None = None
    environment: str | None = None
    is_production: bool | None = None
    """As the environment's name says, or else the sender; `None` if neither does."""
    version: str | None = None
    is_exact: bool = False
    """Whether `version` names one version for good, as a tag does and a branch does not."""
    commit: str | None = None
    track: str | None = None
    job: str | None = None
    run_id: str | None = None
    task: str | None = None
    source: str | None = None
    repository_url: str | None = None
    url: str | None = None
    buckets: Scope = EVERYWHERE
    environments: Scope = EVERYWHERE
    suspects: tuple[str, ...] = Field(default=(), exclude_if=lambda keys: not keys)
    judged_after: timedelta | None = Field(default=None, exclude_if=lambda length: length is None)
    """How long after its end a deploy is judged if not as usual; zero for never."""

    @cached_property
    def history(self) -> str | None:
        """Names the sequence of deploys that it is one of; `None` if it is no deploy that leaves something
        running, or if it does not say of what.
        """
        if self.type is not EventType.DEPLOYMENT or self.outcome is None or self.subject is None:
            return None
        if self.version is None and self.commit is None:
            return None
        return f"{self.subject.lower()} {(self.environment or '').lower()}"


def record_of(event: Event | StoredEvent, key: str, moment: datetime | None = None) -> Record | None:
    """What to remember of an event; `None` if nothing.

    `moment` is used if the event has no start.
    """
    started_at = event.started_at or moment
    if event.type not in REMEMBERED or started_at is None:
        return None
    facts = event.metadata
    is_deploy = event.type == EventType.DEPLOYMENT
    commit = _text(facts, "commit")
    release, ref = _text(facts, "release"), _text(facts, "ref")
    # A CI plugin says what was deployed, as its user calls it.
    version = release or _text(facts, "version") or describe_version(ref, commit) or None
    environment = _text(facts, "environment")
    return Record(
        key=key,
        type=EventType(event.type),
        name=one_line(event.name, NAME_LIMIT),
        at=(event.ended_at or started_at) if is_deploy else started_at,
        started_at=started_at,
        has_ended=event.ended_at is not None,
        outcome=OUTCOMES.get((_text(facts, "status") or "").lower()),
        subject=_text(facts, "service") or _text(facts, "repository") or _text(facts, "job"),
        environment=environment,
        is_production=_is_production(facts, environment),
        version=version,
        is_exact=bool(release or VERSION.fullmatch(version or "")),
        commit=commit.lower() if commit else None,
        track=_text(facts, "workflow") or _text(facts, "job"),
        job=_text(facts, "job"),
        run_id=_text(facts, "run_id"),
        task=_text(facts, "task"),
        source=event.source,
        repository_url=_link(facts, "repository_url"),
        url=_link(facts, "url") or _link(facts, "run_url"),
        buckets=_scope(event.buckets),
        environments=_scope(event.environments),
    )


def listed_record(event: StoredEvent, key: str, moment: datetime | None = None) -> Record | None:
    """As `record_of`; `None` also for what no sender of ours could have sent, and Redis could not keep."""
    if not key.isprintable():
        return None
    try:
        return record_of(event, key, moment)
    except ValidationError:
        return None


class Scoped(Protocol):
    """Where an event is shown, and which environment it names, if any."""

    @property
    def buckets(self) -> tuple[str, ...]: ...
    @property
    def environments(self) -> tuple[str, ...]: ...
    @property
    def environment(self) -> str | None: ...


def shares_scope(one: Scoped, other: Scoped) -> bool:
    """Whether both are shown on some chart together, and speak of the same environment if both name one."""
    return (
        _overlap(one.buckets, other.buckets)
        and _overlap(one.environments, other.environments)
        and is_same_environment(one.environment, other.environment)
    )


def is_shown_everywhere(record: Record) -> bool:
    """Whether no route has given it buckets or environments."""
    return tuple(record.buckets) == EVERYWHERE == tuple(record.environments)


def is_same_environment(one: str | None, other: str | None) -> bool:
    """True also if one of them is unknown. `prod` and `production` are the same."""
    if one is None or other is None:
        return True
    return _usual(one) == _usual(other)


def _is_production(facts: dict[str, JsonValue], environment: str | None) -> bool | None:
    """The name decides if it is clear: GitHub Actions says `false` of an environment named production."""
    if environment is not None and _usual(environment) == "production":
        return True
    if environment is not None and NOT_PRODUCTION.match(environment):
        return False
    said = facts.get("production")
    return said if isinstance(said, bool) else None


def _usual(environment: str) -> str:
    name = environment.lower()
    return "production" if name in LIKE_PRODUCTION else name


def _overlap(one: Scope, other: Scope) -> bool:
    return EVERYWHERE in {tuple(one), tuple(other)} or bool(set(one) & set(other))


def _scope(places: Iterable[str]) -> tuple[str, ...]:
    """As an event of ours may have it; the API may hold more."""
    return tuple(place for place in places if 0 < len(place) <= METADATA_TEXT_LIMIT)[:SCOPE_LIMIT]


def _text(facts: dict[str, JsonValue], name: str) -> str | None:
    """A fact as text; senders write ids as numbers, too."""
    value = facts.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return one_line(str(value), FACT_LIMIT) or None


def _link(facts: dict[str, JsonValue], name: str) -> str | None:
    """A link that can be shown whole, or none: half a link leads nowhere."""
    value = facts.get(name)
    is_link = isinstance(value, str) and re.fullmatch(r"https?://\S+", value) and len(value) <= LINK_LIMIT
    return str(value) if is_link and str(value).isprintable() else None
