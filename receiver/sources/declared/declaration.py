"""What `[[sender]]` may say, checked and compiled. docs/senders/declared.md explains each field."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from apitraffic_events.event import EventType
from receiver.events import Effect
from receiver.sources.declared.authentication import AnyScheme
from receiver.sources.declared.templates import ExpressionField, Template, TemplateField, Value, Words
from receiver.sources.request import MIB
from receiver.sources.source import secret_variable_of

IGNORE: Final = "ignore"
"""An effect of declared markers besides the receiver's own: it makes none."""
END: Final = "end"
"""Likewise: it ends the marker if there is one, and makes none: what was to begin never did."""
EFFECTS: Final = (*Effect, IGNORE, END)
NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
MOST_MARKERS: Final = 50
MOST_FIELDS: Final = 60
LARGEST_BODY: Final = 25
"""MiB."""


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str | dict) else value


def _check_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError("is not a name for a URL's path: lower-case letters and digits, with single hyphens")
    return name


def _one_of(value: "Template | Words", allowed: tuple[str, ...]) -> "Template | Words":
    """A template has to be one of these words; a table may only have these on its right."""
    given = list(value.results) if isinstance(value, Words) else [value.text]
    for word in given:
        if word not in allowed:
            raise ValueError(f"has {word!r}, which is not one of {', '.join(allowed)}")
    return value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=100)]
EffectValue = Annotated[Value, AfterValidator(lambda value: _one_of(value, EFFECTS))]
TypeValue = Annotated[Value, AfterValidator(lambda value: _one_of(value, tuple(EventType)))]
Values = Annotated[dict[str, Value], Field(max_length=MOST_FIELDS)]


class Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ignore(Declared):
    """`[[sender.ignore]]`: deliveries that make no marker, and why."""

    events: Patterns = ("*",)
    when: ExpressionField | None = None
    reason: str = Field(min_length=1, max_length=200)


class Marker(Declared):
    """`[[sender.marker]]`: what deliveries become. The first one that fits is used."""

    events: Patterns = ("*",)
    """Shell patterns of the event's name."""
    when: ExpressionField | None = None
    """Applied to the body; whether this marker is meant."""
    each: ExpressionField | None = None
    """A list in the body, each item of which becomes a marker; expressions are then applied to the item."""
    let: Values = Field(default_factory=dict)
    """Names for values, which the expressions below may use like fields."""
    key: TemplateField
    """Which marker it is: the sender's own id of it."""
    effect: EffectValue
    type: TypeValue
    name: Value
    time: Value | None = None
    """When it happened; otherwise when it was received."""
    start: Value | None = None
    end: Value | None = None
    description: Value | None = None
    environment: Value | None = None
    metadata: Values = Field(default_factory=dict)
    optional: bool = False
    """Off unless `events` in the sender's section names its event."""
    note: str = Field(default="", max_length=200)
    """For the documentation."""

    @field_validator("effect", "type", mode="before")
    @classmethod
    def _as_word(cls, value: object) -> object:
        return str(value) if isinstance(value, Effect | EventType) else value


class Sender(Declared):
    """`[[sender]]`: how a sender signs, and what its deliveries become."""

    name: Annotated[str, Field(max_length=40), AfterValidator(_check_name)]
    """Its path below /webhooks/."""
    title: str = Field(default="", max_length=60)
    source: str = Field(default="", max_length=100)
    """The `source` of its events; its name unless given."""
    documentation: str = Field(default="", max_length=300)
    """Where the sender documents its webhooks."""
    uncertain: tuple[str, ...] = ()
    """What the sender's public documentation leaves open, and how this description copes."""
    authentication: Annotated[
        tuple[AnyScheme, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=5)
    ]
    event: TemplateField | None = None
    """The event's name, which `events` match."""
    id: TemplateField | None = None
    """The delivery's own id, the same on each attempt; otherwise a digest of the body."""
    events: Patterns | None = None
    """Shell patterns of the events that are translated unless the sender's section says otherwise; without
    them, those that its markers name."""
    content_types: tuple[str, ...] = ("application/json", "text/plain", "")
    body_limit: Annotated[int, Field(ge=1, le=LARGEST_BODY)] = 1
    """MiB."""
    let: Values = Field(default_factory=dict)
    ignore: Annotated[tuple[Ignore, ...], Field(max_length=MOST_MARKERS)] = ()
    marker: Annotated[tuple[Marker, ...], Field(min_length=1, max_length=MOST_MARKERS)]

    @property
    def secret_variable(self) -> str:
        return secret_variable_of(self.name)

    @property
    def body_bytes(self) -> int:
        return self.body_limit * MIB


def outcomes(marker: Marker) -> Iterator[tuple[str, str]]:
    """The sender's words and the effects that they have; `any` if there is one effect for all."""
    effect: Any = marker.effect
    if isinstance(effect, Words):
        yield from effect.words.items()
        if effect.default is not None:
            yield "any other", effect.default
    else:
        yield marker.note or "any", effect.text
