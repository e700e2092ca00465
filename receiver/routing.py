"""Rules that say where and how a marker is shown, or that it is not: `[[route]]` in apitraffic.toml.

For each setting, the first matching route that has it decides. A route may decide several settings.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    WithJsonSchema,
)

from apitraffic_events.event import EventType
from apitraffic_events.text import NAME_LIMIT, one_line
from receiver.events import Change

LONGEST_VERDICT: Final = 240
"""Minutes."""
DEFAULT_ACCOUNT: Final = "default"
"""How a route names the account of APITRAFFIC_ACCOUNT_SID."""
PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
SettingT = TypeVar("SettingT")


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _check_template(template: str) -> str:
    for name in PLACEHOLDER.findall(template):
        if not re.fullmatch(r"[a-z_]+", name):
            raise ValueError(f"has {{{name}}}, which is not a metadata key such as {{repository}}")
    if "{" in PLACEHOLDER.sub("", template) or "}" in PLACEHOLDER.sub("", template):
        raise ValueError("has a brace without its other half")
    return template


def _read_verdict(value: object) -> object:
    """`false` is zero; `{ after = 30 }` is in minutes."""
    if value is None or isinstance(value, timedelta):
        return value
    if value is False:
        return timedelta(0)
    if not isinstance(value, dict) or value.keys() != {"after"}:
        raise ValueError("is false, or says how long after a deploy: verdict = { after = 30 }")
    minutes = value["after"]
    if not isinstance(minutes, int) or isinstance(minutes, bool) or not 1 <= minutes <= LONGEST_VERDICT:
        raise ValueError(f"has an after that is not a number of minutes from 1 to {LONGEST_VERDICT}")
    return timedelta(minutes=minutes)


def _write_verdict(length: timedelta) -> bool | dict[str, int]:
    return {"after": round(length.total_seconds() / 60)} if length else False


ONE_OR_SEVERAL: Final = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
)

Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1), ONE_OR_SEVERAL]
"""Shell patterns (`prod*`, `acme/*`), one of which must match; a single one needs no list."""

Places = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(min_length=1), ONE_OR_SEVERAL]
"""Names or SIDs of buckets or environments."""

Template = Annotated[str, Field(min_length=1), AfterValidator(_check_template)]
"""Text with metadata keys in braces: `Deploy {repository} {short_commit}`."""


VerdictAfter = Annotated[
    timedelta,
    BeforeValidator(_read_verdict),
    PlainSerializer(_write_verdict),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": False},
                {
                    "type": "object",
                    "properties": {"after": {"type": "integer", "minimum": 1, "maximum": LONGEST_VERDICT}},
                    "required": ["after"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
"""How long after its end a deploy is judged; zero for no verdict."""


class Match(BaseModel):
    """Which changes a route applies to: all given patterns must match; without any, every change does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Patterns | None = None
    event: Patterns | None = None
    type: Patterns | None = None
    repository: Patterns | None = None
    service: Patterns | None = None
    job: Patterns | None = None
    environment: Patterns | None = None
    ref: Patterns | None = None
    severity: Patterns | None = None
    trigger: Patterns | None = None
    labels: dict[str, Patterns] | None = None
    """Patterns of an alert's labels, by their names."""

    def accepts(self, change: Change) -> bool:
        return all(matches for _, _, _, matches in self.comparisons(change))

    def comparisons(self, change: Change) -> Iterator[tuple[str, tuple[str, ...], JsonValue, bool]]:
        """For each field given: its name, its patterns, the change's value, and whether that matches."""
        facts = facts_of(change)
        for name in Match.model_fields:
            if name == "labels":
                continue
            patterns: tuple[str, ...] | None = getattr(self, name)
            if patterns is not None:
                fact = facts.get(name)
                yield name, patterns, fact, _matches(fact, patterns)
        labels = facts.get("labels")
        for label, patterns in (self.labels or {}).items():
            fact = labels.get(label) if isinstance(labels, dict) else None
            yield f"labels.{label}", patterns, fact, _matches(fact, patterns)


class Route(BaseModel):
    """One rule; settings that it does not have are left to later routes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: Match = Match()
    buckets: Places | None = None
    environments: Places | None = None
    skip: bool | None = None
    type: EventType | None = None
    """Replaces the type that the sender's own meaning suggests."""
    source: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Replaces the sender's own as the event's `source`."""
    name: Template | None = None
    metadata: dict[str, Template] | None = None
    """Added to the event's metadata; does not replace what is there."""
    verdict: VerdictAfter | None = None
    """Minutes after the deploy that are compared, as `{ after = 30 }`, or `false` for no verdict."""
    account: Annotated[str, Field(min_length=1)] | None = None
    """The account that shows the marker: a NAME of `[account.NAME]`, or `default`."""

    def settings(self) -> dict[str, JsonValue]:
        settings: dict[str, JsonValue] = self.model_dump(mode="json", exclude={"match"}, exclude_none=True)
        return settings


def facts_of(change: Change) -> Mapping[str, JsonValue]:
    """What routes match and templates may name: the metadata, and where the change comes from."""
    return change.event.metadata | {
        "source": change.delivery.source,
        "event": change.delivery.event,
        "type": change.event.type.value,
    }


def route(change: Change, routes: Sequence[Route]) -> Change | None:
    """The change as its routes want it shown, or `None` if one says to skip it."""
    matching = [rule for rule in routes if rule.match.accepts(change)]
    if not matching:
        return change
    if _first(rule.skip for rule in matching):
        return None
    facts = facts_of(change)
    event = change.event.with_scope(
        _first(rule.buckets for rule in matching), _first(rule.environments for rule in matching)
    )
    own = {
        key: _filled(template, facts)
        for rule in reversed(matching)
        for key, template in (rule.metadata or {}).items()
    }
    updates: dict[str, object] = {"metadata": own | event.metadata}
    if kind := _first(rule.type for rule in matching):
        updates["type"] = kind
    if source := _first(rule.source for rule in matching):
        updates["source"] = source
    if template := _first(rule.name for rule in matching):
        updates["name"] = one_line(_filled(template, facts), NAME_LIMIT) or event.name
    routed: dict[str, object] = {"event": event.model_copy(update=updates)}
    verdict_after = _first(rule.verdict for rule in matching)
    if verdict_after is not None:
        routed["verdict_after"] = verdict_after
    if account := _first(rule.account for rule in matching):
        routed["account"] = None if account == DEFAULT_ACCOUNT else account
    return change.model_copy(update=routed)


def route_all(changes: Iterable[Change], routes: Sequence[Route]) -> tuple[Change, ...]:
    """These changes without those that a route says to skip, each as its routes want it shown."""
    routed = (route(change, routes) for change in changes)
    return tuple(change for change in routed if change is not None)


def explain(change: Change, routes: Sequence[Route]) -> Iterator[str]:
    """A line for each route: whether it matches this change, why, and what it sets."""
    for number, rule in enumerate(routes, start=1):
        why = [
            f"{name} {fact!r} {'matches' if matches else 'does not match'} {' or '.join(patterns)}"
            for name, patterns, fact, matches in rule.match.comparisons(change)
        ]
        verdict = "matches" if rule.match.accepts(change) else "does not match"
        reasons = "; ".join(why) or "it matches everything"
        sets = ", ".join(f"{name} = {value!r}" for name, value in rule.settings().items())
        yield f"route {number} {verdict} ({reasons})" + (f": {sets}" if verdict == "matches" and sets else "")


def _first(settings: Iterable[SettingT | None]) -> SettingT | None:
    return next((setting for setting in settings if setting is not None), None)


def _filled(template: str, facts: Mapping[str, JsonValue]) -> str:
    """The template with facts in its braces. An unknown fact is left out, without a double space."""
    text = PLACEHOLDER.sub(lambda found: _as_text(facts.get(found[1])), template)
    return " ".join(text.split())


def _as_text(fact: JsonValue) -> str:
    return "" if fact is None else str(fact)


def _matches(fact: object, patterns: tuple[str, ...]) -> bool:
    return isinstance(fact, str) and any(fnmatchcase(fact, pattern) for pattern in patterns)
