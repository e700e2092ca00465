"""The fields of an event as options, and the event that options and CI job describe."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, Final, TypeVar, cast
from uuid import uuid4

import click
from pydantic import ValidationError

from apitraffic_events.event import EVERYWHERE, Event, EventType
from apitraffic_events.timestamps import now
from receiver.cli.events.account import warn_of_former_name
from receiver.cli.times import TimeType
from receiver.config.ci import ANY_KEY, CiJob
from receiver.delivery.creation import MARKER_KEY, Wanted
from receiver.events import marker_key

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

VERBS: Final = {"failure": "Failed deploy", "cancelled": "Cancelled deploy"}
STATUSES: Final = ("in_progress", "success", "failure", "cancelled")
BY_HAND: Final = "manual"
"""The source of an event that a person or a script creates, and the prefix of its key."""


def scope_options(function: CommandT) -> CommandT:
    """`--bucket` and `--environments`, and the former `--environment`, which is added to the latter."""

    @wraps(function)
    def with_former(
        *arguments: Any, environments: tuple[str, ...], former: tuple[str, ...], **others: Any
    ) -> Any:
        if former:
            warn_of_former_name()
        return function(*arguments, environments=(*environments, *former), **others)

    options = (
        click.option(
            "--bucket",
            "buckets",
            metavar="NAME",
            multiple=True,
            help="Show the event on this bucket's charts only, by name or SID; repeatable.",
        ),
        click.option(
            "--environments",
            metavar="NAME",
            multiple=True,
            help="Show the event on this environment's charts only, by name or SID; repeatable.",
        ),
        click.option("--environment", "former", multiple=True, hidden=True),
    )
    wrapped: Any = with_former
    for option in reversed(options):
        wrapped = option(wrapped)
    return cast("CommandT", wrapped)


def text_options(function: CommandT) -> CommandT:
    """`--name`, `--description`, `--source`, `--metadata`."""
    options = (
        click.option("--name", help="What happened, as the chart shows it; at most 200 characters."),
        click.option("--description", help="Details; at most 2,000 characters."),
        click.option("--source", help="Where the event comes from, such as jenkins."),
        click.option(
            "--metadata",
            metavar="NAME=VALUE",
            multiple=True,
            callback=_read_metadata,
            help="Further facts, such as a commit or a ticket; repeatable.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _read_metadata(_ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    metadata = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name.strip() or not equals:
            raise click.BadParameter(f"{pair!r} is not of the form NAME=VALUE")
        metadata[name.strip()] = value
    return metadata


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


def previous_option(function: CommandT) -> CommandT:
    """`--previous/--no-previous`."""
    return click.option(
        "--previous/--no-previous",
        default=True,
        show_default=True,
        help="Say which version ran before, and call a rollback one. Asks the API for the deploys before.",
    )(function)


def first_mistake(error: ValidationError) -> str:
    """The first field that is wrong, and what is wrong with it."""
    found = error.errors()[0]
    return f"{'.'.join(str(part) for part in found['loc'])} {found['msg'].removeprefix('Value error, ')}"


def time_options(function: CommandT) -> CommandT:
    """`--started-at`, `--ended-at`."""
    started = click.option(
        "--started-at", type=TimeType(), help="When it began: ISO 8601 (UTC), or 10m for ten minutes ago."
    )
    ended = click.option("--ended-at", type=TimeType(), help="When it ended. Default: no end.")
    return started(ended(function))
