"""What all GitLab's hooks share: their settings, whose project it is, and keys of markers.

https://docs.gitlab.com/user/project/integrations/webhook_events/
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from urllib.parse import quote

from pydantic import JsonValue

from receiver.events import Delivery
from receiver.sources.changes import present
from receiver.sources.payload import VALUE_LIMIT, Payload
from receiver.sources.source import SourceOptions

SOURCE_NAME: Final = "gitlab_ci"
"""The vendor's own example of a consistent source name, kept for all that GitLab sends."""

HOST: Final = re.compile(r"https?://(?:[^/@\s]*@)?([^/@\s?#]{1,255})")
GROUP_PAGE: Final = re.compile(r"https?://[^/\s]+/groups/(.+?)/-/.*")
PROJECT_PAGE: Final = re.compile(r"(https?://[^/\s]+/(.+?))(?:/-/.*)?")
FULL_SHA: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
UNKNOWN_INSTANCE: Final = "unknown"

Severity = Literal["info", "unknown", "low", "medium", "high", "critical"]


class Options(SourceOptions):
    """`[gitlab]` in apitraffic.toml."""

    incident_labels: tuple[str, ...] = ("incident",)
    """Issues with one of these labels are incidents too; shell patterns, case does not matter."""
    incident_types: tuple[str, ...] = ("incident",)
    """Types of work items that are incidents; shell patterns, case does not matter.

    GitLab 19.0 lets groups name types of their own.
    """
    pipeline_refs: tuple[str, ...] = ("main", "master")
    """Branches and tags of which pipelines are drawn if `events` asks for them; patterns, case counts."""
    pipeline_triggers: tuple[str, ...] = (
        "push",
        "web",
        "schedule",
        "api",
        "trigger",
        "pipeline",
        "chat",
        "webide",
    )
    """What must have started a pipeline for it to be drawn, in GitLab's words (`source`); shell patterns.

    A merge request's pipeline (`merge_request_event`) is left out: its ref is the name of the source branch,
    which may be the `main` of a fork.
    """
    vulnerability_severity: Severity = "high"
    """The least severe vulnerability that is drawn, where `events` asks for them."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One delivery with its body read."""

    payload: Payload
    delivery: Delivery

    def key(self, *parts: str) -> str:
        """Which marker; ids are unique within an instance of GitLab only."""
        return ":".join(("gitlab", self.instance(), *parts))

    def instance(self) -> str:
        """The sender's host, by its own word (GitLab 15.5) or by the addresses it writes."""
        payload = self.payload
        written = payload.url(
            "project.web_url", "repository.homepage", "object_attributes.url", "group.web_url"
        )
        for address in (self.delivery.headers.get("x-gitlab-instance"), written):
            if host := HOST.match(address or ""):
                return host[1].lower()
        return UNKNOWN_INSTANCE

    def repository(self) -> str:
        """The project's full path; Job hooks of older servers only have it as part of an address."""
        if path := self.payload.text("project.path_with_namespace"):
            return path
        page = PROJECT_PAGE.fullmatch(self.payload.url("repository.homepage") or "")
        return page[2] if page else self.payload.require_text("project.path_with_namespace")

    def project_url(self) -> str | None:
        return self.payload.url("project.web_url", "repository.homepage")

    def page(self, *parts: str) -> str | None:
        """An address below the project's, where the payload does not hold it itself."""
        address = f"{self.project_url() or ''}/-/{'/'.join(quote(part) for part in parts)}"
        return address if self.project_url() and len(address) <= VALUE_LIMIT else None

    def actor(self) -> str | None:
        return self.payload.text("user.username", "user.name", "user_username", "user_name")

    def group(self) -> str | None:
        """The full path of the group that a work item belongs to; only its address holds it."""
        page = GROUP_PAGE.fullmatch(self.payload.url("object_attributes.url") or "")
        return page[1] if page else None

    def owner_metadata(self) -> dict[str, JsonValue]:
        """As `project_metadata`; a group's work item has no project, but its group."""
        if self.payload.value("project") is None and (group := self.group()):
            return present(group=group, actor=self.actor())
        return self.project_metadata()

    def project_metadata(self) -> dict[str, JsonValue]:
        return present(
            repository=self.repository(),
            repository_url=self.project_url(),
            actor=self.actor(),
        )


def commit_metadata(commit: str | None, message: str | None) -> dict[str, JsonValue]:
    """A commit whose id may have come short: only a whole one is called `commit`."""
    is_whole = FULL_SHA.fullmatch(commit or "") is not None
    return present(
        commit=commit if is_whole else None,
        short_commit=commit[:7] if commit else None,
        commit_message=message,
    )


def whole_second(moment: datetime) -> datetime:
    """GitLab cuts most times to seconds but not all, so that only seconds compare."""
    return moment.replace(microsecond=0)


def moved(moment: datetime, by: timedelta) -> datetime:
    """As far as the calendar goes."""
    try:
        return moment + by
    except OverflowError:
        return moment


def by_whom(word: str, actor: str | None) -> str:
    return f"{word} by {actor}." if actor else f"{word}."
