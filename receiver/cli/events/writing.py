"""What `events create`, `update`, `close` and `delete` do."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
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
from receiver.cli.events.account import AccountSession, account_session
from receiver.cli.events.fields import Fields, first_mistake
from receiver.cli.events.output import as_json, details
from receiver.cli.exits import NotConfigured, Problem
from receiver.config.ci.detection import detect, known_systems
from receiver.config.ci.job import CiJob
from receiver.delivery.creation import Creation, earlier_deploys

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
            click.echo(problem.message, err=True)
        else:
            outcome.print(as_lines=self.as_lines)


def create(*, options: WriteOptions, from_ci: bool, previous: bool, **given: Any) -> None:
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


def close(sid: str, *, options: WriteOptions, description: str | None, ended_at: datetime | None) -> None:

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


def delete(sid: str, *, options: WriteOptions, yes: bool) -> None:
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
