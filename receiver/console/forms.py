"""What is typed into the forms, read into what the API takes. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Final

from pydantic import JsonValue, ValidationError
from werkzeug.datastructures import MultiDict

from apitraffic_events import Event, EventsApiError, EventUpdate, StoredEvent
from apitraffic_events.event import EVERYWHERE
from apitraffic_events.timestamps import format_timestamp
from apitraffic_events.updates import closing

SOURCE: Final = "manual"
"""The vendor's own word for events made by hand."""
SPARE_ROWS: Final = 2
FIELDS: Final = ("type", "name", "description", "startedAt", "endedAt", "buckets", "environments", "metadata")
OF_THE_WHOLE: Final = ""
"""The name under which a form's errors are kept that belong to no field."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What a form shows: texts as they were typed, and what is wrong with which field."""

    type: str = "deployment"
    name: str = ""
    description: str = ""
    started_at: str = ""
    ended_at: str = ""
    buckets: tuple[str, ...] = EVERYWHERE
    environments: tuple[str, ...] = EVERYWHERE
    metadata: tuple[tuple[str, str], ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> tuple[tuple[str, str], ...]:
        """The metadata, and some empty rows to fill."""
        return self.metadata + (("", ""),) * SPARE_ROWS

    @property
    def other_errors(self) -> tuple[str, ...]:
        """What is wrong with something that is not in the form."""
        return tuple(
            text if name == OF_THE_WHOLE else f"{name}: {text}"
            for name, text in self.errors.items()
            if name.partition(".")[0] not in FIELDS
        )

    def error(self, name: str) -> str | None:
        found = (text for at, text in self.errors.items() if at.partition(".")[0] == name)
        return next(found, None)


class Wrong(Exception):
    """A form that cannot be sent. `errors` says what is wrong with which field."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(errors.values()))
        self.errors = errors


def filled(form: MultiDict[str, str], errors: Mapping[str, str]) -> Filled:
    """The form as it was sent, to be shown again."""
    return Filled(
        type=form.get("type", ""),
        name=form.get("name", ""),
        description=form.get("description", ""),
        started_at=_typed_again(form, "started_at"),
        ended_at=_typed_again(form, "ended_at"),
        buckets=_places(form, "buckets"),
        environments=_places(form, "environments"),
        metadata=tuple((key, value) for key, value in _rows(form) if key or value),
        errors=errors,
    )


def of_event(event: StoredEvent) -> Filled:
    """A form that shows this event. Metadata that is no text, number or flag is not shown, and kept."""
    return Filled(
        type=event.type,
        name=event.name,
        description=event.description or "",
        started_at=_as_typed(event.started_at),
        ended_at=_as_typed(event.ended_at),
        buckets=event.buckets,
        environments=event.environments,
        metadata=tuple((key, _as_text(value)) for key, value in event.metadata.items() if _is_plain(value)),
    )


def new_event(form: MultiDict[str, str]) -> Event:
    """Raises `Wrong`."""
    started_at, ended_at = _times(form)
    fields = _fields(form) | {
        "source": SOURCE,
        "metadata": _metadata(form, {}),
        "startedAt": started_at,
        "endedAt": ended_at,
    }
    try:
        return Event.model_validate(fields)
    except ValidationError as error:
        raise Wrong(explained(error)) from None


def changed_event(form: MultiDict[str, str], event: StoredEvent) -> EventUpdate:
    """Only what differs from the event: the rest may have been changed by others. Raises `Wrong`."""
    started_at, ended_at = _times(form, event)
    metadata = _metadata(form, event.metadata)
    fields = _fields(form) | {"startedAt": started_at, "endedAt": ended_at, "metadata": metadata}
    before = {
        "type": event.type,
        "name": event.name,
        "description": event.description or None,
        "startedAt": event.started_at,
        "endedAt": event.ended_at,
        "buckets": event.buckets,
        "environments": event.environments,
        "metadata": event.metadata,
    }
    changed = {name: value for name, value in fields.items() if value != before[name]}
    if changed.get("startedAt", event) is None:
        raise Wrong({"startedAt": "an event needs a start"})
    try:
        # Checked as a whole: an update alone may have an empty name.
        Event.model_validate(fields)
        return EventUpdate.model_validate(changed)
    except ValidationError as error:
        raise Wrong(explained(error)) from None


def closing_of(form: MultiDict[str, str], event: StoredEvent, now: datetime) -> EventUpdate:
    """The update that ends the event, now if the form does not say when. Raises `Wrong`."""
    resolution = form.get("resolution", "").strip()
    if not resolution:
        raise Wrong({"resolution": "Say how it ended; it goes below the description."})
    ended_at = _moment(form, "ended_at", "endedAt") or now
    if event.started_at and ended_at < event.started_at:
        raise Wrong({"endedAt": "This is before the start."})
    return closing(event, ended_at, resolution)


def explained(error: ValidationError) -> dict[str, str]:
    """Field -> what is wrong with it."""
    found: dict[str, str] = {}
    for one in error.errors():
        name = str(one["loc"][0]) if one["loc"] else OF_THE_WHOLE
        found.setdefault(name, str(one["msg"]).removeprefix("Value error, "))
    return found


def refused(error: EventsApiError) -> dict[str, str]:
    """What the API says is wrong: with fields if it names them, else with the whole."""
    return dict(error.fields) or {OF_THE_WHOLE: error.message}


def _fields(form: MultiDict[str, str]) -> dict[str, object]:
    return {
        "type": form.get("type", ""),
        "name": form.get("name", "").strip(),
        "description": form.get("description", "").replace("\r\n", "\n").strip() or None,
        "buckets": _places(form, "buckets"),
        "environments": _places(form, "environments"),
    }


def _places(form: MultiDict[str, str], name: str) -> tuple[str, ...]:
    """Nothing chosen, or "all" among what is chosen, means all."""
    chosen = tuple(form.getlist(name))
    return EVERYWHERE if not chosen or "*" in chosen else chosen


def _rows(form: MultiDict[str, str]) -> list[tuple[str, str]]:
    keys, values = form.getlist("metadata_key"), form.getlist("metadata_value")
    return [(key.strip(), value.strip()) for key, value in zip_longest(keys, values, fillvalue="")]


def _metadata(form: MultiDict[str, str], before: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The rows of the form. A value that is as it was keeps its type; what the form does not show stays."""
    kept = {key: value for key, value in before.items() if not _is_plain(value)}
    rows: dict[str, JsonValue] = {}
    for key, value in _rows(form):
        if not key and not value:
            continue
        if not key:
            raise Wrong({"metadata": f"the value {value!r} has no name"})
        if key in rows:
            raise Wrong({"metadata": f"{key} is there twice"})
        if value:
            rows[key] = before[key] if key in before and _as_text(before[key]) == value else value
    return kept | rows


def _is_plain(value: JsonValue) -> bool:
    return isinstance(value, str | int | float)


def _as_text(value: JsonValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _times(
    form: MultiDict[str, str], event: StoredEvent | None = None
) -> tuple[datetime | None, datetime | None]:
    """Start and end. Forms know no parts of a second: a time that is as it was keeps them."""
    started_at = _moment(form, "started_at", "startedAt")
    ended_at = _moment(form, "ended_at", "endedAt")
    if event is not None:
        started_at = _same_second(started_at, event.started_at)
        ended_at = _same_second(ended_at, event.ended_at)
    if started_at and ended_at and ended_at < started_at:
        raise Wrong({"endedAt": "is before the start"})
    return started_at, ended_at


def _same_second(typed: datetime | None, before: datetime | None) -> datetime | None:
    is_same = typed is not None and before is not None and typed == before.replace(microsecond=0)
    return before if is_same else typed


def _moment(form: MultiDict[str, str], name: str, api_name: str) -> datetime | None:
    """A time as the page's script sends it, in UTC. Without the script, the page says to type it in UTC."""
    typed = form.get(name, "").strip()
    if not typed:
        return None
    try:
        moment = datetime.fromisoformat(typed)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Wrong({api_name: f"{typed[:40]!r} is not a time; write it as 2026-01-10T10:05"}) from None


def _typed_again(form: MultiDict[str, str], name: str) -> str:
    """What was typed, in the form in which the page shows times."""
    try:
        return _as_typed(_moment(form, name, name))
    except Wrong:
        return ""


def _as_typed(moment: datetime | None) -> str:
    """In UTC; the page shows it in the reader's zone."""
    return format_timestamp(moment).partition(".")[0] if moment else ""
