from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

Call = Callable[..., TestResponse]

DEPLOY = {"type": "deployment", "name": "v1"}

BAD_FIELDS = [
    ("type", "deploy"),
    ("type", None),
    ("type", 1),
    ("name", ""),
    ("name", "x" * 201),
    ("name", None),
    ("name", 5),
    ("description", "x" * 2001),
    ("description", 5),
    ("source", 5),
    ("source", ["jenkins"]),
    ("metadata", None),
    ("metadata", []),
    ("metadata", "text"),
    ("metadata", {"text": "x" * 16_384}),
    ("buckets", []),
    ("buckets", None),
    ("buckets", "*"),
    ("buckets", ["bkt_nosuch"]),
    ("buckets", ["*", "Checkout API"]),
    ("environments", []),
    ("environments", ["production"]),
    ("environments", "env123"),
    ("startedAt", None),
    ("startedAt", ""),
    ("startedAt", 1767312000),
    ("startedAt", "2026-01-10"),
    ("startedAt", "2026-01-10T12:00:00"),
    ("startedAt", "2026-13-10T12:00:00Z"),
    ("startedAt", "2026-W01-1T12:00:00Z"),
    ("startedAt", "9999-12-31T23:59:59-01:00"),
    ("endedAt", "soon"),
    ("endedAt", "2000-01-01T00:00:00Z"),
    ("sid", "evt_mine"),
    ("accountSid", "acc_local0000000000000000000000"),
    ("createdAt", "2026-01-10T12:00:00Z"),
    ("updatedAt", "2026-01-10T12:00:00Z"),
    ("started_at", "2026-01-10T12:00:00Z"),
    ("colour", "red"),
]


def refused_fields(response: TestResponse) -> set[str]:
    body: Any = response.json
    assert response.status_code == 422
    assert body["error"]["code"] == "VALIDATION_ERROR"
    fields = {problem["field"].split(".")[0] for problem in body["error"]["details"]}
    assert all(problem["message"] for problem in body["error"]["details"])
    assert all(field in body["error"]["message"] for field in fields)
    return fields


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS)
def test_bad_field_of_a_new_event_is_named(call: Call, field: str, value: object) -> None:
    assert refused_fields(call("POST", "/events", json={**DEPLOY, field: value})) == {field}
    records: Any = call("GET", "/events").json
    assert records["records"] == []


@pytest.mark.parametrize(("field", "value"), BAD_FIELDS)
def test_bad_field_of_an_update_is_named_and_nothing_changes(call: Call, field: str, value: object) -> None:
    event: Any = call("POST", "/events", json=DEPLOY).json
    assert refused_fields(call("PATCH", f"/events/{event['sid']}", json={field: value})) == {field}
    assert call("GET", f"/events/{event['sid']}").json == event


@pytest.mark.parametrize("missing", ["type", "name"])
def test_required_fields(call: Call, missing: str) -> None:
    event = {field: value for field, value in DEPLOY.items() if field != missing}
    assert refused_fields(call("POST", "/events", json=event)) == {missing}


def test_all_problems_are_told_at_once(call: Call) -> None:
    assert refused_fields(call("POST", "/events", json={"name": "", "sid": "x", "source": 1})) == {
        *("type", "name", "sid", "source")
    }


def test_fields_set_by_the_server_are_told_from_unknown_ones(call: Call) -> None:
    body: Any = call("POST", "/events", json={**DEPLOY, "sid": "x", "colour": "red"}).json
    messages = {problem["field"]: problem["message"] for problem in body["error"]["details"]}
    assert messages == {"sid": "is set by the server", "colour": "is not a field of an event"}


@pytest.mark.parametrize(
    "changes", [{"endedAt": "2026-01-10T11:59:59Z"}, {"startedAt": "2026-01-10T13:00:00.001Z"}]
)
def test_update_cannot_put_the_end_before_the_start(call: Call, changes: dict[str, str]) -> None:
    span = {"startedAt": "2026-01-10T12:00:00Z", "endedAt": "2026-01-10T13:00:00Z"}
    event: Any = call("POST", "/events", json={**DEPLOY, **span}).json
    assert refused_fields(call("PUT", f"/events/{event['sid']}", json=changes)) == {"endedAt"}
    assert call("GET", f"/events/{event['sid']}").json == event


def test_metadata_up_to_16_kib(call: Call) -> None:
    frame = len('{"text":""}')
    assert (
        call("POST", "/events", json={**DEPLOY, "metadata": {"text": "x" * (16_384 - frame)}}).status_code
        == 201
    )
    too_many = {**DEPLOY, "metadata": {"text": "é" * (8_192 - frame // 2)}}
    assert refused_fields(call("POST", "/events", json=too_many)) == {"metadata"}


def test_number_that_json_cannot_carry_on(call: Call) -> None:
    body = '{"type": "custom", "name": "x", "metadata": {"n": 1e999}}'
    assert refused_fields(call("POST", "/events", data=body)) == {"metadata"}


@pytest.mark.parametrize("body", ["[]", "null", '"text"', "5"])
def test_json_that_is_no_object(call: Call, body: str) -> None:
    assert refused_fields(call("POST", "/events", data=body)) == {"body"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"name=v1",
        b'{"name": NaN}',
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b"[" * 5000,
        b'{"n": ' + b"9" * 5000 + b"}",
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/events"), ("PATCH", "/events/evt_x")])
def test_body_that_is_not_json(call: Call, body: bytes, method: str, path: str) -> None:
    response = call(method, path, data=body)
    assert response.status_code == 400
    answer: Any = response.json
    assert answer["error"]["code"] == "VALIDATION_ERROR"
    assert "not JSON" in answer["error"]["message"]


def test_content_type_does_not_matter(call: Call) -> None:
    body = '{"type": "custom", "name": "x"}'
    assert call("POST", "/events", data=body, content_type="text/plain").status_code == 201
