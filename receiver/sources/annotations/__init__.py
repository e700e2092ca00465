"""Grafana's HTTP API for annotations: `POST /api/annotations`, and `PATCH` to end one.

https://grafana.com/docs/grafana/latest/developers/http_api/annotations/

Argo CD's and Flux' services named Grafana post here, and so does any script that was made for Grafana. They
want exactly 200, and the id in the response is how an annotation is changed later. It is the marker's key,
too, so that nothing has to be remembered.
"""

import hashlib
import re
from datetime import datetime
from typing import Any, Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from apitraffic_events.text import NAME_LIMIT, one_line
from receiver.events import Change, Delivery, Effect
from receiver.sources.changes import change_of, labelled, present
from receiver.sources.not_translated import Invalid, ItemError, Untranslatable
from receiver.sources.payload import Payload, object_in
from receiver.sources.presented_tokens import presented_token_refusal, presented_token_verification
from receiver.sources.request import MIB, PATH_ITEM, Headers, Secrets
from receiver.sources.signatures import Verification
from receiver.sources.source import Feature, Source, SourceOptions
from receiver.timestamps import EARLIEST, read_written

SECRET_VARIABLE: Final = "ANNOTATIONS_TOKEN"  # noqa: S105 - the variable's name, not its value
SOURCE_NAME: Final = "annotations"
API_PATH: Final = "/api/annotations"
GRAPHITE: Final = "graphite"
"""`POST /api/annotations/graphite` takes `{what, when, tags, data}`."""
CREATED: Final = "created"
CHANGED: Final = "changed"
PING: Final = "ping"
"""What `doctor` sends."""
ID: Final = re.compile(r"[0-9]{1,16}")
MOST_TAGS: Final = 25
TAG_LIMIT: Final = 200
"""Characters."""
PAIR: Final = re.compile(r"([A-Za-z][\w./-]{0,99})\s*[:=]\s*(\S.*)")

TYPES: Final = {
    EventType.DEPLOYMENT: (
        r"deploy\w*|release[ds]?|rollback|rollout|sync\w*|argo-?cd|flux|helmrelease|kustomization"
    ),
    EventType.INCIDENT: r"incident|alert|outage|downtime",
    EventType.CONFIG_CHANGE: r"config\w*|flag|feature[_-]?flag|toggle",
    EventType.SCALE: r"scal(?:e|ed|ing)|autoscal\w*|hpa|resize",
}
"""What a tag says an annotation is about; without such a tag it is `custom`."""
TYPE_WORDS: Final = tuple((kind, re.compile(words, re.IGNORECASE)) for kind, words in TYPES.items())
FACTS: Final = {
    "environment": ("environment", "env", "stage"),
    "service": ("service", "app", "application"),
    "namespace": ("namespace",),
    "cluster": ("cluster",),
    "severity": ("severity",),
    "release": ("version", "release"),
    "commit": ("revision", "commit", "sha"),
}
"""Metadata -> the names of tags, as in `env:production`, that may hold it."""


class Options(SourceOptions):
    """`[annotations]` in apitraffic.toml."""


def verification(headers: Headers, secrets: Secrets, _received_at: datetime) -> Verification | None:
    return presented_token_verification(headers, secrets.get(SECRET_VARIABLE, ()))


def explain_refusal(headers: Headers, _body_start: bytes) -> str:
    """Why `verify` may have refused this request."""
    advice = "enter the token as Grafana's API key or service account token"
    return presented_token_refusal(headers, SOURCE_NAME, SECRET_VARIABLE, advice)


def receive(headers: Headers, body: bytes, received_at: datetime) -> Delivery:
    """The id of an annotation follows from its content, so that an attempt to send it again does no harm.

    From the minute, too, if it has no time of its own: a script that posts the same each day means another.
    """
    item = headers.get(PATH_ITEM, "")
    content = object_in(body) or {}
    digest = hashlib.sha256(body)
    if content == {PING: True}:
        event, identifier = PING, "0"
    elif item not in {"", GRAPHITE}:
        event, identifier = CHANGED, f"{item[:20]}-{digest.hexdigest()[:32]}"
    else:
        if not content.keys() & {"time", "when"}:
            digest.update(str(int(received_at.timestamp()) // 60).encode())
        # JavaScript's numbers are exact up to 53 bits.
        event, identifier = CREATED, str(int(digest.hexdigest()[:13], 16))
    return Delivery(
        source=SOURCE_NAME,
        id=identifier,
        event=event,
        headers=dict(headers),
        body=body,
        received_at=received_at,
        content=content or None,
    )


def translate(delivery: Delivery, _options: Options) -> tuple[Change, ...]:
    """Raises `Invalid` if the sender is to be told what is wrong."""
    try:
        payload = Payload.of(delivery)
    except Untranslatable as error:
        raise _invalid("body", error.reason) from error
    if delivery.event == CREATED:
        return (_created(payload, delivery),)
    return (_changed(payload, delivery),)


def _created(payload: Payload, delivery: Delivery) -> Change:
    text = payload.value("text") or payload.value("what")
    if not isinstance(text, str) or not one_line(text, NAME_LIMIT):
        raise _invalid("text", "is missing or empty; it is what the marker is called")
    started_at = _time(payload, delivery, "time", "when") or delivery.received_at
    ended_at = _time(payload, delivery, "timeEnd")
    ended_at = ended_at if ended_at and ended_at > started_at else None
    return change_of(
        delivery,
        key=_key(delivery.id),
        effect=Effect.CLOSE if ended_at else Effect.OPEN,
        occurred_at=ended_at or started_at,
        started_at=started_at,
        ended_at=ended_at,
        **_shown(payload, text),
    )


def _changed(payload: Payload, delivery: Delivery) -> Change:
    """https://grafana.com/docs/grafana/latest/developers/http_api/annotations/#patch-annotation"""
    identifier = delivery.headers.get(PATH_ITEM, "")
    if not ID.fullmatch(identifier):
        raise _invalid("id", "is no annotation's; use the id in the response to the POST")
    text = payload.value("text")
    started_at = _time(payload, delivery, "time")
    ended_at = _time(payload, delivery, "timeEnd")
    is_named = isinstance(text, str) and bool(one_line(text, NAME_LIMIT))
    sets = [
        *(("name", "description") if is_named else ()),
        *(("type",) if _tags(payload) else ()),
        *(("started_at",) if started_at else ()),
        *(("ended_at",) if ended_at else ()),
    ]
    return change_of(
        delivery,
        key=_key(identifier),
        effect=Effect.CLOSE if ended_at else Effect.UPDATE,
        occurred_at=min(ended_at or delivery.received_at, delivery.received_at),
        sets=tuple(sets),
        started_at=started_at or ended_at,
        ended_at=ended_at,
        **_shown(payload, text if isinstance(text, str) and is_named else f"Annotation {identifier}"),
    )


def _shown(payload: Payload, text: str) -> dict[str, Any]:
    tags = _tags(payload)
    labels = dict(pair for tag in tags if (pair := _pair(tag)))
    name, *more = [line for line in text.splitlines() if one_line(line, NAME_LIMIT)] or [text]
    data = payload.value("data")
    details = [*more, *([data] if isinstance(data, str) else [])]
    is_cut = len(name.strip()) > NAME_LIMIT
    metadata: dict[str, JsonValue] = {"tags": [*tags], "labels": {**labels}, **labelled(labels, FACTS)}
    return {
        "type": _type(tags),
        "name": name,
        "description": "\n".join([*([name] if is_cut else []), *details]) or None,
        "source": SOURCE_NAME,
        "metadata": metadata
        | present(dashboard=payload.text("dashboardUID"), panel=payload.identifier("panelId")),
    }


def _tags(payload: Payload) -> tuple[str, ...]:
    """Graphite's may be one text, separated by blanks."""
    found = payload.value("tags")
    items = found.split() if isinstance(found, str) else found
    texts = [item for item in items if isinstance(item, str)] if isinstance(items, list) else []
    lines = (one_line(item, TAG_LIMIT) for item in texts[:MOST_TAGS])
    return tuple(dict.fromkeys(line for line in lines if line))


def _pair(tag: str) -> tuple[str, str] | None:
    """The name and value of `env:production`, `namespace: flux-system` or `team=checkout`."""
    found = PAIR.fullmatch(tag)
    # A name with a path before it, as Flux has: `kustomize.toolkit.fluxcd.io/revision`.
    return (found[1].rpartition("/")[2].lower(), found[2]) if found else None


def _type(tags: tuple[str, ...]) -> EventType:
    words = [*tags, *(pair[1] for tag in tags if (pair := _pair(tag)))]
    given = next((pair[1] for tag in tags if (pair := _pair(tag)) and pair[0] == "type"), None)
    if given in set(EventType):
        return EventType(given)
    return next((kind for kind, meant in TYPE_WORDS if any(map(meant.fullmatch, words))), EventType.CUSTOM)


def _time(payload: Payload, delivery: Delivery, *names: str) -> datetime | None:
    """Milliseconds, or seconds, or text; 0 is none, as in Grafana's own clients."""
    for name in names:
        value = payload.value(name)
        if value in (None, 0, ""):
            continue
        moment = read_written(value)
        if moment is None or moment < EARLIEST:
            raise _invalid(name, "is not a time; write it in milliseconds since 1970")
        if (moment - delivery.received_at).days >= 1:
            raise _invalid(name, "is more than a day ahead; is it in milliseconds, and is the clock right?")
        return moment
    return None


def _key(identifier: str) -> str:
    return f"{SOURCE_NAME}:{identifier}"


def _invalid(field: str, detail: str) -> Invalid:
    return Invalid((ItemError(0, field, detail),))


def answer(delivery: Delivery) -> dict[str, JsonValue]:
    """What Grafana answers."""
    if delivery.event == CHANGED:
        return {"message": "Annotation patched"}
    graphite = delivery.headers.get(PATH_ITEM) == GRAPHITE
    return {
        "message": "Graphite annotation added" if graphite else "Annotation added",
        "id": int(delivery.id),
    }


FEATURES: Final = (
    *(
        Feature(
            CREATED, f"a tag that says {kind.value}", kind, Effect.OPEN, note="with timeEnd it is complete"
        )
        for kind in TYPES
    ),
    Feature(CREATED, "any other tags", EventType.CUSTOM, Effect.OPEN, note="with timeEnd it is complete"),
    Feature(CHANGED, "with timeEnd", EventType.CUSTOM, Effect.CLOSE, note="any type alike"),
    Feature(CHANGED, "without", EventType.CUSTOM, Effect.UPDATE, note="any type alike"),
    Feature(PING, "any", note="answered"),
)


ANNOTATIONS: Final = Source(
    name=SOURCE_NAME,
    title="Annotations",
    secret_variables=(SECRET_VARIABLE,),
    body_limit=MIB,
    content_types=frozenset({"application/json", ""}),
    options=Options,
    default_events=(CREATED, CHANGED),
    features=FEATURES,
    explain_refusal=explain_refusal,
    verification=verification,
    receive=receive,
    translate=translate,
    api_path=API_PATH,
    answer=answer,
)
