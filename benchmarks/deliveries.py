"""Deliveries as GitHub sends them when a deployment finishes: real payloads, signed, each with its own id."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final

from receiver.local.sample_deliveries import refreshed
from receiver.sources.signing import github_request

SECRET: Final = "benchmark-secret-benchmark-secret"  # noqa: S105 - protects nothing
PATH: Final = "/webhooks/github"
EVENT: Final = "deployment_status"
DELIVERY_ID: Final = "X-GitHub-Delivery"
ONLY_FROM_ACTIONS: Final = ("check_run", "workflow", "workflow_run")
"""What GitHub adds where Actions made the deployment. With it the payload is more than twice as long: a naive
receiver, which stores all of it, looks better without."""


@dataclass(frozen=True, slots=True)
class SignedBody:
    """A body and the headers that go with it, delivery id apart: GitHub's signature does not cover that."""

    body: bytes
    headers: dict[str, str]


def signed_bodies(*, from_actions: bool = False) -> Iterator[SignedBody]:
    """Endlessly, each of another deployment that has just finished, written as compactly as GitHub does.

    Made through the API, or by Actions.
    """
    sample = files("receiver.local") / "samples" / "github" / f"{EVENT}__production_success.json"
    content = json.loads(sample.read_text(encoding="utf-8"))
    if not from_actions:
        content = {name: value for name, value in content.items() if name not in ONLY_FROM_ACTIONS}
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    while True:
        body = refreshed(text, datetime.now(UTC))
        headers = github_request(SECRET, EVENT, body, "")
        headers["Content-Length"] = str(len(body))
        yield SignedBody(body, {name: value for name, value in headers.items() if name != DELIVERY_ID})


def new_delivery_id() -> str:
    return str(uuid.uuid4())
