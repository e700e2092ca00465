"""Events in this project's own format: the fields of the Events API and those of `Frame`.

The native endpoint takes them as its body, GitHub's `repository_dispatch` as its `client_payload`.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, TypeVar

from pydantic import ConfigDict, JsonValue, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from apitraffic_events.event import Event, EventType, Instant, Model, within_limits
from apitraffic_events.text import CleanLine, one_line
from apitraffic_events.timestamps import parse_timestamp
from receiver.events import Change, Delivery, Effect, Key, marker_key, stand_in_name
from receiver.sources.changes import marker_metadata
from receiver.sources.not_translated import Invalid, ItemError
from receiver.sources.payload import read_json
from receiver.sources.source import Translation
from receiver.sources.states import CLOSING, OPENING, state_of, word_of
from receiver.timestamps import EARLIEST, read_written

SOURCE_NAME: Final = "manual"
EVENT: Final = "event"
"""The event name of all deliveries: there is one kind."""
T = TypeVar("T")
PLUGIN_OF_A_RUN: Final = re.compile(r"(github:(?:[^:]+(?::\d+)?:)?run:\d+:\d+:.+):job:[0-9a-f]{16}")
"""How a CI plugin names a deployment whose job's id it does not know (docs/ci-plugins.md)."""
TIMES: Final = ("startedAt", "endedAt", "occurredAt")
SCOPES: Final = ("buckets", "environments")
STATUS: Final = "status"
ZERO_TIMES: Final = ("0001-01-01", "-62135596800")
"""How Go's time that is not set begins, as text and as a number."""
FURTHEST_AHEAD: Final = timedelta(days=1)
MOST_EVENTS: Final = 100
MOST_ERRORS: Final = 10
"""Reported for one event."""


class Frame(Model):
    """What an event may say besides the fields of the Events API."""

    model_config = ConfigDict(alias_generator=to_camel)

    key: Key | None = None
    """Which marker it is about; used as given, so that it can name a marker made by a webhook."""
    effect: Effect | None = None
    occurred_at: Instant | None = None
    """When this happened, relative to other changes of its marker; by default its start or end."""
    status: str | None = None
    """A monitoring tool's word, such as firing or resolved, which decides the effect unless that is given."""


EVENT_FIELDS: Final = {field.alias or name: name for name, field in Event.model_fields.items()}
FRAME_FIELDS: Final = tuple(field.alias or name for name, field in Frame.model_fields.items())
FIELDS: Final = (*(name for name in FRAME_FIELDS if name != STATUS), *EVENT_FIELDS)
"""By which an event is recognised; a status is in other JSON too."""

CREATING: Final = frozenset({Effect.POINT, Effect.OPEN})
"""Effects that need a whole event."""
ENDLESS: Final = frozenset({Effect.POINT, Effect.OPEN, Effect.REOPEN})
"""Effects after which a marker has no end."""

ERRORS: Final = {
    "string_type": "is not text",
    "string_unicode": "is not text",
    "string_too_short": "is empty",
    "too_short": "is empty",
    "string_too_long": "is over {max_length} characters long",
    "dict_type": "is not an object",
    "tuple_type": "is not a list",
    "too_long": "has more than {max_length} entries",
    "enum": "is not one of {expected}",
}
"""Messages for pydantic's errors, https://docs.pydantic.dev/latest/errors/validation_errors/"""


def translate(delivery: Delivery, content: JsonValue) -> Translation:
    """The changes of the valid events in this JSON, and what is wrong with the others.

    Raises `Invalid` if none is valid.
    """
    changes: dict[tuple[str, Effect], Change] = {}
    errors: list[ItemError] = []
    for index, item in enumerate(_items(content)):
        if item == "":
            # A template that writes a list ends it with an empty text, because JSON allows no comma there.
            continue
        try:
            change = _change(index, item, delivery)
            if (change.key, change.effect) in changes:
                # A marker's changes are identified by delivery and effect, so one of the two would be lost.
                detail = f"has effect {change.effect.value} in this list before; send it in another request"
                raise _invalid(index, [("key", detail)])
        except Invalid as invalid:
            errors += invalid.errors
        else:
            changes[change.key, change.effect] = change
    if not changes:
        raise Invalid(tuple(errors))
    return Translation(tuple(changes.values()), tuple(errors))


def parse(body: bytes) -> JsonValue:
    """Raises `Invalid` if the body is not JSON."""
    try:
        return read_json(body)
    except (ValueError, RecursionError) as error:
        raise _invalid(0, [("body", "is not JSON that can be read")]) from error


def _items(content: JsonValue) -> list[JsonValue]:
    if not isinstance(content, dict | list):
        raise _invalid(0, [("body", "is neither an event, which is an object, nor a list of events")])
    items: list[JsonValue] = content if isinstance(content, list) else [content]
    if all(item == "" for item in items):
        raise _invalid(0, [("body", "is a list without an event in it")])
    if len(items) > MOST_EVENTS:
        raise _invalid(0, [("body", f"is a list of {len(items)} events; send at most {MOST_EVENTS} at once")])
    return items


def _change(index: int, item: JsonValue, delivery: Delivery) -> Change:
    """Raises `Invalid` with everything that is wrong with this event."""
    if not isinstance(item, dict):
        raise _invalid(index, [(EVENT, "is not an object with the fields of an event")])
    given = {name: _as_meant(name, value) for name, value in item.items() if not _is_unset(name, value)}
    unknown = (name for name in given if name not in (*FIELDS, STATUS))
    # Not all of them: for each, what was meant is searched for, which takes time.
    wrong = [_unknown(name) for name in islice(unknown, MOST_ERRORS)]
    wrong += _impossible_times(given, delivery.received_at)
    frame = _or_errors(lambda: Frame.model_validate(_only(given, FRAME_FIELDS)), wrong)
    if frame:
        wrong += _contradictions(given, frame.effect or _effect_of(given))
    event = _or_errors(lambda: Event.model_validate(_stand_in(given) | _only(given, EVENT_FIELDS)), wrong)
    if frame and event and not wrong:
        return _change_of(index, given, frame, event, delivery)
    raise _invalid(index, wrong)


def _change_of(
    index: int, given: Mapping[str, JsonValue], frame: Frame, event: Event, delivery: Delivery
) -> Change:
    """Events without a time happened in the order of the list, and no event happened after it was received.

    Later times, from a clock that is ahead, would put a marker's changes into the wrong order.
    """
    key = CleanLine(frame.key) if frame.key else marker_key(f"events:{delivery.id}:{index}")
    stated: dict[str, JsonValue] = {STATUS: word_of(frame.status)} if frame.status else {}
    try:
        metadata = within_limits(stated | event.metadata | marker_metadata(key, delivery))
    except ValueError as error:
        raise _invalid(index, [("metadata", str(error))]) from error
    effect = frame.effect or _effect_of(given)
    came_at = delivery.received_at + timedelta(milliseconds=index)
    own_time = {Effect.POINT: event.started_at, Effect.OPEN: event.started_at, Effect.CLOSE: event.ended_at}
    happened_at = frame.occurred_at or own_time.get(effect) or came_at
    started_at, ended_at = event.started_at, event.ended_at
    if effect is Effect.CLOSE:
        ended_at = ended_at or happened_at
    if effect is not Effect.UPDATE:
        started_at = started_at or ended_at or happened_at
    if started_at and ended_at:
        ended_at = max(started_at, ended_at)
    made = {
        "source": event.source or SOURCE_NAME,
        "metadata": metadata,
        "started_at": started_at,
        "ended_at": ended_at,
    }
    sets = tuple(name for field, name in EVENT_FIELDS.items() if field in given and name != "metadata")
    return Change(
        key=key,
        effect=effect,
        occurred_at=min(happened_at, came_at),
        event=event.model_copy(update=made),
        sets=None if effect in CREATING else sets,
        claims=_claims(key),
        is_undated=happened_at >= came_at,
        delivery=delivery.reference(),
    )


def _claims(key: str) -> tuple[str, ...]:
    """The run's name, by which one deployment of the run may be this event's."""
    found = PLUGIN_OF_A_RUN.fullmatch(key)
    return (found[1],) if found else ()


def _stand_in(given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Required fields that some effects do not need; shown if a marker is closed that was never opened."""
    return {"type": EventType.CUSTOM.value, "name": stand_in_name(str(given.get("key")))}


def _effect_of(given: Mapping[str, JsonValue]) -> Effect:
    """The effect if none is given.

    A status opens or closes if it says so; an end closes, an incident without an end opens, and all else is a
    point.
    """
    if effect := state_of(given.get(STATUS)):
        return effect
    if "endedAt" in given:
        return Effect.CLOSE
    return Effect.OPEN if given.get("type") == EventType.INCIDENT else Effect.POINT


def _is_unset(name: str, value: JsonValue) -> bool:
    """Whether it stands for "none": null, what templates write for it, or Go's zero time."""
    if value == "":
        return name != "key"  # Without one, what opens would never be closed: that is for the sender to know.
    return value is None or (name in TIMES and str(value).startswith(ZERO_TIMES))


def _as_meant(name: str, value: JsonValue) -> JsonValue:
    """A time in any form that templates write, as ISO 8601; a scope without the empty texts in it."""
    if name in TIMES and (moment := read_written(value)) is not None:
        return moment.isoformat()
    if name in SCOPES and isinstance(value, list):
        return [place for place in value if place != ""]
    return value


def _impossible_times(given: Mapping[str, JsonValue], received_at: datetime) -> Iterator[tuple[str, str]]:
    """Times that no chart shows; they are a mistake of the sender, or of its clock."""
    for name in TIMES:
        moment = parse_timestamp(given.get(name))
        if moment is not None and moment < EARLIEST:
            yield name, "is before the year 2000; leave it out if it is not known"
        elif moment is not None and moment > received_at + FURTHEST_AHEAD:
            yield name, "is more than a day ahead; are the clock and the time zone of the sender right?"


def _contradictions(given: Mapping[str, JsonValue], effect: Effect) -> Iterator[tuple[str, str]]:
    """Fields that are missing for this effect, or contradict it."""
    if effect in {Effect.UPDATE, Effect.REOPEN} and "key" not in given:
        yield "key", f"is missing; it says which marker to {effect.value}"
    elif effect in CREATING or "key" not in given:
        hint = "; to change a marker there is, say effect update or close" if "key" in given else ""
        if "type" not in given:
            yield "type", f"is missing; it is one of {', '.join(EventType)}{hint}"
        if "name" not in given:
            yield "name", f"is missing; say what happened, like 'Deploy acme/shop v2.3.1 to production'{hint}"
    if "effect" not in given and (problem := _unknown_status(given)):
        yield STATUS, problem
    began_at, ended_at = (parse_timestamp(given.get(field)) for field in ("startedAt", "endedAt"))
    if began_at and ended_at and ended_at < began_at:
        yield "endedAt", "is before startedAt"
    if effect in ENDLESS and "endedAt" in given:
        yield "endedAt", f"does not go with effect {effect.value}, after which there is no end; say close"


def _unknown_status(given: Mapping[str, JsonValue]) -> str | None:
    """What is wrong with a status that would leave an incident open for ever, or open one by mistake."""
    status = given.get(STATUS)
    if not isinstance(status, str) or given.get("type") != EventType.INCIDENT or state_of(status):
        return None
    known = f"{', '.join(OPENING[:4])}… open, {', '.join(CLOSING[:4])}… close"
    return f"is not known: {known}; or say effect, which decides"


def _unknown(name: str) -> tuple[str, str]:
    close = difflib.get_close_matches(name[:50], FIELDS, n=1)
    hint = f"did you mean {close[0]}?" if close else "what is your own belongs in metadata"
    return one_line(name, 50) or "(no name)", f"is not a field of an event; {hint}"


def _or_errors(make: Callable[[], T], wrong: list[tuple[str, str]]) -> T | None:
    """The result of `make`; or `None`, with readable errors added to `wrong`."""
    try:
        return make()
    except ValidationError as error:
        wrong += [
            (".".join(str(part) for part in found["loc"]), _readable(found))
            for found in error.errors(include_url=False, include_input=False)
        ]
        return None


def _readable(error: ErrorDetails) -> str:
    words = ERRORS.get(error["type"])
    if words is None:
        return error["msg"].removeprefix("Value error, ")
    return words.format_map(error.get("ctx", {})).replace("'", "")


def _invalid(index: int, wrong: Iterable[tuple[str, str]]) -> Invalid:
    return Invalid(tuple(ItemError(index, field, detail) for field, detail in wrong)[:MOST_ERRORS])


def _only(given: Mapping[str, JsonValue], names: Iterable[str]) -> dict[str, JsonValue]:
    return {name: given[name] for name in names if name in given}
