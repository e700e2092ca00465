"""GitLab's Pipeline and Job hooks, for projects whose deploys make no Deployment hooks."""

from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from receiver.events import Change, Effect
from receiver.sources.base import Feature, Ignored, present
from receiver.sources.gitlab.hook import Hook, Options, commit_metadata, moved, whole_second
from receiver.sources.gitlab.runs import Run, State, effect_of, is_production, state_of, version

LONGEST_DURATION: Final = 10**9
"""Seconds."""
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
    if payload.text(f"{attributes}.source") == "parent_pipeline":
        raise Ignored("a child pipeline makes no marker: its parent's does")
    taken = _seconds(payload.value(f"{attributes}.duration"))
    effect = effect_of(state, word, options, has_run=taken is not None)

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
    run = Run(state, "pipeline", began_at, occurred_at, taken, hook.actor())
    commit = payload.text(f"{attributes}.sha", "commit.id")
    url = payload.url(f"{attributes}.url") or hook.page("pipelines", identifier)
    change = run.change(
        hook,
        key=hook.key(*key),
        effect=effect,
        occurred_at=occurred_at,
        name=run.title(
            f"#{identifier}", hook.repository(), version(ref, payload.flag(f"{attributes}.tag"), commit)
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
    began_at = payload.time("build_started_at_iso", "build_started_at")
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
        occurred_at=occurred_at,
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
    Feature("build", "any, without environment or not its start", is_optional=True),
)


def _seconds(value: JsonValue) -> timedelta | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_DURATION:
        return None
    return timedelta(seconds=value)
