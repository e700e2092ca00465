"""The event that options and CI job describe."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import uuid4

import click
from pydantic import ValidationError

from apitraffic_events.event import EVERYWHERE, Event, EventType
from apitraffic_events.timestamps import now
from receiver.config.ci.job import ANY_KEY, CiJob
from receiver.delivery.creation import MARKER_KEY, Wanted
from receiver.events import marker_key

VERBS: Final = {"failure": "Failed deploy", "cancelled": "Cancelled deploy"}
BY_HAND: Final = "manual"
"""The source of an event that a person or a script creates, and the prefix of its key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The options of `events create`."""

    type: str
    name: str | None
    description: str | None
    source: str | None
    metadata: Mapping[str, str]
    buckets: tuple[str, ...]
    environments: tuple[str, ...]
    started_at: datetime | None
    ended_at: datetime | None
    to: str | None
    version: str | None
    status: str | None
    marker_key: str | None

    def wanted(self, job: CiJob | None) -> Wanted:
        """The event to create or update; raises `click.UsageError` if the options do not make an event."""
        kind = EventType(self.type)
        environment = self.to or (job.environment if job else "")
        version = self.version or (job.version() if job else "")
        key, may_exist = self._key(kind, environment, job)
        shown = version if kind is EventType.DEPLOYMENT else self.version
        told = {"environment": environment, "version": shown, "status": self.status}
        try:
            event = Event(
                type=kind,
                name=self.name or self._name(kind, version, environment, job),
                description=self.description,
                source=self.source or (job.source if job else BY_HAND),
                metadata={**(job.metadata if job else {}), **told, **self.metadata, MARKER_KEY: key},
                buckets=self.buckets or EVERYWHERE,
                environments=self.environments or EVERYWHERE,
                started_at=self.started_at or now(),
                ended_at=self.ended_at,
            )
        except ValidationError as error:
            raise click.UsageError(f"This is not a valid event: {first_mistake(error)}.") from error
        return Wanted(
            event,
            may_exist=may_exist,
            identity=job.identity if job and may_exist and not self.marker_key else (),
            their_key=job.their_key if job else ANY_KEY,
            is_identity_shared=job is not None and job.is_identity_shared,
            keeps_start=self.started_at is None,
            keeps_name=bool(self.name),
        )

    def _key(self, kind: EventType, environment: str, job: CiJob | None) -> tuple[str, bool]:
        if self.marker_key:
            return marker_key(self.marker_key), True
        if job is None:
            return f"{BY_HAND}:{uuid4()}", False
        return job.marker_key(kind, environment)

    def _name(self, kind: EventType, version: str, environment: str, job: CiJob | None) -> str:
        """The name of a deployment, from what is known: `Deploy acme/shop v2.3.1 to production`."""
        repository = str(job.metadata.get("repository") or job.metadata.get("job", "")) if job else ""
        if kind is not EventType.DEPLOYMENT:
            raise click.UsageError(f"Give --name: what happened in this {kind.value}.")
        if not (repository or version or environment):
            raise click.UsageError("Give --name, or --version and --to, or --from-ci.")
        place = f"to {environment}" if environment else ""
        words = (VERBS.get(self.status or "", "Deploy"), repository, version, place)
        return " ".join(word for word in words if word)


def first_mistake(error: ValidationError) -> str:
    """The first field that is wrong, and what is wrong with it."""
    found = error.errors()[0]
    return f"{'.'.join(str(part) for part in found['loc'])} {found['msg'].removeprefix('Value error, ')}"
