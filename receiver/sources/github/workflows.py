"""Runs of GitHub Actions workflows, for repositories that deploy without GitHub's deployments.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#workflow_run
"""

from dataclasses import dataclass
from typing import Final

from apitraffic_events.event import EventType
from receiver.events import Change, Delivery, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.github.keys import names_on_host
from receiver.sources.github.payload import (
    REVIEWING,
    SOURCE_NAME,
    WORKFLOW_RUN,
    Options,
    Translator,
    commit_facts,
    deploy_effect,
    deploy_times,
    first_line,
    fork_of,
    matches,
    repository_facts,
    run_facts,
    since,
    told,
)
from receiver.sources.not_translated import Ignored
from receiver.sources.payload import Payload
from receiver.sources.source import Feature
from receiver.wording import describe_version


@dataclass(frozen=True, slots=True)
class Conclusion:
    """How a run ended: `verb` before its name, the sentence on it, and whether it deployed at all."""

    verb: str
    sentence: str
    is_deploy: bool = True


CONCLUSIONS: Final = {
    "success": Conclusion("", "Succeeded"),
    "neutral": Conclusion("", "Ended neutral"),
    "failure": Conclusion("Failed", "Failed"),
    "startup_failure": Conclusion("Failed", "Failed to start"),
    "timed_out": Conclusion("Timed-out", "Timed out"),
    "cancelled": Conclusion("Cancelled", "Was cancelled"),
    "skipped": Conclusion("Skipped", "Was skipped", is_deploy=False),
    "stale": Conclusion("Abandoned", "Was given up by GitHub", is_deploy=False),
}
STARTED: Final = Conclusion("", "Started")
AWAITING_APPROVAL: Final = "action_required"


def workflow_run(payload: Payload, delivery: Delivery, options: Options) -> tuple[Change, ...]:
    workflow = payload.text("workflow.name", "workflow_run.name", "workflow.path", "workflow_run.path")
    workflow = workflow or "workflow"
    if not matches(workflow, ("*",) if options.workflows is None else options.workflows):
        raise Ignored(f"workflow {workflow!r} is none of those in [github] workflows in apitraffic.toml")
    _require_wanted(payload, options)
    conclusion = _conclusion(payload)
    effect = _effect_of(conclusion, options)

    repository = payload.require_text("repository.full_name")
    run_id = payload.require_identifier("workflow_run.id")
    attempt = payload.identifier("workflow_run.run_attempt") or "1"
    began_at = payload.time("workflow_run.run_started_at", "workflow_run.created_at")
    if conclusion is STARTED:
        occurred_at = began_at or delivery.received_at
    else:
        # There is no time of completion; a run that has ended is not updated again.
        occurred_at = payload.time("workflow_run.updated_at") or delivery.received_at
    lasted = None if conclusion is STARTED else since(began_at, occurred_at)
    actor = payload.text("workflow_run.triggering_actor.login", "workflow_run.actor.login", "sender.login")
    change = change_of(
        delivery,
        **names_on_host(payload, delivery, "run", run_id, attempt),
        effect=effect,
        occurred_at=occurred_at,
        sets=("name", "description", "ended_at") if effect is Effect.UPDATE else None,
        lasted=lasted,
        type=EventType.DEPLOYMENT,
        name=_name(payload, workflow, repository, conclusion),
        description=told(
            conclusion.sentence,
            taken=lasted,
            by=", run by",
            actor=actor,
            remark=first_line(payload, "workflow_run.display_title"),
        ),
        source=SOURCE_NAME,
        metadata=repository_facts(payload)
        | present(
            ref=_branch(payload),
            commit_message=first_line(payload, "workflow_run.head_commit.message"),
            actor=actor,
            url=payload.url("workflow_run.html_url", "repository.html_url"),
            trigger=payload.text("workflow_run.event"),
            status=payload.text("workflow_run.conclusion") or "in_progress",
        )
        | commit_facts(payload.text("workflow_run.head_sha"))
        | run_facts(payload)
        | present(workflow=workflow, run_attempt=attempt),
        **deploy_times(effect, began_at, occurred_at),
    )
    return (change,)


TRANSLATORS: Final[dict[str, Translator]] = {WORKFLOW_RUN: workflow_run}

HOW_TO_ASK: Final = 'or [github] workflows = ["Deploy*"]'
FEATURES: Final = (
    Feature(WORKFLOW_RUN, "requested"),
    Feature(
        WORKFLOW_RUN,
        "in_progress",
        EventType.DEPLOYMENT,
        None,
        Effect.OPEN,
        is_optional=True,
        note=HOW_TO_ASK,
    ),
    *(
        Feature(
            WORKFLOW_RUN,
            f"completed: {word}",
            EventType.DEPLOYMENT,
            Effect.POINT if conclusion.is_deploy else None,
            Effect.CLOSE if conclusion.is_deploy else Effect.UPDATE,
            is_optional=True,
            note=HOW_TO_ASK if conclusion.is_deploy else "ends what was opened, makes none",
        )
        for word, conclusion in CONCLUSIONS.items()
    ),
    Feature(WORKFLOW_RUN, f"completed: {AWAITING_APPROVAL}", note="it has not run yet"),
    Feature("workflow_job", "any", note="workflow_run and deployment_status say it once for all jobs"),
    *(
        Feature(event, "any", note="workflow_run says it once for all checks")
        for event in ("check_run", "check_suite", "status")
    ),
)


def _require_wanted(payload: Payload, options: Options) -> None:
    """Raises `Ignored` for the runs of a change that is not merged, and for what the settings leave out."""
    trigger = payload.text("workflow_run.event") or ""
    wanted = options.workflow_triggers
    if wanted is not None and not matches(trigger, wanted):
        raise Ignored(
            f"runs set off by {trigger!r} are none of those in [github] workflow_triggers in apitraffic.toml"
        )
    if wanted is None and (matches(trigger, REVIEWING) or fork_of(payload)):
        whose = f"the fork {fork_of(payload)}" if fork_of(payload) else "a change that is not merged"
        raise Ignored(
            f"a run set off by {trigger!r} for {whose} deploys no branch of this repository; name it in "
            "[github] workflow_triggers in apitraffic.toml if it does"
        )
    branch = payload.text("workflow_run.head_branch")
    if not matches(branch or "", options.workflow_branches):
        raise Ignored(
            f"the branch or tag {branch!r} is none of those in [github] workflow_branches in apitraffic.toml"
        )


def _branch(payload: Payload) -> str | None:
    """As GitHub writes it: a fork's `main` is not the `main` that everybody thinks of."""
    branch, fork = payload.text("workflow_run.head_branch"), fork_of(payload)
    return f"{fork.partition('/')[0]}:{branch}" if branch and fork else branch


def _conclusion(payload: Payload) -> Conclusion:
    """The conclusion counts, and not the action, which GitHub's own examples contradict."""
    action = payload.require_text("action")
    word = payload.text("workflow_run.conclusion")
    if word is None and action == "in_progress":
        return STARTED
    if word is None:
        raise Ignored(f"workflow run {action!r} without a conclusion makes no marker")
    if word == AWAITING_APPROVAL:
        raise Ignored("the workflow run waits for somebody's approval")
    if word not in CONCLUSIONS:
        raise Ignored(f"workflow run conclusion {word!r} is not known here")
    return CONCLUSIONS[word]


def _effect_of(conclusion: Conclusion, options: Options) -> Effect:
    if conclusion.is_deploy:
        effect = deploy_effect(options, has_ended=conclusion is not STARTED)
    else:
        effect = Effect.UPDATE if options.deployments == "span" else None
    if effect is None and conclusion is STARTED:
        raise Ignored('the workflow run makes its marker when it ends (see deployments = "span")')
    if effect is None:
        raise Ignored(f"nothing was deployed: the workflow run {conclusion.sentence.lower()}")
    return effect


def _name(payload: Payload, workflow: str, repository: str, conclusion: Conclusion) -> str:
    number = payload.identifier("workflow_run.run_number")
    version = describe_version(_branch(payload), payload.text("workflow_run.head_sha"))
    words = [conclusion.verb, workflow, f"#{number}" if number else "", "of", repository, version]
    return " ".join(word for word in words if word)
