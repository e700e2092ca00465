"""CloudEvents and CDEvents, as their SDKs send them and as the specifications have them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from receiver.sources.native import CLOUD_EVENTS, NATIVE, Options
from receiver.sources.native.cloudevents import delivery_id_of
from receiver.sources.not_translated import Ignored, Invalid, Untranslatable
from receiver.sources.source import translate
from tests.support.native import RECEIVED_AT
from tests.support.source_fixtures import body_of, cases, expected, outcome

CASES = [case for case in cases("events") if not case.startswith("event__")]
BINARY = {
    "content-type": "application/json; charset=utf-8",
    "ce-id": "8f2c",
    "ce-time": "2026-01-10T10:02:20.5Z",
    "ce-type": "com.example.x",
    "ce-source": "/s",
    "ce-specversion": "1.0",
}
STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}
BARE = {"content-type": "application/json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
ENVELOPE: dict[str, Any] = {"specversion": "1.0", "id": "8f2c", "source": "/s", "type": "com.example.x"}


def headers_of(case: str) -> dict[str, str]:
    if case.startswith("cloudevents-batch"):
        return BATCH
    return STRUCTURED if case.startswith("cloudevent__") or "in_cloudevent" in case else BARE


def changes(headers: dict[str, str], content: Any) -> tuple[Any, ...]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return translate(NATIVE, NATIVE.receive(headers, body, RECEIVED_AT), Options()).changes


@pytest.mark.parametrize("case", CASES)
def test_an_event_becomes_exactly_what_is_written_beside_it(case: str) -> None:
    delivery = NATIVE.receive(headers_of(case), body_of("events", case), RECEIVED_AT)
    assert outcome(NATIVE, delivery, "point") == expected("events", case, "point")
    assert case.startswith(f"{delivery.event}__")


def test_the_table_says_what_the_fixtures_become() -> None:
    became = {
        (case.partition("__")[0], change["event"]["type"], change["effect"])
        for case in CASES
        if "ignored" not in (found := expected("events", case, "point"))
        for change in found
    }
    assert became == {(each.event, each.type, each.effect) for each in CLOUD_EVENTS}


@pytest.mark.parametrize(
    "written",
    [
        "%C3%A9%20%22q%22%20100%25%20%E2%98%83%20a/b",  # cloudevents 2.2.0 of PyPI
        '"é \\"q\\" 100% ☃ a/b"'.encode().decode("latin-1"),  # quoted, UTF-8
    ],
)
def test_the_header_of_a_binary_event_is_decoded(written: str) -> None:
    (change,) = changes(BINARY | {"ce-subject": written}, b'{"a": 1}')
    assert change.event.metadata["cloudevent_subject"] == 'é "q" 100% ☃ a/b'


def test_latin_1_as_the_javascript_sdk_writes_it_is_read() -> None:
    (change,) = changes(BINARY | {"ce-subject": "\xe9"}, '{"a":"é"}'.encode())
    assert change.event.name == "com example x: é"
    assert change.event.metadata["a"] == "é"
    assert f"{change.occurred_at:%H:%M:%S.%f}" == "10:02:20.500000"


def test_a_binary_event_may_have_no_content_type_and_no_data() -> None:
    headers = {name: value for name, value in BINARY.items() if name != "content-type"}
    (change,) = changes(headers, b"")
    assert change.event.type.value == "custom"
    assert "" in NATIVE.content_types


@pytest.mark.parametrize("body", [b"plain text", b"<xml/>", b"\xff\xfe", b"[" * 100_000])
def test_data_that_is_no_json_is_not_shown_and_no_reason_to_refuse(body: bytes) -> None:
    (change,) = changes(BINARY, body)
    assert change.event.name == "com example x: /s"


def test_the_same_event_in_another_mode_is_the_same_delivery() -> None:
    structured = NATIVE.receive(STRUCTURED, json.dumps(ENVELOPE).encode(), RECEIVED_AT)
    binary = NATIVE.receive(BINARY, b"", RECEIVED_AT)
    assert structured.id == binary.id == delivery_id_of("/s", "8f2c")
    other = NATIVE.receive(BINARY | {"ce-source": "/t"}, b"", RECEIVED_AT)
    assert other.id != binary.id


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ({}, "id"),
        (ENVELOPE | {"id": ""}, "id"),
        (ENVELOPE | {"type": 7}, "type"),
        (ENVELOPE | {"source": None}, "source"),
        (ENVELOPE | {"specversion": "2.0"}, "specversion"),
        (ENVELOPE | {"data_base64": "%"}, "data_base64"),
        (ENVELOPE | {"time": "soon"}, "occurredAt"),
        (ENVELOPE | {"data": {"type": "custom", "name": "x", "startedAt": "soon"}}, "startedAt"),
        ([], "event"),
        (7, "event"),
        (b"{", "body"),
        (b"[" * 100_000, "body"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_the_fields_name(content: Any, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        changes(STRUCTURED, content)
    assert field in {error.field for error in caught.value.errors}


def test_a_batch_is_bounded_and_not_empty() -> None:
    assert len(changes(BATCH, [ENVELOPE | {"id": str(number)} for number in range(100)])) == 100
    for content in ([], [ENVELOPE] * 101):
        with pytest.raises(Invalid):
            changes(BATCH, content)


def test_an_incident_that_is_resolved_is_the_one_that_was_detected() -> None:
    cases = [f"dev.cdevents.incident.{name}__checkout" for name in ("detected", "reported", "resolved")]
    keys = {changes(BARE, json.loads(body_of("events", case)))[0].key for case in cases}
    assert keys == {"cdevents:/argo/prod:incident-123"}


def test_what_nobody_wants_to_see_is_ignored_and_what_says_too_little_is_kept() -> None:
    with pytest.raises(Ignored):
        changes(BARE, {"context": {"type": "dev.cdevents.taskrun.started.0.3.0"}})
    with pytest.raises(Untranslatable):
        changes(BARE, {"context": {"type": "dev.cdevents.service.deployed.0.3.0"}})


@pytest.mark.parametrize(
    "data", [None, "text", {}, {"context": {"type": 5}, "subject": [1]}, {"subject": {}}]
)
def test_a_cloud_event_of_an_incident_that_lacks_the_rest_is_kept_and_not_ignored(data: Any) -> None:
    """It was answered with "makes no marker: nothing is down", so that the incident was lost."""
    with pytest.raises(Untranslatable, match=r"subject\.id is missing"):
        changes(STRUCTURED, ENVELOPE | {"type": "dev.cdevents.incident.detected.0.3.0", "data": data})


def test_the_type_of_the_cloud_event_counts_if_the_data_has_none() -> None:
    envelope = ENVELOPE | {"type": "dev.cdevents.incident.detected.0.3.0", "data": {"subject": {"id": "i-1"}}}
    (change,) = changes(STRUCTURED, envelope)
    assert (change.event.type.value, change.effect.value) == ("incident", "open")


@pytest.mark.parametrize(
    ("headers", "body", "subject", "time"),
    [
        (
            {
                "content-type": "application/json; charset=utf-8",
                "ce-id": "d4ce657c-2db8-44db-990d-15744e9986db",
            }
            | {"ce-time": "2026-11-28T17:57:03.753Z", "ce-type": "com.example.x", "ce-source": "/s"}
            | {"ce-specversion": "1.0"},
            '{"a":"é"}',
            None,
            "17:57:03.753000",
        ),
        (
            {
                "content-type": "application/json; charset=utf-8",
                "ce-id": "444856cc-0fef-4dce-8d17-1ddc58143f43",
            }
            | {"ce-time": "2026-11-28T17:57:03.829Z", "ce-type": "com.example.x", "ce-source": "/s"}
            | {"ce-specversion": "1.0", "ce-subject": "\xe9"},
            '{"a":"é"}',
            "é",
            "17:57:03.829000",
        ),
        (
            STRUCTURED,
            (
                '{"id":"d9abbcda-6104-452f-8d5e-4b724219c4ba","time":"2026-11-28T17:57:03.843Z",'
                '"type":"com.example.x","source":"/s","specversion":"1.0","subject":"é","data":{"a":"é"}}'
            ),
            "é",
            "17:57:03.843000",
        ),
    ],
)
def test_what_the_javascript_sdk_10_really_sent(
    headers: dict[str, str], body: str, subject: str | None, time: str
) -> None:
    received_at = datetime(2026, 11, 28, 18, tzinfo=UTC)
    delivery = NATIVE.receive(headers, body.encode(), received_at)
    (change,) = translate(NATIVE, delivery, Options()).changes
    assert change.event.name == f"com example x: {subject or '/s'}"
    assert change.event.metadata["a"] == "é"
    assert f"{change.occurred_at:%H:%M:%S.%f}" == time


def test_hostile_data_is_bounded() -> None:
    data = {f"{number}{'k' * 300}": "v" * 100_000 for number in range(40)} | {
        "n": 10**400,
        "d": [[[[[[1]]]]]],
    }
    (change,) = changes(STRUCTURED, ENVELOPE | {"data": data, "subject": "s" * 10**6})
    assert len(json.dumps(change.model_dump(mode="json"))) < 30_000
