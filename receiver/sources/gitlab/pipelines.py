"""GitLab's Pipeline and Job hooks, for projects whose deploys make no Deployment hooks."""

from datetime import timedelta
from fnmatch import fnmatchcase
from itertools import islice
from typing import Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from receiver.events import Change, Effect
from receiver.sources.changes import present
from receiver.sources.gitlab.hook import Hook, Options, commit_metadata, moved, whole_second
from receiver.sources.gitlab.runs import (
    Run,
    State,
    before_its_failure,
    effect_of,
    is_production,
    state_of,
    version,
)
from receiver.sources.not_translated import Ignored
from receiver.sources.payload import Payload
from receiver.sources.source import Feature

LONGEST_DURATION: Final = 10**9
"""Seconds."""
WITH_WARNINGS: Final = "passed with warnings"
"""GitLab's `detailed_status` if a job failed that was allowed to."""
OF_MERGE_REQUEST: Final = "merge_request_event"
MOST_FAILED_DEPLOYS: Final = 3
"""Named on a pipeline's marker."""
STARTS: Final = ("build_started_at_iso", "build_started_at")
ONE_SECOND: Final = timedelta(seconds=1)

RUN_STATES: Final = {
    "created": State.WAITING,
    "waiting_for_resource": State.WAITING,
    "waiting_for_callback": State.WAITING,
    "preparing": State.WAITING,
    "pending": State.WAITING,
    "manual": State.WAITING,
    "scheduled": State.WAITING,
    "skipped": State.WAITING,
    "running": State.STARTED,
    "canceling": State.STARTED,
    "success": State.SUCCEEDED,
    "failed": State.FAILED,
    "canceled": State.CANCELLED,
}
"""Of pipelines and of jobs."""


def pipeline(hook: Hook, options: Options) -> tuple[Change, ...]:
    """Each time it finishes is a point; a span goes on when a job of it is run again.

    That it runs again shows in its having finished before: GitLab keeps the earlier time.
    """
    payload = hook.payload
    attributes = "object_attributes"
    word = payload.require_text(f"{attributes}.status")
    state = state_of(RUN_STATES, word, "pipeline status")
    ref = payload.text(f"{attributes}.ref") or ""
    if not any(fnmatchcase(ref, pattern) for pattern in options.pipeline_refs):
        raise Ignored(f"pipelines of {ref!r} are off; name it in [gitlab] pipeline_refs in apitraffic.toml")
    _require_trigger(payload, options)
    has_run = _seconds(payload.value(f"{attributes}.duration")) is not None
    effect = effect_of(state, word, options, has_run=has_run)

    identifier = payload.require_identifier(f"{attributes}.id")
    finished_at = payload.time(f"{attributes}.finished_at")
    began_at = payload.time(f"{attributes}.created_at")
    occurred_at = finished_at or hook.delivery.received_at
    key = ["pipeline", identifier]
    if effect is Effect.POINT and finished_at:
        key.append(str(int(finished_at.timestamp())))
    elif effect is Effect.OPEN and finished_at:
        effect, occurred_at = Effect.REOPEN, moved(whole_second(finished_at), ONE_SECOND)
    elif effect is Effect.OPEN:
        occurred_at = began_at or hook.delivery.received_at
    taken = finished_at - began_at if finished_at and began_at and has_run else None
    failed = _failed_deploys(payload) if state is State.SUCCEEDED else ()
    run = Run(
        state,
        "pipeline",
        began_at,
        occurred_at,
        taken,
        hook.actor(),
        remark=f"Failed and was allowed to: {', '.join(failed)}." if failed else None,
        has_warnings=payload.text(f"{attributes}.detailed_status") == WITH_WARNINGS,
    )
    merge_request = payload.identifier("merge_request.iid") if _trigger(payload) == OF_MERGE_REQUEST else None
    commit = payload.text(f"{attributes}.sha", "commit.id")
    url = payload.url(f"{attributes}.url") or hook.page("pipelines", identifier)
    change = run.change(
        hook,
        key=hook.key(*key),
        effect=effect,
        occurred_at=occurred_at,
        name=run.title(
            f"#{identifier}",
            hook.repository(),
            f"!{merge_request}" if merge_request else None,
            version(ref, payload.flag(f"{attributes}.tag"), commit),
            f"({failed[0]} failed)" if failed else None,
        ),
        metadata=hook.project_metadata()
        | commit_metadata(commit, payload.text("commit.title"))
        | present(
            ref=ref,
            url=url,
            run_id=identifier,
            run_url=url,
            pipeline=payload.text(f"{attributes}.name"),
            trigger=payload.text(f"{attributes}.source"),
            pull_request=merge_request,
            failed_jobs=", ".join(failed),
            status=word,
        ),
    )
    return (change,)


def build(hook: Hook, options: Options) -> tuple[Change, ...]:
    """A job that deploys. `commit.id` is the pipeline's id here, and never the commit's."""
    payload = hook.payload
    word = payload.require_text("build_status")
    state = state_of(RUN_STATES, word, "job status")
    environment = payload.text("environment.name")
    if environment is None:
        raise Ignored("the job has no environment: in .gitlab-ci.yml, so that it deploys nothing")
    action = payload.text("environment.action") or "start"
    if action != "start":
        raise Ignored(f"the job's environment:action is {action!r}; only 'start' is a deploy")
    began_at = payload.time(*STARTS)
    if state is State.FAILED and _never_began(payload):
        state = State.NEVER_BEGAN
    effect = effect_of(state, word, options, has_run=began_at is not None)

    identifier = payload.require_identifier("build_id")
    finished_at = payload.time("build_finished_at_iso", "build_finished_at")
    occurred_at = (began_at if effect is Effect.OPEN else finished_at) or hook.delivery.received_at
    taken = occurred_at - began_at if began_at and finished_at else None
    run = Run(state, "deploy", began_at, occurred_at, taken, hook.actor())
    commit = payload.text("sha", "commit.sha")
    run_id = payload.identifier("pipeline_id") or payload.identifier("commit.id")
    change = run.change(
        hook,
        key=hook.key("job", identifier),
        effect=effect,
        occurred_at=before_its_failure(occurred_at) if state is State.NEVER_BEGAN else occurred_at,
        name=run.title(
            hook.repository(), version(payload.text("ref"), payload.flag("tag"), commit), f"to {environment}"
        ),
        metadata=hook.project_metadata()
        | commit_metadata(commit, payload.text("commit.message"))
        | present(
            environment=environment,
            production=is_production(hook, environment),
            ref=payload.text("ref"),
            url=hook.page("jobs", identifier),
            job=payload.text("build_name"),
            job_id=identifier,
            run_id=run_id,
            run_url=hook.page("pipelines", run_id) if run_id else None,
            status=word,
        ),
    )
    return (change,)


FEATURES: Final = (
    *(
        Feature("pipeline", word, is_optional=True)
        for word in ("created", "pending", "manual", "scheduled", "skipped")
    ),
    Feature("pipeline", "running", EventType.DEPLOYMENT, None, Effect.OPEN, is_optional=True),
    Feature("pipeline", "running again", EventType.DEPLOYMENT, None, Effect.REOPEN, is_optional=True),
    *(
        Feature(
            "pipeline",
            word,
            EventType.DEPLOYMENT,
            Effect.POINT,
            Effect.CLOSE,
            is_optional=True,
            note="of the refs in pipeline_refs; no child pipelines",
        )
        for word in ("success", "failed", "canceled")
    ),
    Feature(
        "pipeline",
        "success, with a failed deploy",
        EventType.DEPLOYMENT,
        Effect.POINT,
        Effect.CLOSE,
        is_optional=True,
        note="a job with an environment that was allowed to fail is named",
    ),
    Feature("pipeline", "any, of a merge request", is_optional=True, note="unless in pipeline_triggers"),
    Feature(
        "pipeline",
        "canceled before it ran",
        EventType.DEPLOYMENT,
        None,
        Effect.UPDATE,
        is_optional=True,
        note="ends what is open; alone it makes no marker",
    ),
    *(Feature("build", word, is_optional=True) for word in ("created", "pending", "manual")),
    Feature("build", "running", EventType.DEPLOYMENT, None, Effect.OPEN, is_optional=True),
    *(
        Feature(
            "build",
            word,
            EventType.DEPLOYMENT,
            Effect.POINT,
            Effect.CLOSE,
            is_optional=True,
            note="of jobs with an environment",
        )
        for word in ("success", "failed", "canceled")
    ),
    Feature(
        "build",
        "canceled before it ran",
        EventType.DEPLOYMENT,
        None,
        Effect.UPDATE,
        is_optional=True,
        note="ends what is open; alone it makes no marker",
    ),
    Feature(
        "build",
        "failed before it ran",
        EventType.DEPLOYMENT,
        Effect.UPDATE,
        is_optional=True,
        note="ends what is open; alone it makes no marker, nor does the failed of its deployment",
    ),
    Feature("build", "any, without environment or not its start", is_optional=True),
)


def _require_trigger(payload: Payload, options: Options) -> None:
    """Raises `Ignored` for a pipeline that was started by something else than `pipeline_triggers` names."""
    trigger = _trigger(payload)
    if trigger == "parent_pipeline":
        raise Ignored("a child pipeline makes no marker: its parent's does")
    wanted = options.pipeline_triggers
    if trigger is not None and not any(fnmatchcase(trigger, pattern) for pattern in wanted):
        raise Ignored(
            f"pipelines started by {trigger!r} are off; "
            "name it in [gitlab] pipeline_triggers in apitraffic.toml"
        )


def _trigger(payload: Payload) -> str | None:
    is_of_merge_request = isinstance(payload.value("merge_request"), dict)
    return payload.text("object_attributes.source") or (OF_MERGE_REQUEST if is_of_merge_request else None)


def _failed_deploys(payload: Payload) -> tuple[str, ...]:
    """The jobs of a pipeline that were to deploy and failed: `deploy-prod to production`."""
    failed = (
        job
        for job in payload.objects("builds")
        if job.text("status") == "failed" and (job.text("environment.action") or "start") == "start"
    )
    named = (
        f"{name} to {environment}"
        for job in failed
        if (environment := job.text("environment.name")) and (name := job.text("name"))
    )
    return tuple(islice(named, MOST_FAILED_DEPLOYS))


def _never_began(payload: Payload) -> bool:
    """A job that ran has a start, so a start that is null is certain; one that is left out says nothing."""
    written = [payload.content[name] for name in STARTS if name in payload.content]
    return bool(written) and all(start is None for start in written)


def _seconds(value: JsonValue) -> timedelta | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_DURATION:
        return None
    return timedelta(seconds=value)
