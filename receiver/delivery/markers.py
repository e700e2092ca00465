"""What the receiver remembers of each event in the API: `key -> {sid, what was sent, the changes known}`."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self
from uuid import uuid4

from pydantic import TypeAdapter
from redis import Redis

from apitraffic_events.event import Event
from apitraffic_events.timestamps import format_timestamp, parse_timestamp
from receiver.datastore.keys import (
    ALIAS_PREFIX,
    LOCK_PREFIX,
    MARKER_LIFETIME,
    MARKER_PREFIX,
    names_as_json,
)
from receiver.datastore.replication import write_replicated
from receiver.delivery.folding import condensed, in_order
from receiver.delivery.marker_scripts import (
    BREAK_LOCK_SCRIPT,
    FIELDS,
    LOCK_LIFETIME,
    OPEN_SCRIPT,
    RESOLVE_SCRIPT,
    SAVE_SCRIPT,
)
from receiver.events import Change

LOCK_PATIENCE: Final = 2.0
"""Seconds a worker waits for another one's lock before it tries the job again later."""
LOCK_POLL: Final = 0.02
"""Seconds between looks at it."""
MOST_CHANGES: Final = 50
"""Changes of one marker that are remembered; more are condensed."""
CHANGES: Final = TypeAdapter(tuple[Change, ...])


class MarkerBusy(Exception):
    """Another worker is at this marker just now."""


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker.

    `sid` and `sent` are what the API has, as far as is known. `is_in_doubt` says that an attempt to create
    or update it was begun and its end is not known: the API may have it. `unanswered_since` is when a request
    began that got no answer at all: the API may still be at it.
    """

    key: str
    changes: tuple[Change, ...] = ()
    sid: str | None = None
    sent: Event | None = None
    is_in_doubt: bool = False
    unanswered_since: datetime | None = None

    def with_change(self, *added: Change) -> Self:
        changes = in_order((*self.changes, *added))
        while len(changes) > MOST_CHANGES:
            changes = condensed(changes)
        return replace(self, changes=changes)


Saving = Sequence[str | bytes | int]
"""What `SAVE` needs."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What `OPEN` says; there are no fields where another owner is at the marker."""

    token: str
    kept: Sequence[bytes | str]
    fields: Sequence[bytes | str | None] | None
    granted: Sequence[bytes | str] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(_text, self.kept))

    @property
    def claims(self) -> tuple[str, ...]:
        return tuple(map(_text, self.granted))

    def marker(self) -> Marker | None:
        if not self.fields:
            return None
        changes, sid, sent, in_doubt, unanswered = self.fields
        return Marker(
            _text(self.kept[0]),
            changes=CHANGES.validate_json(changes) if changes else (),
            sid=_text(sid) or None,
            sent=Event.model_validate_json(sent) if sent else None,
            is_in_doubt=_text(in_doubt) == "1",
            unanswered_since=parse_timestamp(_text(unanswered) or None),
        )


class OpenedMarker:
    """A marker at which nobody else works meanwhile.

    `known` is what was known of it when it was opened; `others` are names under which parts of it were kept
    as markers of their own until now; `claims` are the names that it claimed and got. What closes it is sent
    at once, or handed to `leave`.
    """

    def __init__(
        self, redis: Redis, opening: Opening, known: Marker, leave: Callable[[Saving], None] | None
    ) -> None:
        self.known = known
        self.others = opening.names[1:]
        self.claims = opening.claims
        self._redis = redis
        self._token = opening.token
        self._leave = leave
        self._is_closed = False

    def save(self, marker: Marker) -> None:
        """Keep it, and go on. The doubt must outlive a fail-over, or its successor would create blindly.

        Raises `Unreplicated` where it might not, and `MarkerBusy` where the marker is not ours any more.
        """
        self._send(marker, self._saving(marker, LOCK_LIFETIME))

    def save_and_close(self, marker: Marker) -> None:
        """Keep it for whoever is next; raises as `save`, where it is not left to somebody else."""
        saving = self._saving(marker, 0)
        if self._leave is None:
            self._send(marker, saving)
        else:
            self._leave(saving)
        self._is_closed = True

    def close(self) -> None:
        if not self._is_closed:
            self._redis.eval(BREAK_LOCK_SCRIPT, 1, f"{LOCK_PREFIX}{self.known.key}", self._token)

    def _saving(self, marker: Marker, hold_for: int) -> Saving:
        values: tuple[str | bytes | int, ...] = (
            CHANGES.dump_json(marker.changes, by_alias=True),
            marker.sid or "",
            marker.sent.model_dump_json(by_alias=True) if marker.sent else "",
            int(marker.is_in_doubt),
            format_timestamp(marker.unanswered_since) if marker.unanswered_since else "",
        )
        fields = [item for pair in zip(FIELDS, values, strict=True) for item in pair]
        keys = (f"{MARKER_PREFIX}{marker.key}", f"{LOCK_PREFIX}{marker.key}")
        return [*keys, self._token, hold_for, *fields]

    def _send(self, marker: Marker, saving: Saving) -> None:
        if marker.is_in_doubt:
            (is_saved,) = write_replicated(
                self._redis, lambda pipeline: pipeline.eval(SAVE_SCRIPT, 2, *saving)
            )
        else:
            is_saved = self._redis.eval(SAVE_SCRIPT, 2, *saving)
        if not is_saved:
            raise MarkerBusy(marker.key)


class MarkerStore:
    """Markers in Redis, one worker at a time on each; `owner` is this worker's name.

    A worker's job may bring its marker opened already, and with `closes_with_job` what closes it waits for
    whoever books the job as done: both save a round trip (`receiver.worker.bookkeeping`).
    """

    def __init__(self, redis: Redis, owner: str, *, closes_with_job: bool = False) -> None:
        self._redis = redis
        self._owner = owner
        self._leave = self._keep_closing if closes_with_job else None
        self._in_hand: Opening | None = None
        self._closing: Saving | None = None
        self._resolve = redis.register_script(RESOLVE_SCRIPT)
        self._open = redis.register_script(OPEN_SCRIPT)

    def come_with(self, opening: Opening | None) -> None:
        """The marker that is opened next was opened so; `None` where it was not."""
        self._in_hand = opening
        self._closing = None

    def let_go(self) -> None:
        """Free what a job had that was not done: a marker never opened, or closed before it failed."""
        in_hand, self._in_hand = self._in_hand, None
        if in_hand is not None:
            self._redis.eval(BREAK_LOCK_SCRIPT, 1, f"{LOCK_PREFIX}{in_hand.names[0]}", in_hand.token)
        if (closing := self.closing()) is not None:
            self._redis.eval(SAVE_SCRIPT, 2, *closing)

    def _keep_closing(self, saving: Saving) -> None:
        self._closing = saving

    def closing(self) -> Saving | None:
        """What is still to be sent of the marker that was closed last."""
        closing, self._closing = self._closing, None
        return closing

    def resolve(self, names: Sequence[str]) -> tuple[str, ...]:
        """The key under which a marker of these names is kept; and others that were kept apart until now."""
        return tuple(map(_text, self._resolve(args=names)))

    def forget(self, key: str, in_favour_of: str) -> None:
        """Let a marker be known as another one from now on."""
        with self._redis.pipeline() as pipeline:
            pipeline.delete(f"{MARKER_PREFIX}{key}")
            pipeline.set(f"{ALIAS_PREFIX}{key}", in_favour_of, ex=MARKER_LIFETIME)
            pipeline.execute()

    @contextmanager
    def opened(
        self, names: Sequence[str], claims: Sequence[str] = (), *, resolved: bool = False
    ) -> Iterator[OpenedMarker]:
        """Be the only one at the marker of these names, or at the one that is kept under a `resolved` one.

        `claims` are names that it takes if no other marker has them.

        Raises `MarkerBusy`. A dead worker's lock ends by itself; one that this owner could not give back,
        because Redis was away, is its own: it is at one job at a time.
        """
        deadline = time.monotonic() + LOCK_PATIENCE
        opening = self._opening(names, claims, resolved=resolved)
        while (marker := opening.marker()) is None:
            if time.monotonic() >= deadline:
                raise MarkerBusy(opening.names[0])
            time.sleep(LOCK_POLL)
            opening = self._opening(names, claims, resolved=resolved)
        opened = OpenedMarker(self._redis, opening, marker, self._leave)
        try:
            yield opened
        finally:
            opened.close()

    def _opening(self, names: Sequence[str], claims: Sequence[str], *, resolved: bool) -> Opening:
        in_hand, self._in_hand = self._in_hand, None
        if in_hand is not None:
            return in_hand
        token = new_token(self._owner)
        return Opening(token, *self._open(args=[token, int(not resolved), names_as_json(names, claims)]))

    def break_lock(self, key: str) -> None:
        """Free a marker that this owner had locked when it died."""
        self._redis.eval(BREAK_LOCK_SCRIPT, 1, f"{LOCK_PREFIX}{key}", f"{self._owner} ")


def new_token(owner: str) -> str:
    """For one opening: its owner's name, a space, and what is its own."""
    return f"{owner} {uuid4().hex}"


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""
