"""Dead letters: changes that are not retried automatically, and why.

A dead letter is a job in RQ's registry of failed jobs; nothing else makes it one. Redis keys are RQ's own:
the job under `apitraffic:rq:job:<name>` and its entry in `apitraffic:rq:failed:<queue>`, both for a year
after it died.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from redis import Redis
from rq import Queue
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.executions import ExecutionRegistry
from rq.job import Job, JobStatus
from rq.results import Result
from rq.utils import utcformat

from apitraffic_events.event import Instant
from apitraffic_events.text import INVISIBLE, one_line
from apitraffic_events.timestamps import format_timestamp, now, parse_timestamp
from receiver.datastore.failures import redis_required
from receiver.datastore.keys import MARKER_LIFETIME, keys_of
from receiver.datastore.replies import as_text
from receiver.datastore.scripts.runner import Script
from receiver.observability.trace_context import TRACEPARENT
from receiver.queue.queues import UNEXPECTED_RETRIES, account_of, all_queues

META: Final = "death"
"""The key of the `Death` in a job's meta."""
LONGEST_MESSAGE: Final = 600
LONGEST_WORD: Final = 100
LONGEST_TRACEBACK: Final = 100
"""Lines; the last ones are kept."""
BATCH: Final = 200

REPLAY_DEAD_LETTER: Final = Script("replay_dead_letter")
DISCARD_DEAD_LETTER: Final = Script("discard_dead_letter")


class Cause(StrEnum):
    """Why a change is not retried any more."""

    REFUSED = "refused"
    """The API refused it, and would refuse the same again."""
    OUT_OF_TIME = "out_of_time"
    """The API failed for longer than deliveries are retried."""
    UNEXPECTED = "unexpected"
    """An unexpected error occurred at every attempt."""


def _words(limit: int) -> BeforeValidator:
    return BeforeValidator(lambda value: one_line(value, limit) if isinstance(value, str) else value)


class Death(BaseModel):
    """What is recorded when a change is given up.

    `kind` is the class of the error; `code`, `status` and `message` are the API's, if it answered; `attempts`
    counts those since the change was accepted or replayed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", validate_by_name=True, serialize_by_alias=True)

    at: Instant
    cause: Cause
    kind: Annotated[str, _words(LONGEST_WORD)]
    code: Annotated[str, _words(LONGEST_WORD)] | None = None
    status: int | None = None
    message: Annotated[str, _words(LONGEST_MESSAGE)]
    attempts: int = Field(alias="tries")

    def store(self, job: Job) -> None:
        """Store this with the job; RQ does not store the meta of a failed job."""
        job.meta[META] = self.model_dump(mode="json")
        job.save_meta()  # type: ignore[no-untyped-call]  # RQ has no types here

    @classmethod
    def of(cls, job: Job) -> Self:
        """As it was recorded, or as far as RQ knows it if the job died outside its own code."""
        try:
            return cls.model_validate(job.meta.get(META))
        except ValidationError:
            return cls._as_rq_knows_it(job)

    @classmethod
    def _as_rq_knows_it(cls, job: Job) -> Self:
        last_line = next(iter(reversed(_traceback(job))), "")
        kind, colon, message = last_line.partition(": ")
        is_named = bool(colon) and kind.replace(".", "").replace("_", "").isalnum()
        return cls(
            at=job.ended_at or job.enqueued_at or job.created_at,
            cause=Cause.UNEXPECTED,
            kind=kind.rpartition(".")[2] if is_named else "unknown",
            message=(message if is_named else last_line) or "the worker that had it left no word",
            attempts=(job.number_of_retries or 0) + UNEXPECTED_RETRIES - (job.retries_left or 0) + 1,
        )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A change that was given up.

    `change` is as it was stored, unchecked: another version may have written it. It is empty if it cannot be
    read at all. `traceparent` is the span that queued it.
    """

    name: str
    queue: Queue
    change: Mapping[str, Any]
    death: Death
    accepted_at: datetime
    traceback: Sequence[str] = ()
    traceparent: str | None = None

    @property
    def key(self) -> str:
        return self.text("key")

    @property
    def account(self) -> str | None:
        """Whose change it is, and to whom a replay sends it; `None` for APITRAFFIC_ACCOUNT_SID."""
        return account_of(self.queue.name)

    @property
    def marker_names(self) -> list[str]:
        """Its key, then its aliases; none if the change cannot be read."""
        aliases = self.change.get("aliases")
        names = [self.change.get("key"), *(aliases if isinstance(aliases, list) else [])]
        return [name for name in names if isinstance(name, str) and name]

    def text(self, *path: str) -> str:
        """The text at this path in the change; empty if there is none."""
        value: object = self.change
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return one_line(value, LONGEST_MESSAGE) if isinstance(value, str) else ""

    def as_json(self) -> dict[str, str | int | None]:
        """The fields of `deadletters list --json`. None is removed or renamed; new ones may come.

        `account` is only there if the change is for one of apitraffic.toml's accounts.
        """
        of_account = {} if self.account is None else {"account": self.account}
        return {
            "name": self.name,
            "died_at": self.death.model_dump(mode="json")["at"],
            "accepted_at": format_timestamp(self.accepted_at),
            "cause": self.death.cause.value,
            "kind": self.death.kind,
            "status": self.death.status,
            "code": self.death.code,
            "message": self.death.message,
            "tries": self.death.attempts,
            "key": self.key,
            "effect": self.text("effect"),
            "type": self.text("event", "type"),
            "event": self.text("event", "name"),
            "source": self.text("delivery", "source"),
            "delivery": self.text("delivery", "id"),
            "queue": self.queue.name,
            **of_account,
        }


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters to select; `None` selects all. `code` is the API's, or the HTTP status."""

    source: str | None = None
    key: str | None = None
    """A shell pattern."""
    code: str | None = None
    type: str | None = None
    cause: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """The period in which it died, including both ends."""
    account: str | None = None
    """The name of an account in apitraffic.toml."""

    @property
    def is_everything(self) -> bool:
        return self == DeadLetterFilter()

    def includes(self, letter: DeadLetter) -> bool:
        death = letter.death
        codes = {str(part).lower() for part in (death.code, death.status) if part}
        return (
            self.source in {None, letter.text("delivery", "source")}
            and (self.key is None or fnmatchcase(letter.key, self.key))
            and (self.code is None or self.code.lower() in codes)
            and self.type in {None, letter.text("event", "type")}
            and self.cause in {None, death.cause.value}
            and self.account in {None, letter.account}
            and (self.since is None or death.at >= self.since)
            and (self.until is None or death.at <= self.until)
        )


class DeadLetters:
    """The dead letters of these queues. Every method raises `StorageUnavailable` if Redis cannot be used."""

    def __init__(self, queues: Sequence[Queue]) -> None:
        self._queues = queues
        self._redis = queues[0].connection

    @classmethod
    def of_all_accounts(cls, redis: Redis) -> Self:
        with redis_required():
            return cls(all_queues(redis))

    def count(self) -> int:
        with redis_required():
            registries = (queue.failed_job_registry.key for queue in self._queues)
            return sum(self._redis.zcount(key, now().timestamp(), "+inf") for key in registries)

    def __iter__(self) -> Iterator[DeadLetter]:
        """All of them, by the time at which they died."""
        with redis_required():
            of_each = [self._of_queue(queue) for queue in self._queues]
            yield from heapq.merge(*of_each, key=lambda letter: letter.death.at)

    def find(self, name: str) -> DeadLetter | None:
        with redis_required():
            for queue in self._queues:
                if self._redis.zscore(queue.failed_job_registry.key, name) is not None:
                    return next(self._load(queue, [name]), None)
        return None

    def replay(self, letter: DeadLetter) -> bool:
        """Move it to its queue, with all its retries and its full time.

        Returns `False` if it was not a dead letter any more: somebody else replayed or discarded it.
        """
        queue, own = letter.queue, keys_of(letter.account)
        keys = [
            queue.failed_job_registry.key,
            Job.key_for(letter.name),
            _results_key(letter.name),
            queue.key,
            queue.redis_queues_keys,
        ]
        keys += [prefix + name for name in letter.marker_names for prefix in (own.marker, own.alias)]
        arguments: list[str | int | bytes] = [
            letter.name,
            JobStatus.QUEUED.value,
            utcformat(now()),
            UNEXPECTED_RETRIES,
            MARKER_LIFETIME,
        ]
        if letter.traceparent is not None:
            arguments.append(queue.serializer.dumps({TRACEPARENT: letter.traceparent}))
        with redis_required():
            return bool(REPLAY_DEAD_LETTER.run(self._redis, keys, arguments))

    def discard(self, letter: DeadLetter) -> bool:
        """Delete it with everything that RQ stores of it; returns as `replay` does."""
        job = Job(letter.name, connection=self._redis, serializer=letter.queue.serializer)
        keys = [
            letter.queue.failed_job_registry.key,
            job.key,
            _results_key(job.id),
            job.dependents_key,
            job.dependencies_key,
            ExecutionRegistry(job.id, self._redis).key,
        ]
        with redis_required():
            return bool(DISCARD_DEAD_LETTER.run(self._redis, keys, [letter.name]))

    def _of_queue(self, queue: Queue) -> Iterator[DeadLetter]:
        """Sorted by the time at which RQ deletes them, a year after they died."""
        registry = queue.failed_job_registry.key
        members: Any = self._redis.zrangebyscore(registry, now().timestamp(), "+inf")
        names = [as_text(member) for member in members]
        for first in range(0, len(names), BATCH):
            yield from self._load(queue, names[first : first + BATCH])

    def _load(self, queue: Queue, names: Sequence[str]) -> Iterator[DeadLetter]:
        for job in self._fetch(queue, names):
            if job is not None:
                death = Death.of(job)
                yield DeadLetter(
                    name=job.id,
                    queue=queue,
                    change=_change(job),
                    death=death,
                    accepted_at=parse_timestamp(job.created_at) or death.at,
                    traceback=_traceback(job) if death.cause is Cause.UNEXPECTED else (),
                    traceparent=job.meta.get(TRACEPARENT),
                )

    def _fetch(self, queue: Queue, names: Sequence[str]) -> Sequence[Job | None]:
        try:
            return Job.fetch_many(names, connection=self._redis, serializer=queue.serializer)
        except NoSuchJobError:
            # The data of one of them is gone, which must not hide the others.
            return [queue.fetch_job(name) for name in names]


def _results_key(name: str) -> str:
    return str(Result.get_key(name))  # type: ignore[no-untyped-call]  # RQ has no types here


def _change(job: Job) -> Mapping[str, Any]:
    try:
        fields = job.args[0]
    except (DeserializationError, IndexError, TypeError, ValueError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _traceback(job: Job) -> list[str]:
    result = job.latest_result()
    lines = (result.exc_string or "").splitlines() if result else []
    return [INVISIBLE.sub(" ", line[:LONGEST_MESSAGE]) for line in lines if line.strip()][-LONGEST_TRACEBACK:]
