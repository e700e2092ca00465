"""What one signed GitHub delivery passes, and what it costs, from the request into the queue."""

import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from types import FrameType
from typing import Final

import pytest
from werkzeug.test import Client

from receiver.config.settings import Settings
from receiver.web.app import create_app
from tests.support.github import SECRET, deployment_status, signed

WAY_IN: Final = ("web", "translation", "sources", "routing", "reception", "queue")
"""As docs/architecture.md has it, from the WSGI call on. `translation` only calls the two after it."""


@pytest.fixture
def client(redis_url: str) -> Client:
    """The receiver, with its first delivery behind it."""
    route = {"match": {"environment": "production"}, "buckets": ["Checkout"], "name": "{repository} is out"}
    settings = {
        "redis_url": redis_url,
        "spool": None,
        "webhook_secrets": {"GITHUB_WEBHOOK_SECRET": SECRET},
        "route": [route],
    }
    client = Client(create_app(Settings.model_validate(settings)))
    deliver(client, *delivery())
    return client


def delivery() -> tuple[bytes, dict[str, str]]:
    body = deployment_status(uuid.uuid4().int % 10**9)
    return body, signed(body)


def deliver(client: Client, body: bytes, headers: dict[str, str]) -> None:
    assert client.post("/webhooks/github", data=body, headers=headers).status_code == 202


@contextmanager
def calls_seen_by(see: Callable[[FrameType], None]) -> Iterator[None]:
    """Each call of a Python function on this thread, before it runs."""
    sys.setprofile(lambda frame, event, _argument: see(frame) if event == "call" else None)
    try:
        yield
    finally:
        sys.setprofile(None)


def package_of(frame: FrameType | None) -> str | None:
    """The part of the receiver that a function belongs to; `None` for all that is not on the way in."""
    if frame is None or frame.f_code.co_filename.startswith("<"):  # dataclasses' own methods
        return None
    first, _, rest = str(frame.f_globals.get("__name__")).partition(".")
    package = rest.partition(".")[0]
    return package if first == "receiver" and package in WAY_IN else None


def test_a_delivery_passes_each_package_once_and_never_goes_back_up(client: Client) -> None:
    steps: list[tuple[str, str]] = []

    def see(frame: FrameType) -> None:
        entered = package_of(frame)
        caller = frame.f_back
        while caller is not None and package_of(caller) is None:
            caller = caller.f_back
        left = package_of(caller)
        if entered and left and entered != left:
            steps.append((left, entered))

    sent = delivery()
    with calls_seen_by(see):
        deliver(client, *sent)
    assert all(WAY_IN.index(left) < WAY_IN.index(entered) for left, entered in steps)
    passed = [package for package, _ in groupby(entered for _, entered in steps if entered != "translation")]
    assert passed == ["sources", "routing", "reception", "queue"]
