"""The deploy that a Jenkins build is."""

from typing import Final

from apitraffic_events.event import EventType
from receiver.events import Change, Delivery, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.jenkins.builds import (
    NO_VERSION,
    actor,
    build_key,
    build_number,
    deployed_version,
    facts,
    failed_tests,
    moment_of,
    parameter,
    time_taken,
    whole_parameter,
)
from receiver.sources.jenkins.options import Options
from receiver.sources.jenkins.phases import SEQUENCE, Result, result_of
from receiver.sources.payload import Payload
from receiver.sources.source import Feature
from receiver.wording import duration

SOURCE_NAME: Final = "jenkins"


def deploy(payload: Payload, delivery: Delivery, options: Options, job: str, effect: Effect) -> Change:
    word, result = result_of(payload, delivery.event) if effect is not Effect.OPEN else ("started", None)
    occurred_at = moment_of(payload) or delivery.received_at
    taken = time_taken(payload) if result else None
    environment = parameter(payload, options.environment_parameters)
    version = parameter(payload, options.version_parameters, but=NO_VERSION)
    what = deployed_version(payload, version)
    words = [
        result.verb if result else "Deploy",
        job,
        what,
        f"to {environment}" if environment else "",
        f"({result.remark})" if result and result.remark else "",
    ]
    began_at = occurred_at - taken if taken else occurred_at
    key = build_key(payload)
    place = whole_parameter(payload, options.environment_parameters)
    return change_of(
        delivery,
        key=key,
        # The shared library names the first deployment of the build to this environment so
        # (docs/ci-plugins.md). It knows how that one ended, which need not be how the build ended.
        aliases=(f"{key}:{place}",) if place else (),
        is_indirect=True,
        effect=effect,
        occurred_at=occurred_at,
        sequence=SEQUENCE.get(delivery.event, 0),
        lasted=taken,
        type=EventType.DEPLOYMENT,
        name=" ".join(word for word in words if word),
        description=_outcome(payload, result),
        source=SOURCE_NAME,
        metadata=facts(payload) | present(environment=environment, release=version, status=word.lower()),
        started_at=began_at if effect is Effect.CLOSE else occurred_at,
        ended_at=occurred_at if effect is Effect.CLOSE else None,
    )


def _outcome(payload: Payload, result: Result | None) -> str:
    number, person = build_number(payload), actor(payload)
    taken = time_taken(payload) if result else None
    sentence = result.outcome if result else "Started"
    sentence += f" after {duration(taken)}" if taken else ""
    sentence += f" in build #{number}" if number else ""
    sentence += f", marked {result.remark}" if result and result.remark else ""
    sentence += f", deployed by {person}" if person else ""
    lines = [f"{sentence}.", failed_tests(payload), payload.text("build.notes")]
    return "\n".join(line for line in lines if line)


FEATURES: Final = (
    Feature("queued", "any", note="it has not started yet"),
    *(
        Feature(event, "any", EventType.DEPLOYMENT, None, Effect.OPEN)
        for event in ("started", "start", "job.started")
    ),
    *(
        Feature(event, word, EventType.DEPLOYMENT, Effect.POINT, Effect.CLOSE, note=note)
        for event in ("completed", "finalized", "job.completed", "job.finalized")
        for word, note in (
            ("SUCCESS", ""),
            ("UNSTABLE", "named as unstable"),
            ("FAILURE", ""),
            ("ABORTED", "named as cancelled"),
        )
    ),
    *(
        Feature(event, "NOT_BUILT", note="nothing was deployed")
        for event in ("completed", "finalized", "job.completed", "job.finalized")
    ),
    Feature("job.failed", "FAILURE", EventType.DEPLOYMENT, Effect.POINT, Effect.CLOSE),
    *(
        Feature(event, "any", EventType.DEPLOYMENT, Effect.POINT, Effect.CLOSE, note="Outbound WebHook")
        for event in ("success", "failure", "unstable")
    ),
    *(
        Feature(event, "any")
        for event in (
            "job.created",
            "job.updated",
            "queue.entered_waiting",
            "queue.left",
            "node.online",
            "node.offline",
        )
    ),
)
"""Of jobs that [jenkins] jobs names; builds of all others are ignored."""
