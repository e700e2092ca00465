"""What `github redeliver` does."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from time import sleep
from typing import Any, Final

import click

from apitraffic_events.connection import is_token
from apitraffic_events.environment import read_variable
from apitraffic_events.errors import ConfigurationError
from apitraffic_events.text import one_line
from apitraffic_events.timestamps import format_timestamp, now
from receiver.cli.failures import configuration_errors_in_words
from receiver.cli.github.commands import OUR_PATH
from receiver.cli.urls import organisation_named, repository_named
from receiver.senders_api import github_owners
from receiver.senders_api.github_app import app_jwt
from receiver.senders_api.github_client import GitHubError, GitHubRejected, GitHubUnavailable
from receiver.senders_api.github_deliveries import GitHubDeliveries, Webhook, kept_for
from receiver.senders_api.github_owners import Owner
from receiver.senders_api.redelivery import Decision, Plan, choose

FAILURES_IN_A_ROW: Final = 3
"""After this many failed requests in a row, the rest is left to the next run."""
LONGEST_FIELD: Final = 200


def redeliver(
    repository: str | None,
    organization: str | None,
    hook: int | None,
    url: str | None,
    since: datetime | None,
    patterns: tuple[str, ...],
    limit: int,
    api_url: str,
    *,
    app: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    owner = _owner(repository, organization, api_url, app=app)
    if (hook or url) and app:
        raise click.UsageError("An App has one webhook: leave out --hook and --url.")
    if hook and url:
        raise click.UsageError("Give --hook or --url, not both.")
    moment = now()
    start = _start(since, moment, api_url)
    with _opened(api_url, owner) as github:
        if not app:
            hook = hook or _find_hook(github.hooks(), url)
        plan = choose(
            github.attempts(hook, since=start), since=start, now=moment, patterns=patterns, limit=limit
        )
        outcomes: Counter[str] = Counter()
        try:
            for decision, outcome, reason in _carry_out(github, hook, plan, dry_run=dry_run):
                outcomes[outcome] += 1
                click.echo((_as_json if as_json else _as_text)(decision, outcome, reason))
        finally:
            click.echo(_summary(plan, outcomes, start), err=as_json)
    sys.exit(1 if outcomes["failed"] else 0)


def _carry_out(
    github: GitHubDeliveries, hook: int | None, plan: Plan, *, dry_run: bool
) -> Iterator[tuple[Decision, str, str]]:
    """Each decision with its outcome and the reason; raises a `GitHubError` if the run must end."""
    unanswered = 0
    for decision in plan.decisions:
        if decision.left is not None:
            yield decision, "left", decision.left
            continue
        if dry_run:
            yield decision, "would ask", ""
            continue
        try:
            github.redeliver(hook, decision.newest.id)
        except GitHubRejected as error:
            unanswered = 0
            yield decision, "failed", str(error)
        except GitHubUnavailable as error:
            yield decision, "failed", str(error)
            unanswered += 1
            if unanswered == FAILURES_IN_A_ROW:
                raise
        else:
            unanswered = 0
            yield decision, "asked", ""


def _owner(repository: str | None, organisation: str | None, api_url: str, *, app: bool) -> Owner:
    if (repository is not None) + (organisation is not None) + app != 1:
        raise click.UsageError("Give one of --repository OWNER/NAME, --organization ORG and --app.")
    if repository is not None:
        return github_owners.repository(repository_named(repository, api_url))
    if organisation is not None:
        return github_owners.organisation(organisation_named(organisation, api_url))
    return github_owners.APP


def _start(since: datetime | None, moment: datetime, api_url: str) -> datetime:
    if since is None:
        return moment - kept_for(api_url)
    if since > moment:
        raise click.UsageError(f"--since {format_timestamp(since)} is not a time in the past.")
    return since


@contextmanager
def _opened(api_url: str, owner: Owner) -> Iterator[GitHubDeliveries]:
    with configuration_errors_in_words():
        github = GitHubDeliveries(
            api_url=api_url, owner=owner, credential=_credential(owner), sleep=sleep, clock=now
        )
        try:
            yield github
        except GitHubError as error:
            raise click.ClickException(str(error)) from error
        finally:
            github.close()


def _credential(owner: Owner) -> Callable[[], str]:
    """A function that returns the token; raises `ConfigurationError` if none is configured."""
    if owner is not github_owners.APP:
        token = _token("GITHUB_TOKEN")
        if token is None:
            raise ConfigurationError(
                f"GITHUB_TOKEN (or GITHUB_TOKEN_FILE) is not set; {owner.permission}. "
                "The token that GitHub Actions provides cannot access webhooks"
            )
        return lambda: token
    ready_made = _token("GITHUB_APP_JWT")
    if ready_made is not None:
        return lambda: ready_made
    app_id = read_variable("GITHUB_APP_ID", os.environ)
    private_key = read_variable("GITHUB_APP_PRIVATE_KEY", os.environ)
    if app_id is None or private_key is None:
        missing = "GITHUB_APP_ID" if app_id is None else "GITHUB_APP_PRIVATE_KEY (or …_FILE)"
        raise ConfigurationError(
            f"{missing} is not set; the App's settings page shows its ID (or client ID) and creates "
            "private keys. Or set GITHUB_APP_JWT to a JWT made elsewhere"
        )
    app_jwt(app_id, private_key, now())
    return lambda: app_jwt(app_id, private_key, now())


def _token(name: str) -> str | None:
    token = read_variable(name, os.environ)
    if token is not None and not is_token(token):
        raise ConfigurationError(
            f"{name} holds characters that no token has, such as a space or a line break; copy it again"
        )
    return token


def _find_hook(hooks: list[Webhook], url: str | None) -> int:
    """The number of the webhook that is meant; raises `click.UsageError` with a list if that is not clear."""
    if url is None:
        found = [hook for hook in hooks if hook.address.rstrip("/").endswith(OUR_PATH)]
    else:
        same = [hook for hook in hooks if hook.config.url.rstrip("/") == url.rstrip("/")]
        found = same or [hook for hook in hooks if hook.config.url.startswith(url)]
    if len(found) == 1:
        return found[0].id
    if not hooks:
        raise click.UsageError("There are no webhooks here; check --repository or --organization.")
    wanted = f"a URL whose path ends in {OUR_PATH}" if url is None else "a URL that begins with --url"
    how_many = f"{len(found)} webhooks have" if found else "No webhook has"
    known = "\n".join(
        f"  --hook {hook.id}  {hook.address}{'' if hook.active else '  (switched off)'}"
        for hook in found or hooks
    )
    raise click.UsageError(f"{how_many} {wanted}. Choose one:\n{known}")


def _status(decision: Decision) -> str:
    newest = decision.newest
    return f"{newest.status_code} {newest.status}" if newest.status_code else newest.status


def _as_text(decision: Decision, outcome: str, reason: str) -> str:
    newest = decision.newest
    fields = (newest.name, newest.guid, _status(decision))
    cleaned = (one_line(field, LONGEST_FIELD) or "-" for field in fields)
    done = f"{outcome}: {reason}" if reason else outcome
    return "  ".join([format_timestamp(decision.first.delivered_at), *cleaned, done])


def _as_json(decision: Decision, outcome: str, reason: str) -> str:
    newest = decision.newest
    line: dict[str, Any] = {
        "guid": newest.guid,
        "id": newest.id,
        "event": newest.event,
        "action": newest.action,
        "first_delivered_at": format_timestamp(decision.first.delivered_at),
        "delivered_at": format_timestamp(newest.delivered_at),
        "attempts": decision.attempts,
        "status": newest.status,
        "status_code": newest.status_code,
        "outcome": outcome.replace(" ", "_"),
        "reason": reason or None,
    }
    return json.dumps(line)


def _summary(plan: Plan, outcomes: Counter[str], start: datetime) -> str:
    done = ", ".join(
        f"{outcomes[outcome]} {phrase}" for outcome, phrase in OUTCOMES.items() if outcomes[outcome]
    )
    failed = len(plan.decisions)
    not_reached = failed - outcomes.total()
    rest = f", {not_reached} not reached" if not_reached else ""
    return (
        f"{plan.events} events since {format_timestamp(start)}: "
        + (f"{failed} not delivered" if failed else "all delivered")
        + (f" ({done}{rest})" if done or rest else "")
    ).replace("(, ", "(")


OUTCOMES: Final = {
    "asked": "asked for again",
    "would ask": "would be asked for",
    "left": "left alone",
    "failed": "could not be asked for",
}
