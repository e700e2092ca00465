"""The `Source` that each sender is, and how its functions are called.

A source is pure functions over headers, bytes and secrets. It does no I/O and knows nothing of Flask, Redis
or the Events API. A new sender is one such package and one line in `receiver.sources.SOURCES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from apitraffic_events.event import EventType
from apitraffic_events.text import one_line
from receiver.events import Change, Delivery, Effect
from receiver.sources.not_translated import Ignored, ItemError, Untranslatable
from receiver.sources.request import Headers, Secrets
from receiver.sources.signatures import Verification

BODY_START: Final = 1024
"""Bytes of a refused body that its source may look at."""
LONGEST_REFUSAL: Final = 300
"""Characters."""


class SourceOptions(BaseModel):
    """A source's section of apitraffic.toml; sources extend it with settings of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: tuple[str, ...] | None = None
    """Shell patterns of the sender's event names to translate; by default the source's own list."""
    deployments: Literal["point", "span"] | None = None
    """Draw a deploy as a point at its end, or as a span; by default as [delivery] deployments says."""


OptionsT = TypeVar("OptionsT", bound=SourceOptions)


@dataclass(frozen=True, slots=True)
class Feature:
    """What one event of a sender becomes, for the table in the documentation, which the tests check.

    `when` is the sender's action or state. If it makes no marker, `effect` is `None`. `span_effect` is the
    effect if deploys are drawn as spans. `is_optional` events are off unless the configuration names them.
    """

    event: str
    when: str
    type: EventType | None = None
    effect: Effect | None = None
    span_effect: Effect | None = None
    is_optional: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Translation:
    """What a delivery means, and for a list of events what is wrong with some of them."""

    changes: tuple[Change, ...]
    errors: tuple[ItemError, ...] = ()


@dataclass(frozen=True, slots=True)
class Source(Generic[OptionsT]):
    """One sender of webhooks.

    The source is on if at least one of its `secret_variables` is set. `verification` looks at the headers
    alone: `None` if they prove nothing, so that the body need not be read; otherwise what the body is then
    fed to. Its time is when the request was received, for senders that sign a time. `receive` makes a
    delivery of an authentic request. `translate` returns what it means, or raises `Ignored` or
    `Untranslatable`. `default_events` are shell patterns of the event names that are translated unless
    [<source>] events in apitraffic.toml says otherwise. With `takes_token_in_path`, what follows the source
    in the URL's path reaches `verification` as the header `PATH_TOKEN`.
    """

    name: str
    title: str
    secret_variables: tuple[str, ...]
    body_limit: int
    content_types: frozenset[str]
    options: type[OptionsT]
    default_events: tuple[str, ...]
    features: tuple[Feature, ...]
    verification: Callable[[Headers, Secrets, datetime], Verification | None]
    receive: Callable[[Headers, bytes, datetime], Delivery]
    translate: Callable[[Delivery, OptionsT], tuple[Change, ...] | Translation]
    takes_token_in_path: bool = False
    has_standard_keys: bool = False
    """Whether a secret that begins with `whsec_` stands for a key in base64, as Standard Webhooks has it."""
    answers_with_keys: bool = False
    """Whether the response lists the markers' keys, for senders that read it."""
    api_path: str | None = None
    """A second path, for senders whose own path is fixed. `receive` is given what follows it in the URL as
    the header `PATH_ITEM`; requests to change an item are accepted too."""
    answer: Callable[[Delivery], dict[str, JsonValue]] | None = None
    """What the response has besides; its status is then 200, which such senders want."""
    explain_refusal: Callable[[Headers, bytes], str] | None = None
    """Why `verify` may have refused a request, from its headers and the start of its body.

    For the log only, so in words of its own, without anything that was sent."""

    def verify(self, headers: Headers, body: bytes, secrets: Secrets, received_at: datetime) -> bool:
        """Whether a request that has arrived is authentic. Compares in constant time and never raises."""
        verification = self.verification(headers, secrets, received_at)
        if verification is None:
            return False
        verification.update(body)
        return verification.is_authentic()


def secret_variable_of(name: str) -> str:
    """The environment variable that turns a declared sender on."""
    return f"{name.upper().replace('-', '_')}_WEBHOOK_SECRET"


def explain_refusal(source: Source[Any], headers: Headers, body_start: bytes) -> str | None:
    """Why this source refused a request, on one bounded line for the log; `None` if it cannot tell."""
    if source.explain_refusal is None:
        return None
    return one_line(source.explain_refusal(headers, body_start[:BODY_START]), LONGEST_REFUSAL)


def translate(source: Source[Any], delivery: Delivery, options: SourceOptions) -> Translation:
    """What a delivery means: at least one change.

    Raises `Ignored` if there is nothing to do, `Untranslatable` if it should have meant something, and
    `Invalid` if the response should tell its sender what is wrong.
    """
    if delivery.event and not is_wanted(source, delivery.event, options):
        raise Ignored(_why_unwanted(source, delivery.event))
    try:
        translation = source.translate(delivery, options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Untranslatable(f"the event made of it is not valid: {where}: {first['msg']}") from error
    return translation if isinstance(translation, Translation) else Translation(translation)


def is_wanted(source: Source[Any], event: str, options: SourceOptions) -> bool:
    """Whether events of this name are translated."""
    patterns = source.default_events if options.events is None else options.events
    return any(fnmatchcase(event, pattern) for pattern in patterns)


def _why_unwanted(source: Source[Any], event: str) -> str:
    rows = [feature for feature in source.features if fnmatchcase(event, feature.event)]
    if any(feature.type for feature in rows):
        return f"{source.title} event {event!r} is off; name it in [{source.name}] events in apitraffic.toml"
    note = next((f" ({feature.note})" for feature in rows if feature.note), "")
    return f"{source.title} event {event!r} is not one that becomes a marker{note}"
