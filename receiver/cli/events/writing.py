"""`apitraffic-events events create|update|close|delete`"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import wraps
from typing import Any, Final

import click
from pydantic import ValidationError

from apitraffic_events.client import EventsClient
from apitraffic_events.errors import NotFound, ServerFailed, Unreachable
from apitraffic_events.records import EventUpdate, StoredEvent
from apitraffic_events.text import NAME_LIMIT, one_line
from apitraffic_events.timestamps import now
from apitraffic_events.updates import closing, merge_metadata
from receiver.cli import consoles
from receiver.cli.events.account import TYPES, AccountSession, account_session, json_option, timeout_option
from receiver.cli.events.fields import (
    STATUSES,
    Fields,
    first_mistake,
    previous_option,
    scope_options,
    text_options,
    time_options,
)
from receiver.cli.events.output import as_json, details
from receiver.cli.exits import NotConfigured, Problem
from receiver.cli.times import TimeType
from receiver.config.ci import CiJob, detect, known_systems
from receiver.delivery.creation import Creation
from receiver.delivery.earlier_deploys import earlier_deploys

SKIPPED: Final = "skipped"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a writing command prints. With `--json`, exactly these fields (docs/cli.md).

    `event` is the event as the API has it now, or what would have been sent.
    """

    status: str
    sid: str | None = None
    event: Mapping[str, Any] | None = None
    problem: str | None = None

    def print(self, *, as_lines: bool) -> None:
        if as_lines:
            click.echo(json.dumps(asdict(self)))
        elif self.status == SKIPPED:
            click.echo(json.dumps(self.event, indent=2))
        else:
            name = one_line(str((self.event or {}).get("name", "")), NAME_LIMIT)
            click.echo("  ".join(filter(None, (self.status, self.sid, name))))


def _of(status: str, stored: StoredEvent) -> WriteResult:
    return WriteResult(status, stored.sid, as_json(stored))


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """The options that all writing commands have."""

    dry_run: bool
    on_error: str
    timeout: float
    as_lines: bool

    def run(self, act: Callable[[AccountSession], WriteResult], unsent: WriteResult) -> None:
        """Call `act` and print its result; if it fails, print `unsent` with the problem."""
        try:
            with account_session(self.timeout, "event") as account:
                outcome = act(account)
        except Problem as problem:
            status = SKIPPED if isinstance(problem, NotConfigured) else FAILED
            if self.as_lines:
                replace(unsent, status=status, problem=problem.message).print(as_lines=True)
            if self.on_error == "fail":
                raise
            problem.show()
        else:
            outcome.print(as_lines=self.as_lines)


def writing(function: Callable[..., None]) -> Callable[..., None]:
    """Decorates a command that takes `WriteOptions`: adds the options and passes them."""

    @wraps(function)
    def with_options(
        *arguments: Any, dry_run: bool, on_error: str, timeout: float, as_lines: bool, **others: Any
    ) -> None:
        options = WriteOptions(dry_run=dry_run, on_error=on_error, timeout=timeout, as_lines=as_lines)
        function(*arguments, options=options, **others)

    options = (
        click.option("--dry-run", is_flag=True, help="Print what would be sent; send nothing."),
        click.option(
            "--on-error",
            type=click.Choice(["fail", "warn"]),
            default="fail",
            show_default=True,
            help="warn: report the error but exit with 0, so that no deployment fails because of a marker.",
        ),
        timeout_option,
        json_option,
    )
    command: Callable[..., None] = with_options
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.option(
    "--type", type=click.Choice(TYPES), default=TYPES[0], show_default=True, help="Type of the event."
)
@text_options
@scope_options
@time_options
@click.option("--to", metavar="ENVIRONMENT", help="Where it was deployed, such as production.")
@click.option("--version", help="What was deployed, such as v2.3.1.")
@click.option("--status", type=click.Choice(STATUSES), help="How the deployment went; the name shows it too.")
@click.option(
    "--marker-key",
    metavar="KEY",
    help="Make only one event with this key, even if the command is repeated within an hour.",
)
@click.option("--from-ci", is_flag=True, help="Take what is not given from the CI job in which this runs.")
@previous_option
@writing
def create(*, options: WriteOptions, from_ci: bool, previous: bool, **given: Any) -> None:
    """Create an event.

    A deployment gets a name from what is known, such as `Deploy acme/shop v2.3.1 to production`; other types
    need --name. If the event already exists, because a webhook reported the same deployment or because this
    command ran before with the same --marker-key, it is updated instead.

    --from-ci supports GitHub Actions, GitLab, Jenkins, CircleCI, Buildkite, Azure Pipelines and Bitbucket
    Pipelines.
    """
    wanted = Fields(**given).wanted(_ci_job() if from_ci else None)
    unsent = WriteResult(SKIPPED, event=wanted.event.to_api())

    def make(account: AccountSession) -> WriteResult:
        buckets, environments = account.sids(wanted.event.buckets, wanted.event.environments)
        earlier = earlier_deploys(account.client, wanted.event, options.timeout) if previous else None
        creation = Creation(account.client, wanted.with_scope(buckets, environments), earlier)
        stored, made = account.ask(creation.attempt)
        return _of(made.value, stored)

    if options.dry_run:
        unsent.print(as_lines=options.as_lines)
    else:
        options.run(make, unsent)


def _ci_job() -> CiJob:
    job = detect(os.environ)
    if job is None:
        raise click.UsageError(
            f"--from-ci: this is not a job of {known_systems()}; leave it out and give --name."
        )
    return job


@click.command()
@click.argument("sid")
@text_options
@scope_options
@time_options
@click.option("--reopen", is_flag=True, help="Remove the end of the event.")
@writing
def update(
    sid: str,
    *,
    options: WriteOptions,
    metadata: dict[str, str],
    buckets: tuple[str, ...],
    environments: tuple[str, ...],
    reopen: bool,
    **given: Any,
) -> None:
    """Change the given fields of an event; other fields stay as they are.

    --metadata adds to the event's metadata; NAME= removes a name.
    """
    if reopen and given["ended_at"]:
        raise click.UsageError("Give --reopen or --ended-at, not both.")
    changes = {name: value for name, value in given.items() if value is not None}
    if reopen:
        changes["ended_at"] = None
    if not (changes or metadata or buckets or environments or reopen):
        raise click.UsageError("Give a field to change, such as --name.")

    def change(account: AccountSession) -> WriteResult:
        places = zip(("buckets", "environments"), account.sids(buckets, environments), strict=True)
        wanted = changes | {name: sids for name, sids in places if sids}
        if metadata:
            stored = account.ask(lambda: account.client.get_event(sid))
            wanted["metadata"] = merge_metadata(stored, metadata)
        try:
            update = EventUpdate(**wanted)
        except ValidationError as error:
            raise click.UsageError(f"This is not a valid change: {first_mistake(error)}.") from error
        return _update(account, sid, update, options)

    options.run(change, WriteResult(SKIPPED, sid))


@click.command()
@click.argument("sid")
@click.option("--description", help="How it ended; added below the description.")
@click.option("--ended-at", type=TimeType(), help="When it ended.  [default: now]")
@writing
def close(sid: str, *, options: WriteOptions, description: str | None, ended_at: datetime | None) -> None:
    """End an event, such as an incident.

    An event that has already ended stays as it is, unless --ended-at is given.
    """

    def end(account: AccountSession) -> WriteResult:
        stored = account.ask(lambda: account.client.get_event(sid))
        if stored.ended_at is not None and ended_at is None:
            return _of("unchanged", stored)
        return _update(account, sid, closing(stored, ended_at or now(), description), options)

    options.run(end, WriteResult(SKIPPED, sid))


def _update(account: AccountSession, sid: str, update: EventUpdate, options: WriteOptions) -> WriteResult:
    if options.dry_run:
        return WriteResult(SKIPPED, sid, update.to_api())
    return _of("updated", account.ask(lambda: account.client.update_event(sid, update)))


@click.command()
@click.argument("sid")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@writing
def delete(sid: str, *, options: WriteOptions, yes: bool) -> None:
    """Delete an event. This cannot be undone.

    Shows the event and asks for confirmation, unless --yes is given.
    """
    if not (yes or options.dry_run or sys.stdin.isatty()):
        raise click.UsageError("Give --yes: there is no terminal on which to ask for confirmation.")

    def remove(account: AccountSession) -> WriteResult:
        if options.dry_run or not yes:
            stored = account.ask(lambda: account.client.get_event(sid))
            if options.dry_run:
                return _of(SKIPPED, stored)
            consoles.output().print(details(stored), soft_wrap=True)
            click.confirm("Delete it?", abort=True)
        account.ask(Deletion(account.client, sid))
        return WriteResult("deleted", sid)

    options.run(remove, WriteResult(SKIPPED, sid))


@dataclass(slots=True)
class Deletion:
    """Attempts to delete one event. If an attempt got no answer, a missing event counts as deleted."""

    client: EventsClient
    sid: str
    is_in_doubt: bool = False

    def __call__(self) -> None:
        try:
            self.client.delete_event(self.sid)
        except NotFound:
            if not self.is_in_doubt:
                raise
        except (ServerFailed, Unreachable):
            self.is_in_doubt = True
            raise
