"""The bodies that Jenkins' three plugins send: which event each is about, and where its facts are."""

from typing import Final

from apitraffic_events.text import one_line
from receiver.sources.not_translated import Ignored, NotTranslated, Untranslatable
from receiver.sources.payload import VALUE_LIMIT, Payload

CLOUD_EVENT_PREFIX: Final = "org.jenkinsci."


def cloud_event(cloud_event_type: str) -> str:
    """Without the prefix that all of the plugin's types have."""
    return one_line(cloud_event_type, VALUE_LIMIT).removeprefix(CLOUD_EVENT_PREFIX)


def payload_in(body: bytes) -> Payload:
    """Raises `Untranslatable` for all but a JSON object."""
    if body.lstrip().startswith(b"<"):
        raise Untranslatable("the body is XML; choose JSON as the format of the job's notification endpoint")
    return Payload.from_json(body)


def event_and_facts(payload: Payload) -> tuple[str, Payload]:
    """The event that a body is about, and what it says of it.

    The CloudEvents plugin names the event in a header, but a broker on the way may put all into an envelope.
    """
    data = payload.value("data")
    if payload.text("specversion") and isinstance(data, dict):
        return cloud_event(payload.text("type") or ""), Payload(data)
    return (payload.text("build.phase", "event") or "").lower(), payload


def why_unknown(payload: Payload) -> NotTranslated:
    """What to raise if the body names no event."""
    if payload.value("configFile") is not None:
        # Holds a job's whole configuration, perhaps with secrets, and so must not be kept either.
        return Ignored("a job's configuration is not one that becomes a marker")
    return Untranslatable(
        "build.phase is missing from the payload, and event too; is it the Notification, Outbound WebHook "
        "or CloudEvents plugin that sends it?"
    )
