"""Phases and results of Jenkins' builds, as its three plugins name them."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from receiver.events import Effect
from receiver.sources.not_translated import Ignored
from receiver.sources.payload import Payload


class Phase(Enum):
    """Where a build is."""

    WAITING = "it has not started yet"
    STARTED = "it has started"
    FINISHED = "it has ended"


PHASES: Final = {
    # Notification plugin: build.phase
    "queued": Phase.WAITING,
    "started": Phase.STARTED,
    "completed": Phase.FINISHED,
    "finalized": Phase.FINISHED,
    # Outbound WebHook: event
    "start": Phase.STARTED,
    "success": Phase.FINISHED,
    "failure": Phase.FINISHED,
    "unstable": Phase.FINISHED,
    # CloudEvents: the end of ce-type
    "job.started": Phase.STARTED,
    "job.completed": Phase.FINISHED,
    "job.finalized": Phase.FINISHED,
    "job.failed": Phase.FINISHED,
}

SEQUENCE: Final = {"finalized": 1, "job.finalized": 1, "job.failed": 1}
"""Jenkins sends these after `completed`, perhaps within the same millisecond."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a result of a build is shown."""

    verb: str
    outcome: str
    remark: str = ""


RESULTS: Final = {
    "SUCCESS": Result("Deploy", "Succeeded"),
    "UNSTABLE": Result("Deploy", "Went through", "unstable"),
    "FAILURE": Result("Failed deploy", "Failed"),
    "FAILED": Result("Failed deploy", "Failed"),
    "ABORTED": Result("Cancelled deploy", "Cancelled"),
    "NOT_BUILT": None,
}
"""https://javadoc.jenkins.io/hudson/model/Result.html; FAILED is what the CloudEvents plugin documents."""

EVENT_RESULTS: Final = {"success": "SUCCESS", "failure": "FAILURE", "unstable": "UNSTABLE"}
"""Outbound WebHook says the result as the event."""
RESULT_OF_EVENT: Final = {"job.failed": "FAILURE"}
"""The result that an event implies if the body has none."""


def effect_of(phase: Phase, *, is_span: bool) -> Effect | None:
    """`None` if the phase makes no marker."""
    match phase:
        case Phase.STARTED if is_span:
            return Effect.OPEN
        case Phase.FINISHED:
            return Effect.CLOSE if is_span else Effect.POINT
        case _:
            return None


def result_of(payload: Payload, event: str) -> tuple[str, Result]:
    """The result in Jenkins' word and in ours; raises `Ignored` if there is none, or nothing was deployed."""
    word = EVENT_RESULTS.get(event) or payload.text("build.status") or RESULT_OF_EVENT.get(event)
    if word is None:
        # A pipeline's own `notifyEndpoints(phase: 'COMPLETED')` while the build runs.
        raise Ignored("the build has no result yet: build.status is missing from the payload")
    if word not in RESULTS:
        raise Ignored(f"build status {word!r} is not known here")
    result = RESULTS[word]
    if result is None:
        raise Ignored(f"build status {word!r} makes no marker: nothing was deployed")
    return word, result
