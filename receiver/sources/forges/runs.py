"""Runs of Actions in Gitea and Forgejo that deploy."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from apitraffic_events.event import EventType
from receiver.events import Change, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.forges.hook import ForgeOptions, Hook, matches
from receiver.sources.not_translated import Ignored
from receiver.sources.source import Feature
from receiver.wording import describe_version, duration

NO_BRANCH: Final = ("pull_request", "pull_request_*", "merge_group")
"""Triggers of runs that deploy no branch of the repository."""
OUTCOMES: Final = {
    "success": ("Deploy", "Succeeded"),
    "failure": ("Failed deploy", "Failed"),
    "cancelled": ("Cancelled deploy", "Cancelled"),
    "timed_out": ("Timed-out deploy", "Timed out"),
}


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


def deploy(hook: Hook, run: Run | None, options: ForgeOptions) -> Change:
    """What a run of a workflow that deploys becomes; `None` stands for a run that has not ended."""
    payload, delivery = hook.payload, hook.delivery
    if run is None:
        raise Ignored("the run has not ended yet")
    if not matches(run.names, options.workflows):
        raise Ignored(
            f"workflow {run.workflow!r} is none of those that [{hook.forge}] workflows in "
            "apitraffic.toml names"
        )
    if run.is_of_fork or matches([run.trigger or ""], NO_BRANCH):
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
        key=hook.key("run", run.identifier),
        effect=Effect.CLOSE if is_span else Effect.POINT,
        occurred_at=ended_at,
        lasted=taken,
        type=EventType.DEPLOYMENT,
        name=" ".join(word for word in words if word),
        description=f"{sentence}{by}.",
        source=hook.forge,
        started_at=(run.started_at or ended_at) if is_span else ended_at,
        ended_at=ended_at if is_span else None,
        metadata=hook.facts()
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


def feature(forge: str, event: str) -> Feature:
    """Of an event that reports a run."""
    return Feature(
        event,
        f"of a workflow that [{forge}] workflows names",
        EventType.DEPLOYMENT,
        Effect.POINT,
        Effect.CLOSE,
    )
