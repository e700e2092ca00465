"""GitHub's deployments: what an Actions job with an `environment:` makes, or a deployer through the API.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#deployment_status
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from receiver.events import Change, Delivery, Effect
from receiver.sources.base import Feature, Ignored, Payload, change_of, present
from receiver.sources.github.payload import (
    SOURCE_NAME,
    Options,
    Translator,
    commit_facts,
    deploy_effect,
    deploy_times,
    repository_facts,
    run_facts,
    since,
    told,
)
from receiver.wording import describe_version

DEPLOYMENT_URL: Final = re.compile(r".*/deployments/(\d+)")


class DeploymentState(Enum):
    """What a deployment status means for its marker."""

    WAITING = "it has not started yet"
    STARTED = "it has started"
    SUCCEEDED = "it went well"
    FAILED = "it went wrong"
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
    failed: str
    version: str
    place: str
    by: str


DEPLOY: Final = Task(EventType.DEPLOYMENT, "Deploy", "Failed deploy", "{}", "to {}", ", deployed by")
TASKS: Final = {
    "scale": Task(EventType.SCALE, "Scale", "Failed scaling of", "", "in {}", ", scaled by"),
    "rollback": Task(
        EventType.DEPLOYMENT, "Roll back", "Failed rollback of", "to {}", "in {}", ", rolled back by"
    ),
}
"""How `deployment.task` begins -> what is done; every other task (`deploy`, `deploy:migrations`) deploys."""


def deployment_status(payload: Payload, delivery: Delivery, options: Options) -> tuple[Change, ...]:
    word = payload.require_text("deployment_status.state")
    state = DEPLOYMENT_STATES.get(word)
    if state is None:
        raise Ignored(f"deployment state {word!r} is not known here")
    effect = _effect_of(state, options)
    if effect is None:
        raise Ignored(f"deployment state {word!r} makes no marker: {state.value}")

    repository = payload.require_text("repository.full_name")
    deployment_id = _deployment_id(payload)
    task = _task(payload)
    occurred_at = payload.time("deployment_status.created_at", "deployment_status.updated_at")
    occurred_at = occurred_at or delivery.received_at
    began_at = payload.time("deployment.created_at")
    change = change_of(
        delivery,
        key=f"github:{repository}:deployment:{deployment_id}",
        aliases=_run_keys(payload, repository),
        effect=effect,
        occurred_at=occurred_at,
        type=task.type,
        name=_name(payload, task, repository, state),
        description=told(
            OUTCOMES[state],
            taken=None if state is DeploymentState.STARTED else since(began_at, occurred_at),
            by=task.by,
            actor=_actor(payload),
            remark=payload.text("deployment_status.description", "deployment.description"),
        ),
        source=SOURCE_NAME,
        metadata=_metadata(payload) | present(deployment_id=deployment_id, status=word),
        **deploy_times(effect, began_at, occurred_at),
    )
    return (change,)


OUTCOMES: Final = {
    DeploymentState.STARTED: "Started",
    DeploymentState.SUCCEEDED: "Succeeded",
    DeploymentState.FAILED: "Failed",
}

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
    Feature("deployment_status", "in_progress of a task scale…", EventType.SCALE, None, Effect.OPEN),
    *(
        Feature("deployment_status", f"{word} of a task scale…", EventType.SCALE, *ENDED)
        for word in ("success", "failure", "error")
    ),
    Feature("deployment_status", "inactive", note="never sent by github.com"),
    Feature("deployment_protection_rule", "requested", note="asks for an approval and deploys nothing"),
    Feature("deployment_review", "any", note="the deployment_status that follows makes the marker"),
)


def _effect_of(state: DeploymentState, options: Options) -> Effect | None:
    if state not in OUTCOMES:
        return None
    return deploy_effect(options, has_ended=state is not DeploymentState.STARTED)


def _task(payload: Payload) -> Task:
    named = (payload.text("deployment.task") or "").lower()
    return next((task for prefix, task in TASKS.items() if named.startswith(prefix)), DEPLOY)


def _deployment_id(payload: Payload) -> str:
    if found := payload.identifier("deployment.id"):
        return found
    url = DEPLOYMENT_URL.fullmatch(payload.text("deployment_status.deployment_url") or "")
    return url[1] if url else payload.require_identifier("deployment.id")


def _run_keys(payload: Payload, repository: str) -> tuple[str, ...]:
    """What a CI plugin calls this deploy, which knows its run and not the deployment's id.

    Jobs of one run that deploy to one environment are one deploy on a chart.
    """
    run_id, environment = payload.identifier("workflow_run.id"), _environment(payload)
    if run_id is None or environment is None:
        return ()
    attempt = payload.identifier("workflow_run.run_attempt") or "1"
    return (f"github:{repository}:run:{run_id}:{attempt}:{environment}",)


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
    verb = task.failed if state is DeploymentState.FAILED else task.verb
    version = describe_version(payload.text("deployment.ref"), payload.text("deployment.sha"))
    environment = _environment(payload)
    words = [
        verb,
        repository,
        task.version.format(version) if version else "",
        task.place.format(environment) if environment else "",
    ]
    return " ".join(word for word in words if word)


def _metadata(payload: Payload) -> dict[str, JsonValue]:
    return (
        repository_facts(payload)
        | present(
            environment=_environment(payload),
            environment_url=payload.url("deployment_status.environment_url"),
            production=payload.flag("deployment.production_environment"),
            ref=payload.text("deployment.ref"),
            task=payload.text("deployment.task"),
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
