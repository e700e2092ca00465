"""A signed body of any shape is read or quarantined in bounded time."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote_from_bytes

import pytest

from receiver.events import Delivery
from receiver.sources.github import GITHUB
from receiver.sources.gitlab import GITLAB
from receiver.sources.not_translated import Untranslatable
from receiver.sources.payload import MOST_CONTAINERS, Payload
from receiver.sources.request import MIB
from receiver.sources.source import translate

NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
LONGEST = 2.0
"""Seconds, on a busy machine; each of these took 2 to 14 s."""
SHAPES: Final[dict[str, Callable[[], bytes]]] = {
    "many lists": lambda: b"[" + b"[]," * (6 * MIB) + b"[]]",
    "many objects in an object": lambda: b"{" + b",".join(b'"%d":{}' % n for n in range(1_500_000)) + b"}",
    "many deep lists": lambda: b"[" + (b"[" * 150 + b"]" * 150 + b",") * 60_000 + b"1]",
    "many lists deeper than pydantic reads": lambda: b"[" + (b"[" * 900 + b"]" * 900 + b",") * 10_000 + b"1]",
    "one deep list": lambda: b"[" * (18 * MIB),
}


def delivery(body: bytes, content_type: str = "application/json") -> Delivery:
    headers = {"content-type": content_type, "x-github-event": "deployment_status"}
    return Delivery("github", "1", "deployment_status", headers, body, NOW)


@pytest.mark.parametrize("shape", SHAPES)
def test_json_of_any_shape_is_quarantined_in_bounded_time(shape: str) -> None:
    received = delivery(SHAPES[shape]())
    began = time.process_time()
    with pytest.raises(Untranslatable):
        translate(GITHUB, received, GITHUB.options())
    assert time.process_time() - began < LONGEST


def test_gitlab_is_no_slower() -> None:
    body = SHAPES["many lists"]()
    began = time.process_time()
    received = GITLAB.receive({"x-gitlab-event": "Deployment Hook"}, body, NOW)
    with pytest.raises(Untranslatable):
        translate(GITLAB, received, GITLAB.options())
    assert time.process_time() - began < LONGEST


@pytest.mark.parametrize("escaped", [b"%41", b"%5B"])
def test_a_form_of_escapes_is_quarantined_in_bounded_time(escaped: bytes) -> None:
    form = b"payload=" + escaped * (5 * MIB)
    began = time.process_time()
    with pytest.raises(Untranslatable, match="the form is too large; let the webhook send application/json"):
        translate(GITHUB, delivery(form, "application/x-www-form-urlencoded"), GITHUB.options())
    assert time.process_time() - began < LONGEST


def test_the_largest_that_a_sender_writes_is_read() -> None:
    commit = b'{"id":"%040d","added":["a","b"],"modified":[],"author":{"name":"Jo","email":"jo@example.com"}}'
    commits = b",".join(commit % number for number in range(MOST_CONTAINERS // 5))
    payload = Payload.from_json(b'{"ref":"refs/heads/main","commits":[' + commits + b"]}")
    assert payload.text("ref") == "refs/heads/main"


def test_a_form_of_a_few_megabytes_is_read() -> None:
    form = b"payload=" + quote_from_bytes(b'{"deployment": [%s]}' % (b'"a value",' * 120_000 + b"1")).encode()
    with pytest.raises(Untranslatable, match=r"deployment_status\.state is missing"):
        translate(GITHUB, delivery(form, "application/x-www-form-urlencoded"), GITHUB.options())
