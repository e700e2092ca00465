"""Events of our own, sent through GitHub: `repository_dispatch` with an event as its `client_payload`.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#repository_dispatch
"""

from typing import Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from apitraffic_events.text import NAME_LIMIT, one_line
from receiver.events import Change, Delivery, Effect, marker_key
from receiver.sources import event_format
from receiver.sources.changes import present
from receiver.sources.github.keys import names_in_repository, prefix_of
from receiver.sources.github.payload import SOURCE_NAME, Options, Translator, repository_facts, sender
from receiver.sources.not_translated import Ignored, Invalid, Untranslatable
from receiver.sources.payload import Payload
from receiver.sources.source import Feature

DISPATCH: Final = "repository_dispatch"
CHANGING: Final = (Effect.UPDATE, Effect.CLOSE, Effect.REOPEN)
NEEDING_A_KEY: Final = (Effect.UPDATE, Effect.REOPEN)


def repository_dispatch(payload: Payload, delivery: Delivery, _options: Options) -> tuple[Change, ...]:
    """What the native endpoint makes of the event; what it would refuse is kept: nobody reads answers."""
    payload.require_text("repository.full_name")
    event, former_keys = _event(payload, delivery)
    try:
        (change,) = event_format.translate(delivery, event).changes
    except Invalid as invalid:
        raise Untranslatable(f"client_payload: {invalid.reason}") from invalid
    fields: dict[str, object] = {} if "source" in event else {"source": SOURCE_NAME}
    if "name" not in event:
        # The name made of its key has the repository's number in it, which says nothing to anybody.
        given = payload.text("client_payload.key") or change.key
        fields["name"] = one_line(change.event.name.replace(change.key, given, 1), NAME_LIMIT)
    made = change.event.model_copy(update=fields)
    return (change.model_copy(update={"former_keys": former_keys, "event": made}),)


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


def _event(payload: Payload, delivery: Delivery) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
    """The event as it would be posted to us, with what GitHub knows of it; and its marker's former keys."""
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
    former_keys: tuple[str, ...] = ()
    if isinstance(key, str) and key:
        event["key"], former_keys = _own_key(payload, delivery, key)
    elif key is None and effect not in NEEDING_A_KEY:
        event["key"] = f"{prefix_of(payload, delivery)}:dispatch:{delivery.id}"
    metadata: JsonValue = event.get("metadata", {})
    if isinstance(metadata, dict):
        # Routes go by the repository, so GitHub's word on it counts; of all else the caller knows more.
        known = present(url=payload.url("repository.html_url"), actor=sender(payload), action=action)
        event["metadata"] = known | _without_other_schemes(metadata) | repository_facts(payload)
    return event, former_keys


def _without_other_schemes(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Without links that are none of the web: they could run code where they are shown."""
    links = Payload(metadata)
    return {name: value for name, value in metadata.items() if not name.endswith("url") or links.url(name)}


def _own_key(payload: Payload, delivery: Delivery, key: str) -> tuple[str, tuple[str, ...]]:
    """Whoever may write to a repository may name its markers, and not those of others.

    Markers of deployments, issues and the like have no repository in their keys; each is known by its
    repository's name too, `github:acme/shop:deployment:4242`.
    """
    prefix, repository = prefix_of(payload, delivery), payload.require_text("repository.full_name")
    by_name = key.removeprefix(f"{prefix}:{repository}:").removeprefix(f"github:{repository}:")
    if by_name != key:
        return f"{prefix}:{repository}:{by_name}", ()
    repository_id = payload.identifier("repository.id")
    if repository_id and key.startswith(f"{prefix}:repository:{repository_id}:"):
        return key, ()
    names = names_in_repository(payload, delivery, "dispatch", key)
    return marker_key(names["key"]), tuple(marker_key(former) for former in names["former_keys"])
