"""Jenkins: the Notification, Outbound WebHook and CloudEvents plugins.

https://plugins.jenkins.io/notification/ https://plugins.jenkins.io/outbound-webhook/
https://plugins.jenkins.io/cloudevents/

None of them signs. A token in the Authorization header or in the path is all that they can be told to send.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from fnmatch import fnmatchcase
from typing import Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from apitraffic_events.text import one_line
from receiver.events import Change, Delivery, Effect
from receiver.sources.authorization import basic_password, bearer_token
from receiver.sources.changes import change_of, present
from receiver.sources.jenkins.builds import (
    NO_VERSION,
    actor,
    build_key,
    build_number,
    deployed_version,
    facts,
    failed_tests,
    job_name,
    moment_of,
    parameter,
    project_of,
    pull_request_of,
    time_taken,
    whole_parameter,
)
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.payload import VALUE_LIMIT, Payload
from receiver.sources.refusals import missing
from receiver.sources.request import MIB, PATH_TOKEN, Headers, Secrets, delivery_id
from receiver.sources.signatures import ProvenByHeaders, Verification, matches_any
from receiver.sources.source import Feature, Source, SourceOptions
from receiver.wording import duration

SECRET_VARIABLE: Final = "JENKINS_WEBHOOK_TOKEN"  # noqa: S105 - the variable's name, not its value
SOURCE_NAME: Final = "jenkins"
CLOUD_EVENT_PREFIX: Final = "org.jenkinsci."


class Options(SourceOptions):
    """`[jenkins]` in apitraffic.toml."""

    jobs: tuple[str, ...] = ("*deploy*", "*release*")
    """Shell patterns, upper and lower case alike, of the jobs that deploy, by their names with folders."""
    pull_requests: bool = False
    """Whether a multibranch project's builds of pull and merge requests (`PR-12`, `MR-12`) are deploys."""
    environment_parameters: tuple[str, ...] = (
        "ENVIRONMENT",
        "ENV",
        "DEPLOY_ENV",
        "DEPLOY_ENVIRONMENT",
        "TARGET_ENV",
        "TARGET_ENVIRONMENT",
    )
    """Names of build parameters, the first with a value counts: where it is deployed to."""
    version_parameters: tuple[str, ...] = (
        "VERSION",
        "RELEASE_VERSION",
        "APP_VERSION",
        "IMAGE_TAG",
        "GIT_TAG",
        "TAG",
        "RELEASE",
    )
    """As above: what is deployed."""


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
    """How a result of a build is told of."""

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


def verification(headers: Headers, secrets: Secrets, _received_at: datetime) -> Verification | None:
    """All that is presented must be right: a right token in the path does not rescue a wrong header."""
    presented = []
    if "authorization" in headers:
        presented.append(bearer_token(headers) or basic_password(headers))
    if PATH_TOKEN in headers:
        presented.append(headers[PATH_TOKEN])
    matches = [matches_any(token, secrets.get(SECRET_VARIABLE, ())) for token in presented]
    return ProvenByHeaders() if matches and all(matches) else None


def explain_refusal(headers: Headers, _body_start: bytes) -> str:
    """Why `verify` may have refused this request."""
    header, in_path = headers.get("authorization"), headers.get(PATH_TOKEN)
    if not header and not in_path:
        return missing(
            "Authorization and a token in the path are",
            "jenkins",
            headers,
            "add one of them in the plugin's settings",
        )
    if header is not None and bearer_token(headers) is None and basic_password(headers) is None:
        return (
            "Authorization is malformed: it should be Bearer and the token, or Basic with it as the password"
        )
    where = " and ".join(name for name, value in (("Authorization", header), ("the path", in_path)) if value)
    return f"the token in {where} matches no token in {SECRET_VARIABLE}"


def receive(headers: Headers, body: bytes, received_at: datetime) -> Delivery:
    """There is no delivery id: the same phase of the same build with the same result is the same delivery.

    The result belongs to it, since a pipeline may announce its end itself and fail afterwards.
    """
    event, identity = _event(headers.get("ce-type", "")), body
    content: dict[str, JsonValue] | None = None
    with suppress(Untranslatable):
        content = _payload(body).content
        told, payload = _read(Payload(content))
        event = event or told
        result = payload.text("build.status")
        told_of = " ".join(part for part in (build_key(payload), event, result) if part)
        identity = told_of.encode("utf-8", "surrogatepass")
    return Delivery(
        source="jenkins",
        id=delivery_id(None, identity),
        event=event,
        headers=dict(headers),
        body=body,
        received_at=received_at,
        content=content,
    )


def translate(delivery: Delivery, options: Options) -> tuple[Change, ...]:
    phase = PHASES.get(delivery.event)
    if delivery.event and phase is None:
        raise Ignored(f"Jenkins event {delivery.event!r} is not one that becomes a marker")
    content = delivery.content
    _, payload = _read(Payload(content) if isinstance(content, dict) else _payload(delivery.body))
    if phase is None:
        raise _unknown(payload)
    job = job_name(payload)
    if not _deploys(job, options):
        raise Ignored(
            f"job {one_line(job, 150)!r} is not one that deploys; "
            "if it does, add it to [jenkins] jobs in apitraffic.toml"
        )
    if pull_request_of(job) and not options.pull_requests:
        raise Ignored(
            f"job {one_line(job, 150)!r} builds a pull request; "
            "if it deploys, set pull_requests = true in [jenkins] in apitraffic.toml"
        )
    effect = _effect_of(phase, is_span=options.deployments == "span")
    if effect is None:
        raise Ignored(f"phase {delivery.event!r} makes no marker: {phase.value}")
    return (_deploy(payload, delivery, options, job, effect),)


def _deploy(payload: Payload, delivery: Delivery, options: Options, job: str, effect: Effect) -> Change:
    word, result = _result(payload, delivery.event) if effect is not Effect.OPEN else ("started", None)
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


def _deploys(job: str, options: Options) -> bool:
    """A pattern may match a multi-configuration project or one of its cells."""
    names = {job.lower(), project_of(job).lower()}
    return any(fnmatchcase(name, pattern.lower()) for name in names for pattern in options.jobs)


def _event(cloud_event_type: str) -> str:
    return one_line(cloud_event_type, VALUE_LIMIT).removeprefix(CLOUD_EVENT_PREFIX)


def _payload(body: bytes) -> Payload:
    """Raises `Untranslatable` for all but a JSON object."""
    if body.lstrip().startswith(b"<"):
        raise Untranslatable("the body is XML; choose JSON as the format of the job's notification endpoint")
    return Payload.from_json(body)


def _read(payload: Payload) -> tuple[str, Payload]:
    """The event that a body is about, and what it says of it.

    The CloudEvents plugin names the event in a header, but a broker on the way may put all into an envelope.
    """
    data = payload.value("data")
    if payload.text("specversion") and isinstance(data, dict):
        return _event(payload.text("type") or ""), Payload(data)
    return (payload.text("build.phase", "event") or "").lower(), payload


def _unknown(payload: Payload) -> Exception:
    if payload.value("configFile") is not None:
        # Holds a job's whole configuration, perhaps with secrets, and so must not be kept either.
        return Ignored("a job's configuration is not one that becomes a marker")
    return Untranslatable(
        "build.phase is missing from the payload, and event too; is it the Notification, Outbound WebHook "
        "or CloudEvents plugin that sends it?"
    )


def _effect_of(phase: Phase, *, is_span: bool) -> Effect | None:
    match phase:
        case Phase.STARTED if is_span:
            return Effect.OPEN
        case Phase.FINISHED:
            return Effect.CLOSE if is_span else Effect.POINT
        case _:
            return None


def _result(payload: Payload, event: str) -> tuple[str, Result]:
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


JENKINS: Final = Source(
    name="jenkins",
    title="Jenkins",
    secret_variables=(SECRET_VARIABLE,),
    body_limit=MIB,
    content_types=frozenset({"application/json", "application/cloudevents+json"}),
    options=Options,
    default_events=tuple(PHASES),
    features=FEATURES,
    explain_refusal=explain_refusal,
    verification=verification,
    receive=receive,
    translate=translate,
    takes_token_in_path=True,
)
