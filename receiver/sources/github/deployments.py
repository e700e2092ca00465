"""GitHub's deployments: what an Actions job with an `environment:` makes, or a deployer through the API.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#deployment_status
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from receiver.events import Change, Delivery, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.github.keys import names_on_host, prefix_of
from receiver.sources.github.payload import (
    SOURCE_NAME,
    Options,
    Translator,
    commit_facts,
    deploy_effect,
    deploy_times,
    fork_of,
    repository_facts,
    run_facts,
    since,
    told,
)
from receiver.sources.not_translated import Ignored
from receiver.sources.payload import Payload
from receiver.sources.source import Feature
from receiver.wording import describe_version

DEPLOYMENT_URL: Final = re.compile(r".*/deployments/(\d+)")
PRODUCTION: Final = "production"
LIKE_PRODUCTION: Final = re.compile(r"(.*[^a-z])?(prod|production|live)([^a-z].*)?", re.IGNORECASE)


class DeploymentState(Enum):
    """What a deployment status means for its marker."""

    WAITING = "it has not started yet"
    STARTED = "it has started"
    SUCCEEDED = "it went well"
    FAILED = "it went wrong"
    CANCELLED = "somebody cancelled it"
    NEVER_BEGAN = "its job ended without having begun, so nothing was deployed"
    REPLACED = "a later deployment took its place"


DEPLOYMENT_STATES: Final = {
    "queued": DeploymentState.WAITING,
    "pending": DeploymentState.WAITING,
    "waiting": DeploymentState.WAITING,
    "in_progress": DeploymentState.STARTED,
    "success": DeploymentState.SUCCEEDED,
    "failure": DeploymentState.FAILED,
    "error": DeploymentState.FAILED,
    "inactive": DeploymentState.REPLACED,
}


@dataclass(frozen=True, slots=True)
class Task:
    """What a deployment does, and how that is said; `version` and `place` are left out where not known."""

    type: EventType
    verb: str
    noun: str
    """As in "Failed deploy acme/shop"."""
    version: str
    place: str
    by: str


DEPLOY: Final = Task(EventType.DEPLOYMENT, "Deploy", "deploy", "{}", "to {}", ", deployed by")
TASKS: Final = {
    "scale": Task(EventType.SCALE, "Scale", "scaling of", "", "in {}", ", scaled by"),
    "rollback": Task(EventType.DEPLOYMENT, "Roll back", "rollback of", "to {}", "in {}", ", rolled back by"),
}
"""How `deployment.task` begins -> what is done; every other task (`deploy`, `deploy:migrations`) deploys."""


def deployment_status(payload: Payload, delivery: Delivery, options: Options) -> tuple[Change, ...]:
    word = payload.require_text("deployment_status.state")
    state = _state(payload, word)
    effect = _effect_of(state, options)
    if effect is None:
        raise Ignored(f"deployment state {word!r} makes no marker: {state.value}")

    repository = payload.require_text("repository.full_name")
    deployment_id = _deployment_id(payload)
    task = _task(payload)
    occurred_at = payload.time("deployment_status.created_at", "deployment_status.updated_at")
    occurred_at = occurred_at or delivery.received_at
    began_at = _began_at(payload, state, occurred_at)
    has_run = state not in {DeploymentState.STARTED, DeploymentState.NEVER_BEGAN}
    lasted = since(began_at, occurred_at) if has_run else None
    change = change_of(
        delivery,
        **names_on_host(payload, delivery, "deployment", deployment_id),
        claims=_names_of_plugins(payload, delivery),
        effect=effect,
        occurred_at=occurred_at,
        sequence=_sequence(payload),
        sets=("name", "description", "ended_at") if effect is Effect.UPDATE else None,
        lasted=lasted,
        is_authoritative=True,
        type=task.type,
        name=_name(payload, task, repository, state),
        description=told(
            OUTCOMES[state],
            taken=lasted,
            by=task.by,
            actor=None if state is DeploymentState.NEVER_BEGAN else _actor(payload),
            remark=payload.text("deployment_status.description", "deployment.description"),
        ),
        source=SOURCE_NAME,
        metadata=_metadata(payload) | present(deployment_id=deployment_id, status=STATUSES.get(state, word)),
        **deploy_times(effect, began_at, occurred_at),
    )
    return (change,)


OUTCOMES: Final = {
    DeploymentState.STARTED: "Started",
    DeploymentState.SUCCEEDED: "Succeeded",
    DeploymentState.FAILED: "Failed",
    DeploymentState.CANCELLED: "Cancelled",
    DeploymentState.NEVER_BEGAN: "Never began: it was rejected, or given up while it waited",
}
VERBS: Final = {
    DeploymentState.FAILED: "Failed",
    DeploymentState.CANCELLED: "Cancelled",
    DeploymentState.NEVER_BEGAN: "Rejected",
}
STATUSES: Final = {DeploymentState.CANCELLED: "cancelled", DeploymentState.NEVER_BEGAN: "rejected"}
"""What the metadata say where GitHub's own word is not exact; the CI plugins say it the same way."""

TRANSLATORS: Final[dict[str, Translator]] = {"deployment_status": deployment_status}

ENDED: Final = (Effect.POINT, Effect.CLOSE)
FEATURES: Final = (
    Feature("deployment", "created", note="its deployment_status deliveries make the marker"),
    *(Feature("deployment_status", word) for word in ("queued", "pending", "waiting")),
    Feature("deployment_status", "in_progress", EventType.DEPLOYMENT, None, Effect.OPEN),
    *(
        Feature("deployment_status", word, EventType.DEPLOYMENT, *ENDED)
        for word in ("success", "failure", "error")
    ),
    Feature(
        "deployment_status",
        "failure, cancelled",
        EventType.DEPLOYMENT,
        *ENDED,
        note="by the conclusion of its check run",
    ),
    Feature(
        "deployment_status",
        "failure of a job that never began",
        EventType.DEPLOYMENT,
        None,
        Effect.UPDATE,
        note="ends what was open, makes none",
    ),
    Feature("deployment_status", "in_progress of a task scale…", EventType.SCALE, None, Effect.OPEN),
    *(
        Feature("deployment_status", f"{word} of a task scale…", EventType.SCALE, *ENDED)
        for word in ("success", "failure", "error")
    ),
    Feature("deployment_status", "inactive", note="never sent by github.com"),
    Feature("deployment_protection_rule", "requested", note="asks for an approval and deploys nothing"),
    Feature("deployment_review", "any", note="the deployment_status that follows makes the marker"),
)


def _state(payload: Payload, word: str) -> DeploymentState:
    """GitHub calls a deployment failed whose job was cancelled, or was never allowed to run."""
    state = DEPLOYMENT_STATES.get(word)
    if state is None:
        raise Ignored(f"deployment state {word!r} is not known here")
    if state is not DeploymentState.FAILED:
        return state
    job = payload.value("check_run")
    # A job that ran has a start, so a start that is null is certain; one that is left out says nothing.
    if isinstance(job, dict) and "started_at" in job and job["started_at"] is None:
        return DeploymentState.NEVER_BEGAN
    is_cancelled = payload.text("check_run.conclusion") == "cancelled"
    return DeploymentState.CANCELLED if is_cancelled else state


def _effect_of(state: DeploymentState, options: Options) -> Effect | None:
    if state is DeploymentState.NEVER_BEGAN:
        return Effect.UPDATE if options.deployments == "span" else None
    if state not in OUTCOMES:
        return None
    return deploy_effect(options, has_ended=state is not DeploymentState.STARTED)


def _began_at(payload: Payload, state: DeploymentState, occurred_at: datetime) -> datetime | None:
    """When the work began. A deployment exists from when its job is queued, and may wait days for approval.

    `None` where only its opening can say: of a job without a check run. Who deploys by the API creates the
    deployment when the work begins.
    """
    job_began_at = payload.time("check_run.started_at")
    if job_began_at and job_began_at <= occurred_at:
        return job_began_at
    if state is DeploymentState.STARTED or payload.identifier("workflow_run.id"):
        return None
    return payload.time("deployment.created_at")


def _sequence(payload: Payload) -> int:
    """Times are in whole seconds; the statuses of one second are told apart by their ids, which count up."""
    number = payload.identifier("deployment_status.id") or ""
    return int(number) if number.isascii() and number.isdecimal() else 0


def _task(payload: Payload) -> Task:
    named = (payload.text("deployment.task") or "").lower()
    return next((task for prefix, task in TASKS.items() if named.startswith(prefix)), DEPLOY)


def _deployment_id(payload: Payload) -> str:
    if found := payload.identifier("deployment.id"):
        return found
    url = DEPLOYMENT_URL.fullmatch(payload.text("deployment_status.deployment_url") or "")
    return url[1] if url else payload.require_identifier("deployment.id")


def _names_of_plugins(payload: Payload, delivery: Delivery) -> tuple[str, ...]:
    """What a CI plugin calls this deploy, as it does not know the deployment's id (docs/ci-plugins.md).

    The job's name is exact, except that an action may make a deployment of its own beside its job's. Where a
    plugin cannot know its job's id it uses the run's, which all jobs share that deploy to this environment.
    """
    environment = _environment(payload)
    if environment is None:
        return ()
    prefix, place = prefix_of(payload, delivery), environment.lower()
    names = []
    if job_id := payload.identifier("check_run.id"):
        names.append(f"{prefix}:job:{job_id}:{place}")
    if run_id := payload.identifier("workflow_run.id"):
        attempt = payload.identifier("workflow_run.run_attempt") or "1"
        names.append(f"{prefix}:run:{run_id}:{attempt}:{place}")
        # As plugins of version 0.1 call it.
        repository = payload.require_text("repository.full_name")
        names.append(f"github:{repository}:run:{run_id}:{attempt}:{environment}")
    return tuple(names)


def _environment(payload: Payload) -> str | None:
    """A status may rename its deployment's environment, so the status' own word counts."""
    return payload.text("deployment_status.environment", "deployment.environment")


def _actor(payload: Payload) -> str | None:
    """Who set it off; the deployment's creator is often only the bot that ran the job."""
    return payload.text(
        "workflow_run.triggering_actor.login",
        "workflow_run.actor.login",
        "deployment.creator.login",
        "sender.login",
    )


def _name(payload: Payload, task: Task, repository: str, state: DeploymentState) -> str:
    verb = f"{VERBS[state]} {task.noun}" if state in VERBS else task.verb
    version = describe_version(_ref(payload), payload.text("deployment.sha"))
    environment = _environment(payload)
    words = [
        verb,
        repository,
        task.version.format(version) if version else "",
        task.place.format(environment) if environment else "",
    ]
    return " ".join(word for word in words if word)


def _ref(payload: Payload) -> str | None:
    """For a fork `mallory:main`, as GitHub writes it: runs for its pull request name its own branch."""
    ref, fork = payload.text("deployment.ref"), fork_of(payload)
    is_name = ref is not None and ref != payload.text("deployment.sha") and not ref.startswith("refs/")
    return f"{fork.partition('/')[0]}:{ref}" if fork and ref and is_name else ref


def _metadata(payload: Payload) -> dict[str, JsonValue]:
    return (
        repository_facts(payload)
        | present(
            environment=_environment(payload),
            environment_url=payload.url("deployment_status.environment_url"),
            production=_is_production(payload),
            ref=_ref(payload),
            task=payload.text("deployment.task"),
            trigger=payload.text("workflow_run.event"),
            job=payload.text("check_run.name"),
            check_run_id=payload.identifier("check_run.id"),
            actor=_actor(payload),
            url=payload.url(
                "deployment_status.log_url",
                "deployment_status.target_url",
                "workflow_run.html_url",
                "deployment_status.environment_url",
                "repository.html_url",
            ),
        )
        | commit_facts(payload.text("deployment.sha"))
        | run_facts(payload)
    )


def _is_production(payload: Payload) -> bool | None:
    """Actions sends `false` for an environment named production, so the name counts too.

    Left out where the two contradict each other in another way.
    """
    environment = _environment(payload) or ""
    is_flagged = payload.flag("deployment.production_environment")
    if environment.lower() == PRODUCTION:
        return True
    return None if is_flagged is False and LIKE_PRODUCTION.fullmatch(environment) else is_flagged
