"""Fixtures as files: `tests/fixtures/<source>/<event>__<case>.json`, expectations beside them.

An expectation says everything a delivery becomes. `change` holds what both ways of drawing a deploy share,
`point` and `span` the rest, or `{"ignored": reason}`. If drawing makes no difference, it may also be
`{"changes": […]}` or `{"ignored": reason}` alone.
"""

import json
from pathlib import Path
from typing import Any, Final

from receiver.events import Delivery
from receiver.sources.not_translated import Ignored
from receiver.sources.source import Source, translate

FIXTURES: Final = Path(__file__).parents[1] / "fixtures"
MODES: Final = ("point", "span")


def cases(source: str) -> list[str]:
    paths = (FIXTURES / source).glob("*__*.json")
    return sorted(path.stem for path in paths if not path.stem.endswith(".expected"))


def body_of(source: str, case: str) -> bytes:
    return (FIXTURES / source / f"{case}.json").read_bytes()


def expected(source: str, case: str, mode: str) -> Any:
    """What `outcome` must give."""
    written = json.loads((FIXTURES / source / f"{case}.expected.json").read_bytes())
    if "changes" in written:
        return written["changes"]
    if "ignored" in written:
        return written
    of_mode = written[mode]
    if "ignored" in of_mode:
        return of_mode
    change = written["change"]
    times = {name: of_mode[name] for name in ("startedAt", "endedAt") if name in of_mode}
    return [change | {"effect": of_mode["effect"], "event": change["event"] | times}]


def outcome(source: Source[Any], delivery: Delivery, mode: str) -> Any:
    """All fields of the changes that a delivery becomes, or why it becomes none."""
    options = source.options.model_validate({"deployments": mode})
    try:
        changes = translate(source, delivery, options).changes
    except Ignored as ignored:
        return {"ignored": ignored.reason}
    return [
        {
            "key": change.key,
            "effect": change.effect.value,
            "occurred_at": change.model_dump(mode="json")["occurred_at"],
            "event": change.event.to_api(),
        }
        for change in changes
    ]
