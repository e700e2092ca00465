"""GitLab's fixtures: as those of all senders, with what only some of them need.

Besides what `source_fixtures` knows, an expectation may hold `headers` and `options`, which go over the usual
ones, and for each way of drawing a deploy `key`, `sets` and `remark`. All events are switched on.
"""

import json
from datetime import UTC, datetime
from typing import Any, Final

from receiver.events import Delivery
from receiver.sources.gitlab import GITLAB
from receiver.sources.gitlab.hook import Options
from receiver.sources.not_translated import Ignored
from receiver.sources.source import translate
from tests.support.source_fixtures import FIXTURES, body_of

DELIVERY_ID: Final = "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"
RECEIVED_AT: Final = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
HOOKS: Final = {
    "access_token": "Resource Access Token Hook",
    "build": "Job Hook",
    "deploy_token": "Resource Deploy Token Hook",
}


def hook_name(event: str) -> str:
    return HOOKS.get(event, event.replace("_", " ").title() + " Hook")


def written(case: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FIXTURES / "gitlab" / f"{case}.expected.json").read_bytes())
    return content


def delivery_of(event: str, body: bytes, delivery_id: str = DELIVERY_ID, **headers: str) -> Delivery:
    own = {
        "content-type": "application/json",
        "idempotency-key": delivery_id,
        "user-agent": "GitLab/18.4.0-ee",
        "x-gitlab-event": hook_name(event),
    }
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return GITLAB.receive(own | given, body, RECEIVED_AT)


def received(case: str, delivery_id: str = DELIVERY_ID) -> Delivery:
    headers = {name.replace("-", "_"): value for name, value in written(case).get("headers", {}).items()}
    return delivery_of(case.partition("__")[0], body_of("gitlab", case), delivery_id, **headers)


def options_of(case: str, mode: str) -> Options:
    return Options.model_validate({"deployments": mode, "events": ["*"]} | written(case).get("options", {}))


def expected(case: str, mode: str) -> Any:
    """What `outcome` must give."""
    content = written(case)
    of_mode = content[mode]
    if "ignored" in of_mode:
        return of_mode
    change = content["change"]
    key = of_mode.get("key", change["key"])
    times = {name: of_mode[name] for name in ("startedAt", "endedAt") if name in of_mode}
    metadata = change["event"]["metadata"] | {"marker_key": key}
    return [
        {
            "key": key,
            "effect": of_mode["effect"],
            "occurred_at": change["occurred_at"],
            "sets": of_mode.get("sets"),
            "remark": of_mode.get("remark"),
            "event": change["event"] | times | {"metadata": metadata},
        }
    ]


def outcome(case: str, mode: str) -> Any:
    """All fields of the changes that a fixture becomes, or why it becomes none."""
    try:
        changes = translate(GITLAB, received(case), options_of(case, mode)).changes
    except Ignored as ignored:
        return {"ignored": ignored.reason}
    return [
        {
            "key": change.key,
            "effect": change.effect.value,
            "occurred_at": change.model_dump(mode="json")["occurred_at"],
            "sets": list(change.sets) if change.sets is not None else None,
            "remark": change.remark,
            "event": change.event.to_api(),
        }
        for change in changes
    ]
