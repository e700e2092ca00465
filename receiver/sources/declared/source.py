"""A declared sender as a `Source`: requests become deliveries, and deliveries changes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from apitraffic_events.text import one_line
from receiver.events import Change, Delivery, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.declared.authentication import (
    PathToken,
    StandardWebhooks,
    explain_refusal,
    verification,
)
from receiver.sources.declared.declaration import END, IGNORE, Ignore, Marker, Sender
from receiver.sources.declared.expressions import EvaluationFailed, Run
from receiver.sources.declared.features import features_of
from receiver.sources.declared.functions import Context, as_text, moment_of
from receiver.sources.declared.templates import Template, Words
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.payload import VALUE_LIMIT, WEB_URL, Payload, read_json
from receiver.sources.request import Headers, Secrets, delivery_id
from receiver.sources.signatures import Verification
from receiver.sources.source import Source, SourceOptions

MOST_CHANGES: Final = 200
"""Of one delivery."""
LONGEST_EVENT: Final = 200
OF_AN_END: Final = ("name", "description", "ended_at")
"""What is known of a marker that ends although nothing is known to have begun."""
FURTHEST_AHEAD: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DeclaredSource(Source[SourceOptions]):
    """A source that was made of a description."""

    sender: Sender | None = None


def source_of(sender: Sender) -> DeclaredSource:
    translator = Translator(sender)
    events: Iterable[str] = sender.events or (
        *(pattern for marker in sender.marker if not marker.optional for pattern in marker.events),
        *(pattern for ignore in sender.ignore for pattern in ignore.events),
    )
    return DeclaredSource(
        name=sender.name,
        title=sender.title or sender.name,
        secret_variables=(sender.secret_variable,),
        body_limit=sender.body_bytes,
        content_types=frozenset(sender.content_types),
        options=SourceOptions,
        default_events=tuple(dict.fromkeys(events)),
        features=tuple(features_of(sender)),
        verification=translator.verification,
        receive=translator.receive,
        translate=translator.translate,
        has_standard_keys=any(isinstance(scheme, StandardWebhooks) for scheme in sender.authentication),
        takes_token_in_path=any(isinstance(scheme, PathToken) for scheme in sender.authentication),
        explain_refusal=translator.explain_refusal,
        sender=sender,
    )


class Translator:
    """The functions of a declared source."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._source_name = sender.source or sender.name
        self._credentials = frozenset().union(*(scheme.credentials for scheme in sender.authentication))

    def verification(self, headers: Headers, secrets: Secrets, received_at: datetime) -> Verification | None:
        configured = secrets.get(self._sender.secret_variable, ())
        return verification(self._sender.authentication, headers, configured, received_at)

    def explain_refusal(self, headers: Headers, _body_start: bytes) -> str:
        sender = self._sender
        return explain_refusal(sender.authentication, headers, sender.secret_variable, sender.name)

    def receive(self, headers: Headers, body: bytes, received_at: datetime) -> Delivery:
        """Never raises: what cannot be read has no event, and a digest for its id."""
        content = _structure_in(body)
        run = Run(Context(content, headers))
        event = self._word(self._sender.event, content, run)[:LONGEST_EVENT]
        given = self._word(self._sender.id, content, run)
        return Delivery(
            source=self._sender.name,
            id=delivery_id(given or None, body),
            event=event,
            headers={name: value for name, value in headers.items() if name not in self._credentials},
            body=body,
            received_at=received_at,
            content=content,
        )

    @staticmethod
    def _word(template: Template | None, content: JsonValue, run: Run) -> str:
        if template is None:
            return ""
        try:
            return one_line(template.filled(content, run), 4 * LONGEST_EVENT)
        except EvaluationFailed:
            return ""

    def translate(self, delivery: Delivery, options: SourceOptions) -> tuple[Change, ...]:
        body = _structure_of(delivery)
        run = Run(Context(body, delivery.headers, delivery.event))
        try:
            self._check_ignored(delivery, body, run)
            marker = self._marker_for(delivery, options, body, run)
            return self._changes(marker, delivery, options, body, run)
        except EvaluationFailed as failure:
            raise Untranslatable(str(failure)) from failure

    def _check_ignored(self, delivery: Delivery, body: JsonValue, run: Run) -> None:
        for ignore in self._sender.ignore:
            if _fits(ignore, delivery.event, body, run):
                raise Ignored(ignore.reason)

    def _marker_for(self, delivery: Delivery, options: SourceOptions, body: JsonValue, run: Run) -> Marker:
        for marker in self._sender.marker:
            is_off = marker.optional and options.events is None
            if not is_off and _fits(marker, delivery.event, body, run):
                return marker
        what = f"event {delivery.event!r}" if delivery.event else "this delivery"
        raise Ignored(f"{what} of {self._sender.title or self._sender.name} is not one that becomes a marker")

    def _changes(
        self, marker: Marker, delivery: Delivery, options: SourceOptions, body: JsonValue, run: Run
    ) -> tuple[Change, ...]:
        if marker.each is None:
            return (self._change(marker, delivery, options, body, run),)
        items = marker.each.evaluate(body, run)
        if not isinstance(items, list) or not items:
            raise Ignored(f"{marker.each.text!r} is empty, so there is nothing to show")
        if len(items) > MOST_CHANGES:
            raise Untranslatable(f"{marker.each.text!r} has {len(items)} items; at most {MOST_CHANGES}")
        changes: dict[tuple[str, Effect], Change] = {}
        reasons = []
        for item in items:
            try:
                change = self._change(marker, delivery, options, item, run)
            except Ignored as ignored:
                reasons.append(ignored.reason)
                continue
            # A marker's changes are identified by delivery and effect; the latest of the same one counts.
            known = changes.get((change.key, change.effect))
            if known is None or known.occurred_at <= change.occurred_at:
                changes[change.key, change.effect] = change
        if not changes:
            raise Ignored(reasons[0])
        return tuple(changes.values())

    def _change(
        self, marker: Marker, delivery: Delivery, options: SourceOptions, item: JsonValue, run: Run
    ) -> Change:
        """Raises `Ignored` or `EvaluationFailed`."""
        scope = self._scope(marker, item, run)
        kind = EventType(_required(marker.type, "type", scope, run))
        word = _required(marker.effect, "effect", scope, run)
        effect = _effect(word, kind, options)
        occurred_at = self._time(marker.time, scope, run, delivery)
        start, end = (self._time(value, scope, run, delivery) for value in (marker.start, marker.end))
        own = {Effect.OPEN: start, Effect.POINT: end or start, Effect.CLOSE: end, END: end}
        occurred_at = occurred_at or own.get(word) or delivery.received_at
        has_ended = word in {Effect.CLOSE, Effect.POINT, END}
        metadata = self._metadata(marker, scope, run)
        known = scope | metadata if isinstance(scope, dict) else scope
        shown = {name: value for name, value in metadata.items() if value is not None}
        return change_of(
            delivery,
            key=f"{self._sender.name}:{marker.key.whole(scope, run)}",
            effect=effect,
            occurred_at=occurred_at,
            sets=OF_AN_END if word == END else None,
            lasted=end - start if has_ended and start and end and start <= end else None,
            type=kind,
            name=as_text(marker.name.value(known, run)) or "",
            description=as_text(marker.description.value(known, run)) if marker.description else None,
            source=self._source_name,
            metadata=present(**shown),
            **_times(word, effect, kind, start, end, occurred_at),
        )

    def _scope(self, marker: Marker, item: JsonValue, run: Run) -> JsonValue:
        """The item, with the values that `let` names, each of which may use those before it."""
        if not isinstance(item, dict) or not (self._sender.let or marker.let):
            return item
        scope = dict(item)
        for values in (self._sender.let, marker.let):
            for name, value in values.items():
                scope[name] = value.value(scope, run)
        return scope

    @staticmethod
    def _time(
        value: Template | Words | None, scope: JsonValue, run: Run, delivery: Delivery
    ) -> datetime | None:
        """A time of the payload, if it is one that a chart can show."""
        moment = moment_of(value.value(scope, run)) if value is not None else None
        return moment if moment is None or moment <= delivery.received_at + FURTHEST_AHEAD else None

    @staticmethod
    def _metadata(marker: Marker, scope: JsonValue, run: Run) -> dict[str, JsonValue]:
        """With `None` for what is missing, so that a name does not fall back on the payload's own field."""
        values = dict(marker.metadata)
        if marker.environment is not None:
            values["environment"] = marker.environment
        return {name: _metadatum(name, value.value(scope, run)) for name, value in values.items()}


def _structure_of(delivery: Delivery) -> JsonValue:
    """The object or list in the body, parsed unless it has been already. Raises `Untranslatable`."""
    if isinstance(delivery.content, dict | list):
        return delivery.content
    found = _structure_in(delivery.body)
    if found is None:
        # Says why, also if it is JSON and neither an object nor a list.
        return Payload.from_json(delivery.body).content
    return found


def _structure_in(body: bytes) -> JsonValue:
    """The object or list in a body; `None` for any other body."""
    try:
        found = read_json(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict | list) else None


def _fits(rule: Ignore | Marker, event: str, body: JsonValue, run: Run) -> bool:
    if not any(fnmatchcase(event, pattern) for pattern in rule.events):
        return False
    return rule.when is None or rule.when.evaluate(body, run) not in (None, False, "", [], {})


def _required(value: Template | Words, field: str, scope: JsonValue, run: Run) -> str:
    found = value.value(scope, run)
    if isinstance(found, str) and found:
        return found
    word = as_text(value.of.value(scope, run)) if isinstance(value, Words) else None
    raise EvaluationFailed(f"there is no {field} for {one_line(word or '', 50)!r}")


def _effect(word: str, kind: EventType, options: SourceOptions) -> Effect:
    """A deploy as a point is drawn at its end, and its start makes no marker."""
    if word == IGNORE:
        raise Ignored("its state is one that makes no marker")
    effect = Effect.UPDATE if word == END else Effect(word)
    if kind is not EventType.DEPLOYMENT or options.deployments == "span" or effect is Effect.POINT:
        return effect
    if effect is Effect.CLOSE:
        return Effect.POINT
    why = "was given up, perhaps before it began" if word == END else "has not ended yet"
    raise Ignored(f"it {why}, and deploys are drawn as points at their end")


def _times(
    word: str,
    effect: Effect,
    kind: EventType,
    start: datetime | None,
    end: datetime | None,
    occurred_at: datetime,
) -> dict[str, Any]:
    if effect is Effect.CLOSE or word == END:
        # An end that does not know its start names none, so that it does not go over the opening's.
        return {"started_at": start, "ended_at": end or occurred_at}
    if effect is Effect.POINT:
        at = occurred_at if kind is EventType.DEPLOYMENT else start or occurred_at
        return {"started_at": at, "ended_at": None}
    return {"started_at": start or occurred_at, "ended_at": None}


def _metadatum(name: str, value: object) -> JsonValue:
    """Numbers are ids and versions, so they become text; a URL that no browser should open is left out."""
    is_url = name == "url" or name.endswith("_url")
    if isinstance(value, bool) and not is_url:
        return value
    text = as_text(value)
    line = one_line(text, VALUE_LIMIT) if text else None
    return None if line and is_url and not WEB_URL.fullmatch(line) else line or None
