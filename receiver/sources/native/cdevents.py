"""CDEvents, a vocabulary of CloudEvents for deployments and incidents: https://cdevents.dev/docs/

The type ends in the version of the event: `dev.cdevents.service.deployed.0.3.0`.
"""

import re
from typing import Final
from urllib.parse import unquote

from pydantic import JsonValue

from apitraffic_events.event import EventType
from receiver.events import Effect
from receiver.sources.changes import present
from receiver.sources.payload import Payload
from receiver.wording import describe_version

PREFIX: Final = "dev.cdevents."
TYPE: Final = re.compile(r"dev\.cdevents\.(?P<name>[a-z]+\.[a-z]+)(?:\.\d+\.\d+\.\d+\S*)?")
DIGEST: Final = re.compile(r"sha256:([0-9a-f]{12})[0-9a-f]*")

SERVICES: Final = {
    "service.deployed": ("Deploy", "to", "succeeded"),
    "service.upgraded": ("Upgrade", "in", "succeeded"),
    "service.rolledback": ("Roll back", "in", "rolled_back"),
    "service.published": ("Publish", "in", "published"),
    "service.removed": ("Remove", "from", "removed"),
}
"""What becomes a deployment -> the verb, the word before the environment, and the metadata `status`."""
INCIDENTS: Final = {
    "incident.detected": Effect.OPEN,
    "incident.reported": Effect.OPEN,
    "incident.resolved": Effect.CLOSE,
}
ENVIRONMENTS: Final = ("environment.created", "environment.modified", "environment.deleted")
NAMES: Final = (*SERVICES, *INCIDENTS, *ENVIRONMENTS)


def is_cdevent(kind: str) -> bool:
    return kind.startswith(PREFIX)


def event_name(kind: str) -> str:
    """`dev.cdevents.service.deployed`, without a version."""
    found = TYPE.fullmatch(kind)
    return PREFIX + found["name"] if found else kind


def as_event(content: JsonValue, cloud_event_type: str = "") -> dict[str, JsonValue] | None:
    """In this project's own format; `None` if it is one that makes no marker.

    The type of the CloudEvent around it counts if it has none itself: what says that an incident begins, and
    lacks the rest, is not ignored. Raises `Untranslatable`.
    """
    payload = Payload(content if isinstance(content, dict) else {})
    kind = event_name(payload.text("context.type") or cloud_event_type).removeprefix(PREFIX)
    if kind not in NAMES:
        return None
    subject = payload.require_text("subject.id")
    origin = payload.text("subject.source", "context.source") or ""
    environment = payload.text("subject.content.environment.id")
    common: dict[str, JsonValue] = {
        "occurredAt": payload.text("context.timestamp"),
        "source": "cdevents",
    }
    metadata = present(
        environment=environment,
        cdevent_type=kind,
        cdevent_id=payload.text("context.id"),
        cdevent_source=payload.text("context.source"),
        chain_id=payload.text("context.chainId"),
        artifact=payload.text("subject.content.artifactId"),
    )
    if kind in SERVICES:
        return common | _of_service(kind, subject, environment, payload, metadata)
    if kind in INCIDENTS:
        return common | _of_incident(kind, subject, f"cdevents:{origin}:{subject}", payload, metadata)
    verb = kind.partition(".")[2]
    return common | {
        "type": EventType.CONFIG_CHANGE.value,
        "name": f"Environment {payload.text('subject.content.name') or subject} {verb}",
        "metadata": {**metadata, "environment": subject, "status": verb},
    }


def _of_service(
    kind: str, subject: str, environment: str | None, payload: Payload, metadata: dict[str, JsonValue]
) -> dict[str, JsonValue]:
    verb, preposition, status = SERVICES[kind]
    version = _version(payload.text("subject.content.artifactId") or "")
    back = "to" if kind == "service.rolledback" and version else ""
    words = [verb, subject, back, version, f"{preposition} {environment}" if environment else ""]
    return {
        "type": EventType.DEPLOYMENT.value,
        "name": " ".join(word for word in words if word),
        "metadata": {**metadata, **present(service=subject, status=status, release=version)},
    }


def _of_incident(
    kind: str, subject: str, key: str, payload: Payload, metadata: dict[str, JsonValue]
) -> dict[str, JsonValue]:
    effect = INCIDENTS[kind]
    description = payload.text("subject.content.description")
    service = payload.text("subject.content.service.id")
    about = f" of {service}" if service else ""
    facts = present(
        service=service,
        incident_id=subject,
        status="resolved" if effect is Effect.CLOSE else "open",
        url=payload.url("subject.content.ticketURI"),
    )
    name = f"Incident {subject}{about}"
    return {
        "key": key,
        "effect": effect.value,
        "type": EventType.INCIDENT.value,
        # The end describes the resolution, and the name stays that of the opening.
        "name": (f"{name}: {description}" if description else name) if effect is Effect.OPEN else None,
        "description": description,
        "metadata": {**metadata, **facts},
    }


def _version(purl: str) -> str:
    """The version of a package URL: `pkg:oci/shop@sha256%3A0b31…?tag=v2.3.1` is `v2.3.1`.

    https://github.com/package-url/purl-spec
    """
    tag = re.search(r"[?&]tag=([^&#]+)", purl)
    version = tag[1] if tag else purl.partition("?")[0].partition("#")[0].rpartition("@")[2]
    if "@" not in purl and not tag:
        return ""
    decoded = unquote(version)
    digest = DIGEST.fullmatch(decoded)
    return digest[1] if digest else describe_version(decoded, None)
