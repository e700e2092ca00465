"""`repository_dispatch`: what is refused, in words for whoever reads the quarantine, and what is kept out."""

import json
from typing import Any

import pytest

from receiver.sources.github import GITHUB
from receiver.sources.github.payload import Options
from receiver.sources.not_translated import Untranslatable
from receiver.sources.source import translate
from tests.support.github import reason, received
from tests.support.source_fixtures import body_of

DISPATCH: dict[str, Any] = json.loads(body_of("github", "repository_dispatch__scale"))


def body(client_payload: Any) -> bytes:
    return json.dumps(DISPATCH | {"client_payload": client_payload}).encode()


@pytest.mark.parametrize(
    ("client_payload", "words"),
    [
        ([], "client_payload is not an object"),
        ("text", "client_payload is not an object"),
        ({"type": "release", "name": "x"}, "client_payload: type"),
        ({"name": ""}, "client_payload: name"),
        ({"name": 7}, "client_payload: name"),
        ({"effect": "explode"}, "client_payload: effect"),
        ({"effect": "update", "name": "x"}, "client_payload: key"),
        ({"key": 7, "name": "x"}, "client_payload: key"),
        ({"key": "", "name": "x"}, "client_payload: key"),
        ({"startedAt": "yesterday", "name": "x"}, "client_payload: startedAt"),
        ({"metadata": "text", "name": "x"}, "client_payload: metadata"),
        ({"name": "x", "delivery": "mine"}, "client_payload: delivery"),
        ({"name": "x", "sets": []}, "client_payload: sets"),
        ({"buckets": [7], "name": "x"}, "client_payload: buckets"),
    ],
)
def test_what_does_not_hold_is_kept_and_named(client_payload: Any, words: str) -> None:
    why = reason(body(client_payload), "repository_dispatch")
    assert isinstance(why, Untranslatable)
    assert why.reason.startswith(words)


def test_metadata_that_is_nested_too_deep_is_kept() -> None:
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"a": deep}
    assert isinstance(reason(body({"name": "x", "metadata": deep}), "repository_dispatch"), Untranslatable)


@pytest.mark.parametrize("forged", ["marker_key", "delivery_id", "repository", "repository_url"])
def test_a_caller_cannot_say_that_it_is_somebody_else(forged: str) -> None:
    honest, liar = (
        translate(GITHUB, received(body({"metadata": metadata}), "repository_dispatch"), Options()).changes
        for metadata in ({}, {forged: "https://evil.example.test"})
    )
    assert honest == liar


@pytest.mark.parametrize(
    "key", ["github:acme/other:deployment:1", "pagerduty:P1", "github:acme/shopping:issue:1"]
)
def test_a_caller_cannot_name_a_marker_of_another_repository(key: str) -> None:
    (change,) = translate(GITHUB, received(body({"key": key}), "repository_dispatch"), Options()).changes
    assert change.key == f"github:repository:1296269:dispatch:{key}"
    assert change.former_keys == (f"github:acme/shop:dispatch:{key}",)


@pytest.mark.parametrize("key", ["github:acme/shop:issue:7", "github:repository:1296269:tag:v1:0123"])
def test_a_caller_may_name_a_marker_of_its_own_repository(key: str) -> None:
    (change,) = translate(GITHUB, received(body({"key": key}), "repository_dispatch"), Options()).changes
    assert change.key == key


@pytest.mark.parametrize("name", ["url", "run_url"])
@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", 7, ["https://x"]]
)
def test_a_link_that_is_none_of_the_web_is_left_out(name: str, url: Any) -> None:
    sent = body({"metadata": {name: url, "replicas": 9}})
    (change,) = translate(GITHUB, received(sent, "repository_dispatch"), Options()).changes
    assert change.event.metadata.get(name) == ("https://github.com/acme/shop" if name == "url" else None)
    assert change.event.metadata["replicas"] == 9


def test_a_link_of_the_web_is_kept() -> None:
    link = "https://ci.example.test/7"
    (change,) = translate(
        GITHUB, received(body({"metadata": {"url": link}}), "repository_dispatch"), Options()
    ).changes
    assert change.event.metadata["url"] == link


def test_an_end_closes() -> None:
    sent = {"key": "web", "endedAt": "2026-01-10T10:20:00Z"}
    (change,) = translate(GITHUB, received(body(sent), "repository_dispatch"), Options()).changes
    assert change.effect == "close"
    assert change.sets == ("ended_at",)
