"""What GitHub's payloads have in common, and what `[github]` in the configuration may say of them."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, Self

from pydantic import JsonValue, model_validator

from apitraffic_events.text import one_line
from receiver.events import Change, Delivery, Effect
from receiver.sources.changes import present
from receiver.sources.payload import VALUE_LIMIT, Payload
from receiver.sources.source import SourceOptions
from receiver.wording import duration

SOURCE_NAME: Final = "github_actions"
"""The vendor's own example of a consistent source name, kept for all that GitHub sends."""

WORKFLOW_RUN: Final = "workflow_run"
DEFAULT_EVENTS: Final = ("ping", "deployment_status", "release", "issues", "repository_dispatch")
REVIEWING: Final = ("pull_request", "pull_request_*", "merge_group")
"""Triggers of runs for a change that is not merged: they carry a branch's name and deploy none of it."""
BULLET: Final = re.compile(r"^[*-] +")
NOT_A_FIRST_LINE: Final = ("#", "<!--", "---", "```")
"""How lines begin in Markdown that say nothing of their own: headings, comments, rules and fences."""


class Options(SourceOptions):
    """`[github]` in apitraffic.toml."""

    workflows: tuple[str, ...] | None = None
    """Shell patterns of the names of workflows whose runs are deploys; naming some turns workflow_run on."""
    workflow_triggers: tuple[str, ...] | None = None
    """Shell patterns of what may have set off such a run (`push`); by default, not a pull request."""
    workflow_branches: tuple[str, ...] = ("*",)
    """Shell patterns of the branches and tags whose runs are deploys."""
    incident_labels: tuple[str, ...] = ("incident", "outage")
    """Shell patterns, in whatever case, of the labels that make an issue an incident."""
    alert_severity: Literal["low", "medium", "high", "critical"] = "high"
    """Alerts below this make no marker."""

    @model_validator(mode="after")
    def _patterns_turn_runs_on(self) -> Self:
        if self.workflows:
            events = DEFAULT_EVENTS if self.events is None else self.events
            object.__setattr__(self, "events", tuple(dict.fromkeys((*events, WORKFLOW_RUN))))
        return self


Translator = Callable[[Payload, Delivery, Options], tuple[Change, ...]]
"""Reads the payload of one of GitHub's events; raises `Ignored` or `Untranslatable`."""


def matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def sender(payload: Payload) -> str | None:
    return payload.text("sender.login")


def repository_facts(payload: Payload) -> dict[str, JsonValue]:
    return present(
        repository=payload.text("repository.full_name"),
        repository_url=payload.url("repository.html_url"),
    )


def commit_facts(sha: str | None) -> dict[str, JsonValue]:
    return present(commit=sha, short_commit=sha[:7] if sha else None)


def run_facts(payload: Payload) -> dict[str, JsonValue]:
    return present(
        workflow=payload.text("workflow_run.name", "workflow.name"),
        run_id=payload.identifier("workflow_run.id"),
        run_attempt=payload.identifier("workflow_run.run_attempt"),
        run_number=payload.identifier("workflow_run.run_number"),
        run_url=payload.url("workflow_run.html_url"),
    )


def first_line(payload: Payload, path: str) -> str | None:
    """The first line that says something of a longer text, such as a commit's message."""
    text = payload.value(path)
    lines = text[: VALUE_LIMIT * 10].splitlines() if isinstance(text, str) else ()
    plain = (BULLET.sub("", one_line(line, VALUE_LIMIT), count=1) for line in lines)
    return next((line for line in plain if line and not line.startswith(NOT_A_FIRST_LINE)), None)


def told(
    what: str,
    *,
    taken: timedelta | None = None,
    by: str = " by",
    actor: str | None = None,
    remark: str | None = None,
) -> str:
    """One sentence on what happened, after how long and by whom, and below it the sender's own remark."""
    sentence = what
    sentence += f" after {duration(taken)}" if taken is not None else ""
    sentence += f"{by} {actor}." if actor else "."
    return f"{sentence}\n{remark}" if remark else sentence


def since(began_at: datetime | None, ended_at: datetime) -> timedelta | None:
    return ended_at - began_at if began_at else None


def deploy_effect(options: Options, *, has_ended: bool) -> Effect | None:
    """What a deploy's start or end does to its marker; as a point, its start makes none."""
    if options.deployments == "span":
        return Effect.CLOSE if has_ended else Effect.OPEN
    return Effect.POINT if has_ended else None


def deploy_times(effect: Effect, began_at: datetime | None, occurred_at: datetime) -> dict[str, Any]:
    """A span's start is when the work began, also for what ends it; a point is where it ended."""
    if effect in {Effect.CLOSE, Effect.UPDATE}:
        return {"started_at": began_at or occurred_at, "ended_at": occurred_at}
    if effect is Effect.OPEN:
        return {"started_at": began_at or occurred_at, "ended_at": None}
    return {"started_at": occurred_at, "ended_at": None}


def fork_of(payload: Payload) -> str | None:
    """The other repository that the commit of a run is of; `None` if it is of this one, or not known."""
    head = payload.value("workflow_run.head_repository.id"), payload.value("repository.id")
    name = payload.text("workflow_run.head_repository.full_name")
    is_same = head[0] == head[1] if None not in head else name == payload.text("repository.full_name")
    return None if is_same else name
