"""Events of our own, sent through GitHub: `repository_dispatch` with an event as its `client_payload`.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#repository_dispatch
"""

from typing import Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from receiver.events import Change, Delivery, Effect
from receiver.sources import event_format
from receiver.sources.base import Feature, Ignored, Invalid, Payload, Untranslatable, present
from receiver.sources.github.payload import SOURCE_NAME, Options, Translator, repository_facts, sender

DISPATCH: Final = "repository_dispatch"
CHANGING: Final = (Effect.UPDATE, Effect.CLOSE, Effect.REOPEN)
NEEDING_A_KEY: Final = (Effect.UPDATE, Effect.REOPEN)


def repository_dispatch(payload: Payload, delivery: Delivery, _options: Options) -> tuple[Change, ...]:
    """What the native endpoint makes of the event; what it would refuse is kept: nobody reads answers."""
    repository = payload.require_text("repository.full_name")
    event = _event(payload, delivery, repository)
    try:
        (change,) = event_format.translate(delivery, event).changes
    except Invalid as invalid:
        raise Untranslatable(f"client_payload: {invalid.reason}") from invalid
    if "source" not in event:
        made = change.event.model_copy(update={"source": SOURCE_NAME})
        change = change.model_copy(update={"event": made})
    return (change,)


TRANSLATORS: Final[dict[str, Translator]] = {DISPATCH: repository_dispatch}

FEATURES: Final = (
    Feature(
        DISPATCH,
        "any",
        EventType.CUSTOM,
        Effect.POINT,
        note="unless client_payload says another type or effect; GitHub Apps only",
    ),
    Feature("workflow_dispatch", "any", note="workflow_run makes the marker"),
)


def _event(payload: Payload, delivery: Delivery, repository: str) -> dict[str, JsonValue]:
    """The event as it would be posted to us, with what GitHub knows of it."""
    action = payload.require_text("action")
    given = payload.value("client_payload")
    if given is not None and not isinstance(given, dict):
        raise Untranslatable("client_payload is not an object with the fields of an event")
    event: dict[str, JsonValue] = {name: value for name, value in (given or {}).items() if value is not None}
    if event and not any(name in event_format.FIELDS for name in event):
        raise Ignored(
            f"client_payload holds none of the fields of an event ({', '.join(event_format.FIELDS)})"
        )
    effect, key = event.get("effect"), event.get("key")
    is_change = effect in CHANGING or (effect is None and "endedAt" in event)
    if key is None or not is_change:
        event = {"type": EventType.CUSTOM.value, "name": action, **event}
    if isinstance(key, str) and key:
        event["key"] = _own_key(repository, key)
    elif key is None and effect not in NEEDING_A_KEY:
        event["key"] = f"github:{repository}:dispatch:{delivery.id}"
    metadata: JsonValue = event.get("metadata", {})
    if isinstance(metadata, dict):
        # Routes go by the repository, so GitHub's word on it counts; of all else the caller knows more.
        known = present(url=payload.url("repository.html_url"), actor=sender(payload), action=action)
        event["metadata"] = known | _without_other_schemes(metadata) | repository_facts(payload)
    return event


def _without_other_schemes(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Without links that are none of the web: they could run code where they are shown."""
    links = Payload(metadata)
    return {name: value for name, value in metadata.items() if not name.endswith("url") or links.url(name)}


def _own_key(repository: str, key: str) -> str:
    """Whoever may write to a repository may name its markers, and not those of others."""
    own = f"github:{repository}:"
    return key if key.startswith(own) else f"{own}dispatch:{key}"
