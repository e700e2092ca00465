"""GitLab's Deployment hooks."""

import re
from datetime import datetime
from typing import Final

from apitraffic_events.event import EventType
from receiver.events import Change, Effect
from receiver.sources.changes import present
from receiver.sources.gitlab.hook import Hook, Options, commit_metadata
from receiver.sources.gitlab.runs import (
    Run,
    State,
    before_its_failure,
    effect_of,
    is_production,
    state_of,
    version,
)
from receiver.sources.source import Feature

COMMIT_PAGE: Final = re.compile(r".*/commit/([0-9a-f]{40}(?:[0-9a-f]{24})?)")
AFTER_ITS_JOB: Final = 1
"""GitLab ends a deployment because its job has ended; the Job hook of the same second knows more."""

DEPLOYMENT_STATES: Final = {
    "blocked": State.WAITING,
    "approved": State.WAITING,
    "running": State.STARTED,
    "success": State.SUCCEEDED,
    "failed": State.FAILED,
    "canceled": State.CANCELLED,
    "rejected": State.REJECTED,
}
"""https://docs.gitlab.com/user/project/integrations/webhook_events/#deployment-events"""


def deployment(hook: Hook, options: Options) -> tuple[Change, ...]:
    """Only `running` has the time of its start; a Job hook of the same job has it, too."""
    payload = hook.payload
    word = payload.require_text("status")
    state = state_of(DEPLOYMENT_STATES, word, "deployment status")
    effect = effect_of(state, word, options, has_run=state is not State.CANCELLED)
    changed_at = payload.time("status_changed_at") or hook.delivery.received_at
    run = Run(
        state=state,
        noun="deploy",
        began_at=changed_at if state is State.STARTED else None,
        moment=changed_at,
        actor=hook.actor(),
        approver=payload.text("approver.username", "approver.name") if state is State.REJECTED else None,
        remark=payload.text("approval.comment") if state is State.REJECTED else None,
    )
    environment = payload.text("environment")
    commit = _deployed_commit(hook)
    change = run.change(
        hook,
        key=_deployment_key(hook),
        aliases=_job_keys(hook),
        effect=effect,
        occurred_at=_order_of(hook, state, changed_at),
        sequence=AFTER_ITS_JOB,
        name=run.title(
            hook.repository(),
            version(payload.text("ref"), None, commit),
            f"to {environment}" if environment else None,
        ),
        metadata=hook.project_metadata()
        | commit_metadata(commit, payload.text("commit_title"))
        | present(
            environment=environment,
            environment_url=payload.url("environment_external_url"),
            environment_tier=payload.text("environment_tier"),
            production=is_production(hook, environment),
            ref=payload.text("ref"),
            url=payload.url("deployable_url", "project.web_url"),
            job_id=payload.identifier("deployable_id"),
            deployment_id=payload.identifier("deployment_id"),
            approver=run.approver,
            status=word,
        ),
    )
    return (change,)


FEATURES: Final = (
    *(Feature("deployment", word, note="waits for approval or a person") for word in ("blocked", "approved")),
    Feature("deployment", "running", EventType.DEPLOYMENT, None, Effect.OPEN),
    *(
        Feature("deployment", word, EventType.DEPLOYMENT, Effect.POINT, Effect.CLOSE)
        for word in ("success", "failed")
    ),
    Feature(
        "deployment",
        "rejected",
        EventType.DEPLOYMENT,
        Effect.UPDATE,
        note="ends what is open; alone it makes no marker, nor does the failed that GitLab sends after it",
    ),
    Feature(
        "deployment",
        "canceled",
        EventType.DEPLOYMENT,
        None,
        Effect.UPDATE,
        note="ends what is open; alone it makes no marker, as GitLab also cancels jobs that never ran",
    ),
)


def _order_of(hook: Hook, state: State, changed_at: datetime) -> datetime:
    if state is not State.REJECTED:
        return changed_at
    decided_at = hook.payload.time("approval.created_at") or changed_at
    return before_its_failure(min(decided_at, changed_at))


def _deployment_key(hook: Hook) -> str:
    """Very old servers name only the job; its marker is then that of its Job hooks."""
    job_id = hook.payload.identifier("deployable_id")
    if hook.payload.identifier("deployment_id") is None and job_id:
        return hook.key("job", job_id)
    return hook.key("deployment", hook.payload.require_identifier("deployment_id"))


def _job_keys(hook: Hook) -> tuple[str, ...]:
    """What its Job hook and a CI plugin call this deploy: they know its job and not the deployment's id."""
    job_id = hook.payload.identifier("deployable_id")
    return (hook.key("job", job_id),) if job_id else ()


def _deployed_commit(hook: Hook) -> str | None:
    """Only the address of its page holds it whole."""
    page = COMMIT_PAGE.fullmatch(hook.payload.url("commit_url") or "")
    return page[1] if page else hook.payload.text("short_sha")
