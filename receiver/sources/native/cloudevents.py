"""CloudEvents 1.0 over HTTP: structured, binary and batch.

https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/http-protocol-binding.md

The SDKs differ from the specification, and from each other, in how they write binary headers: Python's
encodes with percent signs, JavaScript's writes Latin-1 and encodes nothing. Both are read.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from pydantic import JsonValue

from apitraffic_events.event import EventType
from apitraffic_events.text import NAME_LIMIT, one_line
from receiver.events import Delivery
from receiver.sources import event_format
from receiver.sources.changes import present
from receiver.sources.not_translated import Invalid, ItemError
from receiver.sources.payload import VALUE_LIMIT
from receiver.sources.request import Headers

STRUCTURED: Final = "application/cloudevents"
BATCH: Final = "application/cloudevents-batch"
CONTENT_TYPES: Final = frozenset({f"{STRUCTURED}+json", f"{BATCH}+json"})
EVENT: Final = "cloudevent"
BATCH_EVENT: Final = "cloudevents-batch"
PREFIX: Final = "ce-"
VERSIONS: Final = re.compile(r"0\.3|1\.\d{1,3}")
"""Of the specification. 0.3 has the same attributes, as far as they are read here."""
BETWEEN_WORDS: Final = re.compile(r"[._-]+")
VERSION_AT_END: Final = re.compile(r"\.v?\d+(\.\d+)*$")
MOST_FACTS: Final = 20


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event; `data` is JSON, or text if it is none."""

    id: str
    source: str
    type: str
    subject: str | None
    time: str | None
    data: JsonValue


def is_cloud_event(headers: Headers, content: JsonValue = None) -> bool:
    """Whether the headers say so; without them, an envelope in JSON is one too."""
    if f"{PREFIX}specversion" in headers or headers.get("content-type", "").lower().startswith(STRUCTURED):
        return True
    return isinstance(content, dict) and {"specversion", "id", "source", "type"} <= content.keys()


def is_batch(headers: Headers) -> bool:
    # Both media types begin alike.
    return headers.get("content-type", "").lower().startswith(BATCH)


def delivery_id_of(source: str, identifier: str) -> str:
    """What the specification says identifies an event: two with the same source and id are one."""
    return f"ce-{hashlib.sha256(f'{source} {identifier}'.encode('utf-8', 'replace')).hexdigest()[:48]}"


def read(delivery: Delivery) -> list[CloudEvent]:
    """All events of a delivery. Raises `Invalid` if one is none."""
    headers = delivery.headers
    if f"{PREFIX}specversion" in headers and not headers.get("content-type", "").startswith(STRUCTURED):
        return [_binary(headers, delivery.body)]
    content = event_format.parse(delivery.body) if delivery.content is None else delivery.content
    items = content if isinstance(content, list) and is_batch(headers) else [content]
    if not items:
        raise _invalid(0, "body", "is a batch without an event in it")
    if len(items) > event_format.MOST_EVENTS:
        detail = f"is a batch of {len(items)} events; send at most {event_format.MOST_EVENTS} at once"
        raise _invalid(0, "body", detail)
    return [_structured(index, item) for index, item in enumerate(items)]


def as_events(event: CloudEvent) -> dict[str, JsonValue]:
    """In this project's own format: the data if it is that already, else a `custom` event that names it."""
    data = event.data
    if isinstance(data, dict) and _is_own_format(data):
        return {"occurredAt": event.time, **data}
    title = BETWEEN_WORDS.sub(" ", VERSION_AT_END.sub("", event.type))
    name = f"{title}: {event.subject or event.source}"
    return {
        "type": EventType.CUSTOM.value,
        "name": one_line(name, NAME_LIMIT),
        "occurredAt": event.time,
        "metadata": {**_facts(data), **facts_of(event)},
    }


def facts_of(event: CloudEvent) -> dict[str, JsonValue]:
    return present(
        cloudevent_id=event.id,
        cloudevent_source=event.source,
        cloudevent_type=event.type,
        cloudevent_subject=event.subject,
    )


def _is_own_format(data: dict[str, JsonValue]) -> bool:
    kinds = {kind.value for kind in EventType}
    is_whole = data.get("type") in kinds and "name" in data
    return is_whole or ("key" in data and "effect" in data)


def _facts(data: JsonValue) -> dict[str, JsonValue]:
    """The plain values of the data, bounded."""
    items = data.items() if isinstance(data, dict) else ()
    plain = (
        (one_line(name, 100), one_line(value, VALUE_LIMIT) if isinstance(value, str) else value)
        for name, value in items
        if isinstance(value, str | bool) or (isinstance(value, int | float) and abs(value) < 10**15)
    )
    return dict([*plain][:MOST_FACTS])


def _structured(index: int, item: JsonValue) -> CloudEvent:
    if not isinstance(item, dict):
        raise _invalid(index, "event", "is not an object with the attributes of a CloudEvent")
    data = item.get("data")
    if "data" not in item and isinstance(encoded := item.get("data_base64"), str):
        try:
            data = _data(base64.b64decode(encoded, validate=True))
        except ValueError:
            raise _invalid(index, "data_base64", "is not base64") from None
    texts = {name: value for name, value in item.items() if isinstance(value, str)}
    return _made(index, texts, data)


def _binary(headers: Headers, body: bytes) -> CloudEvent:
    attributes = {
        name.removeprefix(PREFIX): _decoded(value)
        for name, value in headers.items()
        if name.startswith(PREFIX)
    }
    return _made(0, attributes, _data(body))


def _made(index: int, attributes: dict[str, str], data: JsonValue) -> CloudEvent:
    lines = {name: one_line(attributes.get(name, ""), VALUE_LIMIT) for name in ("id", "source", "type")}
    for name, line in lines.items():
        if not line:
            raise _invalid(index, name, "is missing; every CloudEvent has id, source, type and specversion")
    version = attributes.get("specversion", "")
    if not VERSIONS.fullmatch(version):
        raise _invalid(index, "specversion", "is not 1.0, the version of CloudEvents that is read here")
    return CloudEvent(
        **lines,
        subject=one_line(attributes.get("subject", ""), VALUE_LIMIT) or None,
        time=attributes.get("time") or None,
        data=data,
    )


def _data(body: bytes) -> JsonValue:
    if not body.strip():
        return None
    try:
        return event_format.parse(body)
    except Invalid:
        return None  # Text, or XML, which no marker could show.


def _decoded(value: str) -> str:
    """A header's value: without quotes, and without percent signs if these make UTF-8.

    A server gives headers as Latin-1; whoever sends no percent signs may mean UTF-8.
    """
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    raw = value.encode("latin-1", "replace")
    for read in (unquote_to_bytes(raw), raw):
        try:
            return read.decode()
        except UnicodeDecodeError:
            continue
    return value


def _invalid(index: int, field: str, detail: str) -> Invalid:
    return Invalid((ItemError(index, field, detail),))
