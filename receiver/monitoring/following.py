"""Deliveries as they come in, and what becomes of those that were accepted. Nothing is written."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import merge
from typing import Final

from redis import Redis

from apitraffic_events.timestamps import now
from receiver.queue.delivery_log import DELIVERIES, REFUSALS, DeliveryLog, Entry
from receiver.queue.inspection import JobState, last_attempts, states_of
from receiver.queue.queues import job_id_stem

ACCEPTED: Final = "accepted"
OUTCOMES: Final = {JobState.GONE: "delivered", JobState.DEAD: "given_up", JobState.TO_RETRY: "to_retry"}
STATUSES: Final = (ACCEPTED, "ignored", "duplicate", "quarantined", "refused", *OUTCOMES.values())
MOST_FOLLOWED: Final = 5_000
"""Changes whose outcome is waited for; of more, the oldest are no longer followed."""


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened at a time: an entry of the log, or the outcome of one of its changes.

    Of an outcome, `entry.markers` holds only that change's marker.
    """

    at: datetime
    status: str
    entry: Entry


@dataclass(slots=True)
class Following:
    """Call `new` again and again. Raises `StorageUnavailable` if Redis cannot be used."""

    redis: Redis
    _last: dict[str, str] = field(default_factory=lambda: {DELIVERIES: "", REFUSALS: ""})
    _followed: dict[str, tuple[Entry, JobState]] = field(default_factory=dict)

    def new(self) -> list[Happening]:
        """What has happened since the last call, in order; the first time, all that the log still has."""
        log = DeliveryLog(self.redis)
        found = {stream: log.after(stream, last) for stream, last in self._last.items()}
        is_first = not any(self._last.values())
        for stream, entries in found.items():
            if entries:
                self._last[stream] = entries[-1].id
        entries = list(merge(*found.values(), key=lambda entry: entry.at))
        for entry in entries:
            self._follow(entry)
        happened = [Happening(entry.at, entry.status, entry) for entry in entries]
        outcomes = self._outcomes()
        if not is_first:
            return happened + [Happening(now(), OUTCOMES[state], entry) for _, entry, state in outcomes]
        # Most deliveries accepted before have been delivered, and the time is no longer known.
        earlier = [each for each in outcomes if each[2] is not JobState.GONE]
        ended = last_attempts(self.redis, [name for name, _, _ in earlier])
        happened += [
            Happening(ended.get(name, entry.at), OUTCOMES[state], entry) for name, entry, state in earlier
        ]
        return sorted(happened, key=lambda each: each.at)

    def _follow(self, entry: Entry) -> None:
        if entry.status != ACCEPTED:
            return
        stem = job_id_stem(entry.source, entry.delivery)
        for number, marker in enumerate(entry.markers):
            self._followed[f"{stem}-{number}"] = (replace(entry, markers=(marker,)), JobState.WAITING)
        while len(self._followed) > MOST_FOLLOWED:
            del self._followed[next(iter(self._followed))]

    def _outcomes(self) -> list[tuple[str, Entry, JobState]]:
        """What is new: the job's id, its change's entry, and what has become of it."""
        return list(self._new_outcomes())

    def _new_outcomes(self) -> Iterator[tuple[str, Entry, JobState]]:
        for name, state in states_of(self.redis, list(self._followed)).items():
            entry, before = self._followed[name]
            if state in {JobState.GONE, JobState.DEAD}:
                del self._followed[name]
            elif state is not JobState.WAITING and state is not JobState.IN_WORK:
                self._followed[name] = (entry, state)
            if state is not before and state in OUTCOMES:
                yield name, entry, state
