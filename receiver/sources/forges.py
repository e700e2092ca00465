"""What Gitea and Forgejo, which began as one, have in common: releases, issues and runs of Actions.

https://docs.gitea.com/usage/webhooks https://forgejo.org/docs/latest/user/webhooks/

Much of it looks like GitHub's and is not: events have other actions, there are no deployments, the signature
is bare, and a delivery says `X-GitHub-Event` as well.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import JsonValue

from apitraffic_events.event import EventType
from receiver.events import Change, Delivery, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.payload import Payload
from receiver.sources.refusals import HEX_DIGEST, malformed_digest, missing
from receiver.sources.request import MIB, Headers, Secrets, delivery_id
from receiver.sources.signatures import SignedBody, Verification
from receiver.sources.source import Feature, Source, SourceOptions
from receiver.wording import describe_release, describe_version, duration

HUB_SIGNATURE: Final = "x-hub-signature-256"
HUB_PREFIX: Final = "sha256="
BODY_LIMIT: Final = 25 * MIB
CLOSED: Final = "closed"
LABELLED: Final = frozenset({"label_updated", "label_cleared"})
ISSUE_EFFECTS: Final = {
    "opened": Effect.OPEN,
    "reopened": Effect.REOPEN,
    "edited": Effect.UPDATE,
    CLOSED: Effect.CLOSE,
    **dict.fromkeys(LABELLED, Effect.OPEN),
}
"""Of an issue that is open, and an incident."""
WHEN_UNLABELLED: Final = ("name", "description", "metadata", "ended_at")
"""What an issue counts for that is no incident any more: it ends a marker and never makes one."""
MOST_LABELS: Final = 20
NO_BRANCH: Final = ("pull_request", "pull_request_*", "merge_group")
"""Triggers of runs that deploy no branch of the repository."""
OUTCOMES: Final = {
    "success": ("Deploy", "Succeeded"),
    "failure": ("Failed deploy", "Failed"),
    "cancelled": ("Cancelled deploy", "Cancelled"),
    "timed_out": ("Timed-out deploy", "Timed out"),
}


class ForgeOptions(SourceOptions):
    """What `[gitea]` and `[forgejo]` in apitraffic.toml have in common."""

    workflows: tuple[str, ...] = ()
    """Shell patterns of workflows' files or names: their runs are deploys."""
    incident_labels: tuple[str, ...] = ("incident", "outage")
    """Shell patterns, in any case, of labels that make an issue an incident."""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run of Actions, whichever of the two says so."""

    identifier: str
    number: str | None
    workflow: str
    names: tuple[str, ...]
    """By which `workflows` may name its workflow."""
    trigger: str | None
    ref: str | None
    commit: str | None
    outcome: str
    started_at: datetime | None
    ended_at: datetime | None
    url: str | None
    actor: str | None
    is_of_fork: bool


def verification_by(
    signatures: Iterable[str], variable: str
) -> Callable[[Headers, Secrets, datetime], Verification | None]:
    """Of a signature in the first of these headers that is there."""
    names = tuple(signatures)

    def verification(headers: Headers, secrets: Secrets, _received_at: datetime) -> Verification | None:
        header = next((name for name in names if headers.get(name)), None)
        if header is None:
            return None
        given = headers[header]
        prefix = HUB_PREFIX if header == HUB_SIGNATURE else ""
        if not given.startswith(prefix) or not HEX_DIGEST.fullmatch(given.removeprefix(prefix)):
            return None
        written = prefix.encode()
        return SignedBody(secrets.get(variable, ()), (given,), lambda digest: written + digest.hex().encode())

    return verification


def explain_refusal(
    name: str, title: str, signatures: tuple[str, ...], variable: str
) -> Callable[[Headers, bytes], str]:
    def explain(headers: Headers, _body_start: bytes) -> str:
        header = next((each for each in signatures if headers.get(each)), None)
        own = "-".join(part.capitalize() for part in signatures[0].split("-"))
        if header is None:
            return missing(f"{own} is", name, headers, f"enter {variable} as the webhook's secret in {title}")
        prefix = HUB_PREFIX if header == HUB_SIGNATURE else ""
        shown = "-".join(part.capitalize() for part in header.split("-"))
        if problem := malformed_digest(shown, prefix or "nothing else", headers[header].removeprefix(prefix)):
            return problem
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return f"choose application/json as the webhook's content type: {title} does not sign a form"
        return f"{shown} matches no secret in {variable}, or something on the way changes the body"

    return explain


def receive_as(source: str, brands: tuple[str, ...]) -> Callable[[Headers, bytes, datetime], Delivery]:
    def receive(headers: Headers, body: bytes, received_at: datetime) -> Delivery:
        given = (headers.get(f"x-{brand}-delivery") for brand in brands)
        events = (headers.get(f"x-{brand}-event") for brand in brands)
        return Delivery(
            source=source,
            id=delivery_id(next((each for each in given if each), None), body),
            event=next((each for each in events if each), ""),
            headers=dict(headers),
            body=body,
            received_at=received_at,
        )

    return receive


class Forge:
    """Translates the deliveries of one of the two; `runs` reads those events that report a run."""

    def __init__(self, name: str, runs: Mapping[str, Callable[[Payload], Run | None]]) -> None:
        self._name = name
        self._runs = runs

    def translate(self, delivery: Delivery, options: ForgeOptions) -> tuple[Change, ...]:
        payload = Payload.of(delivery)
        if not delivery.event:
            raise Untranslatable(f"X-{self._name.capitalize()}-Event is missing")
        if delivery.event == "release":
            return (self._release(payload, delivery),)
        if delivery.event == "issues":
            return (self._issue(payload, delivery, options),)
        if delivery.event in self._runs:
            return (self._run(payload, delivery, options),)
        raise Ignored(f"{delivery.event} is not one that becomes a marker")

    def _release(self, payload: Payload, delivery: Delivery) -> Change:
        action = payload.text("action")
        if action != "published" or payload.flag("release.draft"):
            raise Ignored(f"a release that is {'a draft' if action == 'published' else action} is not shown")
        tag = payload.text("release.tag_name")
        at = payload.time("release.published_at", "release.created_at") or delivery.received_at
        is_early = payload.flag("release.prerelease")
        what = describe_release(payload.text("release.name"), tag)
        words = ["Pre-release" if is_early else "Release", payload.text("repository.full_name") or "", what]
        return change_of(
            delivery,
            key=self._key(payload, "release", payload.require_identifier("release.id")),
            effect=Effect.POINT,
            occurred_at=at,
            type=EventType.DEPLOYMENT,
            name=" ".join(word for word in words if word),
            description=payload.text("release.body"),
            source=self._name,
            started_at=at,
            metadata=self._facts(payload)
            | present(
                release=tag,
                ref=payload.text("release.target_commitish"),
                release_id=payload.identifier("release.id"),
                url=payload.url("release.html_url"),
                prerelease=is_early or None,
            ),
        )

    def _issue(self, payload: Payload, delivery: Delivery, options: ForgeOptions) -> Change:
        action = payload.text("action") or ""
        if action not in ISSUE_EFFECTS:
            raise Ignored(f"issues.{action} changes nothing that is shown")
        labels = [label.text("name") or "" for label in payload.objects("issue.labels")]
        removed = [label.text("name") or "" for label in payload.objects("changes.removed_labels")]
        is_incident = _matches(labels, options.incident_labels)
        was_incident = _matches(removed, options.incident_labels)
        if not is_incident and not was_incident:
            raise Ignored("the issue is no incident: it has none of the incident labels")
        is_over = action == CLOSED or payload.text("issue.state") == CLOSED
        if is_over and (action == "edited" or not is_incident):
            raise Ignored("the issue is closed already")
        return self._incident(payload, delivery, [*labels], is_over=is_over, is_none_any_more=not is_incident)

    def _incident(
        self,
        payload: Payload,
        delivery: Delivery,
        labels: list[JsonValue],
        *,
        is_over: bool,
        is_none_any_more: bool,
    ) -> Change:
        action = payload.text("action") or ""
        number = payload.identifier("issue.number") or payload.identifier("number")
        opened_at = payload.time("issue.created_at") or delivery.received_at
        changed_at = payload.time("issue.updated_at") or delivery.received_at
        closed_at = payload.time("issue.closed_at") or changed_at
        title = payload.text("issue.title") or "Issue"
        ends_at = closed_at if is_over else changed_at if is_none_any_more else None
        description = None
        if is_over:
            description = f"Resolved after {duration(closed_at - opened_at)}."
        elif is_none_any_more:
            description = "No incident any more: its label was removed."
        effect = ISSUE_EFFECTS[action]
        if is_over:
            effect = Effect.CLOSE
        elif is_none_any_more:
            effect = Effect.UPDATE
        return change_of(
            delivery,
            key=self._key(payload, "issue", payload.require_identifier("issue.id")),
            effect=effect,
            occurred_at=ends_at or (opened_at if action == "opened" else changed_at),
            sets=WHEN_UNLABELLED if is_none_any_more else None,
            lasted=closed_at - opened_at if is_over else None,
            type=EventType.INCIDENT,
            name=f"#{number} {title}" if number else title,
            description=description,
            source=self._name,
            # An issue becomes an incident when it is labelled; it may be far older.
            started_at=changed_at if action in LABELLED and not is_over else opened_at,
            ended_at=ends_at,
            metadata=self._facts(payload)
            | present(
                incident_id=payload.identifier("issue.id"),
                incident_number=number,
                labels=[label for label in labels if label != ""][:MOST_LABELS],
                status="resolved" if ends_at else "open",
                url=payload.url("issue.html_url", "issue.url"),
            ),
        )

    def _run(self, payload: Payload, delivery: Delivery, options: ForgeOptions) -> Change:
        run = self._runs[delivery.event](payload)
        if run is None:
            raise Ignored("the run has not ended yet")
        if not _matches(run.names, options.workflows):
            raise Ignored(
                f"workflow {run.workflow!r} is none of those that [{self._name}] workflows in "
                "apitraffic.toml names"
            )
        if run.is_of_fork or _matches([run.trigger or ""], NO_BRANCH):
            raise Ignored("a run for a pull request deploys no branch of this repository")
        if run.outcome not in OUTCOMES:
            raise Ignored(f"a run that ended as {run.outcome!r} makes no marker: nothing was deployed")
        verb, outcome = OUTCOMES[run.outcome]
        ended_at = run.ended_at or delivery.received_at
        taken = ended_at - run.started_at if run.started_at and run.started_at <= ended_at else None
        is_span = options.deployments == "span"
        repository = payload.text("repository.full_name", "run.repository.full_name")
        version = describe_version(run.ref, run.commit)
        words = [verb, f"#{run.number} of" if run.number else "", repository or "", version]
        sentence = f"{outcome} after {duration(taken)}" if taken is not None else outcome
        by = f", started by {run.actor}" if run.actor else ""
        return change_of(
            delivery,
            key=self._key(payload, "run", run.identifier),
            effect=Effect.CLOSE if is_span else Effect.POINT,
            occurred_at=ended_at,
            lasted=taken,
            type=EventType.DEPLOYMENT,
            name=" ".join(word for word in words if word),
            description=f"{sentence}{by}.",
            source=self._name,
            started_at=(run.started_at or ended_at) if is_span else ended_at,
            ended_at=ended_at if is_span else None,
            metadata=self._facts(payload)
            | present(
                workflow=run.workflow,
                run_id=run.identifier,
                run_number=run.number,
                run_url=run.url,
                url=run.url,
                trigger=run.trigger,
                ref=run.ref,
                commit=run.commit,
                short_commit=(run.commit or "")[:7],
                actor=run.actor,
                status=run.outcome,
            ),
        )

    def _key(self, payload: Payload, kind: str, identifier: str) -> str:
        """With the host: ids are unique on one instance."""
        address = payload.text("repository.html_url", "run.repository.html_url", "run.html_url")
        return f"{self._name}:{urlsplit(address or '').netloc or '-'}:{kind}:{identifier}"

    @staticmethod
    def _facts(payload: Payload) -> dict[str, JsonValue]:
        return present(
            repository=payload.text("repository.full_name", "run.repository.full_name"),
            repository_url=payload.url("repository.html_url", "run.repository.html_url"),
            actor=payload.text("sender.login", "sender.username"),
        )


def _matches(names: Iterable[str], patterns: Iterable[str]) -> bool:
    wanted = [pattern.lower() for pattern in patterns]
    return any(fnmatchcase(name.lower(), pattern) for name in names for pattern in wanted if name)


COMMON_FEATURES: Final = (
    Feature("release", "published", EventType.DEPLOYMENT, Effect.POINT),
    Feature("release", "updated or deleted"),
    Feature("issues", "opened or labelled", EventType.INCIDENT, Effect.OPEN, note="with an incident label"),
    Feature("issues", "edited", EventType.INCIDENT, Effect.UPDATE, note="with an incident label"),
    Feature("issues", "reopened", EventType.INCIDENT, Effect.REOPEN, note="with an incident label"),
    Feature("issues", "closed", EventType.INCIDENT, Effect.CLOSE, note="with an incident label"),
    Feature("issues", "its label removed", EventType.INCIDENT, Effect.UPDATE, note="ends it"),
    Feature("push", "any"),
)


def source_of(
    *,
    name: str,
    title: str,
    variable: str,
    brands: tuple[str, ...],
    runs: Mapping[str, Callable[[Payload], Run | None]],
    options: type[ForgeOptions],
) -> Source[Any]:
    """`brands` are how the names of its own headers begin, without `x-`, the first counts."""
    signatures = (*(f"x-{brand}-signature" for brand in brands), HUB_SIGNATURE)
    return Source(
        name=name,
        title=title,
        secret_variables=(variable,),
        body_limit=BODY_LIMIT,
        content_types=frozenset({"application/json"}),
        options=options,
        default_events=("release", "issues", *runs),
        features=(
            *COMMON_FEATURES,
            *(
                Feature(
                    event,
                    "of a workflow that [" + name + "] workflows names",
                    EventType.DEPLOYMENT,
                    Effect.POINT,
                    Effect.CLOSE,
                )
                for event in runs
            ),
        ),
        explain_refusal=explain_refusal(name, title, signatures, variable),
        verification=verification_by(signatures, variable),
        receive=receive_as(name, brands),
        translate=Forge(name, runs).translate,
    )
