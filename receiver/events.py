"""The receiver's model: a delivery comes in, changes come out, each to one event."""

import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, ValidationInfo

from apitraffic_events.event import Event, EventType, Instant, Model, is_clean, line_of
from apitraffic_events.text import NAME_LIMIT, CleanLine, one_line, whole_line

REMARK_LIMIT: Final = 300
"""Characters."""
KEY_LIMIT: Final = 300
NO_START: Final = " (its start was not heard of)"
"""How the names of markers end that somebody has ended and nobody has named."""


class Effect(StrEnum):
    """What a change does to its marker."""

    POINT = "point"
    """Create it; it has no end."""
    OPEN = "open"
    """Create it; it has no end yet."""
    UPDATE = "update"
    """Change fields of an existing one."""
    CLOSE = "close"
    """Set its end and outcome; create it complete if it was never opened."""
    REOPEN = "reopen"
    """Clear its end."""


def marker_key(text: str) -> CleanLine:
    """A marker's key, on one line. One over the limit ends in a digest, so that no two become the same."""
    line = whole_line(text)
    if len(line) <= KEY_LIMIT:
        return line
    digest = hashlib.sha256(line.encode()).hexdigest()[:32]
    return CleanLine(f"{line[: KEY_LIMIT - len(digest) - 1]}~{digest}")


def stand_in_name(key: str) -> CleanLine:
    """The name of a marker that is only known by its key."""
    return CleanLine(one_line(key, NAME_LIMIT - len(NO_START)) + NO_START)


def is_stand_in_name(name: str) -> bool:
    return name.endswith(NO_START)


def _as_key(value: object, info: ValidationInfo) -> object:
    return marker_key(value) if isinstance(value, str) and not is_clean(info) else value


Key = Annotated[str, BeforeValidator(_as_key), Field(min_length=1)]


def _is_unused(value: object) -> bool:
    """Of a field that version 0.1 does not know: its workers read a job that does without."""
    return not value


def _is_not_said(value: object) -> bool:
    """As `_is_unused`, of a field whose zero says something."""
    return value is None


Remark = Annotated[str, BeforeValidator(line_of(REMARK_LIMIT))]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP request from a sender, authentic and not yet translated.

    `id` is the sender's own delivery id, or a digest of the body if it sends none. `event` is the sender's
    own name for what happened. Header names are lower-case. `content` is the body's JSON if the source had
    to parse it to learn one of these; it is not stored.
    """

    __pydantic_config__: ClassVar = ConfigDict(
        ser_json_bytes="base64", val_json_bytes="base64", extra="forbid"
    )
    """For the spool, which stores deliveries as JSON."""

    source: str
    id: str
    event: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    received_at: Instant
    content: Annotated[JsonValue, Field(exclude=True)] = field(default=None, repr=False, compare=False)

    def reference(self) -> "DeliveryReference":
        return DeliveryReference(source=self.source, id=self.id, event=self.event)


class DeliveryReference(Model):
    """Where a change came from."""

    source: str
    id: str
    event: str


class Change(Model):
    """What a delivery means for one marker.

    `key` says which marker, `occurred_at` when it happened by the sender's clock. `event` is what the marker
    should show afterwards; its `metadata` is added to what is there. If the sender does not know the whole
    event, `sets` names the fields that it does know. `remark` is a line for the trail below the description.
    `aliases` are further keys of the same marker: a deployment has an id of its own, and that of the pipeline
    run which made it.
    """

    key: Key
    aliases: tuple[Key, ...] = ()
    claims: tuple[Key, ...] = Field(default=(), exclude_if=_is_unused)
    """Names by which others may speak of this marker, and of its neighbours too: two deployments of one run
    have the same. The first marker that claims one keeps it, so that such a name never joins two."""
    former_keys: tuple[Key, ...] = Field(default=(), exclude_if=_is_unused)
    """The keys that earlier versions gave this marker; claimed in the same way."""
    effect: Effect
    occurred_at: Instant
    sequence: int = Field(default=0, exclude_if=_is_unused)
    """The sender's own running number: the order of what happened at the same moment."""
    event: Event
    sets: tuple[str, ...] | None = None
    remark: Remark | None = None
    lasted: timedelta | None = Field(default=None, exclude_if=_is_unused)
    """How long it took, as its description says; a marker that knows its start better says that instead."""
    is_authoritative: bool = Field(default=False, exclude_if=_is_unused)
    """Whether its sender gave the marker its id: nobody else's outcome goes over the one that it reports."""
    is_final: bool = Field(default=False, exclude_if=_is_unused)
    """Whether the outcome stays although the same sender reports another one later.

    An update that is final calls the marker off if nothing of it was to be shown by then: nothing ever is.
    """
    is_indirect: bool = Field(default=False, exclude_if=_is_unused)
    """Whether it reports something that its marker is only a part of, such as the build that deployed. If
    another sender reports the marker itself, this adds metadata and no more."""
    heard_at: Instant | None = Field(default=None, exclude_if=_is_unused)
    """Of an alert, when its sender said so. `key` is then the alert's own, and each of its episodes, from
    firing to resolved, is a marker."""
    lapses_after: timedelta | None = Field(default=None, exclude_if=_is_unused)
    """Of an alert that fires: without news for so long, it has ended unseen."""
    is_undated: bool = Field(default=False, exclude_if=_is_unused)
    """Whether it has no time of its own: it counts as of when it was received, so a repeat is a later one."""
    verdict_after: timedelta | None = Field(default=None, exclude_if=_is_not_said)
    """How long after its end a deploy is judged, if a route says so; zero for no verdict."""
    account: str | None = Field(default=None, exclude_if=_is_unused)
    """The name that apitraffic.toml gives the account whose marker it is; `None` for the one of
    APITRAFFIC_ACCOUNT_SID. Accounts share no markers."""
    delivery: DeliveryReference

    @property
    def names(self) -> tuple[str, ...]:
        """The keys that only its marker has, `key` first."""
        return tuple(dict.fromkeys((self.key, *self.aliases)))

    @property
    def claimed_names(self) -> tuple[str, ...]:
        """The names that it may share with others, the most exact first."""
        return tuple(dict.fromkeys((*self.claims, *self.former_keys)))


def is_urgent(change: Change) -> bool:
    """Incidents, and changes that end or reopen something, overtake a backlog of other changes."""
    return change.event.type is EventType.INCIDENT or change.effect in {Effect.CLOSE, Effect.REOPEN}
