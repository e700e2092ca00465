"""The receiver's model: a delivery comes in, changes come out, each to one event.

An event's field names in JSON are those of the Events API (`startedAt`), everything else is `snake_case`.
"""

import hashlib
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator, ConfigDict, Field

from apitraffic_events.event import Event, EventType, Instant, Model, line_of
from apitraffic_events.text import INVISIBLE

REMARK_LIMIT: Final = 300


KEY_LIMIT: Final = 300


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


def marker_key(text: str) -> str:
    """A marker's key, on one line; one that is too long ends in a digest, so that no two become the same."""
    line = " ".join(INVISIBLE.sub(" ", text).split())
    if len(line) <= KEY_LIMIT:
        return line
    digest = hashlib.sha256(line.encode()).hexdigest()[:32]
    return f"{line[: KEY_LIMIT - len(digest) - 1]}~{digest}"


def _as_key(value: object) -> object:
    return marker_key(value) if isinstance(value, str) else value


Key = Annotated[str, BeforeValidator(_as_key), Field(min_length=1)]


Remark = Annotated[str, BeforeValidator(line_of(REMARK_LIMIT))]


class Delivery(Model):
    """One HTTP request from a sender, authentic and unread.

    `id` is the sender's own delivery id, or a digest of the body where it has none; `event` is the sender's
    own name for what happened; header names are lower-case.
    """

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    source: str
    id: str
    event: str
    headers: dict[str, str] = Field(repr=False)
    body: bytes = Field(repr=False)
    received_at: Instant


class DeliveryReference(Model):
    """Where a change came from."""

    source: str
    id: str
    event: str


class Change(Model):
    """What a delivery means for one marker.

    `key` says which marker, `occurred_at` when it happened by the sender's clock. `event` is what the marker
    should show afterwards; its `metadata` is added to what is there. Where the sender does not know all of
    it, `sets` names the fields that count. `remark` is a line for the trail below the description. `aliases`
    are further keys by which others may speak of the same marker: a deployment has an id at the sender, and
    the run of a pipeline that made it.
    """

    key: Key
    aliases: tuple[Key, ...] = ()
    claims: tuple[Key, ...] = ()
    """Names by which others may speak of this marker, and of its neighbours too: two deployments of one run
    have the same. The first marker that claims one keeps it, so that such a name never joins two."""
    former_keys: tuple[Key, ...] = ()
    """The keys that earlier versions gave this marker; claimed in the same way."""
    effect: Effect
    occurred_at: Instant
    sequence: int = 0
    """The sender's own running number: the order of what happened at the same moment."""
    event: Event
    sets: tuple[str, ...] | None = None
    remark: Remark | None = None
    lasted: timedelta | None = None
    """How long it took, as its description says; a marker that knows its start better says that instead."""
    is_authoritative: bool = False
    """Whether its sender gave the marker its id: nobody else's outcome goes over the one that it reports."""
    is_final: bool = False
    """Whether the outcome stays although the same sender reports another one later."""
    delivery: DeliveryReference

    @property
    def names(self) -> tuple[str, ...]:
        """The keys that only its marker has, its own first."""
        return tuple(dict.fromkeys((self.key, *self.aliases)))

    @property
    def claimed_names(self) -> tuple[str, ...]:
        """The names that it may share with others, the most exact first."""
        return tuple(dict.fromkeys((*self.claims, *self.former_keys)))


def is_urgent(change: Change) -> bool:
    """Incidents, and whatever ends or reopens something, overtake a backlog of markers of the past."""
    return change.event.type is EventType.INCIDENT or change.effect in {Effect.CLOSE, Effect.REOPEN}
