"""Deliveries of presets, from `tests/fixtures/<preset>/<event>__<case>.json`."""

import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from receiver.config.senders import preset_names, read_preset, read_senders
from receiver.events import Delivery
from receiver.sources.declared import DeclaredSource
from receiver.sources.not_translated import Ignored, Untranslatable
from receiver.sources.source import SourceOptions, translate
from tests.support.source_fixtures import FIXTURES, body_of

ROOT: Final = Path(__file__).parents[2]
RECEIVED_AT: Final = datetime(2026, 11, 28, 18, 0, tzinfo=UTC)
DELIVERY_ID: Final = "6a2c1f7e-3b5d-4c8e-9f10-2d4b6a8c0e12"
EVERYTHING: Final = ("*",)
"""What `events` says for fixtures of optional markers."""
EVENT_HEADERS: Final = {"bitbucket": "x-event-key", "sentry": "sentry-hook-resource"}
"""Where senders say the event that have it in no body; in files' names, `-` stands for its colon."""
OPTIONAL: Final = frozenset(
    {
        ("launchdarkly", "segment__changed"),
        ("sentry", "issue__created"),
        ("sentry", "issue__resolved"),
        ("bitbucket", "repo-push__tag"),
        ("vercel", "deployment.promoted__production"),
    }
)
"""Fixtures of markers that are off unless `events` names them."""
EXAMPLE: Final = "betterstack"
"""The sender that docs/senders/declared.md describes."""


def sources() -> tuple[str, ...]:
    return (*preset_names(), EXAMPLE)


@cache
def source_named(name: str) -> DeclaredSource:
    if name != EXAMPLE:
        return read_preset(name)
    page = (ROOT / "docs/senders/declared.md").read_text(encoding="utf-8")
    (source,) = read_senders(re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)[0], "the example")
    return source


def received(source: DeclaredSource, case: str) -> Delivery:
    event = case.partition("__")[0]
    header = EVENT_HEADERS.get(source.name)
    headers = {header: event.replace("-", ":", 1)} if header else {}
    return source.receive(headers, body_of(source.name, case), RECEIVED_AT)


def expected(name: str, case: str, mode: str) -> Any:
    """What `outcome_of` must give."""
    written = json.loads((FIXTURES / name / f"{case}.expected.json").read_bytes())
    return written["both"] if "both" in written else written[mode]


def outcome_of(name: str, case: str, mode: str, *, is_default: bool = False) -> Any:
    """All fields of the changes that a delivery becomes, or why it becomes none.

    With `is_default`, by the configuration that nobody has changed.
    """
    source = source_named(name)
    events = EVERYTHING if (name, case) in OPTIONAL and not is_default else None
    options = SourceOptions.model_validate({"deployments": mode, "events": events})
    delivery = received(source, case)
    try:
        changes = translate(source, delivery, options).changes
    except Ignored as ignored:
        return {"ignored": ignored.reason}
    except Untranslatable as failure:
        return {"quarantined": failure.reason}
    outcome = []
    for change in changes:
        fields = change.model_dump(mode="json", include={"key", "effect", "occurred_at"})
        event = change.event.to_api()
        event["metadata"].pop("delivery_id")
        partly = {"sets": list(change.sets)} if change.sets is not None else {}
        outcome.append(fields | partly | {"event": event})
    return outcome
