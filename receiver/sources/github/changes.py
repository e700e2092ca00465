"""Changes of a repository's settings on GitHub, if the configuration asks for them.

https://docs.github.com/en/webhooks/webhook-events-and-payloads#repository_ruleset
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from apitraffic_events.event import EventType
from receiver.events import Change, Delivery, Effect
from receiver.sources.changes import change_of, present
from receiver.sources.github.keys import prefix_of
from receiver.sources.github.payload import SOURCE_NAME, Options, Translator, repository_facts, sender, told
from receiver.sources.not_translated import Ignored
from receiver.sources.payload import Payload
from receiver.sources.source import Feature

MOST_NAMED: Final = 10
"""Of the things that one delivery says were changed."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What one of GitHub's events is about, where its payload has it, and what its actions say."""

    noun: str
    actions: Mapping[str, str]
    """GitHub's action -> how that is said. Events without an action have the one named ""."""
    place: str = ""
    """The path of what was changed, where it has a name and times of its own."""


LIFE_CYCLE: Final = {"created": "created", "edited": "edited", "deleted": "deleted"}
SETTINGS: Final = {
    "branch_protection_rule": Setting("Branch protection rule", LIFE_CYCLE, "rule"),
    "branch_protection_configuration": Setting(
        "Branch protection", {"enabled": "turned on", "disabled": "turned off"}
    ),
    "repository_ruleset": Setting("Ruleset", LIFE_CYCLE, "repository_ruleset"),
    "custom_property_values": Setting("Custom properties", {"updated": "changed"}),
    "security_and_analysis": Setting("Security settings", {"": "changed"}),
}
"""GitHub's event -> the setting that it is about."""


def setting_changed(payload: Payload, delivery: Delivery, _options: Options) -> tuple[Change, ...]:
    setting = SETTINGS[delivery.event]
    action = payload.require_text("action") if "" not in setting.actions else ""
    if action not in setting.actions:
        raise Ignored(f"{delivery.event} {action!r} makes no marker")
    # Rulesets may belong to an organisation, and then there is no repository.
    owner = payload.text("repository.full_name", "organization.login", "enterprise.slug")
    owner = owner or payload.require_text("repository.full_name")
    named = payload.text(f"{setting.place}.name") if setting.place else None
    occurred_at = _changed_at(payload, setting, action) or delivery.received_at
    changed = _changed(payload)
    what = " ".join(word for word in (setting.noun, named, "of", owner) if word)
    change = change_of(
        delivery,
        key=f"{prefix_of(payload, delivery)}:{delivery.event}:{delivery.id}",
        effect=Effect.POINT,
        occurred_at=occurred_at,
        type=EventType.CONFIG_CHANGE,
        name=f"{what} {setting.actions[action]}",
        description=told(
            setting.actions[action].capitalize(),
            actor=sender(payload),
            remark=f"What changed: {', '.join(changed)}" if changed else None,
        ),
        source=SOURCE_NAME,
        metadata=repository_facts(payload)
        | present(
            organization=payload.text("organization.login"),
            setting=named,
            changed=", ".join(changed),
            enforcement=payload.text("repository_ruleset.enforcement"),
            actor=sender(payload),
            url=payload.url("repository_ruleset._links.html.href", "repository.html_url"),
            status=action,
        ),
        started_at=occurred_at,
    )
    return (change,)


TRANSLATORS: Final[dict[str, Translator]] = dict.fromkeys(SETTINGS, setting_changed)

FEATURES: Final = tuple(
    Feature(event, action or "any", EventType.CONFIG_CHANGE, Effect.POINT, is_optional=True)
    for event, setting in SETTINGS.items()
    for action in setting.actions
)


def _changed_at(payload: Payload, setting: Setting, action: str) -> datetime | None:
    """Only where it is sure: `updated_at` may still be that of the creation, and a deletion has no time."""
    if not setting.place or action == "deleted":
        return None
    created_at = payload.time(f"{setting.place}.created_at")
    if action == "created":
        return created_at
    updated_at = payload.time(f"{setting.place}.updated_at")
    return updated_at if updated_at and updated_at != created_at else None


def _changed(payload: Payload) -> list[str]:
    """The names of what was changed, never the values."""
    before = payload.value("changes.from.security_and_analysis")
    if not isinstance(before, dict):
        before = payload.value("changes")
    names = list(before) if isinstance(before, dict) else []
    if not names:
        old, new = (_properties(payload, f"{age}_property_values") for age in ("old", "new"))
        names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    return [name.replace("_", " ") for name in names[:MOST_NAMED]]


def _properties(payload: Payload, path: str) -> dict[str, JsonValue]:
    properties = ((item.text("property_name"), item.value("value")) for item in payload.objects(path))
    return {name: value for name, value in properties if name}
